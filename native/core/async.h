// Calls that no thread waits for: each ends exactly once, by whoever wins its reply slot (P15).
//
// JavaScript answers it, a thread of ours gives it up when its time is over, or the realm's end does. What the
// completion needs stands in memory of the process: the arena holds no pointers.
#pragma once

#include "haft.h"
#include "layout.h"

namespace haft {

template <int level = 1>
haft_status call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                       const haft_completer *completer);

// JavaScript has answered this reply. On the realm's own thread. Where the call is another process's, that is told.
void async_answered(uint32_t realm, uint32_t number);

// Ends those that are under way in a realm that is closing.
void async_close(uint32_t realm, haft_realm id);

// The realm whose answers a queue waits for, if it is one: another than the calling thread's own, if there is any such.
// 0: nobody's, or several realms'.
haft_realm async_awaited(haft_queue queue);

}  // namespace haft
