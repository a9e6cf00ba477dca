// See blocking.h.
#include "blocking.h"

#include <cstring>

#include "arena.h"
#include "error.h"
#include "process.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

constexpr int64_t kOwnSliceNanoseconds = 5 * 1000 * 1000;

bool is_open(haft_realm id) {
  return arena()->realms[realm_number(id)].life.load(std::memory_order_seq_cst) == open_life(id);
}

// Every open realm of this thread, by its number.
template <class Act>
void each_own_realm(Act act) {
  Arena *a = arena();
  const uint32_t used = a->realms_used.load(std::memory_order_acquire);
  for (uint32_t number = 0; number < used; number++) {
    const haft_realm id = a->realms[number].life.load(std::memory_order_seq_cst) >> 8;
    if (id != 0 && on_own_thread(number) && is_open(id)) act(number, id);
  }
}

// P18: follows who waits for whom, from `id` on. Sequentially consistent after our own mark: of two that close a circle
// at one time, one at least sees the other's.
bool leads_here(haft_realm id) {
  for (uint32_t step = 0; step < kRealms; step++) {
    if (!is_open(id)) return false;
    if (on_own_thread(realm_number(id))) return true;
    const haft_realm next = arena()->realms[realm_number(id)].blocked_on.load(std::memory_order_seq_cst);
    if (next == 0 || next == id) return false;
    id = next;
  }
  return false;
}

// Has JavaScript run a request on the realm's own thread: a message without an op. HAFT_E_CLOSED: it is gone.
haft_status run_request(uint32_t number, ScriptRequest request, double *answer) {
  Realm &r = arena()->realms[number];
  Local &local = locals[number];
  r.direct[0].op.store(0, std::memory_order_relaxed);
  r.direct[0].args[0] = request;
  r.direct_reply.status = HAFT_E_CLOSED;  // stays if JavaScript is gone
  r.direct_reply.length = 0;
  local.direct(local.edge);
  if (answer) memcpy(answer, &r.direct_reply.value, sizeof *answer);
  return r.direct_reply.status;
}

}  // namespace

Blocking::Blocking(haft_realm target) : own_(realms_of_thread != 0) {
  if (!own_) return;
  each_own_realm([&](uint32_t number, haft_realm id) {
    said_[number] = is_blocked(arena()->realms[number], id);
    arena()->realms[number].blocked_on.store(target, std::memory_order_seq_cst);
  });
  deadlock_ = leads_here(target);
}

Blocking::~Blocking() {
  if (!own_) return;
  each_own_realm([&](uint32_t number, haft_realm id) {
    arena()->realms[number].blocked_on.store(said_[number] ? id : 0, std::memory_order_seq_cst);
  });
}

int64_t Blocking::slice(int64_t nanoseconds) const { return own_slice(nanoseconds); }
bool Blocking::alive() const { return script_runs(); }

int64_t own_slice(int64_t nanoseconds) {
  return realms_of_thread != 0 && nanoseconds > kOwnSliceNanoseconds ? kOwnSliceNanoseconds : nanoseconds;
}

bool script_runs() {
  if (realms_of_thread == 0) return true;
  bool any = false, runs = false;
  each_own_realm([&](uint32_t number, haft_realm) {
    if (any) return;  // one environment a thread: one look is enough
    any = true;
    runs = run_request(number, kLookUp, nullptr) != HAFT_E_CLOSED;
  });
  return !any || runs;
}

bool is_blocked(const Realm &realm, haft_realm id) { return realm.blocked_on.load(std::memory_order_seq_cst) == id; }

haft_status blocking_set(haft_realm realm, bool blocking) {
  const haft_status status = realm_check(realm);
  if (status != HAFT_OK) return fail(status);
  const uint32_t number = realm_number(realm);
  if (!on_own_thread(number)) return fail(HAFT_E_REALM);
  arena()->realms[number].blocked_on.store(blocking ? realm : 0, std::memory_order_seq_cst);
  if (blocking) realm_wake_everybody(number);  // P20: those who wait already are told at once
  return HAFT_OK;
}

haft_status serve(haft_realm realm, int64_t timeout_ms) {
  const haft_status status = realm_check(realm);
  if (status != HAFT_OK) return fail(status);
  const uint32_t number = realm_number(realm);
  if (!on_own_thread(number)) return fail(HAFT_E_REALM);
  Local &local = locals[number];
  Deadline deadline(timeout_ms);
  const uint32_t outer = local.serving.load(std::memory_order_relaxed);
  haft_status outcome = HAFT_E_TIMEOUT;
  for (;;) {
    // Sequentially consistent, before the drain arms the doorbell: whoever rings it from then on sees that we serve.
    local.serving.store(kServing, std::memory_order_seq_cst);
    double handled = 0;
    const haft_status asked = run_request(number, kServe, &handled);  // P19: in every round
    const bool signalled = local.signalled.exchange(false, std::memory_order_seq_cst);
    if (asked != HAFT_OK || handled > 0 || signalled || !is_open(realm)) {
      outcome = asked;
      break;
    }
    const int64_t slice = deadline.slice();
    if (slice == 0) break;
    sleep_on(local.serving, kServing, slice < kOwnSliceNanoseconds ? slice : kOwnSliceNanoseconds);
  }
  local.serving.store(outer, std::memory_order_seq_cst);
  if (!is_open(realm)) return fail(HAFT_E_CLOSED);
  if (outcome == HAFT_OK) return HAFT_OK;
  // What koffi's stack refuses has its own text.
  if (outcome == HAFT_E_UNSUPPORTED) return fail(outcome, HAFT_NULL, "call registry.useKoffi(koffi) first");
  return fail(outcome);
}

}  // namespace haft
