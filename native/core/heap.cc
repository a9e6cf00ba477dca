// See heap.h.
#include "heap.h"

namespace haft {
namespace {

constexpr uint32_t kPages = (uint32_t)(kHeapBytes / kHeapPageBytes);
constexpr uint32_t kHeader = 64;  // before the memory: how many pages it has

uint64_t heap_base(uint32_t realm) { return offsetof(Arena, heaps) + realm * kHeapBytes; }

std::atomic<uint32_t> &pages_of(uint64_t offset) {
  return *reinterpret_cast<std::atomic<uint32_t> *>(at_offset(offset) - kHeader);
}

// The bits of [page, page + count) that stand in the word of `page`.
uint64_t bits(uint32_t page, uint32_t count) {
  const uint32_t first = page & 63;
  const uint32_t n = count < 64 - first ? count : 64 - first;
  return (n == 64 ? ~0ull : (1ull << n) - 1) << first;
}

// The first page from `page` on whose bit is `taken`, or `end`.
uint32_t seek(const std::atomic<uint64_t> *map, uint32_t page, uint32_t end, bool taken) {
  while (page < end) {
    const uint64_t word = map[page / 64].load(std::memory_order_relaxed);
    const uint64_t wanted = (taken ? word : ~word) >> (page & 63);
    if (wanted != 0) {
      page += (uint32_t)__builtin_ctzll(wanted);
      return page < end ? page : end;
    }
    page = (page | 63) + 1;
  }
  return end;
}

void give_pages(std::atomic<uint64_t> *map, uint32_t page, uint32_t count) {
  for (uint32_t step; count > 0; page += step, count -= step) {
    const uint64_t mask = bits(page, count);
    step = (uint32_t)__builtin_popcountll(mask);
    // Release: what we did with the pages comes before their next use.
    map[page / 64].fetch_and(~mask, std::memory_order_release);
  }
}

// Takes all of a run or nothing: somebody else may be after it too.
bool take_pages(std::atomic<uint64_t> *map, uint32_t page, uint32_t count) {
  uint32_t taken = 0;
  while (taken < count) {
    const uint64_t mask = bits(page + taken, count - taken);
    std::atomic<uint64_t> &at = map[(page + taken) / 64];
    uint64_t word = at.load(std::memory_order_relaxed);
    while ((word & mask) == 0) {
      // Acquire: whoever gave the pages back is done with them.
      if (at.compare_exchange_weak(word, word | mask, std::memory_order_acquire, std::memory_order_relaxed)) break;
    }
    if ((word & mask) != 0) {
      give_pages(map, page, taken);
      return false;
    }
    taken += (uint32_t)__builtin_popcountll(mask);
  }
  return true;
}

}  // namespace

uint64_t heap_take(uint32_t realm, uint64_t bytes) {
  if (bytes > kHeapBytes - kHeader) return 0;
  std::atomic<uint64_t> *map = arena()->realms[realm].heap_pages;
  const uint32_t count = (uint32_t)((bytes + kHeader + kHeapPageBytes - 1) / kHeapPageBytes);
  for (uint32_t page = 0;;) {
    page = seek(map, page, kPages, false);
    if (count > kPages - page) return 0;
    const uint32_t end = seek(map, page, page + count, true);
    if (end != page + count) {
      page = end;
    } else if (take_pages(map, page, count)) {
      const uint64_t offset = heap_base(realm) + page * kHeapPageBytes + kHeader;
      pages_of(offset).store(count, std::memory_order_relaxed);
      return offset;
    }
  }
}

void heap_give(uint32_t realm, uint64_t offset) {
  const uint64_t at = offset - kHeader - heap_base(realm);
  if (at >= kHeapBytes || at % kHeapPageBytes != 0) return;  // not what we gave (P31)
  const uint32_t page = (uint32_t)(at / kHeapPageBytes);
  const uint32_t count = pages_of(offset).load(std::memory_order_relaxed);
  if (count > kPages - page) return;  // not what we wrote (P31)
  give_pages(arena()->realms[realm].heap_pages, page, count);
}

void heap_reset(uint32_t realm) {
  for (std::atomic<uint64_t> &word : arena()->realms[realm].heap_pages) word.store(0, std::memory_order_relaxed);
}

bool heap_contains(uint32_t realm, uint64_t offset, uint64_t bytes) {
  const uint64_t base = heap_base(realm) + kHeader;
  const uint64_t end = heap_base(realm) + kHeapBytes;
  return offset >= base && offset <= end && bytes <= end - offset;
}

}  // namespace haft
