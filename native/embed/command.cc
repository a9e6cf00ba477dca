// See command.h.
#include "command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "error.h"

extern char **environ;

namespace haft {
namespace {

// What node runs first. In the oldest JavaScript, so that an old node tells its version and not of a syntax error. It finds
// the package haft that the script itself would import, so that both are one.
constexpr const char kBootstrap[] = R"js((function () {
  var fs = require('fs'), path = require('path'), env = process.env;
  function take(name) { var value = env[name]; delete env[name]; return value; }
  function fail(status, text) { fs.writeSync(4, 'F' + status + '\n' + text); process.exit(1); }
  var oldest = take('HAFT_EMBED_OLDEST'), chosen = take('HAFT_EMBED_PACKAGE'), built = take('HAFT_EMBED_BUILT');
  var has = process.versions.node.split('.').map(Number), wants = oldest.split('.').map(Number);
  for (var i = 0; i < wants.length && has[i] === wants[i]; i++);
  if (i < wants.length && has[i] < wants[i])
    fail(-20, process.execPath + ' is node ' + process.versions.node + ', older than ' + oldest);
  var script = path.resolve(process.argv[1]);
  function ofScript() {
    try { return path.dirname(require('module').createRequire(script).resolve('haft/package.json')); }
    catch (_) { return undefined; }
  }
  var folder = chosen || ofScript() || env.HAFT_PACKAGE || built;
  if (!folder || !fs.existsSync(path.join(folder, 'dist/embed/child.js')))
    fail(-19, folder ? 'there is no package haft in ' + folder + ', or it is not built'
      : script + ' would find no package haft: run npm install haft beside it, or set options.package');
  import(require('url').pathToFileURL(path.resolve(folder, 'dist/embed/child.js')).href).then(
    function (child) { return child.serve(script, process.argv.slice(2)); }
  ).catch(function (error) { fail(-23, 'the package haft in ' + folder + ' does not load: ' + (error && error.stack || error)); });
})();)js";

// Of 1.4: later versions only add at the end.
constexpr size_t kLeastOptions = offsetof(haft_embed_options, user) + sizeof(void *);

constexpr int64_t kMostMilliseconds = INT64_MAX / 1'000'000 / 4;  // 73 years, which can be reckoned with in nanoseconds

std::string text_or(const char *text, const char *otherwise) { return text && *text ? text : otherwise; }

std::vector<std::string> list_of(const char *const *texts) {
  std::vector<std::string> list;
  for (; texts && *texts; texts++) list.emplace_back(*texts);
  return list;
}

bool is_version(const std::string &text) {
  if (text.empty() || text.size() > 32 || text[0] == '.' || text.back() == '.') return false;
  return text.find_first_not_of("0123456789.") == std::string::npos && text.find("..") == std::string::npos;
}

haft_status wrong(const std::string &text) { return fail_with(HAFT_E_ARGUMENT, HAFT_NULL, text); }

haft_status read_output(const haft_embed_options &o) {
  if (o.output < HAFT_EMBED_INHERIT || o.output > HAFT_EMBED_DISCARD)
    return wrong("options.output is " + std::to_string(o.output));
  if (o.output == HAFT_EMBED_FILE && (!o.output_file || !*o.output_file))
    return wrong("options.output is HAFT_EMBED_FILE, and options.output_file is not set");
  if (o.output == HAFT_EMBED_LINES && !o.line)
    return wrong("options.output is HAFT_EMBED_LINES, and options.line is not set");
  if (o.restart < HAFT_EMBED_NEVER || o.restart > HAFT_EMBED_ALWAYS)
    return wrong("options.restart is " + std::to_string(o.restart));
  return HAFT_OK;
}

bool is_file(const std::string &path) {
  struct stat about;
  return stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
}

bool is_program(const std::string &path) { return is_file(path) && access(path.c_str(), X_OK) == 0; }

// The child's, else the program's own.
std::string value_of(const std::vector<std::string> &environment, const char *name) {
  const std::string begin = std::string(name) + "=";
  for (const std::string &entry : environment) {
    if (entry.compare(0, begin.size(), begin) == 0) return entry.substr(begin.size());
  }
  return text_or(getenv(name), "");
}

// As a shell does.
std::string find_program(const std::string &name, const std::string &path) {
  if (name.find('/') != std::string::npos) return is_program(name) ? name : "";
  if (path.empty()) return "";
  size_t from = 0;
  while (from <= path.size()) {
    size_t end = path.find(':', from);
    if (end == std::string::npos) end = path.size();
    const std::string folder = end == from ? "." : path.substr(from, end - from);
    if (is_program(folder + "/" + name)) return folder + "/" + name;
    from = end + 1;
  }
  return "";
}

