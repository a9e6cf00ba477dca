// See async.h.
#include "async.h"

#include <pthread.h>
#include <signal.h>
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

// The longest sleep of the clock where other processes wake it: each of them may die before it does.
constexpr int64_t kClockSlice = 1'000'000'000;

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

// Copies an answer out and gives the slot back. Counted in flight, or on the realm's own thread.
haft_status take_answer(const Pending &entry, haft_value *result) {
  *result = {HAFT_VOID, 0, {0}};
  Reply &reply = arena()->realms[entry.target.realm].replies[token_number(entry.token)];
  const haft_status status = read_reply(entry.target.realm, reply, entry.target.handle, result);
  *result = result_or_text(status, *result);
  reply_give(entry.target.realm, entry.token);
  return status;
}

// The calls whose time is over. Tells when the next one's is.
int64_t expire(int64_t now) {
  Asyncs &all = asyncs();
  for (;;) {
    Pending ended;
    haft_status status = HAFT_E_TIMEOUT;
    haft_value result = {HAFT_VOID, 0, {0}};
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
      if (!still_alive(life, entry.target.realm_id)) continue;  // its realm's end completes it
      ended = take(entry);
      // While the realm waits for us. Who cannot give up has an answer, whether anybody tells of it or not (P28).
      if (reply_abandon(realm, ended.token))
        count_message(ended.target, &Counters::expired);
      else
        status = take_answer(ended, &result);
    }
    complete(ended.completer, status, result);
  }
}

void collect_answers();
void wake_clock();

void *run_clock(void *) {
  Asyncs &all = asyncs();
  // P28: other processes cannot complete what stands in memory of this one.
  while (is_host()) {
    // Looked at first: an answer that comes after this changes it under the sleep.
    const uint32_t seen = arena()->answers.load(std::memory_order_seq_cst);
    collect_answers();
    const int64_t left = expire(now_nanoseconds()) - now_nanoseconds();
    if (left > 0) sleep_on(arena()->answers, seen, left < kClockSlice ? left : kClockSlice);
  }
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

// With the lock held. The thread is nobody's to join (P25), and no signal of a program that embeds is handled there.
bool start_clock() {
  Asyncs &all = asyncs();
  if (all.clock_runs) return true;
  sigset_t signals, before;
  sigfillset(&signals);
  pthread_sigmask(SIG_SETMASK, &signals, &before);
  pthread_t thread;
  all.clock_runs = pthread_create(&thread, nullptr, run_clock, nullptr) == 0;
  if (all.clock_runs) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return all.clock_runs;
}

// Keeps what the completion needs. HAFT_E_NO_MEMORY, HAFT_E_INTERNAL, HAFT_E_BUSY.
haft_status keep(const Target &t, uint32_t token, const haft_completer &completer, int64_t timeout_ms) {
  Asyncs &all = asyncs();
  Lock lock;
  Pending *&entries = all.pending[t.realm];
  if (!entries) entries = static_cast<Pending *>(calloc(kReplies, sizeof(Pending)));
  if (!entries) return HAFT_E_NO_MEMORY;
  Pending &entry = entries[token_number(token)];
  if (entry.token != 0) return HAFT_E_BUSY;  // the slot was taken twice: the list of free ones is not as we left it (P31)
  int64_t expires = 0;
  if ((timeout_ms > 0 || is_host()) && !start_clock()) return HAFT_E_INTERNAL;
  if (timeout_ms > 0) {
    constexpr int64_t kMost = INT64_MAX / 4 / 1000000;
    expires = now_nanoseconds() + (timeout_ms > kMost ? kMost : timeout_ms) * 1000000;
    const bool first = all.expiries.empty() || expires < std::get<0>(*all.expiries.begin());
    all.expiries.insert({expires, t.realm, token_number(token)});
    if (first && is_host()) wake_clock();
    if (first) pthread_cond_signal(&all.changed);
  }
  entry = {token, completer, t, expires};
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

// The call that was answered. False: it is none of this process's, or of another realm than `id`, 0: any.
bool take_answered(uint32_t realm, uint32_t number, haft_realm id, Pending *answered) {
  Lock lock;
  Pending *entries = asyncs().pending[realm];
  if (!entries || entries[number].token == 0) return false;
  Pending &entry = entries[number];
  if (id != 0 && entry.target.realm_id != id) return false;
  // An answer that was woken for late may belong to a call that has ended, and the slot to another.
  const uint32_t word = arena()->realms[realm].replies[number].state.load(std::memory_order_acquire);
  if (word != reply_word(token_sequence(entry.token), kDone)) return false;
  *answered = take(entry);
  return true;
}

void wake_clock() {
  // Sequentially consistent, after what it is to see: see run_clock.
  arena()->answers.fetch_add(1, std::memory_order_seq_cst);
  wake_all(arena()->answers);
}

constexpr uint32_t kLastAnswered = kReplies + 1;  // as a link: there is no other behind it

// To the process whose call it is.
void hand_over(uint32_t realm, uint32_t number) {
  Realm &r = arena()->realms[realm];
  // Sequentially consistent on both sides: a reply that is in the list already is looked at after this, and so answered.
  if (r.next_answered[number].load(std::memory_order_seq_cst) != 0) return;
  uint32_t first = r.answered.load(std::memory_order_relaxed);
  do {
    r.next_answered[number].store(first != 0 ? first : kLastAnswered, std::memory_order_relaxed);
    // Release: whoever takes the list sees the links, and the answers.
  } while (!r.answered.compare_exchange_weak(first, number + 1, std::memory_order_release, std::memory_order_relaxed));
  wake_clock();
}

void collect_answer(uint32_t realm, uint32_t number) {
  Pending answered;
  haft_value result;
  haft_status status;
  {
    InFlight counted(realm, 0);
    const uint64_t life = arena()->realms[realm].life.load(std::memory_order_seq_cst);  // P21
    // Else its realm's end completes it.
    if (!still_alive(life, life >> 8) || !take_answered(realm, number, life >> 8, &answered)) return;
    status = take_answer(answered, &result);
  }
  complete(answered.completer, status, result);
}

// What other processes have answered, in the order in which they did.
void collect_answers() {
  static uint16_t numbers[kReplies];  // the clock's
  const uint32_t used = realms_used(arena());
  for (uint32_t realm = 0; realm < used; realm++) {
    Realm &r = arena()->realms[realm];
    if (r.answered.load(std::memory_order_relaxed) == 0) continue;
    uint32_t next = r.answered.exchange(0, std::memory_order_acquire);
    uint32_t count = 0;
    // P31: a list that somebody else has written has no more links than there are replies.
    while (next != 0 && next <= kReplies && count < kReplies) {
      numbers[count++] = (uint16_t)(next - 1);
      next = r.next_answered[next - 1].exchange(0, std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);  // before the replies are looked at: see hand_over
    while (count > 0) collect_answer(realm, numbers[--count]);  // the latest stands first
  }
}

// As take_answer, and completes it.
void finish(const Pending &entry) {
  haft_value result;
  const haft_status status = take_answer(entry, &result);
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
  } else if (status != HAFT_E_BUSY) {  // else it is another call's
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
  if (take_answered(realm, number, 0, &answered))
    finish(answered);
  else if (attached)
    hand_over(realm, number);
}

haft_realm async_awaited(haft_queue queue) {
  Asyncs &all = asyncs();
  haft_realm own = 0, other = 0;
  Lock lock;
  for (uint32_t realm = 0; realm < kRealms; realm++) {
    const Pending *entries = all.pending[realm];
    if (!entries) continue;
    const uint32_t issued = replies_issued(arena()->realms[realm]);
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
