// Slots: references, generations and kinds under many threads, and the reclaim lists.
#include "support.h"

using namespace test;

namespace {

constexpr int kManyKinds = 8000;  // whatever the number, it must come out of word A as it went in
haft_kind kind_for(haft_handle handle) { return 1 + (haft_kind)(mix(handle) % kManyKinds); }

// P1, P2, P3: threads retain, check and release what one thread creates and deletes. A handle's kind follows from
// the handle, so whoever sees another one has mixed two lives of a slot.
void lives() {
  say("P1 P2 P3 lives");
  constexpr int kPlaces = 24, kThreads = 3;
  std::atomic<haft_handle> places[kPlaces] = {};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> last_releases{0};
  Consumer c;
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(100 + me);
    std::vector<haft_handle> dead;
    while (!done.load(std::memory_order_relaxed)) {
      std::atomic<haft_handle> &place = places[random.below(kPlaces)];
      switch (random.below(8)) {
        case 0: {  // takes over the creator's reference
          const haft_handle handle = place.exchange(0, std::memory_order_acq_rel);
          if (handle == 0) break;
          const haft_status status = slot_release(handle);
          CHECK(status == HAFT_OK || status == HAFT_E_STALE);  // stale: deleted meanwhile
          if (status == HAFT_OK) last_releases++;
          break;
        }
        case 1: {  // a release of what is known to be dead
          if (dead.empty()) break;
          const haft_handle handle = dead[random.below((uint32_t)dead.size())];
          CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
          CHECK_STATUS(slot_retain(handle), HAFT_E_STALE);
          CHECK_STATUS(check(handle), HAFT_E_STALE);
          break;
        }
        default: {  // looks, and holds for a while
          const haft_handle handle = place.load(std::memory_order_acquire);
          if (handle == 0) break;
          uint64_t word;
          Target target;
          haft_status status = slot_check(handle, kind_for(handle), &word, &target);
          CHECK(status == HAFT_OK || status == HAFT_E_STALE);  // never HAFT_E_KIND
          if (status == HAFT_OK) CHECK(word_references(word) >= 1 && word_references(word) <= 2u * kThreads + 2);
          status = slot_retain(handle);
          CHECK(status == HAFT_OK || status == HAFT_E_STALE);
          if (status == HAFT_E_STALE) {
            if (dead.size() < 64)
              dead.push_back(handle);
            else
              dead[random.below(64)] = handle;
            break;
          }
          jitter(random, 16);
          status = slot_check(handle, kind_for(handle), &word, &target);
          CHECK(status == HAFT_OK || status == HAFT_E_STALE);
          status = slot_release(handle);
          CHECK(status == HAFT_OK || status == HAFT_E_STALE);
        }
      }
    }
  });
  Random random(1);
  const int rounds = amount(300'000);
  for (int i = 0; i < rounds; i++) {
    std::atomic<haft_handle> &place = places[random.below(kPlaces)];
    const haft_handle handle = c.create(kind_for(c.next_handle()), i);
    CHECK(handle != HAFT_NULL);
    const haft_handle before = place.exchange(handle, std::memory_order_acq_rel);
    if (before != 0) {
      CHECK_STATUS(check(before), HAFT_OK);  // the creator's reference is ours again
      if (random.once_in(2)) {
        CHECK_STATUS(c.remove(before), HAFT_OK);
      } else {
        // Its last reference may go here or in another thread.
        CHECK_STATUS(slot_release(before), HAFT_OK);
      }
    }
    if (random.once_in(32)) {  // a delete while others release: either may win
      const haft_handle other = places[random.below(kPlaces)].load(std::memory_order_acquire);
      if (other != 0) {
        const haft_status status = c.remove(other);
        CHECK(status == HAFT_OK || status == HAFT_E_STALE);
        if (status == HAFT_OK) {
          // Its place still names it: nobody may use it as a creator's reference any more.
          for (auto &p : places) {
            haft_handle expected = other;
            p.compare_exchange_strong(expected, 0);
          }
        }
      }
    }
    if (random.once_in(16)) c.drain();
  }
  done.store(true);
  threads.join();
  for (auto &place : places) {
    if (const haft_handle handle = place.exchange(0)) CHECK_STATUS(slot_release(handle), HAFT_OK);
  }
  c.drain();
  CHECK(c.live() == 0);
  CHECK(c.created == c.freed);
  CHECK(in_flight_now(c.number) == 0);
  // Every slot is free exactly once: all can be taken, and none twice.
  const size_t slots = c.free_slots();
  CHECK(slots % kBlockSlots == 0);
  for (size_t i = 0; i < slots; i++) CHECK(c.create(1) != HAFT_NULL);
}

