// See realm.h.
#include "realm.h"

#include <cstring>

#include "arena.h"
#include "async.h"
#include "counters.h"
#include "error.h"
#include "heap.h"
#include "host_calls.h"
#include "host_functions.h"
#include "labels.h"
#include "mailbox.h"
#include "pins.h"
#include "process.h"
#include "replies.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

constexpr int64_t kPollNanoseconds = 200 * 1000;

uint64_t life_of(uint64_t id, RealmState state) { return id << 8 | state; }
uint32_t state_of(uint64_t life) { return (uint32_t)(life & 0xff); }

// Which numbers this process has given out, until they are free again. Not in the arena, where the process of a realm could
// write otherwise, and have the next one open over it (P31). Nor the count of ids: none is ever given twice.
std::atomic<bool> reserved[kRealms];
std::atomic<uint32_t> last_epoch{0};

bool nobody_counted(uint32_t number) {
  for (Counter &c : in_flight[number]) {
    if (c.count.load(std::memory_order_seq_cst) != 0) return false;  // P21
  }
  return true;
}

bool all_rings_published(uint32_t number) {
  for (const Ring &ring : arena()->realms[number].rings) {
    if (!all_published(ring)) return false;
  }
  return true;
}

bool nothing_in_flight(uint32_t number) { return nobody_counted(number) && all_rings_published(number); }

void forget_local(uint32_t number) {
  locals[number].thread.store(0, std::memory_order_relaxed);
  locals[number].ring = nullptr;
  locals[number].edge = nullptr;
}

// Those who waited have been woken, and count for themselves how their messages ended.
bool nobody_waits(uint32_t number) {
  return waiting_callers[number].count.load(std::memory_order_seq_cst) == 0 &&
         waiting_producers[number].count.load(std::memory_order_seq_cst) == 0;
}

void set_free(uint32_t number, haft_realm id) {
  blocks_abandon(id);
  arena()->realms[number].life.store(life_of(id, kRealmFree), std::memory_order_seq_cst);
  // Release: all that was done with it comes before its next use.
  reserved[number].store(false, std::memory_order_release);
}

// A realm that closed while operations were in flight, and that nobody uses any more, is free again.
void recycle(uint32_t number) {
  Realm &r = arena()->realms[number];
  uint64_t life = r.life.load(std::memory_order_seq_cst);
  if (state_of(life) != kRealmClosed || !nothing_in_flight(number)) return;
  const uint64_t id = life >> 8;
  if (!r.life.compare_exchange_strong(life, life_of(id, kRealmOpening))) return;  // somebody else does it
  set_free(number, id);
}

// Takes the lowest realm that is free, in state OPENING; -1 when all are open.
int64_t take_realm() {
  Arena *a = arena();
  for (;;) {
    const uint32_t used = realms_used(a);
    for (uint32_t number = 0; number < used; number++) {
      if (!shared_futexes) recycle(number);  // else whoever ends them says when (realm_recycle)
      // Acquire: see set_free.
      if (reserved[number].exchange(true, std::memory_order_acquire)) continue;
      std::atomic<uint64_t> &life = a->realms[number].life;
      life.store(life_of(life.load(std::memory_order_relaxed) >> 8, kRealmOpening), std::memory_order_seq_cst);
      return number;
    }
    if (used == kRealms) return -1;
    if (!arena_commit(&a->realms[used], sizeof(Realm)) || !arena_commit(a->heaps[used], kHeapBytes)) return -1;
    uint32_t expected = used;
    a->realms_used.compare_exchange_strong(expected, used + 1, std::memory_order_acq_rel);
  }
}

void clear(Counters &c) {
  std::atomic<uint64_t> *const producers[] = {&c.refused, &c.dropped, &c.expired, &c.longest_wait};
  for (auto *counter : producers) counter->store(0, std::memory_order_relaxed);
  c.highest_fill.store(0, std::memory_order_relaxed);
  std::atomic<double> *const script[] = {&c.delivered, &c.declined, &c.waiting, &c.fill};
  for (auto *counter : script) counter->store(0, std::memory_order_relaxed);
}

