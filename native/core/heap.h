// The side arena of a realm: memory for strings and bytes too long for a ring or a reply.
//
// Chunks of powers of two, a lock-free free list a size (Treiber's stack with a count against reuse), fresh ones
// from the end. A chunk is an offset in the arena. Both sides give chunks back, in any order.
#pragma once

#include "arena.h"

namespace haft {

constexpr uint32_t kChunkHeader = 64;  // stands before the memory, so that a late reader of a list finds a link

struct Chunk {
  std::atomic<uint32_t> next;  // offset of the next free chunk, in units of 64 bytes
  uint32_t size_class;
};

// Offset of at least `bytes` bytes, aligned to 64; 0 when there is no room.
uint64_t heap_take(uint32_t realm, uint64_t bytes);
void heap_give(uint32_t realm, uint64_t offset);
void heap_reset(uint32_t realm);  // forgets every chunk; when nobody uses the realm

inline unsigned char *at_offset(uint64_t offset) { return reinterpret_cast<unsigned char *>(arena()) + offset; }

// Whether `bytes` at `offset` lie inside the realm's heap: asked of every offset that comes from the arena (P31).
bool heap_contains(uint32_t realm, uint64_t offset, uint64_t bytes);

}  // namespace haft