// P3: the last release once, from four threads at the same moment; and against a delete.
void last_release_once() {
  say("P3 the last release once");
  constexpr int kThreads = 4;
  Consumer c;
  Barrier begin(kThreads + 1), end(kThreads + 1);
  std::atomic<haft_handle> target{0};
  std::atomic<int> won{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int) {
    for (;;) {
      begin.wait();
      if (done.load()) return;
      const haft_status status = slot_release(target.load());
      CHECK(status == HAFT_OK || status == HAFT_E_STALE);
      if (status == HAFT_OK) won++;
      end.wait();
    }
  });
  Random random(2);
  const int rounds = amount(6000);
  for (int i = 0; i < rounds; i++) {
    const haft_handle handle = c.create(1);
    const bool deletes = i % 2;
    won = 0;
    target = handle;
    begin.wait();
    jitter(random, 4);
    if (deletes && c.remove(handle) == HAFT_OK) won++;
    end.wait();
    CHECK(won.load() == 1);
    CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
    c.drain();
    CHECK(c.live() == 0);
  }
  done = true;
  begin.wait();
}

// P3: a delete that meets a ZOMBIE says stale and leaves it to the drain.
void delete_meets_zombie() {
  say("P3 delete meets a zombie");
  Consumer c;
  const haft_handle handle = c.create(1);
  CHECK_STATUS(slot_release(handle), HAFT_OK);
  CHECK(c.has(handle));  // not drained yet
  CHECK_STATUS(c.remove(handle), HAFT_E_STALE);
  CHECK(c.has(handle));
  c.drain();
  CHECK(!c.has(handle));
  CHECK(c.free_slots() == kBlockSlots && c.live() == 0);
}

// P4: a last release rings an idle realm; create takes what was released when it is out of slots.
void reclaim_rings() {
  say("P4 a last release rings an idle realm");
  Consumer c;
  const haft_handle one = c.create(1), two = c.create(1);
  CHECK(!c.rung());
  std::thread([&] { CHECK_STATUS(slot_release(one), HAFT_OK); }).join();
  CHECK(c.rung());
  CHECK(c.has(one));
  c.drain();
  CHECK(!c.has(one));
  std::thread([&] { CHECK_STATUS(slot_release(two), HAFT_OK); }).join();
  CHECK(c.rung());
  // Not drained: out of slots, the released one is found all the same.
  while (c.free_slots() > 0) c.create(1);
  CHECK(c.next_handle() != HAFT_NULL);
  CHECK(index_of(c.next_handle()) == index_of(two));
  CHECK(generation_of(c.next_handle()) == ((generation_of(two) + 1) & kGenerationMask));

  say("P4 many releases into a sleeping realm");
  constexpr int kThreads = 3;
  const int rounds = amount(1500);
  Barrier begin(kThreads + 1), end(kThreads + 1);
  std::vector<haft_handle> handles(kThreads);
  std::atomic<uint64_t> freed{0};
  std::atomic<bool> done{false};
  Consumer *sleeper = nullptr;
  std::atomic<int> step{0};
  std::thread owner([&] {
    Consumer own;
    sleeper = &own;
    own.after_drain = [&] { freed = own.freed; };
    for (;;) {
      for (auto &h : handles) h = own.create(1);
      step.store(1);
      own.run();
      freed = own.freed;
      if (done.load()) break;
    }
    own.drain();
    // The handles of the last round were never released.
    CHECK(own.live() == kThreads);
  });
  Threads threads;
  threads.start(kThreads, [&](int me) {
    for (;;) {
      begin.wait();
      if (done.load()) return;
      CHECK_STATUS(slot_release(handles[me]), HAFT_OK);
      end.wait();
    }
  });
  uint64_t expected = 0;
  for (int i = 0; i < rounds; i++) {
    while (step.exchange(0) == 0) sched_yield();
    while (!sleeper->sleeps()) sched_yield();
    begin.wait();
    end.wait();
    expected += kThreads;
    await_delivery(*sleeper, [&] { return freed.load() == expected; });
    sleeper->stop();
  }
  while (step.exchange(0) == 0) sched_yield();
  done = true;
  begin.wait();
  threads.join();
  sleeper->stop();
  owner.join();
}