// A realm of an earlier owner is cleared; a fresh one is zero already. Sequences of replies go on: a caller that still
// sleeps on one must not take another's answer for its own.
void clear(uint32_t number) {
  Realm &r = arena()->realms[number];
  // Positions go on: a producer that looked at the old realm may still claim, finds it gone, and withdraws.
  for (Ring &ring : r.rings) {
    skip_all(ring);
    ring.space_wanted.store(0, std::memory_order_relaxed);
    clear(ring.counters);
  }
  const uint32_t replies = replies_issued(r);
  for (uint32_t i = 0; i < replies; i++) {
    const uint32_t sequence = r.replies[i].state.load(std::memory_order_relaxed) >> kReplySequenceShift;
    r.replies[i].state.store(reply_word(sequence, kDone), std::memory_order_relaxed);
    r.replies[i].sleeper.store(0, std::memory_order_relaxed);
  }
  r.replies_issued.store(0, std::memory_order_relaxed);
  r.free_replies.store(0, std::memory_order_relaxed);
  for (Name &name : r.names) {
    name.version.store(0, std::memory_order_relaxed);
    name.handle.store(HAFT_NULL, std::memory_order_relaxed);
  }
  for (auto &list : r.reclaim) list.first.store(0, std::memory_order_relaxed);
  r.dirty.store(0, std::memory_order_relaxed);
  r.armed.store(0, std::memory_order_relaxed);
  r.blocked_on.store(0, std::memory_order_relaxed);
  r.acceptor.store(HAFT_NULL, std::memory_order_relaxed);
  r.script_waits.store(0, std::memory_order_relaxed);
  r.serving.store(kNotServing, std::memory_order_relaxed);
  r.signalled.store(0, std::memory_order_relaxed);
  host_calls_clear(r);
  for (auto &until : r.breaker_until) {
    if (until.load(std::memory_order_relaxed) != 0) until.store(0, std::memory_order_relaxed);
  }
  r.answered.store(0, std::memory_order_relaxed);
  for (auto &next : r.next_answered) {
    if (next.load(std::memory_order_relaxed) != 0) next.store(0, std::memory_order_relaxed);
  }
  heap_reset(number);
}

bool begin_close(haft_realm id) {
  const uint32_t number = realm_number(id);
  uint64_t open = life_of(id, kRealmOpen);
  // P21: sequentially consistent, before the counts are read.
  if (!arena()->realms[number].life.compare_exchange_strong(open, life_of(id, kRealmClosing))) return false;
  realm_wake_everybody(number);
  return true;
}

bool wait_for_quiet(uint32_t number, Deadline &deadline) {
  for (;;) {
    if (nothing_in_flight(number)) return true;
    if (deadline.passed()) return false;
    sleep_for(kPollNanoseconds);
  }
}

bool finish_close(haft_realm id, Deadline &deadline, haft_counters *final) {
  const uint32_t number = realm_number(id);
  host_functions_forget(number, id);
  async_close(number, id);
  while (!nobody_waits(number) && !deadline.passed()) sleep_for(kPollNanoseconds);
  wait_for_quiet(number, deadline);
  async_close(number, id);  // those that were being sent meanwhile
  arena()->realms[number].life.store(life_of(id, kRealmClosed), std::memory_order_seq_cst);
  // P21: those who counted in while it was closing, to read an answer that was there, are waited for after the store;
  // whoever comes later finds the realm closed and touches nothing.
  const bool quiet = wait_for_quiet(number, deadline);
  for (uint32_t shard = 0; final && shard < kShards; shard++)
    final[shard] = counters_final(arena()->realms[number].rings[shard]);
  if (quiet) forget_local(number);
  return quiet;
}

void ring_nobody(void *) {}

}  // namespace

void realm_wake_everybody(uint32_t number) {
  Realm &r = arena()->realms[number];
  const uint32_t replies = replies_issued(r);
  for (uint32_t i = 0; i < replies; i++) {
    wake_sleeper(r.replies[i]);
  }
  for (Ring &ring : r.rings) {
    ring.space_wanted.store(0, std::memory_order_seq_cst);
    wake_all(ring.space_wanted);
  }
  r.names_changed.fetch_add(1, std::memory_order_seq_cst);
  wake_all(r.names_changed);
  r.events_changed.fetch_add(1, std::memory_order_seq_cst);
  wake_all(r.events_changed);
  r.host_changed.fetch_add(1, std::memory_order_seq_cst);
  wake_all(r.host_changed);
}

haft_status realm_reserve(void (*ring)(void *), void *edge, haft_realm *id) {
  process_prepare();
  Arena *a = arena_open();
  if (!a) return fail(HAFT_E_NO_MEMORY);
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26
  const int64_t taken = take_realm();
  if (taken < 0) return fail(HAFT_E_SLOTS);
  const uint32_t number = (uint32_t)taken;
  clear(number);
  locals[number].ring = ring;
  locals[number].edge = edge;
  const uint64_t epoch = last_epoch.fetch_add(1, std::memory_order_relaxed) + 1;
  *id = epoch << kRealmNumberBits | (number + 1);
  a->realms[number].life.store(life_of(*id, kRealmOpening), std::memory_order_seq_cst);
  return HAFT_OK;
}

haft_status realm_open_reserved(haft_realm id, void (*ring)(void *), void (*direct)(void *), void *edge) {
  process_prepare();
  const uint32_t number = realm_number(id);
  locals[number].thread.store(thread_token(), std::memory_order_relaxed);
  locals[number].ring = ring;
  locals[number].direct = direct;
  locals[number].edge = edge;
  uint64_t reserved = life_of(id, kRealmOpening);
  // Release: whoever sees the realm open sees all of the above. By compare-and-swap: it may have been ended meanwhile.
  if (!arena()->realms[number].life.compare_exchange_strong(reserved, life_of(id, kRealmOpen))) {
    forget_local(number);
    return fail(HAFT_E_CLOSED);
  }
  realms_of_thread++;
  return HAFT_OK;
}

