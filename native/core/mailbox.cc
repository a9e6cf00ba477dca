// See mailbox.h.
#include "mailbox.h"

#include "arena.h"
#include "process.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

// Cells in use, seen from a tail that may be older than the head.
bool has_room(uint64_t tail, uint32_t head, uint32_t cells) {
  return (uint32_t)tail - head <= kRingCells - cells;
}

// A message does not wrap round the ring's end: the rest of the ring is claimed with it and skipped.
uint32_t cells_skipped(uint64_t tail, uint32_t cells) {
  const uint32_t to_end = kRingCells - ((uint32_t)tail & (kRingCells - 1));
  return cells > to_end ? to_end : 0;
}

}  // namespace

Claim claim(Ring &ring, uint32_t cells) {
  uint64_t tail = ring.tail.load(std::memory_order_relaxed);
  for (;;) {
    const uint32_t skipped = cells_skipped(tail, cells);
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
    // P21: sequentially consistent, since a claim counts its owner in; nothing is published by it.
    if (!ring.tail.compare_exchange_weak(tail, tail + wanted, std::memory_order_seq_cst)) continue;
    if (skipped) {
      Cell &rest = ring.cells[(uint32_t)tail & (kRingCells - 1)];
      rest.op.store(0, std::memory_order_relaxed);
      rest.shape.store(skipped << kShapeCellsShift, std::memory_order_relaxed);
      publish({&rest, (uint32_t)tail});
    }
    const uint64_t at = tail + skipped;
    return {&ring.cells[(uint32_t)at & (kRingCells - 1)], (uint32_t)at};
  }
}

namespace {

// P10: the message is published, then a full fence, then the mask is read. A mask that is read before the fence loses
// wake-ups: the drain clears it, looks at the mailbox, and sees neither. True if whoever set the bit rings.
bool noticed(const Realm &r, uint32_t mask) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return (r.dirty.load(std::memory_order_relaxed) & mask) != 0;
}

}  // namespace

void ring_if_armed(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  std::atomic_thread_fence(std::memory_order_seq_cst);  // P10: fetch_or alone is no fence on arm64
  if (r.armed.load(std::memory_order_relaxed) == 0) return;
  // Whoever takes `armed` from 1 to 0 rings, once.
  if (r.armed.exchange(0, std::memory_order_seq_cst) == 1) ring_doorbell(realm);
}

void notify(uint32_t realm, uint32_t bit) {
  Realm &r = arena()->realms[realm];
  if (noticed(r, 1u << bit)) return;
  r.dirty.fetch_or(1u << bit, std::memory_order_seq_cst);
  ring_if_armed(realm);
}

void wake_serving(uint32_t realm) {
  std::atomic<uint32_t> &word = arena()->realms[realm].serving;
  // Sequentially consistent on both sides: either we see that it serves, or its drain sees the message.
  uint32_t serving = word.load(std::memory_order_seq_cst);
  // By compare-and-swap: it may have ceased to serve meanwhile.
  if (serving == kServing && word.compare_exchange_strong(serving, kCalled, std::memory_order_seq_cst)) wake_all(word);
}

void ring_doorbell(uint32_t realm) {
  wake_serving(realm);
  const Local &local = locals[realm];
  if (local.ring) local.ring(local.edge);
}

void notify_mailbox(uint32_t realm, uint64_t realm_id, uint32_t shard) {
  const Realm &r = arena()->realms[realm];
  if (noticed(r, 1u << shard)) return;
  InFlight counted(realm, shard);
  if (r.life.load(std::memory_order_seq_cst) == open_life(realm_id)) notify(realm, shard);  // P21
}

namespace {

// How many cells the message at a position has; 0 if it is not published, or was never written by us (P31).
uint32_t message_cells(const Ring &ring, uint32_t at, uint32_t tail) {
  const Cell &cell = ring.cells[at & (kRingCells - 1)];
  // Acquire: the message comes before its sequence number.
  if (cell.sequence.load(std::memory_order_acquire) != at + 1) return 0;
  const uint32_t cells = cell.shape.load(std::memory_order_relaxed) >> kShapeCellsShift & 31;
  return cells <= tail - at ? cells : 0;
}

}  // namespace

bool all_published(const Ring &ring) {
  const uint32_t tail = (uint32_t)ring.tail.load(std::memory_order_seq_cst);  // P21
  uint32_t at = ring.head.load(std::memory_order_acquire);
  while (at != tail) {
    const uint32_t cells = message_cells(ring, at, tail);
    if (cells == 0) return false;
    at += cells;
  }
  return true;
}

uint32_t posts_in(const Ring &ring) {
  const uint32_t tail = (uint32_t)ring.tail.load(std::memory_order_acquire);
  uint32_t at = ring.head.load(std::memory_order_acquire);
  uint32_t posts = 0;
  while (at != tail && tail - at <= kRingCells) {
    const Cell &cell = ring.cells[at & (kRingCells - 1)];
    const uint32_t cells = message_cells(ring, at, tail);
    if (cells == 0) break;
    if (cell.op.load(std::memory_order_relaxed) != 0 && cell.reply.load(std::memory_order_relaxed) == 0) posts++;
    at += cells;
  }
  return posts;
}

bool is_full(const Ring &ring) {
  return !has_room(ring.tail.load(std::memory_order_relaxed), ring.head.load(std::memory_order_acquire), 1);
}

bool is_empty(const Ring &ring) {
  return (uint32_t)ring.tail.load(std::memory_order_acquire) == ring.head.load(std::memory_order_acquire);
}

void skip_all(Ring &ring) {
  const uint32_t tail = (uint32_t)ring.tail.load(std::memory_order_seq_cst);
  uint32_t at = ring.head.load(std::memory_order_acquire);
  while (at != tail) {
    const uint32_t cells = message_cells(ring, at, tail);
    if (cells == 0) break;
    for (uint32_t i = 1; i < cells; i++)
      ring.cells[(at + i) & (kRingCells - 1)].sequence.store(at + i, std::memory_order_relaxed);
    at += cells;
  }
  ring.head.store(at, std::memory_order_release);  // the cells are free before producers learn of it
}

void sleep_for_space(Ring &ring, uint32_t cells, int64_t nanoseconds) {
  ring.space_wanted.store(1, std::memory_order_seq_cst);
  // Sequentially consistent on both sides: either we see the head that the drain advanced, or it sees our wish.
  const uint64_t tail = ring.tail.load(std::memory_order_seq_cst);
  if (has_room(tail, ring.head.load(std::memory_order_seq_cst), cells_skipped(tail, cells) + cells)) return;
  sleep_on(ring.space_wanted, 1, nanoseconds);
}

}  // namespace haft
