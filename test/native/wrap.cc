// Generations that come round, and a table that is full: four generations a slot, four blocks.
// flags: -DHAFT_GENERATION_BITS=2 -DHAFT_BLOCKS_MAX=4
// builds: plain asan
#include <set>

#include "support.h"

using namespace test;

// P7: until the table is used up no handle comes twice, and none is ever valid again.
int main() {
  say("P7 generations come round and retire");
  Random random(9000);
  std::set<haft_handle> issued;
  std::vector<haft_handle> live;
  haft_handle closed = 0;
  {
    Consumer first;
    closed = first.create(1);
    issued.insert(closed);
  }
  Consumer c;
  std::atomic<haft_handle> shared{0};
  std::atomic<bool> done{false};
  std::thread releaser([&] {
    while (!done.load()) {
      if (const haft_handle handle = shared.exchange(0)) CHECK_STATUS(slot_release(handle), HAFT_OK);
      sched_yield();
    }
  });
  for (;;) {
    const haft_handle handle = c.create(1 + random.below(100));
    if (handle != HAFT_NULL) {
      CHECK(issued.insert(handle).second);  // never twice
      CHECK_STATUS(check(handle), HAFT_OK);
      live.push_back(handle);
    } else if (live.empty()) {
      haft_handle last = shared.exchange(0);
      if (last != 0) CHECK_STATUS(slot_release(last), HAFT_OK);
      c.drain();
      if (c.live() == 0 && c.next_handle() == HAFT_NULL) break;
      continue;
    }
    if (!live.empty() && (handle == HAFT_NULL || random.once_in(2))) {
      const size_t at = random.below((uint32_t)live.size());
      const haft_handle over = live[at];
      live[at] = live.back();
      live.pop_back();
      switch (random.below(3)) {
        case 0:
          CHECK_STATUS(c.remove(over), HAFT_OK);
          break;
        case 1:
          CHECK_STATUS(slot_release(over), HAFT_OK);
          break;
        default: {
          const haft_handle before = shared.exchange(over);
          if (before != 0) CHECK_STATUS(slot_release(before), HAFT_OK);
        }
      }
    }
    if (random.once_in(64)) {
      auto any = issued.lower_bound(make_handle(random.below(4), random.next() & kIndexMask));
      if (any != issued.end()) {
        const bool known = std::find(live.begin(), live.end(), *any) != live.end();
        const haft_status status = check(*any);
        CHECK(known ? status == HAFT_OK : status == HAFT_OK || status == HAFT_E_STALE);
      }
    }
  }
  done = true;
  releaser.join();
  // Every slot had each of its four generations once, and that was all.
  CHECK(issued.size() == 4u * 4 * kBlockSlots);
  CHECK(c.retired == 4u * kBlockSlots);
  CHECK(c.free_slots() == 0);
  for (const haft_handle handle : issued) {
    CHECK_STATUS(check(handle), HAFT_E_STALE);
    CHECK_STATUS(slot_retain(handle), HAFT_E_STALE);
    CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
    bool retired;
    CHECK_STATUS(slot_delete(handle, c.id, &retired), HAFT_E_STALE);
  }
  CHECK(block_take(c.id) == -1);
  // A generation that does not fit is forged even now.
  CHECK_STATUS(check(make_handle(4, index_of(closed))), HAFT_E_FORGED);
  // The retired slots are of no use to the next realm either.
  c.close();
  Consumer next;
  CHECK(next.create(1) == HAFT_NULL);
}
