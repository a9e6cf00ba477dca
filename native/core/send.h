// Sending: from a handle, an op and arguments to a message in a mailbox.
#pragma once

#include "message.h"
#include "slots.h"
#include "wait.h"

namespace haft {

// Checks the handle and the op against the slot: nothing is sent to an object of another kind, nor while the kind's
// breaker is open. Such a refusal is counted, unless the caller does (`counts` false).
haft_status address(haft_handle handle, haft_op op, Target *target, bool counts = true);

// One try: HAFT_E_FULL or HAFT_E_NO_MEMORY when there is no room now; HAFT_E_CLOSED.
haft_status try_send(const Target &target, haft_op op, Plan &plan, uint32_t reply);

// What follows a try that failed: tries until there is room; `when_full` is the status when time is up. Counts a
// failure.
haft_status send_later(const Target &target, haft_op op, Plan &plan, uint32_t reply, haft_status tried,
                       haft_status when_full, Deadline &deadline);

}  // namespace haft
