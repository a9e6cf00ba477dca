// P23, P7: blocks go from one realm that ends to the next, with few generations: the sweep at a realm's end advances every
// slot that is in use, whatever its state, and retires it when its generations are used up. So no handle comes twice.
// flags: -DHAFT_GENERATION_BITS=2 -DHAFT_BLOCKS_MAX=4
#include <set>

#include "support.h"

using namespace test;

namespace {

void one_after_another() {
  say("P23 the sweep advances and retires");
  constexpr uint64_t kAll = (uint64_t)HAFT_BLOCKS_MAX * kBlockSlots << HAFT_GENERATION_BITS;
  std::set<haft_handle> seen;
  Random random(14'000);
  for (;;) {
    const size_t before = seen.size();
    Consumer c;
    c.chaos = false;
    for (const haft_handle handle : seen) CHECK(check(handle) != HAFT_OK);
    for (haft_handle handle; (handle = c.create(1)) != HAFT_NULL;) {
      CHECK(seen.insert(handle).second);
      CHECK_STATUS(check(handle), HAFT_OK);
      // Some are left behind as zombies, some free, most in use.
      if (random.once_in(8)) CHECK_STATUS(slot_release(handle), HAFT_OK);
      if (random.once_in(8)) c.remove(handle);
    }
    if (seen.size() == before) break;
  }
  CHECK(seen.size() == kAll);
}

}  // namespace

int main() { one_after_another(); }
