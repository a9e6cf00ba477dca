// Moved slots: the new handle gets exactly the references of the old one, whatever other threads do meanwhile, and what
// belongs to the old slot's list of released ones stays as it is.
#include <chrono>
#include <thread>

#include "support.h"

using namespace test;

namespace {

uint32_t references_of(haft_handle handle) {
  uint64_t word;
  Target target;
  CHECK_STATUS(slot_check(handle, 0, &word, &target), HAFT_OK);
  return word_references(word);
}

// Every slot of the realm is free exactly once: its lists are whole.
void all_free_once(Consumer &c) {
  c.drain();
  c.drain();
  CHECK(c.live() == 0);
  CHECK(c.created == c.freed);
  CHECK(c.free_slots() % kBlockSlots == 0);
}

void what_it_answers() {
  say("a moved handle");
  Consumer from, to;
  const haft_handle old = from.create(3), now = to.create(3);
  haft_handle found;
  CHECK_STATUS(slot_moved(old, &found), HAFT_OK);
  CHECK(found == old);
  CHECK_STATUS(slot_retain(old), HAFT_OK);
  CHECK_STATUS(slot_retain(old), HAFT_OK);
  CHECK_STATUS(to.move(old, now), HAFT_E_STALE);  // not its own
  CHECK_STATUS(slot_move(old, to.id, now), HAFT_E_REALM);
  CHECK_STATUS(from.move(old, now), HAFT_OK);
  CHECK(references_of(now) == 3);
  for (int i = 0; i < 2; i++) {
    CHECK_STATUS(slot_retain(old), HAFT_E_MOVED);
    CHECK_STATUS(slot_release(old), HAFT_E_MOVED);
    CHECK_STATUS(check(old), HAFT_E_MOVED);
    CHECK_STATUS(slot_moved(old, &found), HAFT_OK);
    CHECK(found == now);
    CHECK_STATUS(post(old, HAFT_OP(3, 0), nullptr, 0, HAFT_FAIL), HAFT_E_MOVED);
    CHECK_STATUS(from.move(old, now), HAFT_E_STALE);
    bool retired;
    CHECK_STATUS(slot_delete(old, from.id, &retired), HAFT_E_MOVED);
    CHECK_STATUS(slot_forget(now, to.id, &retired), HAFT_E_STALE);  // lives
  }
  from.forget_moved(old);
  CHECK_STATUS(slot_moved(old, &found), HAFT_E_STALE);
  CHECK(found == HAFT_NULL);
  CHECK_STATUS(check(old), HAFT_E_STALE);
  for (int i = 0; i < 3; i++) CHECK_STATUS(slot_release(now), HAFT_OK);
  CHECK_STATUS(slot_release(now), HAFT_E_STALE);

  say("the old handle keeps the object until what is on its way has arrived");
  for (const bool forgotten : {false, true}) {
    const haft_handle before = from.create(3), after = to.create(3);
    CHECK_STATUS(from.begin_move(before, after), HAFT_OK);
    CHECK(references_of(after) == 2);
    CHECK_STATUS(slot_release(after), HAFT_OK);
    to.drain();
    CHECK_STATUS(check(after), HAFT_OK);
    for (int i = 0; !forgotten && i < 2; i++) from.let_go(before);  // once
    from.forget_moved(before);
    CHECK_STATUS(check(after), HAFT_E_STALE);
  }

  say("a completion that nobody takes gives its reference back where the object is now");
  {
    const haft_kind kind = define_kind("taken along");
    const haft_handle before = from.create(kind), after = to.create(kind);
    from.handler = [](const Message &m) {
      CHECK_STATUS(slot_retain(m.handle), HAFT_OK);
      return Answer::handle(m.handle);
    };
    haft_queue queue;
    int descriptor;
    CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
    const haft_completer completer = {sizeof completer, nullptr, queue, nullptr};
    CHECK_STATUS(call_async<1>(before, HAFT_OP(kind, 0), nullptr, 0, -1, &completer), HAFT_OK);
    from.drain();
    CHECK(references_of(before) == 2);
    CHECK_STATUS(from.move(before, after), HAFT_OK);
    CHECK(references_of(after) == 2);
    CHECK_STATUS(queue_close(queue), HAFT_OK);
    CHECK(references_of(after) == 1);
    CHECK_STATUS(slot_release(after), HAFT_OK);
    from.forget_moved(before);
    from.handler = [](const Message &) { return Answer(); };
  }

  say("and where it went when the object moves on");
  {
    Consumer third;
    const haft_handle first = from.create(3), second = to.create(3), last = third.create(3);
    CHECK_STATUS(from.begin_move(first, second), HAFT_OK);
    CHECK_STATUS(to.move(second, last), HAFT_OK);
    CHECK(references_of(last) == 2);
    from.let_go(first);
    CHECK(references_of(last) == 1);
    from.forget_moved(first);
    to.forget_moved(second);
    CHECK_STATUS(slot_release(last), HAFT_OK);
    third.drain();
    all_free_once(third);
    CHECK(third.close());
  }

  say("and gives it back when its realm ends");
  {
    Consumer ends;
    const haft_handle before = ends.create(3), after = to.create(3);
    CHECK_STATUS(ends.begin_move(before, after), HAFT_OK);
    CHECK(references_of(after) == 2);
    CHECK(ends.close());
    CHECK(references_of(after) == 1);
    CHECK_STATUS(slot_release(after), HAFT_OK);
  }

  say("a move that fails changes nothing");
  const haft_handle full = from.create(0), taker = to.create(0);
  arena()->slots[index_of(full)].word += kReferenceMask - 1;
  CHECK_STATUS(slot_retain(full), HAFT_E_OVERFLOW);
  CHECK_STATUS(slot_retain(taker), HAFT_OK);
  CHECK_STATUS(from.move(full, taker), HAFT_E_OVERFLOW);
  CHECK(references_of(taker) == 2 && references_of(full) == kReferenceMask);
  arena()->slots[index_of(full)].word -= kReferenceMask - 1;
  CHECK_STATUS(slot_release(full), HAFT_OK);
  CHECK_STATUS(from.move(full, taker), HAFT_E_STALE);
  CHECK(references_of(taker) == 2);
  for (int i = 0; i < 2; i++) CHECK_STATUS(slot_release(taker), HAFT_OK);

  say("P23 a moved slot that its realm leaves behind");
  haft_handle left;
  {
    Consumer third;
    left = third.create(0);
    CHECK_STATUS(third.move(left, to.create(0)), HAFT_OK);
  }
  CHECK_STATUS(slot_moved(left, &found), HAFT_E_CLOSED);
  CHECK_STATUS(slot_release(left), HAFT_E_CLOSED);
  {
    Consumer next;
    next.create(0);
    CHECK(arena()->slots[index_of(left)].link.load() < kHandleBase);  // else its next move would answer with it too soon
  }
  all_free_once(from);
}

// Threads hold references, take more, give some back and ask where the object is now, while it moves. What they hold in
// the end is what the new handle has.
void held_meanwhile(int rounds) {
  say("references are kept while the object moves");
  constexpr int kThreads = 3;
  Consumer from, to;
  Barrier begin(kThreads + 1), end(kThreads + 1);
  std::atomic<haft_handle> old{0}, now{0};
  std::atomic<uint64_t> held{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(9500 + me);
    for (;;) {
      begin.wait();
      if (done.load()) return;
      uint32_t mine = 1;
      haft_handle handle = old.load();
      const haft_handle first = handle;
      for (uint32_t steps = random.below(30); steps > 0; steps--) {
        const bool more = mine == 1 || random.once_in(2);
        const haft_status status = more ? slot_retain(handle) : slot_release(handle);
        if (status == HAFT_OK) {
          mine += more ? 1 : -1;
          continue;
        }
        CHECK_STATUS(status, HAFT_E_MOVED);
        CHECK(handle == first);
        CHECK_STATUS(slot_moved(first, &handle), HAFT_OK);
        CHECK(handle == now.load());
        CHECK_STATUS(check(handle), HAFT_OK);
        jitter(random, 8);
      }
      held += mine;
      end.wait();
      end.wait();  // counted
      while (mine > 0) {
        const haft_status status = slot_release(handle);
        if (status == HAFT_OK) {
          mine--;
          continue;
        }
        CHECK_STATUS(status, HAFT_E_MOVED);
        CHECK_STATUS(slot_moved(handle, &handle), HAFT_OK);
      }
      end.wait();
    }
  });
  Random random(9600);
  for (int i = 0; i < rounds; i++) {
    old = from.create(0);
    now = to.create(0);
    for (int k = 0; k < kThreads; k++) CHECK_STATUS(slot_retain(old), HAFT_OK);
    held = 1;
    begin.wait();
    for (uint32_t k = random.below(60); k > 0; k--) relax();
    jitter(random, 4);
    CHECK_STATUS(from.move(old, now), HAFT_OK);
    end.wait();
    CHECK(references_of(now) == held.load());
    end.wait();
    CHECK_STATUS(slot_release(now), HAFT_OK);
    end.wait();
    CHECK_STATUS(check(now), HAFT_E_STALE);
    from.forget_moved(old);
    from.drain();
    to.drain();
    CHECK(to.live() == 0 && from.live() == 0);
  }
  done = true;
  begin.wait();
  threads.join();
  all_free_once(from);
  all_free_once(to);
}

