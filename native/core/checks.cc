// See checks.h.
#include "checks.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "checked.h"
#include "error.h"

namespace haft {
namespace {

constexpr uint32_t kMostLines = 32;  // a breach in a loop must not fill a disk

struct Setting {
  int32_t level = 1;
  bool abort = false;
  char text[32] = "";  // longer than any value: what is cut is wrong, and stays so
};

// What is written wrong is told by JavaScript (src/checks.ts), before a realm opens.
Setting read_setting() {
  Setting setting;
  const char *text = getenv("HAFTCHECK");
  if (text) snprintf(setting.text, sizeof setting.text, "%s", text);
  if (!text || text[0] < '0' || text[0] > '2') return setting;
  setting.level = text[0] - '0';
  setting.abort = setting.level == 2 && strcmp(text + 1, ",abort") == 0;
  return setting;
}

const Setting &setting() {
  static const Setting read = read_setting();
  return read;
}

}  // namespace

int32_t check_level() { return setting().level; }

const char *check_text() { return setting().text; }

bool checks_abort() { return setting().abort; }

void tell_breach(const char *function) {
  if (check_level() == 2) {
    report_breach(function, __builtin_return_address(0));
    return;
  }
  static std::atomic<uint32_t> lines{0};
  const haft_error *e = last_error();
  const uint32_t line = lines.fetch_add(1, std::memory_order_relaxed);
  if (line < kMostLines)
    fprintf(stderr, "haft: %s: %s: %s; %s\n", function, status_name(e->status), e->message, e->next);
  if (line == kMostLines) fprintf(stderr, "haft: further breaches are not told\n");
}

}  // namespace haft
