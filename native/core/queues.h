// Queues of completions, for C that has an event loop of its own: a descriptor is readable while one has any.
//
// Known by number, so that any integer may be passed. One lock: a completion costs two system calls anyway. Nothing
// here is in the arena, and nothing has a destructor (P25).
#pragma once

#include "haft.h"

namespace haft {

haft_status queue_open(haft_queue *queue, int *descriptor);
haft_status queue_next(haft_queue queue, int64_t timeout_ms, haft_completion *completion);
haft_status queue_close(haft_queue queue);

bool queue_is_open(haft_queue queue);

// Puts a completion in; drops what it carries if the queue is closed.
void queue_put(haft_queue queue, const haft_completion &completion);

}  // namespace haft
