// See events.h.
#include "events.h"

#include "arena.h"
#include "blocking.h"
#include "error.h"
#include "mailbox.h"
#include "process.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

constexpr uint32_t kCounted = HAFT_EVENT_DRAINED | HAFT_EVENT_RECLAIMED | HAFT_EVENT_COLLECTED;
constexpr uint32_t kLevels = HAFT_EVENT_EMPTY | HAFT_EVENT_FULL | HAFT_EVENT_CLOSING;
constexpr uint32_t kUsers = 0xffu * HAFT_EVENT_USER(0);

uint32_t levels(const Realm &r) {
  bool empty = true, full = false;
  for (const Ring &ring : r.rings) {
    empty = empty && is_empty(ring);
    full = full || is_full(ring);
  }
  return (empty ? HAFT_EVENT_EMPTY : 0) | (full ? HAFT_EVENT_FULL : 0);
}

// One wait. Its counts are taken after the waiter has been counted: an event is missed by neither, or came before.
class Wait {
 public:
  Wait(uint32_t number, haft_realm id, uint32_t events)
      : realm_(arena()->realms[number]), open_(open_life(id)), events_(events) {
    realm_.event_waiters.fetch_add(1, std::memory_order_seq_cst);
    for (uint32_t bit = 0; bit < kEvents; bit++) counts_[bit] = realm_.event_counts[bit].load(std::memory_order_seq_cst);
  }
  ~Wait() { realm_.event_waiters.fetch_sub(1, std::memory_order_seq_cst); }

  bool closed() const { return realm_.life.load(std::memory_order_seq_cst) != open_; }

  uint32_t look(bool closed) const {
    uint32_t happened = closed ? HAFT_EVENT_CLOSING : levels(realm_);
    for (uint32_t bit = 0; bit < kEvents; bit++) {
      if (realm_.event_counts[bit].load(std::memory_order_seq_cst) != counts_[bit]) happened |= 1u << bit;
    }
    return happened & events_;
  }

 private:
  Realm &realm_;
  const uint64_t open_;
  const uint32_t events_;
  uint32_t counts_[kEvents];
};

}  // namespace

void happened(uint32_t realm, uint32_t events) {
  Realm &r = arena()->realms[realm];
  for (uint32_t bit = 0; bit < kEvents; bit++) {
    if (events >> bit & 1) r.event_counts[bit].fetch_add(1, std::memory_order_seq_cst);
  }
  // Sequentially consistent, after the counts: a waiter sees them, or this word changes under its sleep.
  r.events_changed.fetch_add(1, std::memory_order_seq_cst);
  wake_all(r.events_changed);
}

haft_status wait_for(haft_realm realm, uint32_t events, int64_t timeout_ms, uint32_t *out) {
  uint32_t dropped;
  uint32_t &happened = out ? *out : dropped;
  happened = 0;
  if (events == 0 || (events & ~(kCounted | kLevels | kUsers)) != 0) return fail(HAFT_E_ARGUMENT);
  haft_status status = realm_check(realm);
  if (status == HAFT_E_CLOSED && (events & HAFT_EVENT_CLOSING)) {
    happened = HAFT_EVENT_CLOSING;
    return HAFT_OK;
  }
  if (status != HAFT_OK) return fail(status);
  const uint32_t number = realm_number(realm);
  std::atomic<uint32_t> &changed = arena()->realms[number].events_changed;
  Deadline deadline(timeout_ms);
  const Wait wait(number, realm, events);
  const Blocking blocking(realm);
  bool alive = true;
  for (;;) {
    const uint32_t seen = changed.load(std::memory_order_seq_cst);
    const bool closed = wait.closed();  // once: who asked for closing must not be told CLOSED between two looks
    happened = wait.look(closed);
    if (happened != 0) return HAFT_OK;
    if (!alive || closed) return fail(HAFT_E_CLOSED);
    const int64_t slice = deadline.slice();
    if (slice == 0) return fail(HAFT_E_TIMEOUT);
    if (blocking.deadlock()) return fail(HAFT_E_DEADLOCK);  // P18; the own thread waits for itself
    alive = blocking.alive();  // P19
    if (alive) sleep_on(changed, seen, blocking.slice(slice));
  }
}

haft_status signal_events(haft_realm realm, uint32_t events) {
  if (events == 0 || (events & ~kUsers) != 0) return fail(HAFT_E_ARGUMENT);
  const haft_status status = realm_check(realm);
  if (status != HAFT_OK) return fail(status);
  const uint32_t number = realm_number(realm);
  InFlight counted(number, 0);
  Realm &r = arena()->realms[number];
  if (r.life.load(std::memory_order_seq_cst) != open_life(realm)) return fail(HAFT_E_CLOSED);  // P21
  happened(number, events);
  r.signalled.store(1, std::memory_order_seq_cst);
  r.host_signals.fetch_add(1, std::memory_order_seq_cst);
  r.host_changed.fetch_add(1, std::memory_order_seq_cst);
  if (r.host_servers.load(std::memory_order_seq_cst) != 0) wake_all(r.host_changed);
  const bool served = r.serving.load(std::memory_order_seq_cst) != kNotServing;
  if (served || r.script_waits.load(std::memory_order_seq_cst) != 0) ring_doorbell(number);
  return HAFT_OK;
}

}  // namespace haft
