// The arena: one mapping for the process, reserved as address space and committed piece by piece, so that nothing
// in it ever moves. A page that was not committed faults: a forged index must never reach one (P8).
#pragma once

#include "layout.h"

namespace haft {

extern std::atomic<Arena *> arena_pointer;

// The process's arena; NULL before arena_open(). Any thread.
inline Arena *arena() { return arena_pointer.load(std::memory_order_acquire); }

// Makes the arena at its first call; NULL if the operating system gives no address space.
Arena *arena_open();

// Makes a part usable; doing it twice is harmless. False when the operating system has no memory to promise.
bool arena_commit(void *from, size_t bytes);

inline uint64_t mix(uint64_t x) {  // splitmix64's finalizer (Steele, Lea and Flood, 2014)
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// P7: needs no memory, survives adoption, and differs from run to run.
inline uint64_t first_generation(const Arena *a, uint64_t index) { return mix(a->secret + index) & kGenerationMask; }

}  // namespace haft
