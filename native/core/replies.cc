// See replies.h. The free list is Treiber's stack, with a count against reuse.
#include "replies.h"

#include "arena.h"
#include "mailbox.h"

namespace haft {

uint32_t reply_take(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  uint32_t number;
  uint64_t head = r.free_replies.load(std::memory_order_acquire);
  for (;;) {
    if ((uint32_t)head == 0) {
      uint32_t issued = r.replies_issued.load(std::memory_order_relaxed);
      do {
        if (issued >= kReplies) return 0;
      } while (!r.replies_issued.compare_exchange_weak(issued, issued + 1, std::memory_order_relaxed));
      number = issued;
      break;
    }
    number = (uint32_t)head - 1;
    if (number >= kReplies) return 0;  // not what we wrote (P31)
    const uint32_t next = r.next_reply[number].load(std::memory_order_relaxed);
    const uint64_t popped = ((head >> 32) + 1) << 32 | next;
    // Acquire: whoever gave the slot back is done with it.
    if (r.free_replies.compare_exchange_weak(head, popped, std::memory_order_acquire, std::memory_order_acquire)) break;
  }
  const uint32_t word = r.replies[number].state.load(std::memory_order_relaxed);
  const uint32_t sequence = ((word >> kReplySequenceShift) + 1) & kReplySequenceMask;
  return (number + 1) | sequence << kReplyNumberBits;
}

bool reply_abandon(uint32_t realm, uint32_t token) {
  Realm &r = arena()->realms[realm];
  std::atomic<uint32_t> &state = r.replies[token_number(token)].state;
  const uint32_t sequence = token_sequence(token);
  uint32_t word = state.load(std::memory_order_acquire);
  // P15: by compare-and-swap, so that either we abandon the slot or JavaScript has answered.
  while (reply_waits(word, sequence)) {
    const uint32_t was = word;
    if (!state.compare_exchange_weak(word, reply_word(sequence, kAbandoned), std::memory_order_acq_rel)) continue;
    if (was == reply_word(sequence, kLater)) {
      reply_give(realm, token);
      r.given_up.fetch_add(1, std::memory_order_relaxed);
      ring_doorbell(realm);  // JavaScript need not wait for the promise any longer
    }
    return true;
  }
  return false;
}

void reply_give(uint32_t realm, uint32_t token) {
  Realm &r = arena()->realms[realm];
  const uint32_t number = token_number(token);
  std::atomic<uint32_t> &state = r.replies[number].state;
  const uint32_t done = reply_word(token_sequence(token), kDone);
  // Relaxed: the list below orders it.
  if (state.load(std::memory_order_relaxed) != done) state.store(done, std::memory_order_relaxed);
  // A caller that slept and gave up has left its mark.
  std::atomic<uint32_t> &sleeper = r.replies[number].sleeper;
  if (sleeper.load(std::memory_order_relaxed) != 0) sleeper.store(0, std::memory_order_relaxed);
  uint64_t head = r.free_replies.load(std::memory_order_relaxed);
  do {
    r.next_reply[number].store((uint32_t)head, std::memory_order_relaxed);
    // Release: what we read in the slot comes before its next use.
  } while (!r.free_replies.compare_exchange_weak(head, (head >> 32) << 32 | (number + 1), std::memory_order_release,
                                                 std::memory_order_relaxed));
}

}  // namespace haft
