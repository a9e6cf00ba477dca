// Statuses as values, their names and messages, and what haft_last_error() tells a thread.
#pragma once

#include <string>

#include "haft.h"

namespace haft {

// Keeps `status` as this thread's latest error and returns it. `detail` replaces the status's own message.
haft_status fail(haft_status status, haft_handle handle = HAFT_NULL, const char *detail = nullptr);

// The same with a text of one's own, and the pointer rule that was broken, 0: the status's.
haft_status fail_with(haft_status status, haft_handle handle, const std::string &detail, uint32_t rule = 0);

// Keeps an exception: `text` is name NUL message NUL stack, of `bytes` bytes. Longer texts are cut.
haft_status fail_text(haft_status status, haft_handle handle, const char *text, uint32_t bytes, uint32_t rule = 0);

// Pointer rules that an error names itself: the numbers of HAFT_RULE_MAP.
constexpr uint32_t kRuleResults = 4;
constexpr uint32_t kRuleArguments = 7;

const haft_error *last_error();

// This thread's latest error, kept while others come: which, and the text that it points into.
constexpr uint32_t kErrorTextBytes = 4096;
constexpr uint32_t kErrorNextBytes = 256;
struct KeptError {
  haft_error error;
  char text[kErrorTextBytes];
  char next[kErrorNextBytes];  // written when somebody asks
};
void keep_error(KeptError *kept);
void restore_error(const KeptError &kept);
bool is_status(haft_status status);  // whether it is one of HAFT_STATUS_MAP
const char *status_name(haft_status status);
const char *status_message(haft_status status);  // what happened
const char *status_next(haft_status status);     // what to do next
uint32_t status_rule(haft_status status);        // the pointer rule that it breaks where nothing else is said, or 0

}  // namespace haft