haft_status realm_open(void (*ring)(void *), void (*direct)(void *), void *edge, haft_realm *id) {
  const haft_status status = realm_reserve(ring, edge, id);
  return status == HAFT_OK ? realm_open_reserved(*id, ring, direct, edge) : status;
}

bool realm_is_reserved(haft_realm id) {
  return arena()->realms[realm_number(id)].life.load(std::memory_order_seq_cst) == life_of(id, kRealmOpening);
}

void realm_end(haft_realm id) {
  const uint32_t number = realm_number(id);
  host_functions_forget(number, id);
  // P21, P31: sequentially consistent, before the counts are read; by a store, whatever stood there.
  arena()->realms[number].life.store(life_of(id, kRealmClosing), std::memory_order_seq_cst);
  realm_wake_everybody(number);
  host_functions_forget(number, id);
  async_close(number, id);
  arena()->realms[number].life.store(life_of(id, kRealmClosed), std::memory_order_seq_cst);
}

bool realm_recycle(haft_realm id, bool forget) {
  const uint32_t number = realm_number(id);
  if (!nobody_waits(number) || !nobody_counted(number)) return false;
  async_close(number, id);  // those that were being sent meanwhile
  if (!all_rings_published(number)) {
    if (!forget) return false;
    locals[number].ring = ring_nobody;
    arena()->realms[number].life.store(life_of(id, kRealmLost), std::memory_order_seq_cst);
    blocks_abandon(id);
    return true;
  }
  forget_local(number);
  labels_sweep();
  arena_discard(arena()->heaps[number], kHeapBytes);
  set_free(number, id);
  return true;
}

void realms_restore() {
  for (uint32_t number = 0; number < kRealms; number++) {
    if (reserved[number].exchange(true, std::memory_order_acquire)) continue;
    std::atomic<uint64_t> &life = arena()->realms[number].life;
    if (state_of(life.load(std::memory_order_relaxed)) != kRealmFree) life.store(kRealmFree, std::memory_order_seq_cst);
    reserved[number].store(false, std::memory_order_release);
  }
}

bool realm_close(haft_realm id, int64_t wait_ms, haft_counters *final) {
  if (forked.load(std::memory_order_relaxed)) return false;  // P26: counts that never fall
  if (!begin_close(id)) return nothing_in_flight(realm_number(id));
  if (on_own_thread(realm_number(id))) realms_of_thread--;
  Deadline deadline(wait_ms);
  const bool quiet = finish_close(id, deadline, final);
  labels_sweep();
  pins_sweep();
  if (quiet && !attached) recycle(realm_number(id));
  return quiet;
}

void realms_close_all(int64_t wait_ms) {
  Arena *a = arena();
  if (!a || forked.load(std::memory_order_relaxed)) return;
  Deadline deadline(wait_ms);
  haft_realm closing[kRealms];
  uint32_t count = 0;
  const uint32_t used = realms_used(a);
  for (uint32_t number = 0; number < used; number++) {  // all begin to close before we wait for any
    const haft_realm id = a->realms[number].life.load(std::memory_order_seq_cst) >> 8;
    if (attached && !locals[number].ring) continue;  // another process's
    if (realm_number(id) == number && begin_close(id)) closing[count++] = id;
  }
  for (uint32_t i = 0; i < count; i++) finish_close(closing[i], deadline, nullptr);
}

haft_status realm_check(haft_realm id) {
  if (forked.load(std::memory_order_relaxed)) return HAFT_E_FORKED;  // P26
  Arena *a = arena();
  const uint64_t number = (id & kRealmNumberMask);
  if (!a || number == 0 || number > realms_used(a)) return HAFT_E_CLOSED;  // P8
  const uint64_t life = a->realms[number - 1].life.load(std::memory_order_seq_cst);
  if (attached && !locals[number - 1].ring) return HAFT_E_CLOSED;  // another process's, which this one cannot ring
  return life == open_life(id) && id >> 56 == 0 ? HAFT_OK : HAFT_E_CLOSED;
}

void realm_wake(uint32_t realm, const int32_t *numbers, uint32_t count) {
  Realm &r = arena()->realms[realm];
  uint32_t nobody_waits[kExchangeWords - kExchangeWake];
  uint32_t completed = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t number = (uint32_t)numbers[i];
    if (number >= kReplies) continue;
    if (r.replies[number].sleeper.load(std::memory_order_relaxed) != kNobodyWaits)
      wake_sleeper(r.replies[number]);
    else if (completed < kExchangeWords - kExchangeWake)
      nobody_waits[completed++] = number;
  }
  // After all is read: a completion may call JavaScript, which writes the next list over this one.
  for (uint32_t i = 0; i < completed; i++) async_answered(realm, nobody_waits[i]);
}

void realm_wake_producers(uint32_t realm, uint32_t shard) {
  if (shard >= kShards) return;
  std::atomic<uint32_t> &wanted = arena()->realms[realm].rings[shard].space_wanted;
  wanted.store(0, std::memory_order_seq_cst);  // before they look at the head again
  wake_all(wanted);
}

}  // namespace haft