// A path of this process as it is now, wherever the child runs and wherever the program goes.
std::string whole(const std::string &path) {
  if (path.empty() || path[0] == '/') return path;
  char *folder = getcwd(nullptr, 0);
  if (!folder) return path;
  const std::string text = std::string(folder) + "/" + path;
  free(folder);
  return text;
}

}  // namespace

haft_status settings_read(const haft_embed_options *options, Settings *s) {
  if (!options || options->size < kLeastOptions)
    return wrong("the options do not begin with HAFT_EMBED_OPTIONS");
  haft_embed_options &o = s->given;
  o = {};
  memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
  if (!o.script || !*o.script) return wrong("options.script is not set");
  if (read_output(o) != HAFT_OK) return HAFT_E_ARGUMENT;
  s->script = whole(o.script);
  s->node_args = list_of(o.node_args);
  s->args = list_of(o.args);
  s->environment = list_of(o.environment ? o.environment : environ);
  // All of the environment is read now: at a restart the program may be changing its own on another thread.
  s->search_path = value_of(s->environment, "PATH");
  s->node = text_or(o.node, "");
  if (s->node.empty()) s->node = value_of(s->environment, "HAFT_NODE");
  if (s->node.empty()) s->node = "node";
  if (s->node.find('/') != std::string::npos) s->node = whole(s->node);
  s->oldest_node = text_or(o.oldest_node, "20");
  if (s->oldest_node[0] == 'v') s->oldest_node.erase(0, 1);
  if (!is_version(s->oldest_node)) return wrong("options.oldest_node is no version: " + s->oldest_node);
  s->has_directory = o.directory && *o.directory;
  s->directory = whole(text_or(o.directory, ""));
  s->has_package = o.package && *o.package;
  s->package = whole(text_or(o.package, ""));
  s->output_file = whole(text_or(o.output_file, ""));
  if (o.ready_ms == 0) o.ready_ms = 10'000;
  if (o.stop_ms == 0) o.stop_ms = 5'000;
  if (o.stuck_ms < 0) o.stuck_ms = 0;
  o.stuck_ms = std::min(o.stuck_ms, kMostMilliseconds);
  if (o.restart_most == 0) o.restart_most = 5;
  if (o.restart_within_ms == 0) o.restart_within_ms = 60'000;
  if (o.restart_within_ms < 0 || o.restart_within_ms > kMostMilliseconds) o.restart_within_ms = kMostMilliseconds;
  for (const haft_embed_function *f = o.functions; f && f->name; f++) {
    if (!f->function) return wrong(std::string("options.functions has no function for ") + f->name);
    s->functions.push_back(*f);
    s->function_names.emplace_back(f->name);
  }
  return HAFT_OK;
}

haft_status command_make(const Settings &s, Command *command) {
  if (!is_file(s.script)) return fail_with(HAFT_E_NOT_FOUND, HAFT_NULL, "there is no script " + s.script);
  command->program = find_program(s.node, s.search_path);
  if (command->program.empty()) {
    return fail_with(HAFT_E_NOT_FOUND, HAFT_NULL,
                     "there is no program " + s.node + (s.node.find('/') == std::string::npos ? " in PATH" : ""));
  }
  command->program = whole(command->program);
  command->arguments = {command->program};
  for (const std::string &argument : s.node_args) command->arguments.push_back(argument);
  command->arguments.insert(command->arguments.end(), {"-e", kBootstrap, "--", s.script});
  for (const std::string &argument : s.args) command->arguments.push_back(argument);
  for (const std::string &entry : s.environment) {
    if (entry.compare(0, 11, "HAFT_EMBED_") != 0) command->environment.push_back(entry);
  }
  command->environment.push_back("HAFT_EMBED_OLDEST=" + s.oldest_node);
  if (s.has_package) command->environment.push_back("HAFT_EMBED_PACKAGE=" + s.package);
#if defined(HAFT_PACKAGE_DIR)
  command->environment.push_back("HAFT_EMBED_BUILT=" HAFT_PACKAGE_DIR);
#endif
  return HAFT_OK;
}

std::vector<char *> pointers_to(const std::vector<std::string> &texts) {
  std::vector<char *> pointers;
  for (const std::string &text : texts) pointers.push_back(const_cast<char *>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace haft
