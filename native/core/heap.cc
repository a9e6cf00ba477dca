// See heap.h.
#include "heap.h"

namespace haft {
namespace {

constexpr uint64_t kUnit = 64;

uint64_t class_bytes(uint32_t size_class) { return 1ull << (kHeapSmallestShift + size_class); }

uint64_t heap_base(uint32_t realm) { return offsetof(Arena, heaps) + realm * kHeapBytes; }

Chunk &chunk_at(uint64_t offset) { return *reinterpret_cast<Chunk *>(at_offset(offset) - kChunkHeader); }

uint64_t pop(uint32_t realm, uint32_t size_class) {
  std::atomic<uint64_t> &list = arena()->realms[realm].heap_free[size_class];
  uint64_t head = list.load(std::memory_order_acquire);
  while ((uint32_t)head != 0) {
    const uint64_t offset = (uint64_t)(uint32_t)head * kUnit;
    const uint32_t next = chunk_at(offset).next.load(std::memory_order_relaxed);
    const uint64_t popped = ((head >> 32) + 1) << 32 | next;  // the count keeps an old head from matching again
    // Acquire: whoever gave the chunk back is done with it.
    if (list.compare_exchange_weak(head, popped, std::memory_order_acquire, std::memory_order_acquire)) return offset;
  }
  return 0;
}

}  // namespace

uint64_t heap_take(uint32_t realm, uint64_t bytes) {
  uint32_t size_class = 0;
  while (size_class < kHeapClasses && class_bytes(size_class) < bytes) size_class++;
  for (uint32_t c = size_class; c < kHeapClasses; c++) {
    if (const uint64_t offset = pop(realm, c)) return offset;
    if (c > size_class) continue;  // a larger chunk only if it lies about
    std::atomic<uint64_t> &used = arena()->realms[realm].heap_used;
    uint64_t from = used.load(std::memory_order_relaxed);
    const uint64_t whole = kChunkHeader + class_bytes(c);
    while (from + whole <= kHeapBytes) {
      if (!used.compare_exchange_weak(from, from + whole, std::memory_order_relaxed)) continue;
      const uint64_t offset = heap_base(realm) + from + kChunkHeader;
      chunk_at(offset).size_class = c;
      return offset;
    }
  }
  return 0;
}

void heap_give(uint32_t realm, uint64_t offset) {
  Chunk &chunk = chunk_at(offset);
  std::atomic<uint64_t> &list = arena()->realms[realm].heap_free[chunk.size_class];
  uint64_t head = list.load(std::memory_order_relaxed);
  uint64_t pushed;
  do {
    chunk.next.store((uint32_t)head, std::memory_order_relaxed);
    pushed = (head >> 32) << 32 | offset / kUnit;
    // Release: what we did with the chunk comes before its next use.
  } while (!list.compare_exchange_weak(head, pushed, std::memory_order_release, std::memory_order_relaxed));
}

void heap_reset(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  r.heap_used.store(0, std::memory_order_relaxed);
  for (std::atomic<uint64_t> &list : r.heap_free) list.store(0, std::memory_order_relaxed);
}

bool heap_contains(uint32_t realm, uint64_t offset, uint64_t bytes) {
  const uint64_t base = heap_base(realm) + kChunkHeader;
  const uint64_t end = heap_base(realm) + kHeapBytes;
  return offset >= base && offset <= end && bytes <= end - offset;
}

}  // namespace haft
