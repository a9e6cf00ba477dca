// A plugin that is up to no good: it finds the arena in its process and writes into it whatever might do harm there, for a
// while, then ends the process. By the environment, SCRIBBLE_SEED; SCRIBBLE_REGION: "own", all of its own realm, or "all",
// whatever is in use of the arena; SCRIBBLE_MANNER: "instead" of JavaScript, which waits meanwhile, or "beside" it.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <pthread.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "layout.h"

using namespace haft;

namespace {

constexpr double kSeconds = 0.5;

struct Range {
  char *begin;
  size_t bytes;
};

Arena *arena;
haft_realm realm;
std::vector<Range> ranges;
uint64_t state;

// What everything else is found by: put right again and again, or soon nothing would be looked at any more.
struct Kept {
  std::atomic<uint64_t> *word;
  uint64_t was;
};
std::vector<Kept> kept;

void keep(void *from, size_t bytes) {
  auto *const words = static_cast<std::atomic<uint64_t> *>(from);
  for (size_t i = 0; i < bytes / 8; i++) kept.push_back({&words[i], words[i].load()});
}

uint64_t next() {  // splitmix64
  uint64_t x = state += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

Arena *find_arena() {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512];
  while (maps && fgets(line, sizeof line, maps)) {
    if (!strstr(line, "memfd:haft")) continue;
    fclose(maps);
    return reinterpret_cast<Arena *>(strtoull(line, nullptr, 16));
  }
  return nullptr;
}

template <class T>
void add(T &part) {
  ranges.push_back({reinterpret_cast<char *>(&part), sizeof part});
}

void add_realm(Realm &r, uint32_t number) {
  keep(&r.life, 8);
  keep(arena, offsetof(Arena, directory));
  for (Kind &kind : arena->kinds)
    if (kind.key.load() != 0) keep(&kind, sizeof kind);
  ranges.push_back({reinterpret_cast<char *>(&r), offsetof(Realm, exchange)});
  add(r.free_replies);
  add(r.names);
  add(r.next_reply);
  add(r.replies);
  for (int i = 0; i < 8; i++) ranges.push_back({reinterpret_cast<char *>(r.replies), 64 * sizeof(Reply)});
  for (Ring &ring : r.rings) add(ring);
  ranges.push_back({reinterpret_cast<char *>(arena->heaps[number]), 64 * kHeapPageBytes});
  for (uint32_t block = 0; block < kBlocks; block++) {
    if (arena->directory[block].load() != realm) continue;
    Slot *const slots = &arena->slots[block << kBlockBits];
    for (int i = 0; i < 4; i++) ranges.push_back({reinterpret_cast<char *>(slots), kBlockSlots * sizeof(Slot)});
    keep(slots, kBlockSlots * sizeof(Slot));
    keep(&arena->directory[block], 8);
  }
}

void add_all() {
  ranges.push_back({reinterpret_cast<char *>(arena), offsetof(Arena, directory)});
  add(arena->directory);
  for (uint32_t block = 0; block < kBlocks; block++)
    if (arena->directory[block].load() != 0) add(arena->directory[block]);
  add(arena->kinds);
  for (Kind &kind : arena->kinds)
    if (kind.key.load() != 0) add(kind);
  ranges.push_back({arena->text, 64 * 1024});
  add(arena->text);
  for (uint32_t number = 0; number < kRealms; number++)
    ranges.push_back({reinterpret_cast<char *>(&arena->realms[number]), 64});
}

uint64_t value() {
  switch (next() % 10) {
    case 0:
      return 0;
    case 1:
      return ~0ull;
    case 2:
      return 1ull << next() % 64;
    case 3:
      return next() % 300;
    case 4:
      return next() % 5000;
    case 5:
      return (realm & ~kRealmNumberMask) + next() % 256;
    case 6:
      return ((realm & ~kRealmNumberMask) + next() % 256) << 8 | next() % 6;
    case 7:
      return offsetof(Arena, heaps) + next() % sizeof arena->heaps;
    case 8:
      return kHandleBase | (next() & (kHandleBase - 1));
    default:
      return next();
  }
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void *scribble(void *) {
  for (const double until = now() + kSeconds; now() < until;) {
    for (int i = 0; i < 100; i++) {
      const Range &range = ranges[next() % ranges.size()];
      const size_t size = next() % 2 ? 4 : 8;
      char *const at = range.begin + next() % (range.bytes / size) * size;
      const uint64_t written = value();
      uint64_t was;
      memcpy(&was, at, size);
      memcpy(at, &written, size);
      if (next() % 8 == 0) continue;
      // Most of it is taken back soon: where nothing is as it should be, little is looked at.
      for (volatile int wait = (int)(next() % 1000); wait > 0; wait = wait - 1) {
      }
      memcpy(at, &was, size);
    }
    if (next() % 2 == 0)
      for (const Kept &one : kept) one.word->store(one.was);
  }
  kill(getpid(), SIGKILL);
  return nullptr;
}

}  // namespace

haft_status haft_plugin_init(const haft_api *, haft_realm opened) {
  arena = find_arena();
  if (!arena) return HAFT_E_NOT_FOUND;
  realm = opened;
  state = strtoull(getenv("SCRIBBLE_SEED"), nullptr, 0);
  const uint32_t number = (uint32_t)(realm & kRealmNumberMask) - 1;
  add_realm(arena->realms[number], number);
  if (strcmp(getenv("SCRIBBLE_REGION"), "all") == 0) add_all();
  if (strcmp(getenv("SCRIBBLE_MANNER"), "instead") == 0) scribble(nullptr);
  pthread_t thread;
  return pthread_create(&thread, nullptr, scribble, nullptr) == 0 ? HAFT_OK : HAFT_E_INTERNAL;
}
