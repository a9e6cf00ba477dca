// Blocks that an open realm gives back, and others take: whoever still has an old handle hears STALE, and no handle ever
// names another object.
// flags: -DHAFT_BLOCKS_MAX=12
// builds: plain tsan
#include "support.h"

using namespace test;

namespace {

// A handle's kind follows from the handle, so whoever sees another one has mixed two lives of a slot.
haft_kind kind_for(haft_handle handle) { return 1 + (haft_kind)(mix(handle) % 8000); }

void what_it_answers() {
  say("a block given back");
  Consumer from;
  std::vector<haft_handle> old;
  for (uint32_t i = 0; i < kBlockSlots; i++) old.push_back(from.create(1));
  const uint32_t block = index_of(old[0]) >> kBlockBits;
  const haft_handle never = make_handle(generation_of(old[3]) + 1, index_of(old[3]));
  CHECK(!from.give(block));  // in use
  for (uint32_t i = 0; i + 1 < kBlockSlots; i++) CHECK_STATUS(from.remove(old[i]), HAFT_OK);
  CHECK(!from.give(block));
  CHECK_STATUS(slot_release(old[kBlockSlots - 1]), HAFT_OK);
  CHECK(!from.give(block));  // a zombie
  from.drain();
  CHECK(from.give(block));
  CHECK(!from.give(block));
  haft_handle now;
  for (const haft_handle handle : old) {
    CHECK_STATUS(check(handle), HAFT_E_STALE);
    CHECK_STATUS(slot_retain(handle), HAFT_E_STALE);
    CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
    CHECK_STATUS(slot_moved(handle, &now), HAFT_E_STALE);
    CHECK_STATUS(post(handle, HAFT_OP(1, 0), nullptr, 0, HAFT_FAIL), HAFT_E_STALE);
  }
  CHECK_STATUS(check(never), HAFT_E_FORGED);
  const uint32_t issued_before = arena()->blocks_issued.load();
  Consumer to;
  const haft_handle fresh = to.create(2);
  CHECK(index_of(fresh) >> kBlockBits == block && arena()->blocks_issued.load() == issued_before);
  for (const haft_handle handle : old) CHECK_STATUS(check(handle), HAFT_E_STALE);
  CHECK_STATUS(check(fresh, 2), HAFT_OK);
  haft_realm whose;
  CHECK_STATUS(api_table()->realm_of(fresh, &whose), HAFT_OK);
  CHECK(whose == to.id);
  CHECK(to.close());
  CHECK_STATUS(check(fresh), HAFT_E_CLOSED);  // P24
}

// Two realms on threads of their own hand blocks to and fro, while others hold handles of all ages.
void to_and_fro(int rounds) {
  say("P23 P24 blocks to and fro");
  constexpr int kRealmsOpen = 2, kLookers = 2, kPlaces = 256;
  std::atomic<haft_handle> live[kRealmsOpen] = {};
  std::atomic<haft_handle> dead[kPlaces] = {};
  std::atomic<int> running{kRealmsOpen};
  std::atomic<uint64_t> given{0};
  Threads threads;
  threads.start(kRealmsOpen, [&](int me) {
    Random random(11'000 + me);
    Consumer c;
    std::vector<haft_handle> mine;
    for (int i = 0; i < rounds; i++) {
      // Two blocks' worth of objects, then none: whole blocks are free.
      const uint32_t wanted = 1 + random.below(2 * kBlockSlots);
      while (mine.size() < wanted) {
        const haft_handle handle = c.create(kind_for(c.next_handle()), mine.size());
        CHECK(handle != HAFT_NULL);
        mine.push_back(handle);
        if (random.once_in(64)) live[me].store(handle, std::memory_order_release);
      }
      for (const haft_handle handle : mine) CHECK_STATUS(check(handle, kind_for(handle)), HAFT_OK);
      live[me] = 0;
      std::vector<uint32_t> blocks;
      for (const haft_handle handle : mine) {
        const uint32_t block = index_of(handle) >> kBlockBits;
        if (std::find(blocks.begin(), blocks.end(), block) == blocks.end()) blocks.push_back(block);
        // Whoever retained it holds it a little longer.
        CHECK_STATUS(c.remove(handle), HAFT_OK);
        if (random.once_in(16)) dead[random.below(kPlaces)].store(handle, std::memory_order_release);
      }
      mine.clear();
      c.drain();
      for (const uint32_t block : blocks) {
        if (c.give(block)) given++;
        jitter(random, 2);
      }
    }
    running--;
    while (running.load() > 0) sched_yield();  // none closes while others look: CLOSED would be right then
  });
  threads.start(kLookers, [&](int me) {
    Random random(11'100 + me);
    while (running.load() > 0) {
      if (const haft_handle handle = dead[random.below(kPlaces)].load(std::memory_order_acquire)) {
        CHECK_STATUS(check(handle), HAFT_E_STALE);
        CHECK_STATUS(slot_retain(handle), HAFT_E_STALE);
        CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
      }
      if (const haft_handle handle = live[random.below(kRealmsOpen)].load(std::memory_order_acquire)) {
        const haft_status status = check(handle, kind_for(handle));
        CHECK(status == HAFT_OK || status == HAFT_E_STALE);  // never HAFT_E_KIND
        if (slot_retain(handle) == HAFT_OK) {
          const haft_status released = slot_release(handle);
          CHECK(released == HAFT_OK || released == HAFT_E_STALE);
        }
      }
      jitter(random, 16);
    }
  });
  threads.join();
  CHECK(given.load() > 0);
  // All blocks that were ever issued can be had, each once.
  std::vector<bool> seen(kBlocks, false);
  Consumer c;
  uint32_t taken = 0;
  for (int64_t block; (block = block_take(c.id)) >= 0; taken++) {
    CHECK(!seen[(size_t)block]);
    seen[(size_t)block] = true;
  }
  CHECK(taken == HAFT_BLOCKS_MAX);
}

// Handles are asked while their realm closes: what they answer is that, as long as nobody else has their slots.
void closed_meanwhile(int rounds) {
  say("P24 handles of a realm that closes meanwhile");
  constexpr int kThreads = 3;
  std::atomic<haft_handle> current{0};
  std::atomic<int> out{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    haft_handle seen = 0;
    while (!done.load()) {
      const haft_handle handle = current.load();
      if (handle == seen) {
        sched_yield();
        continue;
      }
      seen = handle;
      haft_status status = HAFT_OK;
      while (status == HAFT_OK) {
        status = me == 0 ? check(handle) : slot_retain(handle);
        if (status == HAFT_OK && me != 0) status = slot_release(handle);
      }
      CHECK_STATUS(status, HAFT_E_CLOSED);
      out++;
    }
  });
  Random random(11'200);
  for (int i = 0; i < rounds; i++) {
    out = 0;
    {
      Consumer c;
      current = c.create(1);
      jitter(random, 2);
    }
    while (out.load() < kThreads) sched_yield();
  }
  done = true;
}

// What is sent to a realm that is gone never reaches the next one, though it has the same number.
void sent_late(int rounds) {
  say("P23 nothing that was sent to a realm reaches the next");
  constexpr int kThreads = 3;
  std::atomic<haft_handle> current{0};
  std::atomic<bool> done{false};
  Threads threads;
  const haft_kind kind = define_kind("spare", 1);
  threads.start(kThreads, [&](int me) {
    Random random(11'300 + me);
    const std::string text(random.once_in(2) ? 2000 : 3, 's');
    const haft_value arg = haft_value_str(text.data(), text.size());
    while (!done.load()) {
      const haft_handle handle = current.load();
      if (handle != 0) {
        const haft_status status = post(handle, HAFT_OP(kind, 0), &arg, me == 0 ? 0 : 1, HAFT_DROP_NEWEST);
        CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE || status == HAFT_E_NO_MEMORY);
      }
      jitter(random, 16);
    }
  });
  Random random(11'400);
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    const haft_handle handle = c.create(kind);
    c.handler = [&](const Message &m) {
      CHECK(m.handle == handle && !m.gone);
      return Answer();
    };
    current = handle;
    for (uint32_t k = random.below(4); k > 0; k--) {
      jitter(random, 2);
      c.drain();
    }
  }
  done = true;
}

}  // namespace

int main() {
  what_it_answers();
  closed_meanwhile(amount(400));
  sent_late(amount(1500));
  to_and_fro(amount(250));
}
