// Post and call: from arguments to a message in a mailbox, and from a reply to a result. `level` is that of HAFTCHECK
// (plan_message): the table of functions has the one of the process.
#pragma once

#include "haft.h"
#include "slots.h"

namespace haft {

template <int level = 1>
haft_status post(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full);
// A post that does not wait. A failure is the caller's to count.
haft_status offer(haft_handle handle, haft_op op, const haft_value *args, size_t count);
template <int level = 1>
haft_status call(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                 haft_value *result);
// The same with what C passed to a trampoline (plan_given).
haft_status post_given(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full);
haft_status call_given(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                       haft_value *result);
template <int level = 1>
haft_status call_many(haft_request *requests, size_t count, int64_t timeout_ms);

// On the realm's own thread: runs the message that stands in Realm::direct; the answer stands in Realm::direct_reply.
// HAFT_E_CLOSED: no more of it may be touched. HAFT_E_EXCEPTION with no answer there: one thrown before is on its way
// through C, and no JavaScript runs until it has arrived.
haft_status run_direct_message(const Target &target);

void value_free(haft_value *value);
void value_drop(haft_value *value);  // frees it with the reference that it carries

// The result of a call that somebody else will read, or the text of this thread's latest error: "Name: message".
haft_value result_or_text(haft_status status, const haft_value &result);

// JavaScript found a reply abandoned. If it has a result by then, `answered`, what that carries is given back; the slot
// always is (P15).
void reply_discard(uint32_t realm, uint32_t token, bool answered);

}  // namespace haft
