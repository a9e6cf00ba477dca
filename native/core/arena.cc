// Reserves, commits and seeds the arena. See arena.h.
#include "arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <cstdlib>
#include <ctime>
#include <new>

#include "wait.h"

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
  // What only native code knows: fields may move within what is the same size as before.
  constexpr uint64_t kInner[] = {
      offsetof(Arena, answers),  offsetof(Arena, directory), offsetof(Arena, kinds),      offsetof(Arena, realms),
      offsetof(Arena, slots),    offsetof(Realm, names),     offsetof(Realm, answered),   offsetof(Realm, host_queue),
      offsetof(Realm, host_calls), offsetof(HostCall, message), offsetof(Kind, ready),    sizeof(Kind),
      sizeof(Name),              sizeof(Realm),              sizeof(Arena)};
  for (const uint64_t offset : kInner) hash = mix(hash + offset);
  return hash;
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

void seed(Arena *a) {
  a->magic = kMagic;
  a->layout = layout_hash();
  a->secret = random_word();
  a->block_base = (uint32_t)(random_word() % kBlocks);
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
  seed(a);
  return a;
}

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// All of it at once: no page takes memory before it is touched.
Arena *map_shared(int descriptor) {
  void *at =
      mmap(nullptr, sizeof(Arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  return at == MAP_FAILED ? nullptr : static_cast<Arena *>(at);
}

void keep(Arena *a) {
  shared_futexes = a->shared != 0;                    // P30
  arena_pointer.store(a, std::memory_order_release);  // the header comes before the pointer to it
}

// -1: see errno.
int make_descriptor() {
  const int made = memfd_create("haft", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (made < 0) return -1;
  // Not among the standard ones, if the program has closed those: what is printed there must not come to the arena.
  const int descriptor = fcntl(made, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int refused = errno;
  close(made);
  errno = refused;
  if (descriptor < 0) return -1;
  // Sealed: a process that cut it short would end the others by SIGBUS.
  if (ftruncate(descriptor, sizeof(Arena)) == 0 && fcntl(descriptor, F_ADD_SEALS, kSeals) == 0) return descriptor;
  const int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

}  // namespace

std::atomic<Arena *> arena_pointer{nullptr};
bool attached = false;

Arena *arena_open() {
  if (Arena *a = arena()) return a;
  static Arena *const made = make();  // once, by whichever thread is first
  if (made) keep(made);
  return made;
}

Arena *arena_share(int *descriptor) {
  if (arena()) return nullptr;
  *descriptor = make_descriptor();
  if (*descriptor < 0) return nullptr;
  Arena *a = map_shared(*descriptor);
  if (!a) {
    const int error = errno;
    close(*descriptor);
    errno = error;
    return nullptr;
  }
  seed(a);
  a->shared = 1;
  keep(a);
  return a;
}

haft_status arena_attach(int descriptor) {
  struct stat about;
  if (arena() || fstat(descriptor, &about) != 0) return HAFT_E_INTERNAL;
  if (about.st_size != (off_t)sizeof(Arena)) return HAFT_E_ABI;
  Arena *a = map_shared(descriptor);
  if (!a) return HAFT_E_INTERNAL;
  if (a->magic != kMagic || a->layout != layout_hash()) {
    munmap(a, sizeof(Arena));
    return HAFT_E_ABI;
  }
  attached = true;
  keep(a);
  return HAFT_OK;
}

bool arena_commit(void *from, size_t bytes) {
  if (shared_futexes) return true;  // all of it is there
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t begin = (uintptr_t)from & ~(page - 1);
  const uintptr_t end = ((uintptr_t)from + bytes + page - 1) & ~(page - 1);
  return mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE) == 0;
}

void arena_discard(void *from, size_t bytes) {
  if (shared_futexes) madvise(from, bytes, MADV_REMOVE);
}

}  // namespace haft
