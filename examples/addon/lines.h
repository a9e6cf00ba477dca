// What both addons do: walk over the lines of a text, a share of it on each thread.
#pragma once

#include <string_view>

// The part of the text that is this thread's: whole lines.
inline std::string_view share_of(std::string_view text, size_t thread, size_t threads) {
  const auto start_of = [&](size_t n) {
    if (n == 0) return size_t{0};
    const size_t end = text.find('\n', text.size() / threads * n);
    return n == threads || end == text.npos ? text.size() : end + 1;
  };
  const size_t start = start_of(thread);
  return text.substr(start, start_of(thread + 1) - start);
}

// Takes the first line off.
inline std::string_view next_line(std::string_view &text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

inline bool is_heading(std::string_view line) { return !line.empty() && line[0] == '#'; }
