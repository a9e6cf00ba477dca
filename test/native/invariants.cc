// The walk over the table: each invariant is broken on purpose and named; and while threads work, nothing is.
// builds: tsan asan
#include "support.h"

#include "invariants.h"

using namespace test;

namespace {

void expect_broken(Consumer &c, const char *text) {
  const std::string broken = broken_invariant(c.id);
  if (broken.find(text) == std::string::npos) fail_at(__FILE__, __LINE__, text, "got: " + broken);
}
void expect_whole(Consumer &c) {
  const std::string broken = broken_invariant(c.id);
  if (!broken.empty()) fail_at(__FILE__, __LINE__, "broken", broken);
}

uint64_t state_bits(uint32_t state) { return (uint64_t)state << kStateShift; }

// Another value in a place for as long as a check takes.
template <class T, class V>
void with(Consumer &c, std::atomic<T> &place, V value, const char *text) {
  const T before = place.load();
  place.store((T)value);
  expect_broken(c, text);
  place.store(before);
  expect_whole(c);
}

void each_broken() {
  say("each invariant");
  Consumer c;
  const haft_kind kind = define_kind("Walked");
  const haft_handle h = c.create(kind), other = c.create(kind);
  expect_whole(c);
  Arena *a = arena();
  Slot &slot = a->slots[index_of(h)];
  const uint64_t word = slot.word.load();
  const uint64_t bare = word & ~(kReferenceMask | 7ull << kStateShift);
  with(c, slot.word, word & ~kReferenceMask, "LIVE without a reference");
  with(c, slot.word, bare | state_bits(kCollected), "COLLECTED without a reference");
  with(c, slot.word, bare | state_bits(kZombie) | 2, "ZOMBIE with 2 references");
  with(c, slot.word, bare | state_bits(7), "in state 7, which is none");
  with(c, slot.word, (bare + (1ull << kWordGenerationShift)) | state_bits(kRetired), "RETIRED before its generation");
  with(c, slot.word, word | (uint64_t)(kKinds - 1) << kKindShift, "which nobody has defined");

  const uint32_t shard = shard_of(h);
  std::atomic<uint64_t> &list = c.realm->reclaim[shard].first;
  with(c, list, index_of(h) + 1, "which is LIVE");
  with(c, list, kIndexMask + 2, "leads to no slot");
  with(c, list, index_of(other) + 1, "another shard's");
  with(c, list, ((uint64_t)((a->block_base + kBlocks / 2) & (kBlocks - 1)) << kBlockBits) + 1, "not the realm's");
  slot.word.store(bare | state_bits(kZombie));
  slot.link.store(index_of(h) + 1);
  with(c, list, index_of(h) + 1, "goes in a circle");
  slot.link.store(0);
  slot.word.store(word);

  Ring &ring = c.realm->rings[3];
  with(c, ring.head, (uint32_t)ring.tail.load() + 5, "ahead of its tail");
  with(c, ring.head, (uint32_t)ring.tail.load() - kRingCells - 1, "ahead of its head");

  const uint32_t token = reply_take(c.number);
  reply_give(c.number, token);
  const uint32_t number = token_number(token);
  with(c, c.realm->next_reply[number], number + 1, "goes in a circle");
  with(c, c.realm->next_reply[number], kReplies + 7, "which nobody ever took");

  std::atomic<uint64_t> &owner = a->directory[index_of(h) >> kBlockBits];
  with(c, owner, (7ull << kRealmNumberBits) | kRealmNumberMask, "which is no realm");
  CHECK_STATUS(c.remove(h), HAFT_OK);
  CHECK_STATUS(c.remove(other), HAFT_OK);
}

// Whatever other threads do, all holds at every moment.
void no_false_alarm() {
  say("no false alarm");
  constexpr int kThreads = 3, kPlaces = 32;
  Consumer c;
  const haft_kind kind = define_kind("Busy");
  std::atomic<haft_handle> places[kPlaces] = {};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(40 + me);
    while (!done.load(std::memory_order_relaxed)) {
      const haft_handle h = places[random.below(kPlaces)].load(std::memory_order_acquire);
      if (h == 0) continue;
      switch (random.below(4)) {
        case 0:
          if (slot_retain(h) == HAFT_OK) slot_release(h);
          break;
        case 1:
          slot_release(h);
          break;
        case 2: {
          haft_value one = haft_value_f64(1);
          api_table()->post(h, HAFT_OP(kind, 0), &one, 1, HAFT_FAIL);
          break;
        }
        default: {
          const uint32_t token = reply_take(c.number);
          jitter(random, 8);
          if (token != 0) {
            c.realm->replies[token_number(token)].state.store(reply_word(token_sequence(token), kDone));
            reply_give(c.number, token);
          }
        }
      }
      jitter(random, 16);
    }
  });
  Random random(7);
  for (int i = 0; i < amount(3000); i++) {
    std::atomic<haft_handle> &place = places[random.below(kPlaces)];
    const haft_handle before = place.load(std::memory_order_relaxed);
    if (before != 0 && random.once_in(2)) c.remove(before);
    place.store(c.create(kind), std::memory_order_release);
    expect_whole(c);
    c.drain();
    expect_whole(c);
  }
  done.store(true);
  threads.join();
}

}  // namespace

int main() {
  each_broken();
  no_false_alarm();
  return 0;
}
