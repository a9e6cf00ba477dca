// Reserves, commits and seeds the arena. See arena.h.
#include "arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <new>

#if defined(__linux__)
#include <sys/random.h>
#endif

namespace haft {
namespace {

constexpr uint64_t kMagic = 0x0100616e65726168ull;

uint64_t layout_hash() {
  uint64_t hash = HAFT_GENERATION_BITS;
#define HAFT_LAYOUT_HASH(name, value) hash = mix(hash + (uint64_t)(value));
  HAFT_LAYOUT_MAP(HAFT_LAYOUT_HASH)
#undef HAFT_LAYOUT_HASH
  return mix(hash + sizeof(Arena));
}

uint64_t random_word() {
  uint64_t word = 0;
#if defined(__linux__)
  if (getrandom(&word, sizeof word, 0) == (ssize_t)sizeof word) return word;
#else
  arc4random_buf(&word, sizeof word);
  return word;
#endif
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return mix((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 32) ^ (uint64_t)(uintptr_t)&word);
}

Arena *make() {
  // 9 GiB of addresses and no memory: PROT_NONE counts against no limit, not even under strict overcommit.
  // MAP_PRIVATE: a forked child has a copy of its own, and cannot write into its parent's.
  void *at = mmap(nullptr, sizeof(Arena), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  Arena *a = static_cast<Arena *>(at);
  if (!arena_commit(a, offsetof(Arena, realms))) {
    munmap(at, sizeof(Arena));
    return nullptr;
  }
  a->magic = kMagic;
  a->layout = layout_hash();
  a->secret = random_word();
  a->block_base = (uint32_t)(random_word() % kBlocks);
  return a;
}

}  // namespace

std::atomic<Arena *> arena_pointer{nullptr};

Arena *arena_open() {
  static Arena *const made = make();  // once, by whichever thread is first
  arena_pointer.store(made, std::memory_order_release);  // the header comes before the pointer to it
  return made;
}

bool arena_commit(void *from, size_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t begin = (uintptr_t)from & ~(page - 1);
  const uintptr_t end = ((uintptr_t)from + bytes + page - 1) & ~(page - 1);
  return mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE) == 0;
}

}  // namespace haft