// Against the last release: either the object moves, and its last reference is to the new handle, or it ends where it
// is. Others are released at the same moment, so that the list of released slots is never empty.
void against_the_last_release(int rounds) {
  say("a move against the last release");
  constexpr int kThreads = 2, kBatch = 64;
  Consumer from, to;
  Barrier begin(kThreads + 1), end(kThreads + 1);
  haft_handle olds[kBatch], nows[kBatch];
  std::atomic<bool> done{false};
  std::atomic<uint64_t> moved{0}, ended{0};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(9700 + me);
    for (;;) {
      begin.wait();
      if (done.load()) return;
      for (int i = me; i < kBatch; i += kThreads) {
        const haft_status status = slot_release(olds[i]);
        if (status == HAFT_E_MOVED) {
          haft_handle now;
          CHECK_STATUS(slot_moved(olds[i], &now), HAFT_OK);
          CHECK(now == nows[i]);
          CHECK_STATUS(slot_release(now), HAFT_OK);
          moved++;
        } else {
          CHECK_STATUS(status, HAFT_OK);
          ended++;
        }
        jitter(random, 32);
      }
      end.wait();
    }
  });
  Random random(9800);
  for (int i = 0; i < rounds; i++) {
    for (int k = 0; k < kBatch; k++) {
      olds[k] = from.create(0);
      nows[k] = to.create(0);
    }
    begin.wait();
    std::vector<haft_handle> forget;
    for (int k = 0; k < kBatch; k++) {
      if (random.once_in(16)) jitter(random, 2);
      const haft_status status = from.move(olds[k], nows[k]);
      if (status == HAFT_OK) {
        forget.push_back(olds[k]);
      } else {
        CHECK_STATUS(status, HAFT_E_STALE);
        CHECK(references_of(nows[k]) == 1);
        CHECK_STATUS(slot_release(nows[k]), HAFT_OK);
      }
    }
    end.wait();
    for (const haft_handle handle : forget) from.forget_moved(handle);
    from.drain();
    to.drain();
    CHECK(from.live() == 0 && to.live() == 0);
  }
  done = true;
  begin.wait();
  threads.join();
  CHECK(moved.load() > 0 && ended.load() > 0);
  all_free_once(from);
  all_free_once(to);
}

