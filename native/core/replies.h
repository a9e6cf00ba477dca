// Reply slots: where a call from a foreign thread waits for its result.
//
// PENDING -> STARTED -> DONE or ABANDONED, by compare-and-swap on a word that carries a sequence (P15). The caller may
// abandon the slot while it is PENDING, and the handler never runs, or STARTED, and the result is discarded. Whoever
// comes last frees the slot: the caller after DONE, JavaScript after ABANDONED.
#pragma once

#include "layout.h"

namespace haft {

inline uint32_t reply_word(uint32_t sequence, ReplyState state) { return sequence << 3 | state; }

// Takes a slot in state PENDING; its token goes into the message. 0: all are taken.
uint32_t reply_take(uint32_t realm);
inline uint32_t token_number(uint32_t token) { return (token & ((1u << kReplyNumberBits) - 1)) - 1; }
inline uint32_t token_sequence(uint32_t token) { return token >> kReplyNumberBits; }

void reply_give(uint32_t realm, uint32_t number);

}  // namespace haft
