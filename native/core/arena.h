// The arena: one mapping for the process, reserved as address space, so that nothing in it ever moves. A forged index
// must never reach a page that was not given out (P8): in an arena of one process it would fault, in a shared one it would
// take memory for ever.
#pragma once

#include "layout.h"
#include "wait.h"

namespace haft {

extern std::atomic<Arena *> arena_pointer;

// The process's arena; NULL before arena_open(). Any thread.
inline Arena *arena() { return arena_pointer.load(std::memory_order_acquire); }

// Makes the arena at its first call, for this process alone, committed piece by piece; NULL if the operating system gives
// no address space.
Arena *arena_open();

// The same in memory that other processes can map too: they are given its descriptor. It has no name, nobody can change its
// size, and it goes with the last process that maps it. NULL: see errno; or the arena is there, and not shared.
Arena *arena_share(int *descriptor);

// Maps the arena that another process shares. HAFT_E_ABI: it is not laid out as ours; HAFT_E_INTERNAL.
haft_status arena_attach(int descriptor);

// Whether the arena is another process's, which reserves the realms and recycles them.
extern bool attached;

// Whether it is this process's, and JavaScript runs in others: a program that embeds.
inline bool is_host() { return shared_futexes && !attached; }

// Makes a part usable; doing it twice is harmless. False when the operating system has no memory to promise.
bool arena_commit(void *from, size_t bytes);

// Gives the memory of a part back, which reads as zeros from then on. Only in a shared arena does it.
void arena_discard(void *from, size_t bytes);

// How many realms have opened at some time. Whatever the arena says, there are no more than kRealms (P31).
inline uint32_t realms_used(const Arena *a) {
  const uint32_t used = a->realms_used.load(std::memory_order_acquire);
  return used < kRealms ? used : kRealms;
}

inline uint64_t mix(uint64_t x) {  // splitmix64's finalizer (Steele, Lea and Flood, 2014)
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// P7: needs no memory, survives adoption, and differs from run to run.
inline uint64_t first_generation(const Arena *a, uint64_t index) { return mix(a->secret + index) & kGenerationMask; }

}  // namespace haft
