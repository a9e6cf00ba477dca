// See calls.h.
#include "calls.h"

#include <cstring>
#include <optional>

#include "blocking.h"
#include "checks.h"
#include "counters.h"
#include "error.h"
#include "heap.h"
#include "host_calls.h"
#include "host_functions.h"
#include "message.h"
#include "process.h"
#include "replies.h"
#include "results.h"
#include "send.h"

namespace haft {
namespace {

constexpr haft_value kVoid = {HAFT_VOID, 0, {0}};

// One who waits for a reply of a realm, spinning or asleep. It runs functions of the host meanwhile.
class Waiter {
 public:
  Waiter(const Target &t, Reply &reply) : target_(t), reply_(reply), count_(waiting_callers[t.realm].count) {
    // P21: a realm that closes waits until each has left.
    alone = count_.fetch_add(1, std::memory_order_seq_cst) == 0;
  }
  ~Waiter() {
    count_.fetch_sub(1, std::memory_order_seq_cst);
    // P34: we may have been woken for a call of the host, and leave for another reason.
    if (slept_) host_calls_pass_on(target_.realm, arena()->realms[target_.realm]);
  }

  // True if there was one. We do not sleep meanwhile, or others would be woken in vain; nor does a realm that closes
  // wait for the function.
  bool runs_function() {
    const Realm &r = arena()->realms[target_.realm];
    if (!host_calls_wait(r) || r.host_servers.load(std::memory_order_seq_cst) != 0) return false;
    reply_.sleeper.store(kAwake, std::memory_order_seq_cst);
    count_.fetch_sub(1, std::memory_order_seq_cst);
    const bool ran = host_run_one(target_.realm_id);
    count_.fetch_add(1, std::memory_order_seq_cst);  // P21
    return ran;
  }

  // False: it is not asleep yet, and says now that it is. Sequentially consistent on both sides: either we see the answer,
  // the end, or a call of the host, or whoever brings it sees that we sleep. So one more look at all of it.
  bool asleep() {
    if (reply_.sleeper.load(std::memory_order_relaxed) == kAsleep) return true;
    reply_.sleeper.store(kAsleep, std::memory_order_seq_cst);
    slept_ = true;
    return false;
  }

  bool alone;

 private:
  const Target &target_;
  Reply &reply_;
  std::atomic<uint32_t> &count_;
  bool slept_ = false;
};

// Counts us in with one realm for a run of operations, so that each need not do so. Never while asleep (P21).
class Run {
 public:
  // False: the realm is gone.
  bool begin(const Target &t) {
    if (counted_ && t.realm_id == realm_id_) return true;
    counted_.reset();
    counted_.emplace(t.realm, t.shard);
    realm_id_ = t.realm_id;
    if (still_alive(arena()->realms[t.realm].life.load(std::memory_order_seq_cst), t.realm_id)) return true;
    counted_.reset();
    return false;
  }
  void end() { counted_.reset(); }

  // Takes an answer. False: it is not there yet, or the realm is another.
  bool take(const Target &t, uint32_t token, haft_status *status, haft_value *result) {
    if (!counted_ || t.realm_id != realm_id_) return false;
    Reply &reply = arena()->realms[t.realm].replies[token_number(token)];
    if (reply.state.load(std::memory_order_acquire) != reply_word(token_sequence(token), kDone)) return false;
    *status = read_reply(t.realm, reply, t.handle, result);
    reply_give(t.realm, token);
    return true;
  }

