// Reply slots: where a call from a foreign thread waits for its result.
//
// PENDING -> STARTED -> DONE or ABANDONED, by compare-and-swap on a word that carries a sequence (P15). The caller may
// abandon the slot while it is PENDING, and the handler never runs, or STARTED, and the result is discarded. Whoever
// comes last frees the slot: the caller after DONE, JavaScript after ABANDONED. While a promise is to answer, STARTED is
// LATER: a caller that abandons it then frees the slot itself, and JavaScript, which takes it back to STARTED first when
// the promise settles, finds it gone.
#pragma once

#include "layout.h"
#include "wait.h"

namespace haft {

inline uint32_t reply_word(uint32_t sequence, ReplyState state) {
  return (sequence & kReplySequenceMask) << kReplySequenceShift | state;
}
inline uint32_t pending_word(uint32_t sequence) { return reply_word(sequence - 1, kDone); }

// Takes a slot, PENDING for the sequence in its token, which goes into the message. 0: all are taken.
uint32_t reply_take(uint32_t realm);
inline uint32_t token_number(uint32_t token) { return (token & ((1u << kReplyNumberBits) - 1)) - 1; }
inline uint32_t token_sequence(uint32_t token) { return token >> kReplyNumberBits; }

// How many slots were ever taken. Whatever the arena says, there are no more than kReplies (P31).
inline uint32_t replies_issued(const Realm &realm) {
  const uint32_t issued = realm.replies_issued.load(std::memory_order_relaxed);
  return issued < kReplies ? issued : kReplies;
}

// Whether JavaScript has not answered yet.
inline bool reply_waits(uint32_t word, uint32_t sequence) {
  return word == pending_word(sequence) || word == reply_word(sequence, kStarted) ||
         word == reply_word(sequence, kLater);
}

// Wakes the caller; false: it does not sleep. By compare-and-swap: the slot may be another's by now, of one for whom nobody waits.
inline bool wake_sleeper(Reply &reply) {
  uint32_t asleep = kAsleep;
  // Sequentially consistent, after what it is woken for: it looks for that after it said that it sleeps.
  if (!reply.sleeper.compare_exchange_strong(asleep, kAwake, std::memory_order_seq_cst)) return false;
  wake_all(reply.sleeper);
  return true;
}

// Gives the call up, unless JavaScript has answered: false. Call it counted in flight.
bool reply_abandon(uint32_t realm, uint32_t token);

// Gives the slot back. An abandoned one becomes DONE here, so that its sequence is not used again.
void reply_give(uint32_t realm, uint32_t token);

}  // namespace haft
