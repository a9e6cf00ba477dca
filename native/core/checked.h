// Level 2: the table of functions that C receives then. Each records what is done to the handle (history.h), goes on to the
// function beneath, and reports a breach of a pointer rule on standard error. Levels 0 and 1 know nothing of this.
#pragma once

#include "haft.h"

namespace haft {

// The table over `beneath`, which lasts.
const haft_api *checked_table(const haft_api *beneath);

// What a destructor that C calls releases is haft's to release (destroyNotify).
void checked_destroy(haft_handle handle, void *caller);

// The breach that is the thread's latest error, of which no status tells. With "2,abort" the process ends here.
void report_breach(const char *function, void *caller);

// What is wrong with the table itself. With "2,abort" the process ends here.
void report_broken(const char *text);

}  // namespace haft
