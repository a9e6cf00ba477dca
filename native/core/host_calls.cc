// See host_calls.h. The queue is a ring of tokens with one producer; those that serve take from it by compare-and-swap.
#include "host_calls.h"

#include "arena.h"
#include "mailbox.h"
#include "replies.h"
#include "wait.h"

namespace haft {
namespace {

constexpr uint32_t kTries = 4 * kHostCalls;  // more than any that write as we do make others need

bool is_token(uint32_t token) { return host_call_number(token) < kHostCalls; }  // P31

// The oldest token. False: there is none.
bool pop(Realm &r, uint32_t *token) {
  // Acquire: whoever took the one before is done with the ring.
  uint32_t head = r.host_head.load(std::memory_order_acquire);
  for (uint32_t tries = 0; tries < kTries; tries++) {
    const uint32_t waiting = r.host_tail.load(std::memory_order_seq_cst) - head;
    if (waiting == 0) return false;
    if (waiting > kHostCalls) {  // our head is an old one
      head = r.host_head.load(std::memory_order_acquire);
      continue;
    }
    *token = r.host_queue[head % kHostCalls].load(std::memory_order_relaxed);
    // Release: the token is read before its place is written again.
    if (r.host_head.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      return true;
  }
  return false;
}

void push(Realm &r, uint32_t token) {
  const uint32_t tail = r.host_tail.load(std::memory_order_relaxed);
  r.host_queue[tail % kHostCalls].store(token, std::memory_order_relaxed);
  // The call and its token come before the tail.
  r.host_tail.store(tail + 1, std::memory_order_seq_cst);
}

bool is_full(const Realm &r) {
  return r.host_tail.load(std::memory_order_relaxed) - r.host_head.load(std::memory_order_acquire) >= kHostCalls;
}

// Calls that were given up stay in the queue until somebody meets them. Where they fill it, we do: all that wait are
// queued anew, in their order.
void sift(Realm &r) {
  for (uint32_t n = kHostCalls; n > 0; n--) {
    uint32_t token;
    if (!pop(r, &token)) return;
    const uint32_t queued = host_call_word(host_call_sequence(token), kHostQueued);
    if (is_token(token) && host_call_of(r, token).state.load(std::memory_order_acquire) == queued) push(r, token);
  }
}

}  // namespace

uint32_t host_call_take(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  const uint32_t from = r.host_tail.load(std::memory_order_relaxed);
  for (uint32_t step = 0; step < kHostCalls; step++) {
    const uint32_t number = (from + step) % kHostCalls;
    HostCall &call = r.host_calls[number];
    // Acquire: whoever freed it is done with it.
    const uint32_t word = call.state.load(std::memory_order_acquire);
    if ((word & ((1u << kHostStateBits) - 1)) != kHostFree) continue;
    const uint32_t sequence = ((word >> kHostStateBits) + 1) & kHostSequenceMask;
    call.state.store(host_call_word(sequence, kHostFree), std::memory_order_relaxed);
    return (number + 1) | sequence << kHostTokenBits;
  }
  return 0;
}

void host_call_queue(uint32_t realm, uint32_t token) {
  Realm &r = arena()->realms[realm];
  if (is_full(r)) sift(r);
  // Release: the call is written before whoever finds its token reads it.
  host_call_of(r, token).state.store(host_call_word(host_call_sequence(token), kHostQueued), std::memory_order_release);
  push(r, token);
  host_calls_wake(realm);
}

void host_call_free(uint32_t realm, uint32_t token) {
  host_call_of(arena()->realms[realm], token)
      .state.store(host_call_word(host_call_sequence(token), kHostFree), std::memory_order_release);
}

bool host_call_give_up(uint32_t realm, uint32_t token, bool *taken) {
  std::atomic<uint32_t> &state = host_call_of(arena()->realms[realm], token).state;
  const uint32_t sequence = host_call_sequence(token);
  // P33: by compare-and-swap, so that either we have it or the thread that takes it or answers.
  uint32_t word = host_call_word(sequence, kHostQueued);
  *taken = false;
  // FREE only when what it carries was given back: TAKEN by ourselves until then.
  if (state.compare_exchange_strong(word, host_call_word(sequence, kHostTaken), std::memory_order_acq_rel)) return true;
  *taken = true;
  word = host_call_word(sequence, kHostTaken);
  return state.compare_exchange_strong(word, host_call_word(sequence, kHostAbandoned), std::memory_order_acq_rel);
}

bool host_call_is_done(const Realm &r, uint32_t token) {
  // Acquire: the answer comes before it.
  return r.host_calls[host_call_number(token)].state.load(std::memory_order_acquire) ==
         host_call_word(host_call_sequence(token), kHostDone);
}

uint32_t host_calls_done(uint32_t realm, uint32_t tokens[kHostCalls]) {
  Realm &r = arena()->realms[realm];
  // All at once, so that no place comes back to the list while it is read. Acquire: the answers come before.
  uint32_t next = r.host_done.exchange(0, std::memory_order_acq_rel);
  uint32_t count = 0;
  while (next != 0 && next <= kHostCalls && count < kHostCalls) {
    const HostCall &call = r.host_calls[next - 1];
    const uint32_t word = call.state.load(std::memory_order_acquire);
    tokens[count++] = next | (word >> kHostStateBits) << kHostTokenBits;
    next = call.next_done.load(std::memory_order_relaxed);
  }
  for (uint32_t i = 0; i < count / 2; i++) {  // the list has the last one first
    const uint32_t token = tokens[i];
    tokens[i] = tokens[count - 1 - i];
    tokens[count - 1 - i] = token;
  }
  return count;
}

uint32_t host_call_begin(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  uint32_t token;
  for (uint32_t n = 0; n < kHostCalls && pop(r, &token); n++) {
    if (!is_token(token)) continue;
    const uint32_t sequence = host_call_sequence(token);
    uint32_t word = host_call_word(sequence, kHostQueued);
    // P33: given up, it is not ours. Acquire: the call was written before.
    if (host_call_of(r, token).state.compare_exchange_strong(word, host_call_word(sequence, kHostTaken),
                                                             std::memory_order_acq_rel))
      return token;
  }
  return 0;
}

bool host_call_end(uint32_t realm, uint32_t token, uint32_t mode) {
  Realm &r = arena()->realms[realm];
  HostCall &call = host_call_of(r, token);
  const uint32_t sequence = host_call_sequence(token);
  uint32_t word = host_call_word(sequence, kHostTaken);
  // P33: given up meanwhile. Release: the answer comes before.
  if (!call.state.compare_exchange_strong(word, host_call_word(sequence, kHostDone), std::memory_order_acq_rel))
    return false;
  if (mode != kHostPromise) {
    // Between the answer and the look whether it sleeps; it says that it does, and then looks at the answer.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_serving(realm);
    return true;
  }
  uint32_t first = r.host_done.load(std::memory_order_relaxed);
  do {
    call.next_done.store(first, std::memory_order_relaxed);
  } while (!r.host_done.compare_exchange_weak(first, host_call_number(token) + 1, std::memory_order_seq_cst));
  ring_if_armed(realm);  // P10: after a full fence; JavaScript arms, and then looks at the list again
  return true;
}

void host_calls_wake(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  // P34: the call is queued, then a full fence, then we look who waits; they say that they wait, and then look at the queue.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (r.host_servers.load(std::memory_order_seq_cst) != 0) {
    r.host_changed.fetch_add(1, std::memory_order_seq_cst);
    wake_one(r.host_changed);
    return;
  }
  const uint32_t replies = r.replies_issued.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < replies && i < kReplies; i++) {
    if (r.replies[i].sleeper.load(std::memory_order_seq_cst) == kAsleep && wake_sleeper(r.replies[i])) return;
  }
  r.names_changed.fetch_add(1, std::memory_order_seq_cst);  // those that wait for a name
  wake_all(r.names_changed);
}

HostServer::HostServer(Realm &r) : servers_(r.host_servers) {
  servers_.fetch_add(1, std::memory_order_seq_cst);  // P34
}

HostServer::~HostServer() {
  uint32_t count = servers_.load(std::memory_order_relaxed);
  // Never below 0, whatever the child has written there (P31).
  while (count != 0 && !servers_.compare_exchange_weak(count, count - 1, std::memory_order_seq_cst)) {
  }
}

void host_calls_clear(Realm &r) {
  r.host_servers.store(0, std::memory_order_relaxed);
  if (r.host_tail.load(std::memory_order_relaxed) == 0) return;  // a call that was never used is not touched (P8)
  for (HostCall &call : r.host_calls) {
    const uint32_t word = call.state.load(std::memory_order_relaxed);
    if (word != 0) call.state.store(word & ~((1u << kHostStateBits) - 1), std::memory_order_relaxed);
  }
  r.host_tail.store(0, std::memory_order_relaxed);
  r.host_head.store(0, std::memory_order_relaxed);
  r.host_done.store(0, std::memory_order_relaxed);
}

}  // namespace haft