 private:
  std::optional<InFlight> counted_;
  uint64_t realm_id_ = 0;
};

// Waits for the reply and copies it out.
haft_status await_reply(const Target &t, uint32_t token, Deadline &deadline, const Blocking &blocking,
                        haft_value *result) {
  Realm &r = arena()->realms[t.realm];
  Reply &reply = r.replies[token_number(token)];
  const uint32_t sequence = token_sequence(token);
  const uint64_t open = open_life(t.realm_id);
  Waiter waiter(t, reply);
  if (deadline.may_wait()) {
    spin_until(waiter.alone, [&] {
      return !reply_waits(reply.state.load(std::memory_order_acquire), sequence) ||
             r.life.load(std::memory_order_relaxed) != open || host_calls_wait(r);
    });
  }
  bool alive = true;
  for (;;) {
    const uint32_t word = reply.state.load(std::memory_order_seq_cst);
    if (!reply_waits(word, sequence)) break;
    const bool closed = !alive || r.life.load(std::memory_order_seq_cst) != open;
    const bool deadlock = blocking.deadlock() || is_blocked(r, t.realm_id) ||  // P18, P20
                          host_waits_in_vain(t.realm_id, word == reply_word(sequence, kLater));
    if (closed || deadlock || deadline.passed()) {
      InFlight counted(t.realm, t.shard);
      if (!still_alive(r.life.load(std::memory_order_seq_cst), t.realm_id)) return fail(HAFT_E_CLOSED, t.handle);
      if (!reply_abandon(t.realm, token)) continue;
      const haft_status status = closed ? HAFT_E_CLOSED : deadlock ? HAFT_E_DEADLOCK : HAFT_E_TIMEOUT;
      count_failure(t, status);
      return fail(status, t.handle);
    }
    if (waiter.runs_function() || !waiter.asleep()) continue;
    alive = blocking.alive();  // P19: before the first sleep too, or each wait of a terminated worker takes one
    if (alive) sleep_on(reply.sleeper, kAsleep, blocking.slice(deadline.slice()));
  }
  InFlight counted(t.realm, t.shard);
  if (!still_alive(r.life.load(std::memory_order_seq_cst), t.realm_id) ||
      reply.state.load(std::memory_order_acquire) != reply_word(sequence, kDone))
    return fail(HAFT_E_CLOSED, t.handle);
  const haft_status status = read_reply(t.realm, reply, t.handle, result);
  reply_give(t.realm, token);
  return status;
}

// What JavaScript has counted where the target is.
double script_counts(const Target &t) {
  const Counters &c = arena()->realms[t.realm].rings[t.shard].counters;
  return c.delivered.load(std::memory_order_relaxed) + c.declined.load(std::memory_order_relaxed);
}

// On the realm's own thread the handler runs at once, ahead of posts that wait in the mailbox: the promise of order
// exempts it (P17).
haft_status call_direct(const Target &t, haft_op op, Plan &plan, haft_value *result) {
  Realm &r = arena()->realms[t.realm];
  if (plan.cells > kMessageCells && !(plan.chunk = heap_take(t.realm, plan.tail_bytes))) {
    count_failure(t, HAFT_E_NO_MEMORY);
    return fail(HAFT_E_NO_MEMORY, t.handle);
  }
  write_message(plan, t.handle, op, 0, r.direct);
  const haft_status status = run_direct_message(t);
  // Here, since JavaScript may not have come to read it; the heap of a realm that its handler closed is not ours any more.
  const bool open = r.life.load(std::memory_order_seq_cst) == open_life(t.realm_id);
  if (plan.chunk && open) heap_give(t.realm, plan.chunk);
  if (status == HAFT_E_CLOSED) return fail(status, t.handle);
  if (status == HAFT_E_EXCEPTION && r.direct_reply.status == HAFT_E_CLOSED)
    return fail(status, t.handle, "an exception is on its way through the C function that JavaScript called");
  return read_reply(t.realm, r.direct_reply, t.handle, result);
}

// The first half of a call: a message with a reply slot, or on the own thread all of it (`*token` is 0). The run may go
// on afterwards.
haft_status begin_call(haft_handle handle, haft_op op, const haft_value *args, size_t count, Planner planner,
                       Deadline &deadline, Blocking &blocking, Run &run, Target *t, uint32_t *token,
                       haft_value *result) {
  *token = 0;
  haft_status status = address(handle, op, t);
  if (status != HAFT_OK) return status;
  Plan plan;
  status = planner(t->realm_id, op, args, count, &plan);
  if (status != HAFT_OK) return status;
  if (on_own_thread(t->realm)) {
    run.end();
    return call_direct(*t, op, plan, result);
  }
  blocking.begin(t->realm_id);
  if (blocking.deadlock()) {  // P18: before anything is sent
    count_failure(*t, HAFT_E_DEADLOCK);
    return fail(HAFT_E_DEADLOCK, handle);
  }
  if (!run.begin(*t) || !still_open(*t)) {
    count_failure(*t, HAFT_E_CLOSED);
    return fail(HAFT_E_CLOSED, handle);
  }
  *token = reply_take(t->realm);
  if (*token == 0) {
    count_failure(*t, HAFT_E_BUSY);
    return fail(HAFT_E_BUSY, handle);
  }
  status = try_send(*t, op, plan, *token);
  if (status == HAFT_OK) return HAFT_OK;
  run.end();
  status = send_later(*t, op, plan, *token, status, HAFT_E_TIMEOUT, deadline);
  if (status == HAFT_OK) return HAFT_OK;
  if (run.begin(*t)) reply_give(t->realm, *token);
  run.end();
  *token = 0;
  return status;
}

// The text of this thread's latest error as a result of a request: "Name: message".
haft_value error_text() {
  const haft_error *error = last_error();
  const size_t name = strlen(error->name), message = strlen(error->message);
  char *text = result_take(name + message + 3);
  if (!text) return kVoid;
  memcpy(text, error->name, name);
  memcpy(text + name, ": ", 2);
  memcpy(text + name + 2, error->message, message + 1);
  haft_value value = {HAFT_STR, (uint32_t)(name + 2 + message), {0}};
  value.as.str = text;
  return value;
}

// Requests end in any order; the status of the first one that failed is told, and the thread's latest error is to be its.
class FirstFailure {
 public:
  void settle(haft_request *requests, size_t i, haft_status status, const haft_value &result) {
    requests[i].status = status;
    requests[i].result = result_or_text(status, result);
    if (status == HAFT_OK || i >= first_) return;
    first_ = i;
    status_ = status;
    keep_error(&error_);
  }
  haft_status tell() const {
    if (status_ != HAFT_OK) restore_error(error_);
    return status_;
  }

