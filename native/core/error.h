// Statuses as values, their names and messages, and what haft_last_error() tells a thread.
#pragma once

#include "haft.h"

namespace haft {

// Keeps `status` as this thread's latest error and returns it. `detail` replaces the status's own message.
haft_status fail(haft_status status, haft_handle handle = HAFT_NULL, const char *detail = nullptr);

// Keeps an exception: `text` is name NUL message NUL stack, of `bytes` bytes. Longer texts are cut.
haft_status fail_text(haft_status status, haft_handle handle, const char *text, uint32_t bytes);

const haft_error *last_error();

// This thread's latest error, kept while others come: which, and the text that it points into.
constexpr uint32_t kErrorTextBytes = 4096;
struct KeptError {
  haft_error error;
  char text[kErrorTextBytes];
};
void keep_error(KeptError *kept);
void restore_error(const KeptError &kept);
const char *status_name(haft_status status);
const char *status_message(haft_status status);  // what happened
const char *status_next(haft_status status);     // what to do next

}  // namespace haft