// P5: post, then last release: the message finds its object, and the handles among its arguments theirs.
void post_then_release() {
  say("P5 post then last release");
  constexpr int kThreads = 3, kHandles = 400;
  const haft_kind kind = define_kind("P5");
  const int rounds = amount(60);
  for (int budget : {4096, 3}) {
    Consumer c;
    c.budget = budget;
    uint64_t messages = 0;
    c.handler = [&](const Message &m) {
      CHECK(!m.gone);
      CHECK(m.value == m.handle);
      CHECK(c.has(m.handle_arg(0)));
      CHECK(c.value(m.handle_arg(0)) == m.handle_arg(0));
      messages++;
      return Answer();
    };
    for (int round = 0; round < rounds; round++) {
      std::vector<haft_handle> handles;
      for (int i = 0; i < kThreads * kHandles * 2; i++) handles.push_back(c.create(kind, c.next_handle()));
      messages = 0;
      std::atomic<int> running{kThreads};
      Threads threads;
      threads.start(kThreads, [&](int me) {
        Random random(300 + me + round * 16);
        for (int i = 0; i < kHandles; i++) {
          const haft_handle to = handles[(me * kHandles + i) * 2], with = handles[(me * kHandles + i) * 2 + 1];
          const haft_value arg = haft_value_handle(with);
          CHECK_STATUS(post(to, HAFT_OP(kind, 0), &arg, 1, HAFT_BLOCK(-1)), HAFT_OK);
          CHECK_STATUS(slot_release(with), HAFT_OK);
          jitter(random, 32);
          CHECK_STATUS(slot_release(to), HAFT_OK);
        }
        running--;
      });
      while (running.load() > 0) {
        c.drain();
        sched_yield();
      }
      threads.join();
      while (c.live() > 0) c.drain();
      CHECK(messages == (uint64_t)kThreads * kHandles);
    }
  }
}

// P5, tails: a message that is claimed but not yet published keeps the slots that were released after it.
void claimed_before_release() {
  say("P5 a claimed message keeps released slots");
  const haft_kind kind = define_kind("P5 claim");
  Consumer c;
  const haft_handle handle = c.create(kind, 7);
  const uint32_t shard = shard_of(handle);
  bool found = false;
  c.handler = [&](const Message &m) {
    found = !m.gone && m.value == 7;
    return Answer();
  };
  const Claim claimed = claim(c.realm->rings[shard], 1);
  CHECK(claimed.cell);
  CHECK_STATUS(slot_release(handle), HAFT_OK);
  c.drain();
  CHECK(c.has(handle));
  c.drain();
  CHECK(c.has(handle));
  claimed.cell->op = HAFT_OP(kind, 0);
  claimed.cell->handle = (double)handle;
  claimed.cell->shape = 1u << kShapeCellsShift;
  claimed.cell->reply = 0;
  publish(claimed);
  notify(c.number, shard);
  c.drain();
  CHECK(found);
  CHECK(!c.has(handle) && c.live() == 0);
}