 private:
  size_t first_ = SIZE_MAX;
  haft_status status_ = HAFT_OK;
  KeptError error_;
};

haft_status post_planned(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full,
                         Planner planner) {
  Target t;
  haft_status status = address(handle, op, &t);
  if (status != HAFT_OK) return status;
  Plan plan;
  status = planner(t.realm_id, op, args, count, &plan);
  if (status != HAFT_OK) return status;
  if (when_full == HAFT_FAIL || when_full == HAFT_DROP_NEWEST) {
    status = try_send(t, op, plan, 0);
    if (status == HAFT_OK) return HAFT_OK;
    if (status == HAFT_E_FULL && when_full == HAFT_DROP_NEWEST) {
      count_message(t, &Counters::dropped);
      return HAFT_OK;
    }
    count_failure(t, status);
    return fail(status, handle);
  }
  status = try_send(t, op, plan, 0);
  if (status == HAFT_OK) return HAFT_OK;
  Deadline deadline(when_full);
  return send_later(t, op, plan, 0, status, HAFT_E_FULL, deadline);
}

haft_status call_planned(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                         haft_value *result, Planner planner) {
  haft_value dropped = kVoid;
  haft_value &out = result ? *result : dropped;
  out = kVoid;
  Deadline deadline(timeout_ms);
  Target t;
  uint32_t token;
  Blocking blocking;  // all the time: whoever closes a circle finds it whole
  Run run;
  haft_status status = begin_call(handle, op, args, count, planner, deadline, blocking, run, &t, &token, &out);
  run.end();
  if (status == HAFT_OK && token != 0) status = await_reply(t, token, deadline, blocking, &out);
  if (status == HAFT_OK && !result) value_drop(&dropped);
  return status;
}

}  // namespace

haft_status run_direct_message(const Target &t) {
  Realm &r = arena()->realms[t.realm];
  Local &local = locals[t.realm];
  r.direct_reply.status = HAFT_E_CLOSED;  // stays if JavaScript is gone
  r.direct_reply.length = 0;
  const double counted = script_counts(t);
  local.direct(local.edge);
  const haft_status status = r.direct_reply.status;
  // It came to no handler: koffi's stack, or JavaScript's was full.
  if (status != HAFT_OK && script_counts(t) == counted) count_failure(t, HAFT_E_EXCEPTION);
  // P22: the handler may have closed the realm, and nothing counted kept it.
  if (r.life.load(std::memory_order_seq_cst) != open_life(t.realm_id)) return HAFT_E_CLOSED;
  return status == HAFT_E_CLOSED && r.exchange[kExchangeThrown] != 0 ? HAFT_E_EXCEPTION : status;
}

// Only for one of many could the thread's latest error tell.
haft_value result_or_text(haft_status status, const haft_value &result) {
  if (status == HAFT_OK) return result;
  const bool told = status == HAFT_E_EXCEPTION || status == HAFT_E_RESULT || status == HAFT_E_ARGUMENT;
  return told ? error_text() : kVoid;
}

template <int level>
haft_status post(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full) {
  return post_planned(handle, op, args, count, when_full, plan_message<level>);
}
template haft_status post<0>(haft_handle, haft_op, const haft_value *, size_t, haft_full);
template haft_status post<1>(haft_handle, haft_op, const haft_value *, size_t, haft_full);
template haft_status post<2>(haft_handle, haft_op, const haft_value *, size_t, haft_full);

haft_status post_given(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full) {
  return post_planned(handle, op, args, count, when_full, plan_given);
}

haft_status offer(haft_handle handle, haft_op op, const haft_value *args, size_t count) {
  Target t;
  haft_status status = address(handle, op, &t, false);
  if (status != HAFT_OK) return status;
  Plan plan;
  status = plan_message<1>(t.realm_id, op, args, count, &plan);
  return status == HAFT_OK ? try_send(t, op, plan, 0) : status;
}

template <int level>
haft_status call(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                 haft_value *result) {
  return call_planned(handle, op, args, count, timeout_ms, result, plan_message<level>);
}
template haft_status call<0>(haft_handle, haft_op, const haft_value *, size_t, int64_t, haft_value *);
template haft_status call<1>(haft_handle, haft_op, const haft_value *, size_t, int64_t, haft_value *);
template haft_status call<2>(haft_handle, haft_op, const haft_value *, size_t, int64_t, haft_value *);

haft_status call_given(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                       haft_value *result) {
  return call_planned(handle, op, args, count, timeout_ms, result, plan_given);
}

template <int level>
haft_status call_many(haft_request *requests, size_t count, int64_t timeout_ms) {
  constexpr size_t kAtOnce = 256;  // so that a few callers do not take all reply slots
  struct Sent {
    Target target;
    uint32_t token;
  } sent[kAtOnce];
  if (count != 0 && !requests) return fail(HAFT_E_ARGUMENT);
  Deadline deadline(timeout_ms);
  FirstFailure failure;
  for (size_t from = 0; from < count; from += kAtOnce) {
    const size_t n = count - from < kAtOnce ? count - from : kAtOnce;
    Run run;
    for (size_t i = 0; i < n; i++) {
      haft_request &q = requests[from + i];
      haft_value result = kVoid;
      Blocking blocking;
      const haft_status status = begin_call(q.handle, q.op, q.args, q.count, plan_message<level>, deadline, blocking,
                                            run, &sent[i].target, &sent[i].token, &result);
      failure.settle(requests, from + i, status, result);
    }
    run.end();
    // The last one first: when it has its answer, most of the others do, and the thread has slept once.
    for (size_t i = n; i-- > 0;) {
      const Target &t = sent[i].target;
      if (sent[i].token == 0) continue;
      haft_value result = kVoid;
      haft_status status;
      if (!run.take(t, sent[i].token, &status, &result)) {
        run.end();
        const Blocking blocking(t.realm_id);
        status = await_reply(t, sent[i].token, deadline, blocking, &result);
        run.begin(t);
      }
      failure.settle(requests, from + i, status, result);
    }
  }
  return failure.tell();
}
template haft_status call_many<0>(haft_request *, size_t, int64_t);
template haft_status call_many<1>(haft_request *, size_t, int64_t);
template haft_status call_many<2>(haft_request *, size_t, int64_t);

void value_free(haft_value *value) {
  if (!value) return;
  const bool text = value->type == HAFT_STR || value->type == HAFT_BYTES;
  if (text && !result_give(value->as.bytes)) {
    fail_with(HAFT_E_OWNER, HAFT_NULL, "the memory is no result, or was freed before", kRuleResults);
    tell_breach("haft_value_free");
  }
  *value = kVoid;
}

void value_drop(haft_value *value) {
  if (value->type == HAFT_HANDLE && value->as.handle != HAFT_NULL) slot_drop(value->as.handle);
  value_free(value);
}

void reply_discard(uint32_t realm, uint32_t token, bool answered) {
  const ReplyFields reply(arena()->realms[realm].replies[token_number(token)]);
  if (answered && reply.has_text() && reply.in_heap && heap_contains(realm, reply.bits, reply.length))
    heap_give(realm, reply.bits);
  if (answered && reply.status == HAFT_OK && reply.type == HAFT_HANDLE) slot_drop(reply.handle());
  reply_give(realm, token);
}

}  // namespace haft
