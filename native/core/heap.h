// The side arena of a realm: memory for strings and bytes too long for a ring or a reply.
//
// Runs of pages, first fit, in a bitmap that is changed by compare-and-swap a word: what is given back is whole again
// at once, whoever gives it and in whatever order. A chunk is an offset in the arena.
#pragma once

#include "arena.h"

namespace haft {

// Offset of at least `bytes` bytes, aligned to 64; 0 when there is no room.
uint64_t heap_take(uint32_t realm, uint64_t bytes);
void heap_give(uint32_t realm, uint64_t offset);
void heap_reset(uint32_t realm);  // forgets every chunk; when nobody uses the realm

inline unsigned char *at_offset(uint64_t offset) { return reinterpret_cast<unsigned char *>(arena()) + offset; }

// Whether `bytes` at `offset` lie inside the realm's heap: asked of every offset that comes from the arena (P31).
bool heap_contains(uint32_t realm, uint64_t offset, uint64_t bytes);

}  // namespace haft