// Who asks late, while the slot is forgotten, used, released and moved again, hears of its own object or STALE.
void asked_late(int rounds) {
  say("asked where it is while the slot is used again");
  constexpr int kThreads = 3;
  Consumer from, to;
  struct Pair {
    std::atomic<haft_handle> old{0};
    std::atomic<haft_handle> now{0};
  };
  std::vector<Pair> pairs((size_t)rounds);
  std::atomic<int> last{-1};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> answered{0};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(9900 + me);
    while (!done.load()) {
      const int newest = last.load();
      jitter(random, newest < 0 ? 1 : 8);
      if (newest < 0) continue;
      const int which = newest - (int)random.below((uint32_t)(newest < 4 ? newest + 1 : 4));
      const haft_handle old = pairs[(size_t)which].old.load();
      haft_handle found;
      const haft_status status = slot_moved(old, &found);
      CHECK(status == HAFT_OK || status == HAFT_E_STALE);
      if (status == HAFT_E_STALE) {
        CHECK(found == HAFT_NULL);
        continue;
      }
      CHECK(found == old || found == pairs[(size_t)which].now.load());
      answered++;
    }
  });
  Random random(10'000);
  for (int i = 0; i < rounds; i++) {
    const haft_handle old = from.create(0), now = to.create(0);
    pairs[(size_t)i].now = now;
    pairs[(size_t)i].old = old;
    last = i;
    jitter(random, 8);
    if (random.once_in(3)) {
      CHECK_STATUS(slot_release(old), HAFT_OK);
      from.drain();
    } else {
      CHECK_STATUS(from.move(old, now), HAFT_OK);
      jitter(random, 8);
      from.forget_moved(old);
    }
    CHECK_STATUS(slot_release(now), HAFT_OK);
    to.drain();
  }
  done = true;
  threads.join();
  CHECK(answered.load() > 0);
  all_free_once(from);
  all_free_once(to);
}

