// See error.h. The texts live in a fixed buffer of each thread: no destructor runs at a thread's end (P25).
#include "error.h"

#include <cstdio>
#include <cstring>

namespace haft {
namespace {

thread_local KeptError last = {{sizeof(haft_error), HAFT_OK, HAFT_NULL, "HAFT_OK", "success", "", "", 0, 0}, {0}, {0}};

}  // namespace

bool is_status(haft_status status) {
  switch (status) {
#define HAFT_STATUS_KNOWN(name, number, message, next) \
  case number:                                         \
    return true;
    HAFT_STATUS_MAP(HAFT_STATUS_KNOWN)
#undef HAFT_STATUS_KNOWN
    default:
      return false;
  }
}

const char *status_name(haft_status status) {
  switch (status) {
#define HAFT_STATUS_NAME(name, number, message, next) \
  case number:                                        \
    return "HAFT_" #name;
    HAFT_STATUS_MAP(HAFT_STATUS_NAME)
#undef HAFT_STATUS_NAME
    default:
      return "HAFT_E_UNKNOWN";
  }
}

const char *status_message(haft_status status) {
  switch (status) {
#define HAFT_STATUS_MESSAGE(name, number, message, next) \
  case number:                                           \
    return message;
    HAFT_STATUS_MAP(HAFT_STATUS_MESSAGE)
#undef HAFT_STATUS_MESSAGE
    default:
      return "unknown status";
  }
}

const char *status_next(haft_status status) {
  switch (status) {
#define HAFT_STATUS_NEXT(name, number, message, next) \
  case number:                                        \
    return next;
    HAFT_STATUS_MAP(HAFT_STATUS_NEXT)
#undef HAFT_STATUS_NEXT
    default:
      return "";
  }
}

uint32_t status_rule(haft_status status) {
  if (status == HAFT_E_ARGUMENT) return 0;  // mostly of a function's own arguments, which no rule is about
  // The first of several rules.
#define HAFT_RULE_OF(number, code, rule) \
  if (status == HAFT_##code) return number;
  HAFT_RULE_MAP(HAFT_RULE_OF)
#undef HAFT_RULE_OF
  return 0;
}

haft_status fail(haft_status status, haft_handle handle, const char *detail) {
  last.error.status = status;
  last.error.handle = handle;
  last.error.name = status_name(status);
  last.error.message = detail ? detail : status_message(status);
  last.error.stack = "";
  last.error.next = status_next(status);
  last.error.rule = status_rule(status);
  return status;
}

haft_status fail_with(haft_status status, haft_handle handle, const std::string &detail, uint32_t rule) {
  const std::string text = status_name(status) + ('\0' + detail);
  return fail_text(status, handle, text.data(), (uint32_t)text.size(), rule);
}

haft_status fail_text(haft_status status, haft_handle handle, const char *text, uint32_t bytes, uint32_t rule) {
  KeptError &l = last;
  uint32_t kept = bytes < kErrorTextBytes - 3 ? bytes : kErrorTextBytes - 3;
  if (kept < bytes) {
    while (kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80) kept--;  // not in the midst of a letter
  }
  memcpy(l.text, text, kept);
  memset(l.text + kept, 0, 3);  // ends whichever of the three parts was cut
  fail(status, handle);
  l.error.name = l.text;
  l.error.message = l.error.name + strlen(l.error.name) + 1;
  l.error.stack = l.error.message + strlen(l.error.message) + 1;
  if (rule != 0) l.error.rule = rule;
  return status;
}

const haft_error *last_error() {
  if (last.error.rule != 0) {
    snprintf(last.next, sizeof last.next, "%s (pointer rule %u)", status_next(last.error.status), last.error.rule);
    last.error.next = last.next;
  }
  return &last.error;
}

void keep_error(KeptError *kept) { *kept = last; }

void restore_error(const KeptError &kept) { last = kept; }  // what points into its text does so again

}  // namespace haft
