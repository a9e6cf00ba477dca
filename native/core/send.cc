// See send.h.
#include "send.h"

#include "blocking.h"
#include "counters.h"
#include "error.h"
#include "events.h"
#include "heap.h"
#include "kinds.h"
#include "mailbox.h"
#include "process.h"

namespace haft {
namespace {

constexpr int64_t kHeapPollNanoseconds = 1000 * 1000;

// Fills the claimed cells with nothing: the drain skips them. It may have stopped at them, so it is told (P10).
void withdraw(const Target &t, const Claim &claimed, uint32_t cells) {
  claimed.cell->op.store(0, std::memory_order_relaxed);
  claimed.cell->shape.store(cells << kShapeCellsShift, std::memory_order_relaxed);
  publish(claimed);
  notify_mailbox(t.realm, t.realm_id, t.shard);
}

haft_status found_full(const Target &t) {
  InFlight counted(t.realm, t.shard);
  if (!still_open(t)) return HAFT_E_CLOSED;  // nobody makes room in a closed realm
  Realm &r = arena()->realms[t.realm];
  note_fill(r.rings[t.shard], kRingCells);
  const bool script_waits = r.script_waits.load(std::memory_order_relaxed) != 0;
  if (script_waits || r.event_waiters.load(std::memory_order_relaxed) != 0) happened(t.realm, HAFT_EVENT_FULL);
  if (script_waits) ring_doorbell(t.realm);
  return HAFT_E_FULL;
}

// After a claim: HAFT_OK, or why the message would not find the object, so that the claim is withdrawn. As P5: the mark
// of a move comes before the tails are read until which the old slot keeps the object, the claim before this look.
haft_status look_again(const Target &t) {
  if (!still_open(t)) return HAFT_E_CLOSED;
  const uint64_t word = t.slot->word.load(std::memory_order_seq_cst);
  if (word_generation(word) != handle_generation(t.handle)) return HAFT_E_STALE;  // it moved, and that is forgotten
  return word_state(word) == kMoved ? HAFT_E_MOVED : HAFT_OK;
}

// A message whose tail goes to the heap: counted in flight, since it takes memory of the realm before it claims.
haft_status try_send_long(const Target &t, haft_op op, Plan &plan, uint32_t reply) {
  InFlight counted(t.realm, t.shard);
  if (!still_open(t)) return HAFT_E_CLOSED;
  plan.chunk = heap_take(t.realm, plan.tail_bytes);
  if (!plan.chunk) return HAFT_E_NO_MEMORY;
  const Claim claimed = claim(arena()->realms[t.realm].rings[t.shard], 2);
  if (!claimed.cell) {
    heap_give(t.realm, plan.chunk);
    plan.chunk = 0;
    return found_full(t);
  }
  const haft_status status = look_again(t);
  if (status != HAFT_OK) {
    heap_give(t.realm, plan.chunk);
    plan.chunk = 0;
    withdraw(t, claimed, 2);
    return status;
  }
  write_message(plan, t.handle, op, reply, claimed.cell);
  publish(claimed);
  notify(t.realm, t.shard);
  return HAFT_OK;
}

uint32_t cells_of(const Plan &plan) { return plan.cells > kMessageCells ? 2 : plan.cells; }

// One who waits for room. A realm that closes waits until each has left (realm.cc).
struct WaitingProducer {
  explicit WaitingProducer(uint32_t realm) : count(waiting_producers[realm].count) {
    count.fetch_add(1, std::memory_order_seq_cst);
  }
  ~WaitingProducer() { count.fetch_sub(1, std::memory_order_seq_cst); }
  std::atomic<uint32_t> &count;
};

// There was no room: `status` says of what. Waits for it as long as the deadline allows.
haft_status send_when_room(const Target &t, haft_op op, Plan &plan, uint32_t reply, haft_status status,
                           haft_status when_full, Deadline &deadline) {
  if (on_own_thread(t.realm)) {
    count_failure(t, HAFT_E_DEADLOCK);
    return HAFT_E_DEADLOCK;
  }
  Realm &r = arena()->realms[t.realm];
  const WaitingProducer waiting(t.realm);
  const Blocking blocking(t.realm_id);
  if (blocking.deadlock()) status = HAFT_E_DEADLOCK;  // P18
  const int64_t began = now_nanoseconds();
  while (status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY) {
    // Not counted in flight while asleep (P21).
    const int64_t slice = blocking.slice(deadline.slice());
    if (slice == 0) {
      status = status == HAFT_E_FULL ? when_full : status;
      break;
    }
    if (is_blocked(r, t.realm_id)) {
      status = HAFT_E_DEADLOCK;  // P20
      break;
    }
    if (!blocking.alive()) {
      status = HAFT_E_CLOSED;  // P19
      break;
    }
    if (status == HAFT_E_FULL)
      sleep_for_space(r.rings[t.shard], cells_of(plan), slice);
    else
      sleep_for(slice < kHeapPollNanoseconds ? slice : kHeapPollNanoseconds);
    status = try_send(t, op, plan, reply);
  }
  note_longest_wait(t, now_nanoseconds() - began);
  if (status != HAFT_OK) count_failure(t, status);
  return status;
}

}  // namespace

haft_status address(haft_handle handle, haft_op op, Target *target, bool counts) {
  uint64_t word;
  const haft_kind kind = HAFT_OP_KIND(op);
  const haft_status status = slot_check(handle, kind, &word, target);
  if (status != HAFT_OK) return status;
  if (kind == 0 || (op & 0xffff) >= kind_ops(kind)) return fail(HAFT_E_OP, handle);
  if (kind_refused(kind, target->realm)) {
    if (counts) count_message(*target, &Counters::refused);
    return fail(HAFT_E_BREAKER, handle);
  }
  return HAFT_OK;
}

haft_status try_send(const Target &t, haft_op op, Plan &plan, uint32_t reply) {
  if (plan.cells > kMessageCells) return try_send_long(t, op, plan, reply);
  const Claim claimed = claim(arena()->realms[t.realm].rings[t.shard], plan.cells);
  if (!claimed.cell) return found_full(t);
  // P21: a claim that is not yet published is what counts us in; a realm that closes waits for it. So first the claim,
  // then the look at the realm, both sequentially consistent.
  const haft_status status = look_again(t);
  if (status != HAFT_OK) {
    withdraw(t, claimed, plan.cells);
    return status;
  }
  write_message(plan, t.handle, op, reply, claimed.cell);
  publish(claimed);
  notify_mailbox(t.realm, t.realm_id, t.shard);
  return HAFT_OK;
}

haft_status send_later(const Target &t, haft_op op, Plan &plan, uint32_t reply, haft_status status,
                       haft_status when_full, Deadline &deadline) {
  if (deadline.may_wait() && (status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY)) {
    status = send_when_room(t, op, plan, reply, status, when_full, deadline);
    return status == HAFT_OK ? HAFT_OK : fail(status, t.handle);
  }
  if (status == HAFT_E_FULL) status = when_full;
  count_failure(t, status);
  return fail(status, t.handle);
}

}  // namespace haft
