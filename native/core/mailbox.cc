// See mailbox.h.
#include "mailbox.h"

#include "arena.h"
#include "process.h"
#include "wait.h"

namespace haft {
namespace {

// Cells in use, seen from a tail that may be older than the head.
bool has_room(uint64_t tail, uint32_t head, uint32_t cells) {
  return (uint32_t)tail - head <= kRingCells - cells;
}

// A message does not wrap round the ring's end: the rest of the ring is claimed with it and skipped.
uint32_t cells_to_end(uint64_t tail) { return kRingCells - ((uint32_t)tail & (kRingCells - 1)); }

}  // namespace

Claim claim(Ring &ring, uint32_t cells) {
  uint64_t tail = ring.tail.load(std::memory_order_relaxed);
  for (;;) {
    const uint32_t to_end = cells_to_end(tail);
    const uint32_t skipped = cells > to_end ? to_end : 0;
    const uint32_t wanted = skipped + cells;
    // Acquire: JavaScript has read the cells before it advanced the head, so they may be written again.
    if (!has_room(tail, ring.known_head.load(std::memory_order_acquire), wanted)) {
      const uint32_t head = ring.head.load(std::memory_order_acquire);
      ring.known_head.store(head, std::memory_order_release);  // hands the acquire on to other producers
      if (!has_room(tail, head, wanted)) {
        const uint64_t now = ring.tail.load(std::memory_order_relaxed);
        if (now == tail) return {};
        tail = now;  // an old tail lies before the head and looks like a full ring
        continue;
      }
    }
    // Relaxed: nothing is published by the claim.
    if (!ring.tail.compare_exchange_weak(tail, tail + wanted, std::memory_order_relaxed)) continue;
    if (skipped) {
      Cell &rest = ring.cells[(uint32_t)tail & (kRingCells - 1)];
      rest.op = 0;
      rest.shape = skipped << kShapeCellsShift;
      publish({&rest, (uint32_t)tail});
    }
    const uint64_t at = tail + skipped;
    return {&ring.cells[(uint32_t)at & (kRingCells - 1)], (uint32_t)at};
  }
}

void notify(uint32_t realm, uint32_t bit) {
  Realm &r = arena()->realms[realm];
  const uint32_t mask = 1u << bit;
  // P10: the message is published, then a full fence, then the mask is read. A mask that is read before the fence
  // loses wake-ups: the drain clears it, looks at the mailbox, and sees neither.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (r.dirty.load(std::memory_order_relaxed) & mask) return;  // whoever set it rings
  r.dirty.fetch_or(mask, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // P10: fetch_or alone is no fence on arm64
  if (r.armed.load(std::memory_order_relaxed) == 0) return;
  // Whoever takes `armed` from 1 to 0 rings, once.
  if (r.armed.exchange(0, std::memory_order_seq_cst) == 1 && locals[realm].ring) locals[realm].ring(locals[realm].edge);
}

void sleep_for_space(Ring &ring, uint32_t cells, int64_t nanoseconds) {
  ring.space_wanted.store(1, std::memory_order_seq_cst);
  // Sequentially consistent on both sides: either we see the head that the drain advanced, or it sees our wish.
  const uint64_t tail = ring.tail.load(std::memory_order_seq_cst);
  if (has_room(tail, ring.head.load(std::memory_order_seq_cst), cells)) return;
  sleep_on(ring.space_wanted, 1, nanoseconds);
}

}  // namespace haft
