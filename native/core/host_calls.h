// Calls that JavaScript makes of functions of the host: the queue on which they wait, and how each ends.
//
// FREE -> QUEUED -> TAKEN -> DONE, each step by compare-and-swap on a word that carries a sequence (P33). Only the realm's
// own thread takes a FREE one. It may give a call up: a QUEUED one is FREE at once, and its token is skipped where it is
// met in the queue; a TAKEN one becomes ABANDONED, and the thread that has it frees it. What the functions do is
// host_functions.h.
#pragma once

#include "haft.h"
#include "layout.h"

namespace haft {

inline uint32_t host_call_word(uint32_t sequence, HostCallState state) { return sequence << kHostStateBits | state; }

// A token is number + 1 | sequence << kHostTokenBits; 0: none.
constexpr unsigned kHostTokenBits = 9;
constexpr uint32_t kHostSequenceMask = (1u << (32 - kHostTokenBits)) - 1;
static_assert(kHostCalls < 1u << kHostTokenBits, "a token holds a number");
inline uint32_t host_call_number(uint32_t token) { return (token & ((1u << kHostTokenBits) - 1)) - 1; }
inline uint32_t host_call_sequence(uint32_t token) { return token >> kHostTokenBits; }
inline HostCall &host_call_of(Realm &r, uint32_t token) { return r.host_calls[host_call_number(token)]; }

// ---- On the realm's own thread ----

// Takes a FREE one for the caller to write. 0: kHostCalls wait or run.
uint32_t host_call_take(uint32_t realm);
// Queues it, and wakes a thread that can run it.
void host_call_queue(uint32_t realm, uint32_t token);
// Its answer has been read, or it was given up and what it carries given back. Any thread that is the last to have it.
void host_call_free(uint32_t realm, uint32_t token);

// False: the answer is there, or comes before anything else. `*taken`: a thread runs the function, and gives back what
// the call carries; if not, the caller does. Whoever does frees it.
bool host_call_give_up(uint32_t realm, uint32_t token, bool *taken);

bool host_call_is_done(const Realm &r, uint32_t token);

// The tokens of those for promises that have ended since, oldest first: how many.
uint32_t host_calls_done(uint32_t realm, uint32_t tokens[kHostCalls]);

// ---- On the threads that serve, counted in flight ----

inline bool host_calls_wait(const Realm &r) {
  const uint32_t head = r.host_head.load(std::memory_order_seq_cst);
  return r.host_tail.load(std::memory_order_seq_cst) != head;
}

// Takes the oldest that waits. 0: none does.
uint32_t host_call_begin(uint32_t realm);

// The answer is written. False: JavaScript has given the call up; the caller drops the answer, and frees it.
bool host_call_end(uint32_t realm, uint32_t token, uint32_t mode);

// One that waits in haft_serve for calls: others leave them to it. It looks at the queue after it was counted, and once
// more after it was not (P34): whoever queues a call has looked whether anybody is counted after that.
class HostServer {
 public:
  explicit HostServer(Realm &r);
  ~HostServer();
  HostServer(const HostServer &) = delete;
  HostServer &operator=(const HostServer &) = delete;

 private:
  std::atomic<uint32_t> &servers_;
};

// Wakes one thread that can take a call: one that serves, else one that waits for JavaScript (P34). Any thread.
void host_calls_wake(uint32_t realm);

// For one who leaves a wait, or has taken a call: whoever waits on is told of what is left.
inline void host_calls_pass_on(uint32_t realm, const Realm &r) {
  if (host_calls_wait(r)) host_calls_wake(realm);
}

// When nobody uses the realm: as it is when nobody has used it. Sequences go on.
void host_calls_clear(Realm &r);

}  // namespace haft
