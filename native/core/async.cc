// See async.h.
#include "async.h"

#include <pthread.h>
#include <time.h>

#include <cstdlib>
#include <mutex>
#include <set>
#include <tuple>

#include "arena.h"
#include "calls.h"
#include "counters.h"
#include "error.h"
#include "process.h"
#include "queues.h"
#include "replies.h"
#include "send.h"

namespace haft {
namespace {

struct Pending {
  uint32_t token;  // 0: none
  haft_completer completer;
  Target target;
  int64_t expires;  // nanoseconds of the monotonic clock; 0: never
};

using Expiry = std::tuple<int64_t, uint32_t, uint32_t>;  // when, realm, reply

// Never freed: threads may outlive main (P25).
struct Asyncs {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed;
  bool clock_runs = false;
  std::set<Expiry> expiries;
  Pending *pending[kRealms] = {};  // kReplies of each realm that has had any
};

Asyncs &asyncs() {
  static Asyncs *const all = [] {
    Asyncs *made = new Asyncs;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &attributes);
    return made;
  }();
  return *all;
}

class Lock {
 public:
  Lock() { pthread_mutex_lock(&asyncs().mutex); }
  ~Lock() { pthread_mutex_unlock(&asyncs().mutex); }
};

void complete(const haft_completer &completer, haft_status status, haft_value result) {
  if (completer.done) {
    completer.done(completer.user, status, &result);
    return;
  }
  queue_put(completer.queue, {completer.user, status, 0, result});
}

// With the lock held: takes the entry, so that nobody else completes it.
Pending take(Pending &entry) {
  Asyncs &all = asyncs();
  if (entry.expires != 0) all.expiries.erase({entry.expires, entry.target.realm, token_number(entry.token)});
  const Pending taken = entry;
  entry.token = 0;
  return taken;
}

// The calls whose time is over. Tells when the next one's is.
int64_t expire(int64_t now) {
  Asyncs &all = asyncs();
  for (;;) {
    Pending given_up;
    {
      Lock lock;
      if (all.expiries.empty()) return INT64_MAX;
      const auto [when, realm, number] = *all.expiries.begin();
      if (when > now) return when;
      all.expiries.erase(all.expiries.begin());
      Pending &entry = all.pending[realm][number];
      entry.expires = 0;
      InFlight counted(realm, entry.target.shard);
      const uint64_t life = arena()->realms[realm].life.load(std::memory_order_seq_cst);
      // Else its realm's end completes it, or its answer is on its way.
      if (!still_alive(life, entry.target.realm_id) || !reply_abandon(realm, entry.token)) continue;
      given_up = take(entry);
      count_message(given_up.target, &Counters::expired);  // while the realm waits for us
    }
    complete(given_up.completer, HAFT_E_TIMEOUT, {HAFT_VOID, 0, {0}});
  }
}

void *run_clock(void *) {
  Asyncs &all = asyncs();
  for (;;) {
    const int64_t next = expire(now_nanoseconds());
    Lock lock;
    // Something sooner may have come while the lock was free.
    if (!all.expiries.empty() && std::get<0>(*all.expiries.begin()) < next) continue;
    if (next == INT64_MAX) {
      pthread_cond_wait(&all.changed, &all.mutex);
      continue;
    }
    const timespec until = {(time_t)(next / 1000000000), (long)(next % 1000000000)};
    pthread_cond_timedwait(&all.changed, &all.mutex, &until);
  }
  return nullptr;
}

// With the lock held. The thread is nobody's to join (P25).
bool start_clock() {
  Asyncs &all = asyncs();
  if (all.clock_runs) return true;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  all.clock_runs = pthread_create(&thread, &attributes, run_clock, nullptr) == 0;
  pthread_attr_destroy(&attributes);
  return all.clock_runs;
}

// Keeps what the completion needs. HAFT_E_NO_MEMORY, HAFT_E_INTERNAL.
haft_status keep(const Target &t, uint32_t token, const haft_completer &completer, int64_t timeout_ms) {
  Asyncs &all = asyncs();
  Lock lock;
  Pending *&entries = all.pending[t.realm];
  if (!entries) entries = static_cast<Pending *>(calloc(kReplies, sizeof(Pending)));
  if (!entries) return HAFT_E_NO_MEMORY;
  int64_t expires = 0;
  if (timeout_ms > 0) {
    if (!start_clock()) return HAFT_E_INTERNAL;
    constexpr int64_t kMost = INT64_MAX / 4 / 1000000;
    expires = now_nanoseconds() + (timeout_ms > kMost ? kMost : timeout_ms) * 1000000;
    const bool first = all.expiries.empty() || expires < std::get<0>(*all.expiries.begin());
    all.expiries.insert({expires, t.realm, token_number(token)});
    if (first) pthread_cond_signal(&all.changed);
  }
  entries[token_number(token)] = {token, completer, t, expires};
  return HAFT_OK;
}

// False: it has been completed meanwhile, by the clock or the realm's end.
bool forget(const Target &t, uint32_t token) {
  Lock lock;
  Pending &entry = asyncs().pending[t.realm][token_number(token)];
  if (entry.token != token) return false;
  take(entry);
  return true;
}

// Copies an answer out and gives the slot back. Counted in flight, or on the realm's own thread.
void finish(const Pending &entry) {
  haft_value result = {HAFT_VOID, 0, {0}};
  Reply &reply = arena()->realms[entry.target.realm].replies[token_number(entry.token)];
  const haft_status status = read_reply(entry.target.realm, reply, entry.target.handle, &result);
  result = result_or_text(status, result);
  reply_give(entry.target.realm, entry.token);
  complete(entry.completer, status, result);
}

}  // namespace

