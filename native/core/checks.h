// HAFTCHECK: how much is looked at, one level a process, read when it is first asked for. 0: generation, state and the
// op's kind. 1: also realm, argument count, ownership of results. 2: everything, for tests (checked.h). What the levels look
// at stands where it is looked at; the table of functions that C receives is the level's (api.cc).
#pragma once

#include "haft.h"

namespace haft {

int32_t check_level();
const char *check_text();  // as it was read, "" where it is not set
bool checks_abort();  // "2,abort"

// A breach that no status can tell, since the function has none: a line on standard error; with "2,abort" the end.
// The thread's latest error is the breach.
void tell_breach(const char *function);

}  // namespace haft