// P7: a slot's first generation is not its neighbour's; what was never issued is forged, what was is stale.
void forged_and_stale() {
  say("P7 forged and stale");
  Consumer c;
  const haft_handle next = c.next_handle();
  const uint64_t generation = generation_of(next), index = index_of(next);
  const auto other = [&](int64_t step) { return make_handle((generation + step) & kGenerationMask, index); };
  CHECK(generation == first_generation(arena(), index));
  CHECK_STATUS(check(next), HAFT_E_FORGED);  // not issued yet
  CHECK_STATUS(slot_retain(next), HAFT_E_FORGED);
  CHECK_STATUS(slot_release(next), HAFT_E_FORGED);
  const haft_handle handle = c.create(1);
  CHECK(handle == next);
  CHECK_STATUS(check(handle), HAFT_OK);
  CHECK_STATUS(check(other(1)), HAFT_E_FORGED);
  CHECK_STATUS(check(other(-1)), HAFT_E_FORGED);
  CHECK_STATUS(c.remove(handle), HAFT_OK);
  CHECK_STATUS(check(handle), HAFT_E_STALE);
  CHECK_STATUS(check(other(1)), HAFT_E_FORGED);  // the next life has not begun
  CHECK(c.create(1) == other(1));
  CHECK_STATUS(check(handle), HAFT_E_STALE);
  CHECK_STATUS(check(other(1)), HAFT_OK);
  CHECK_STATUS(slot_release(other(1)), HAFT_OK);
  CHECK_STATUS(check(other(1)), HAFT_E_STALE);  // a zombie is stale
  CHECK_STATUS(slot_retain(other(1)), HAFT_E_STALE);
  CHECK_STATUS(check(other(2)), HAFT_E_FORGED);
  c.drain();
  CHECK_STATUS(check(other(1)), HAFT_E_STALE);
  int same = 0;
  for (uint32_t i = 1; i < kBlockSlots; i++) {
    const uint64_t at = (index & ~(uint64_t)(kBlockSlots - 1)) + i;
    same += first_generation(arena(), at) == first_generation(arena(), at - 1);
    same += first_generation(arena(), at) < 1024;
  }
  CHECK(same < 8);
  // Out of range altogether.
  for (const haft_handle value : std::initializer_list<haft_handle>{0, ~(uint64_t)0, (uint64_t)1, (uint64_t)INT32_MAX, (uint64_t)(int64_t)INT32_MIN,
                            handle & 0xffffffff, handle | 1ull << 53, handle | 1ull << 63, handle - kHandleBase,
                            (uint64_t)(uintptr_t)&c})
    CHECK_STATUS(check(value), HAFT_E_FORGED);
}

void references_overflow() {
  say("references overflow");
  Consumer c;
  const haft_handle handle = c.create(1);
  std::atomic<uint64_t> &word = arena()->slots[index_of(handle)].word;
  word.fetch_add(kReferenceMask - 2);
  CHECK_STATUS(slot_retain(handle), HAFT_OK);
  const uint64_t full = word.load();
  CHECK(word_references(full) == kReferenceMask);
  CHECK_STATUS(slot_retain(handle), HAFT_E_OVERFLOW);
  CHECK(word.load() == full);
  CHECK_STATUS(slot_release(handle), HAFT_OK);
  CHECK_STATUS(slot_retain(handle), HAFT_OK);
  CHECK_STATUS(c.remove(handle), HAFT_OK);
}

// Two realms: a delete by the wrong one, and a handle of a closed one.
void other_realm_and_closed() {
  say("another realm, and a closed one");
  Consumer a;
  haft_handle live, dead;
  {
    Consumer b;
    live = b.create(1);
    dead = b.create(1);
    CHECK_STATUS(b.remove(dead), HAFT_OK);
    bool retired;
    CHECK_STATUS(slot_delete(live, a.id, &retired), HAFT_E_REALM);
    CHECK_STATUS(check(live), HAFT_OK);
  }
  CHECK_STATUS(check(live), HAFT_E_CLOSED);
  CHECK_STATUS(check(dead), HAFT_E_CLOSED);
  CHECK_STATUS(slot_retain(live), HAFT_E_CLOSED);
  CHECK_STATUS(slot_release(live), HAFT_E_CLOSED);
  // Adopted by the next realm: never valid again.
  Consumer d;
  std::vector<haft_handle> all;
  for (uint32_t i = 0; i < kBlockSlots; i++) all.push_back(d.create(1));
  CHECK(std::any_of(all.begin(), all.end(), [&](haft_handle h) { return index_of(h) == index_of(live); }));
  CHECK_STATUS(check(live), HAFT_E_STALE);
  CHECK_STATUS(check(dead), HAFT_E_STALE);
}

}  // namespace

int main() {
  forged_and_stale();  // first: its block must be a fresh one
  delete_meets_zombie();
  claimed_before_release();
  references_overflow();
  other_realm_and_closed();
  last_release_once();
  reclaim_rings();
  post_then_release();
  lives();
}