template <int level>
haft_status call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                       const haft_completer *completer) {
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED, handle);  // P26
  if (!completer || completer->size < sizeof(haft_completer) || timeout_ms == 0) return fail(HAFT_E_ARGUMENT, handle);
  if (!completer->done && !queue_is_open(completer->queue))
    return fail(HAFT_E_FORGED, handle, "the queue of completions is not open");
  Target t;
  haft_status status = address(handle, op, &t);
  if (status != HAFT_OK) return status;
  Plan plan;
  status = plan_message<level>(t.realm_id, op, args, count, &plan);
  if (status != HAFT_OK) return status;
  // Counted in flight until it is sent: the realm's end finds it kept, or we find the realm closed (P21). The own
  // thread is not counted, and cannot close the realm meanwhile (P22).
  InFlight counted(t.realm, t.shard);
  if (!still_open(t)) {
    count_message(t, &Counters::refused);
    return fail(HAFT_E_CLOSED, handle);
  }
  const uint32_t token = reply_take(t.realm);
  if (token == 0) {
    count_message(t, &Counters::refused);
    return fail(HAFT_E_BUSY, handle);
  }
  status = keep(t, token, *completer, timeout_ms);
  if (status == HAFT_OK) {
    Reply &reply = arena()->realms[t.realm].replies[token_number(token)];
    // Relaxed: the message is published after it.
    reply.sleeper.store(kNobodyWaits, std::memory_order_relaxed);
    status = try_send(t, op, plan, token);
    if (status == HAFT_OK) return HAFT_OK;
    const bool ours = forget(t, token);
    reply_give(t.realm, token);
    if (!ours) return HAFT_OK;  // whoever completed it has counted it
  } else {
    reply_give(t.realm, token);
  }
  count_failure(t, status);
  return fail(status, handle);
}
using CallAsync = haft_status(haft_handle, haft_op, const haft_value *, size_t, int64_t, const haft_completer *);
template CallAsync call_async<0>;
template CallAsync call_async<1>;
template CallAsync call_async<2>;

void async_answered(uint32_t realm, uint32_t number) {
  Pending answered;
  {
    Lock lock;
    Pending *entries = asyncs().pending[realm];
    if (!entries || entries[number].token == 0) return;
    Pending &entry = entries[number];
    // An answer that was woken for late may belong to a call that has ended, and the slot to another.
    const uint32_t word = arena()->realms[realm].replies[number].state.load(std::memory_order_acquire);
    if (word != reply_word(token_sequence(entry.token), kDone)) return;
    answered = take(entry);
  }
  finish(answered);
}

haft_realm async_awaited(haft_queue queue) {
  Asyncs &all = asyncs();
  haft_realm own = 0, other = 0;
  Lock lock;
  for (uint32_t realm = 0; realm < kRealms; realm++) {
    const Pending *entries = all.pending[realm];
    if (!entries) continue;
    const uint32_t issued = arena()->realms[realm].replies_issued.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < issued; i++) {
      const Pending &entry = entries[i];
      if (entry.token == 0 || entry.completer.done || entry.completer.queue != queue) continue;
      const haft_realm id = entry.target.realm_id;
      if (on_own_thread(realm)) {
        own = id;
        continue;
      }
      if (other != 0 && other != id) return 0;
      other = id;
    }
  }
  return other != 0 ? other : own;
}

void async_close(uint32_t realm, haft_realm id) {
  Asyncs &all = asyncs();
  for (uint32_t number = 0; number < kReplies; number++) {
    Pending ended;
    bool given_up;
    {
      Lock lock;
      Pending *entries = all.pending[realm];
      if (!entries) return;
      Pending &entry = entries[number];
      if (entry.token == 0 || entry.target.realm_id != id) continue;
      given_up = reply_abandon(realm, entry.token);
      ended = take(entry);
    }
    if (!given_up) {
      finish(ended);  // the answer was there
      continue;
    }
    count_message(ended.target, &Counters::refused);
    complete(ended.completer, HAFT_E_CLOSED, {HAFT_VOID, 0, {0}});
  }
}

}  // namespace haft
