// The heap of a realm: chunks never overlap, and all of it comes back.
#include "support.h"

using namespace test;

namespace {

struct Held {
  uint64_t offset;
  uint32_t bytes;
  uint64_t mark;
};

void fill(const Held &h) {
  unsigned char *at = at_offset(h.offset);
  for (uint32_t i = 0; i < h.bytes; i += i < 256 ? 1 : 977) at[i] = (unsigned char)(h.mark + i);
  at[h.bytes - 1] = (unsigned char)h.mark;
}

void check_and_give(uint32_t realm, const Held &h) {
  unsigned char *at = at_offset(h.offset);
  for (uint32_t i = 0; i + 1 < h.bytes; i += i < 256 ? 1 : 977) CHECK(at[i] == (unsigned char)(h.mark + i));
  CHECK(at[h.bytes - 1] == (unsigned char)h.mark);
  heap_give(realm, h.offset);
}

// Some threads take, others give back what they took.
void take_and_give() {
  say("heap: take and give");
  constexpr int kThreads = 4, kPlaces = 48;
  Consumer c;
  struct Place {
    std::mutex mutex;
    Held held{};
  };
  std::vector<Place> places(kPlaces);
  std::atomic<uint64_t> refused{0}, taken{0};
  const int rounds = amount(20'000);
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(6000 + me);
    for (int i = 0; i < rounds; i++) {
      Held mine{};
      mine.bytes = 1 + random.below(random.once_in(200) ? 8u << 20 : random.once_in(8) ? 200'000 : 5000);
      mine.mark = random.next();
      mine.offset = heap_take(c.number, mine.bytes);
      if (mine.offset == 0) {
        refused++;
      } else {
        taken++;
        CHECK(mine.offset % 64 == 0);
        CHECK(heap_contains(c.number, mine.offset, mine.bytes));
        fill(mine);
      }
      Place &place = places[random.below(kPlaces)];
      {
        std::lock_guard<std::mutex> lock(place.mutex);
        std::swap(mine, place.held);
      }
      if (mine.offset != 0) check_and_give(c.number, mine);
    }
  });
  threads.join();
  CHECK(taken.load() > 0);
  for (Place &place : places) {
    if (place.held.offset != 0) check_and_give(c.number, place.held);
  }
  CHECK(heap_outstanding(c.number) == 0);
}

void used_up() {
  say("heap: used up, and whole again");
  Consumer c;
  Random random(6100);
  CHECK(heap_take(c.number, kHeapBytes) == 0);
  CHECK(heap_take(c.number, UINT64_MAX) == 0);
  CHECK(heap_take(c.number, UINT64_MAX - 63) == 0);
  for (int round = 0; round < 4; round++) {
    std::vector<uint64_t> all;
    while (const uint64_t offset = heap_take(c.number, round == 0 ? HAFT_PAYLOAD_MAX : 100'000)) all.push_back(offset);
    CHECK(all.size() >= (round == 0 ? 3u : 500u));
    // In any order.
    for (size_t i = all.size(); i > 1; i--) std::swap(all[i - 1], all[random.below((uint32_t)i)]);
    for (uint64_t offset : all) heap_give(c.number, offset);
    CHECK(heap_outstanding(c.number) == 0);
  }
}

// P31: what comes out of the arena is looked at before it is believed.
void bounds() {
  say("P31 heap: bounds");
  Consumer a, b;
  const uint64_t offset = heap_take(a.number, 5000);
  CHECK(heap_contains(a.number, offset, 5000));
  CHECK(!heap_contains(b.number, offset, 5000));
  CHECK(!heap_contains(a.number, offset, kHeapBytes));
  CHECK(!heap_contains(a.number, offset, UINT64_MAX));
  CHECK(!heap_contains(a.number, 0, 1));
  CHECK(!heap_contains(a.number, UINT64_MAX, 1));
  CHECK(!heap_contains(a.number, UINT64_MAX - 4, 16));
  heap_give(a.number, offset);
  CHECK(heap_outstanding(a.number) == 0);

  // Messages whose payload finds no room say so, and leave nothing behind.
  const haft_kind kind = define_kind("heap");
  const haft_handle handle = a.create(kind);
  std::vector<uint64_t> all;
  while (const uint64_t at = heap_take(a.number, 2 << 20)) all.push_back(at);
  while (const uint64_t at = heap_take(a.number, 1)) all.push_back(at);
  const std::string text(2000, 'h');
  const haft_value arg = haft_value_str(text.data(), text.size());
  CHECK_STATUS(post(handle, HAFT_OP(kind, 0), &arg, 1, HAFT_FAIL), HAFT_E_NO_MEMORY);
  std::thread([&] {
    CHECK_STATUS(post(handle, HAFT_OP(kind, 0), &arg, 1, HAFT_BLOCK(3)), HAFT_E_NO_MEMORY);
    CHECK_STATUS(call(handle, HAFT_OP(kind, 0), &arg, 1, 3, nullptr), HAFT_E_NO_MEMORY);
  }).join();
  for (uint64_t at : all) heap_give(a.number, at);
  CHECK(heap_outstanding(a.number) == 0);
  CHECK_STATUS(post(handle, HAFT_OP(kind, 0), &arg, 1, HAFT_FAIL), HAFT_OK);
  a.drain();
  CHECK(a.delivered.load() == 1 && heap_outstanding(a.number) == 0);
  check_all_replies_free(a.number);
}

}  // namespace

int main() {
  bounds();
  used_up();
  take_and_give();
}
