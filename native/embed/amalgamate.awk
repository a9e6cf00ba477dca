# The work of amalgamate.sh: joins the files that are its arguments. It reads the code as this project writes it: a
# declaration of a namespace begins in the first column, and what goes on or stands within is indented.

BEGIN {
  for (i = 1; i < ARGC; i++) survey(ARGV[i])
  for (key in kept) {
    split(key, part, SUBSEP)
    if (files_with[part[2]] > 1) renamed[key] = part[2] "_in_" stem(part[1])
  }
  print "// libhaft_embed in one file: https://www.npmjs.com/package/haft. Made from native/core and native/embed by"
  print "// amalgamate.sh; change those. It needs haft.h and haft_embed.h beside it, and a compiler for C++17:"
  print "//"
  print "//     cc -O2 -std=c++17 -fno-exceptions -fno-rtti -pthread -c haft_embed.cc"
  print "//     cc main.c haft_embed.o -lstdc++ -pthread -ldl"
  print "//"
  print "// The programs that call it may be C."
  print "#if !defined(__cplusplus)"
  print "#error This is C++17, for programs in C too. Compile it alone: c++ -std=c++17 -c haft_embed.cc"
  print "#else"
  print "// A few functions and constants of headers are for Node's side only."
  print "#pragma GCC diagnostic ignored \"-Wunused-function\""
  print "#pragma GCC diagnostic ignored \"-Wunused-const-variable\""
  print "#if !defined(__clang__)"
  print "#pragma GCC diagnostic ignored \"-Wmaybe-uninitialized\"  // an empty std::optional, to gcc 12"
  print "#endif"
  print "#include \"haft_embed.h\""
  for (i = 1; i < ARGC; i++) emit(ARGV[i])
  print "\n#endif"
}

function stem(path) {
  sub(/.*\//, "", path)
  sub(/\..*/, "", path)
  gsub(/[^A-Za-z0-9]/, "_", path)
  return path
}

# The path of a header of ours, or "" for the public ones, which stay headers.
function header_of(line, name, folders, i, path, junk) {
  split(line, folders, "\"")
  name = folders[2]
  if (name == "haft.h" || name == "haft_embed.h") return ""
  split("../core/ ./ ../", folders, " ")
  for (i = 1; i <= 3; i++) {
    path = folders[i] name
    if ((getline junk < path) >= 0) {
      close(path)
      return path
    }
  }
  print "amalgamate.sh: there is no header " name > "/dev/stderr"
  exit 1
}

# What a line declares in a namespace, or "".
function name_in(line) {
  sub(/^extern thread_local /, "", line)
  if (line !~ /^[A-Za-z]/ || line ~ /^(namespace|template|public|private|static_assert|friend)/) return ""
  gsub(/alignas\([^)]*\)/, "", line)
  if (line ~ /^using [A-Za-z0-9_]+ =/) {
    sub(/^using /, "", line)
  } else if (line ~ /^(struct|class|enum|union) +[A-Za-z]/ && line !~ /[(=]/) {
    sub(/^(struct|class|enum|union) +/, "", line)
    sub(/^class +/, "", line)
  } else {
    sub(/ operator.*/, "", line)
    if (!sub(/[({;=[].*/, "", line)) return ""
    sub(/ +$/, "", line)
    if (line ~ /::[A-Za-z0-9_]+$/ || line !~ /[ *&][A-Za-z0-9_]+$/) return ""
    sub(/.*[ *&]/, "", line)
    return line
  }
  sub(/[^A-Za-z0-9_].*/, "", line)
  return line
}

# Notes which names a file keeps to itself, and which words it has.
function survey(path, line, own, hidden, name) {
  if (surveyed[path]++) return
  while ((getline line < path) > 0) {
    if (line ~ /^#include "/) {
      own = header_of(line)
      if (own != "") survey(own)
    }
    if (line == "namespace {") hidden = 1
    if (line == "}  // namespace") hidden = 0
    name = hidden ? name_in(line) : ""
    if (name != "") kept[path, name] = 1
    worded(path, line)
  }
  close(path)
}

# The line with the names that its file keeps to itself changed, where another file has such a word. On the way, counts the
# files of each word. Comments, texts and members are left alone.
function worded(path, line, out, word, member) {
  if (line ~ /^(struct|class)/) in_class = 1
  if (line ~ /^}/) in_class = 0
  member = in_class && line ~ /^  [A-Za-z]/ ? name_in(substr(line, 3)) : ""
  out = ""
  while (match(line, /"([^"\\]|\\.)*"|\/\/.*|'([^'\\]|\\.)'|[A-Za-z_][A-Za-z0-9_]*/)) {
    out = out substr(line, 1, RSTART - 1)
    word = substr(line, RSTART, RLENGTH)
    line = substr(line, RSTART + RLENGTH)
    if (word ~ /^[A-Za-z_]/ && word != member && out !~ /(\.|->|[a-z0-9]::)$/) {
      if (!words[path, word]++) files_with[word]++
      if ((path, word) in renamed) word = renamed[path, word]
    }
    out = out word
  }
  return out line
}

function emit(path, line, own, depth, shown) {
  if (emitted[path]++) return
  shown = path
  sub(/^\.\.\//, "", shown)
  if (shown == path) shown = "embed/" path
  print "\n// ---- " shown " ----"
  while ((getline line < path) > 0) {
    if (line ~ /^#if/) depth++
    if (line ~ /^#endif/) depth--
    if (line == "#pragma once") continue
    if (line ~ /^#include "/) {
      own = header_of(line)
      if (own != "") emit(own)
    } else if (line ~ /^#include </) {
      if (!(line in included)) print line
      if (!depth) included[line] = 1  # else it may be left out where it is first
    } else if (line == "namespace haft {") {
      print "namespace {\n" line
    } else if (line == "}  // namespace haft") {
      print line "\n}  // namespace"
    } else {
      print worded(path, line)
    }
  }
  close(path)
}
