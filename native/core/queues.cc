// See queues.h.
#include "queues.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <mutex>

#include "async.h"
#include "blocking.h"
#include "calls.h"
#include "error.h"
#include "process.h"
#include "wait.h"

namespace haft {
namespace {

constexpr uint32_t kQueues = 1024;
constexpr unsigned kQueueBits = 10;

struct Queue {
  uint64_t generation = 0;  // odd while it is open
  int descriptor = -1;
  std::deque<haft_completion> *completions = nullptr;
};

struct Queues {
  std::mutex mutex;
  Queue entries[kQueues];
};

Queues &queues() {
  static Queues *const all = new Queues;  // never freed: threads may outlive main (P25)
  return *all;
}

// The queue of a number, or NULL. With the lock held.
Queue *find(Queues &all, haft_queue queue) {
  Queue &entry = all.entries[queue & (kQueues - 1)];
  return (queue >> kQueueBits) == entry.generation && (entry.generation & 1) ? &entry : nullptr;
}

void show(const Queue &queue) {
  const uint64_t one = 1;
  if (write(queue.descriptor, &one, sizeof one) < 0) return;  // it is readable already
}

void hide(const Queue &queue) {
  uint64_t count;
  if (read(queue.descriptor, &count, sizeof count) < 0) return;  // it was not
}

}  // namespace

haft_status queue_open(haft_queue *queue, int *descriptor) {
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26: the lock may be held for ever
  if (!queue || !descriptor) return fail(HAFT_E_ARGUMENT);
  *queue = 0;
  *descriptor = -1;
  Queues &all = queues();
  const std::lock_guard<std::mutex> lock(all.mutex);
  for (uint32_t i = 0; i < kQueues; i++) {
    Queue &entry = all.entries[i];
    if (entry.generation & 1) continue;
    const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0) return fail(HAFT_E_INTERNAL, HAFT_NULL, "the operating system has no descriptor left");
    entry.generation++;
    entry.descriptor = made;
    entry.completions = new std::deque<haft_completion>;
    *queue = entry.generation << kQueueBits | i;
    *descriptor = made;
    return HAFT_OK;
  }
  return fail(HAFT_E_SLOTS);
}

haft_status queue_next(haft_queue queue, int64_t timeout_ms, haft_completion *completion) {
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26
  if (!completion) return fail(HAFT_E_ARGUMENT);
  *completion = {};
  Deadline deadline(timeout_ms);
  Queues &all = queues();
  for (;;) {
    pollfd waiting = {-1, POLLIN, 0};
    {
      const std::lock_guard<std::mutex> lock(all.mutex);
      Queue *entry = find(all, queue);
      if (!entry) return fail(HAFT_E_FORGED);
      if (!entry->completions->empty()) {
        *completion = entry->completions->front();
        entry->completions->pop_front();
        if (entry->completions->empty()) hide(*entry);
        return HAFT_OK;
      }
      waiting.fd = entry->descriptor;
    }
    const int64_t slice = own_slice(deadline.slice());
    if (slice == 0) return fail(HAFT_E_TIMEOUT);
    const Blocking blocking(realms_of_thread == 0 ? 0 : async_awaited(queue));
    if (blocking.deadlock()) return fail(HAFT_E_DEADLOCK);  // P18
    if (!script_runs()) return fail(HAFT_E_CLOSED);  // P19
    poll(&waiting, 1, (int)(slice / 1000000) + 1);
  }
}

haft_status queue_close(haft_queue queue) {
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26
  Queues &all = queues();
  std::deque<haft_completion> *left;
  {
    const std::lock_guard<std::mutex> lock(all.mutex);
    Queue *entry = find(all, queue);
    if (!entry) return fail(HAFT_E_FORGED);
    entry->generation++;
    close(entry->descriptor);
    left = entry->completions;
    entry->completions = nullptr;
  }
  for (haft_completion &completion : *left) value_drop(&completion.result);
  delete left;
  return HAFT_OK;
}

bool queue_is_open(haft_queue queue) {
  if (forked.load(std::memory_order_relaxed)) return false;  // P26
  Queues &all = queues();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return find(all, queue) != nullptr;
}

void queue_put(haft_queue queue, const haft_completion &completion) {
  Queues &all = queues();
  {
    const std::lock_guard<std::mutex> lock(all.mutex);
    Queue *entry = find(all, queue);
    if (entry) {
      entry->completions->push_back(completion);
      if (entry->completions->size() == 1) show(*entry);
      return;
    }
  }
  haft_completion dropped = completion;
  value_drop(&dropped.result);
}

}  // namespace haft