// Whoever claims room for a message after the mark is told that the object has moved: what comes behind the tails of
// that moment is not for the old handle any more.
void sent_meanwhile(int rounds) {
  say("no message follows an object that has moved");
  constexpr int kThreads = 3;
  const haft_kind kind = define_kind("moved", 1);
  const haft_op op = HAFT_OP(kind, 0);
  Consumer from, to;
  std::atomic<haft_handle> current{0};
  std::atomic<int> out{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    const std::string text(me == 0 ? 2000 : 3, 'm');
    const haft_value arg = haft_value_str(text.data(), text.size());
    haft_handle seen = 0;
    while (!done.load()) {
      const haft_handle handle = current.load();
      if (handle == seen) {
        sched_yield();
        continue;
      }
      seen = handle;
      haft_status status = HAFT_OK;
      while (status != HAFT_E_MOVED) {
        status = post(handle, op, &arg, 1, HAFT_DROP_NEWEST);
        CHECK(status == HAFT_OK || status == HAFT_E_MOVED || status == HAFT_E_NO_MEMORY);
      }
      out++;
    }
  });
  Random random(9870);
  for (int i = 0; i < rounds; i++) {
    const haft_handle old = from.create(kind), now = to.create(kind);
    const uint32_t shard = shard_of(old);
    uint32_t tail = 0;
    bool moved = false;
    from.handler = [&](const Message &m) {
      CHECK(m.handle == old);
      if (moved) CHECK((int32_t)(tail - from.head(shard)) >= 0);
      return Answer();
    };
    out = 0;
    current = old;
    for (uint32_t k = random.below(4); k > 0; k--) {
      jitter(random, 2);
      from.drain();
    }
    CHECK_STATUS(from.begin_move(old, now), HAFT_OK);
    tail = (uint32_t)from.realm->rings[shard].tail.load();
    moved = true;
    while (out.load() < kThreads) sched_yield();
    // Of claims that were withdrawn the drain hears too: it may have stopped at them, before what stands behind (P10).
    CHECK(is_empty(from.realm->rings[shard]) || (from.realm->dirty.load() >> shard & 1));
    from.drain();
    CHECK(heap_outstanding(from.number) == 0);
    from.let_go(old);
    from.forget_moved(old);
    CHECK_STATUS(slot_release(now), HAFT_OK);
    to.drain();
  }
  done = true;
}

// Against all of an object's references at one time: a move that fails leaves the new handle with its own reference.
void against_all_releases(int rounds) {
  say("a move against the release of all references");
  constexpr int kThreads = 2, kEach = 2, kBatch = 64;
  Consumer from, to;
  Barrier begin(kThreads + 1), end(kThreads + 1);
  haft_handle olds[kBatch], nows[kBatch];
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(9850 + me);
    for (;;) {
      begin.wait();
      if (done.load()) return;
      for (int i = 0; i < kBatch; i++) {
        for (int k = 0; k < kEach; k++) {
          const haft_status status = slot_release(olds[i]);
          if (status == HAFT_OK) continue;
          CHECK_STATUS(status, HAFT_E_MOVED);
          CHECK_STATUS(slot_release(nows[i]), HAFT_OK);
        }
        jitter(random, 32);
      }
      end.wait();
    }
  });
  Random random(9860);
  uint64_t moved = 0, ended = 0;
  // On until each has happened: who is first is for the machine to say.
  for (int i = 0; i < rounds || (i < 1000 * rounds && (moved == 0 || ended == 0)); i++) {
    for (int k = 0; k < kBatch; k++) {
      olds[k] = from.create(0);
      nows[k] = to.create(0);
      for (int r = 1; r < kThreads * kEach; r++) CHECK_STATUS(slot_retain(olds[k]), HAFT_OK);
    }
    begin.wait();
    if (i % 2) std::this_thread::sleep_for(std::chrono::microseconds(random.below(200)));
    std::vector<haft_handle> forget;
    for (int k = 0; k < kBatch; k++) {
      if (random.once_in(16)) jitter(random, 2);
      const haft_status status = from.move(olds[k], nows[k]);
      if (status == HAFT_OK) {
        forget.push_back(olds[k]);
        moved++;
      } else {
        CHECK_STATUS(status, HAFT_E_STALE);
        CHECK(references_of(nows[k]) == 1);
        CHECK_STATUS(slot_release(nows[k]), HAFT_OK);
        ended++;
      }
    }
    end.wait();
    for (const haft_handle handle : forget) from.forget_moved(handle);
    from.drain();
    to.drain();
    CHECK(from.live() == 0 && to.live() == 0);
  }
  done = true;
  begin.wait();
  threads.join();
  CHECK(moved > 0 && ended > 0);
  all_free_once(from);
  all_free_once(to);
}

}  // namespace

int main() {
  what_it_answers();
  held_meanwhile(amount(4000));
  against_the_last_release(amount(2500));
  against_all_releases(amount(800));
  sent_meanwhile(amount(400));
  asked_late(amount(20'000));
}
