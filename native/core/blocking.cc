// See blocking.h.
#include "blocking.h"

#include <cstring>

#include "arena.h"
#include "error.h"
#include "host_calls.h"
#include "host_functions.h"
#include "process.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

constexpr int64_t kOwnSliceNanoseconds = 5 * 1000 * 1000;

// Of any integer: ids come out of the arena here (P31).
bool is_open(haft_realm id) {
  return realm_number(id) < kRealms &&
         arena()->realms[realm_number(id)].life.load(std::memory_order_seq_cst) == open_life(id);
}

// Every open realm of this thread, by its number.
template <class Act>
void each_own_realm(Act act) {
  Arena *a = arena();
  const uint32_t used = realms_used(a);
  for (uint32_t number = 0; number < used; number++) {
    const haft_realm id = a->realms[number].life.load(std::memory_order_seq_cst) >> 8;
    if (id != 0 && on_own_thread(number) && is_open(id)) act(number, id);
  }
}

haft_realm marked(uint64_t word) { return word & (((uint64_t)1 << kMarkShift) - 1); }

// Only the realm's own thread marks it. Sequentially consistent: see leads_here. Within a wait another may begin for the
// same realm: a word that still holds must not change, or whoever walks twice would not know.
void mark(uint32_t number, haft_realm target) {
  std::atomic<uint64_t> &blocked_on = arena()->realms[number].blocked_on;
  const uint64_t word = blocked_on.load(std::memory_order_relaxed);
  if (marked(word) == target) return;
  blocked_on.store(((word >> kMarkShift) + 1) << kMarkShift | target, std::memory_order_seq_cst);
}

// Follows who waits for whom, from `id` on: the words on the way to a realm of this thread, none if it leads elsewhere.
std::vector<uint64_t> way_here(haft_realm id) {
  std::vector<uint64_t> way;
  for (uint32_t step = 0; step < kRealms; step++) {
    if (!is_open(id)) return {};
    if (on_own_thread(realm_number(id))) return way;
    const uint64_t word = arena()->realms[realm_number(id)].blocked_on.load(std::memory_order_seq_cst);
    const haft_realm next = marked(word);
    if (next == 0 || next == id) return {};
    way.push_back(word);
    id = next;
  }
  return {};
}

// P18: after our own mark, sequentially consistent: of two that close a circle at one time, one at least sees the
// other's. A second walk has to find the same words, or the circle never was one at any instant.
bool leads_here(haft_realm id) {
  if (is_open(id) && on_own_thread(realm_number(id))) return true;
  const std::vector<uint64_t> way = way_here(id);
  return !way.empty() && way_here(id) == way;
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

void Blocking::begin(haft_realm target) {
  if (target == 0 || realms_of_thread == 0) return;
  each_own_realm([&](uint32_t number, haft_realm id) {
    before_.emplace_back(id, marked(arena()->realms[number].blocked_on.load(std::memory_order_relaxed)));
    mark(number, target);
  });
  deadlock_ = leads_here(target);
}

Blocking::~Blocking() {
  for (const auto &[id, target] : before_) {
    if (is_open(id)) mark(realm_number(id), target);
  }
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

bool is_blocked(const Realm &realm, haft_realm id) {
  return marked(realm.blocked_on.load(std::memory_order_seq_cst)) == id;
}

haft_status blocking_set(haft_realm realm, bool blocking) {
  const haft_status status = realm_check(realm);
  if (status != HAFT_OK) return fail(status);
  const uint32_t number = realm_number(realm);
  if (!on_own_thread(number)) return fail(HAFT_E_REALM);
  mark(number, blocking ? realm : 0);
  if (blocking) realm_wake_everybody(number);  // P20: those who wait already are told at once
  return HAFT_OK;
}

namespace {

// Handles messages of the realm, on its own thread, until `ended(how many the latest round handled)`. HAFT_E_TIMEOUT,
// HAFT_E_CLOSED, or why JavaScript did not handle any.
template <class Ended>
haft_status serve_until(haft_realm realm, Deadline &deadline, Ended ended) {
  const uint32_t number = realm_number(realm);
  std::atomic<uint32_t> &serving = arena()->realms[number].serving;
  const uint32_t outer = serving.load(std::memory_order_relaxed);
  haft_status outcome = HAFT_E_TIMEOUT;
  for (;;) {
    // Sequentially consistent, before the drain arms the doorbell: whoever rings it from then on sees that we serve.
    serving.store(kServing, std::memory_order_seq_cst);
    double handled = 0;
    const haft_status asked = run_request(number, kServe, &handled);  // P19: in every round
    const bool done = ended(handled);
    if (asked != HAFT_OK || done || !is_open(realm)) {
      outcome = asked;
      break;
    }
    const int64_t slice = deadline.slice();
    if (slice == 0) break;
    sleep_on(serving, kServing, slice < kOwnSliceNanoseconds ? slice : kOwnSliceNanoseconds);
  }
  serving.store(outer, std::memory_order_seq_cst);
  return is_open(realm) ? outcome : HAFT_E_CLOSED;
}

}  // namespace

haft_status serve(haft_realm realm, int64_t timeout_ms) {
  const haft_status status = realm_check(realm);
  if (status != HAFT_OK) return fail(status);
  const uint32_t number = realm_number(realm);
  if (!on_own_thread(number)) return host_serve(realm, timeout_ms);
  std::atomic<uint32_t> &signalled = arena()->realms[number].signalled;
  Deadline deadline(timeout_ms);
  const haft_status outcome = serve_until(realm, deadline, [&](double handled) {
    return (signalled.exchange(0, std::memory_order_seq_cst) != 0) | (handled > 0);
  });
  if (outcome == HAFT_OK) return HAFT_OK;
  // What koffi's stack refuses has its own text.
  if (outcome == HAFT_E_UNSUPPORTED) return fail(outcome, HAFT_NULL, "call registry.useKoffi(koffi) first");
  return fail(outcome);
}

haft_status await_host(haft_realm realm, uint32_t token, int64_t timeout_ms) {
  const Realm &r = arena()->realms[realm_number(realm)];
  Deadline deadline(timeout_ms);
  const auto done = [&] { return host_call_is_done(r, token); };
  // Most functions are quick; messages that come meanwhile are handled at once.
  spin_until(true, [&] { return done() || r.dirty.load(std::memory_order_relaxed) != 0; });
  if (done()) return HAFT_OK;
  const haft_status status = serve_until(realm, deadline, [&](double) { return done(); });
  return status == HAFT_OK || (status != HAFT_E_CLOSED && done()) ? HAFT_OK : status;
}

}  // namespace haft
