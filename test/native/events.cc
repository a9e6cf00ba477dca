// Events: waiters with masks of all sorts, each ended by what it asked for, by its time, or by the realm's end.
// timeout: 60
#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("events", 2);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

constexpr uint32_t kSorts[] = {HAFT_EVENT_DRAINED, HAFT_EVENT_RECLAIMED, HAFT_EVENT_COLLECTED, HAFT_EVENT_EMPTY,
                               HAFT_EVENT_FULL,    HAFT_EVENT_CLOSING,   HAFT_EVENT_USER(0),   HAFT_EVENT_USER(3),
                               HAFT_EVENT_USER(7)};

uint32_t some_events(Random &random) {
  uint32_t events = 0;
  do events |= kSorts[random.below(sizeof kSorts / sizeof *kSorts)];
  while (random.once_in(2));
  return events;
}

void in_thread(std::function<void()> work) { std::thread(std::move(work)).join(); }

// Each event by itself, with a waiter that certainly waits already: it sleeps, and the event comes until it has heard.
void each_event() {
  say("each event");
  Consumer c;
  const haft_handle handle = c.create(kind());
  haft_handle crowd;
  do crowd = c.create(kind());
  while (shard_of(crowd) == shard_of(handle));
  CHECK_STATUS(post(crowd, op(0), nullptr, 0, HAFT_FAIL), HAFT_OK);
  const auto hears = [&](uint32_t events, uint32_t expected, std::function<void()> cause) {
    std::atomic<bool> heard{false};
    std::thread waiter([&] {
      uint32_t happened_events = 0;
      CHECK_STATUS(wait_for(c.id, events, -1, &happened_events), HAFT_OK);
      CHECK(happened_events == expected);
      heard = true;
    });
    while (c.realm->event_waiters.load() == 0) sched_yield();
    while (!heard.load()) {
      cause();
      sched_yield();
    }
    waiter.join();
    CHECK(c.realm->event_waiters.load() == 0);
  };
  hears(HAFT_EVENT_DRAINED, HAFT_EVENT_DRAINED, [&] {
    post(handle, op(0), nullptr, 0, HAFT_FAIL);
    c.drain();
  });
  hears(HAFT_EVENT_RECLAIMED | HAFT_EVENT_USER(1), HAFT_EVENT_RECLAIMED, [&] {
    CHECK_STATUS(slot_release(c.create(kind())), HAFT_OK);
    c.drain();
  });
  hears(HAFT_EVENT_COLLECTED | HAFT_EVENT_CLOSING, HAFT_EVENT_COLLECTED, [&] { happened(c.number, HAFT_EVENT_COLLECTED); });
  CHECK_STATUS(post(crowd, op(0), nullptr, 0, HAFT_FAIL), HAFT_OK);
  hears(HAFT_EVENT_FULL | HAFT_EVENT_USER(2), HAFT_EVENT_FULL, [&] { post(crowd, op(0), nullptr, 0, HAFT_FAIL); });
  hears(HAFT_EVENT_EMPTY, HAFT_EVENT_EMPTY, [&] { c.drain(); });
  for (uint32_t user = 0; user < 8; user++)
    hears(HAFT_EVENT_USER(user) | HAFT_EVENT_FULL, HAFT_EVENT_USER(user),
          [&] { CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(user)), HAFT_OK); });

  say("levels hold at once, counted events do not");
  uint32_t happened_events = 77;
  in_thread([&] {
    CHECK_STATUS(wait_for(c.id, HAFT_EVENT_EMPTY | HAFT_EVENT_DRAINED, 0, &happened_events), HAFT_OK);
    CHECK(happened_events == HAFT_EVENT_EMPTY);
    CHECK_STATUS(wait_for(c.id, ~(uint32_t)HAFT_EVENT_EMPTY & 0xff003f, 0, &happened_events), HAFT_E_TIMEOUT);
    CHECK(happened_events == 0);
    CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(0), 1, &happened_events), HAFT_E_TIMEOUT);
    CHECK_STATUS(wait_for(c.id, 0, 0, &happened_events), HAFT_E_ARGUMENT);
    CHECK_STATUS(wait_for(c.id, 0x40, 0, &happened_events), HAFT_E_ARGUMENT);
    CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(8), 0, &happened_events), HAFT_E_ARGUMENT);
    CHECK_STATUS(signal_events(c.id, HAFT_EVENT_DRAINED), HAFT_E_ARGUMENT);
    CHECK_STATUS(signal_events(c.id, 0), HAFT_E_ARGUMENT);
  });
  const haft_realm gone = c.id;
  CHECK(c.close());
  CHECK_STATUS(signal_events(gone, HAFT_EVENT_USER(0)), HAFT_E_CLOSED);
  CHECK_STATUS(wait_for(gone, HAFT_EVENT_DRAINED, -1, &happened_events), HAFT_E_CLOSED);
  CHECK_STATUS(wait_for(gone, HAFT_EVENT_DRAINED | HAFT_EVENT_CLOSING, -1, &happened_events), HAFT_OK);
  CHECK(happened_events == HAFT_EVENT_CLOSING);
}

// An event ends every wait for it, and no other.
void all_who_wait(int rounds) {
  say("an event ends all waits for it");
  constexpr int kThreads = 4;
  Consumer c;
  Barrier begin(kThreads + 1), end(kThreads + 1);
  std::atomic<bool> done{false}, cancelled{false};
  std::atomic<int> heard{0};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    for (;;) {
      begin.wait();
      if (done.load()) return;
      // Half wait for the event, half for another that never comes, and are cancelled by a third.
      const uint32_t mine = me % 2 ? HAFT_EVENT_USER(1) : HAFT_EVENT_USER(2) | HAFT_EVENT_USER(3);
      uint32_t happened_events;
      CHECK_STATUS(wait_for(c.id, mine, -1, &happened_events), HAFT_OK);
      CHECK(happened_events == (me % 2 ? HAFT_EVENT_USER(1) : HAFT_EVENT_USER(3)));
      if (me % 2 == 0) CHECK(cancelled.load());
      heard++;
      end.wait();
    }
  });
  Random random(10'100);
  for (int i = 0; i < rounds; i++) {
    heard = 0;
    cancelled = false;
    begin.wait();
    while (heard.load() < kThreads / 2) {
      CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(1)), HAFT_OK);
      jitter(random, 1);
    }
    CHECK(heard.load() == kThreads / 2);
    cancelled = true;
    while (heard.load() < kThreads) {
      CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(3)), HAFT_OK);
      jitter(random, 1);
    }
    end.wait();
    CHECK(c.realm->event_waiters.load() == 0);
  }
  done = true;
  begin.wait();
}

// Waiters, causes and closing realms at random: each wait ends in a way that its mask allows, and all end with the realm.
void closing(int rounds) {
  say("waits end with the realm");
  constexpr int kWaiters = 5, kCauses = 1;
  struct Round {
    haft_realm id;
    haft_handle handle;
    std::atomic<int> out{0};
  };
  std::vector<std::unique_ptr<Round>> all;
  std::atomic<Round *> current{nullptr};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> ok{0}, closed{0}, timeouts{0};
  const auto each_round = [&](std::function<void(Round &)> work) {
    for (Round *seen = nullptr; !done.load();) {
      Round *round = current.load();
      if (round == seen) {
        sched_yield();
        continue;
      }
      seen = round;
      work(*round);
      round->out++;
    }
  };
  Threads threads;
  threads.start(kWaiters, [&](int me) {
    Random random(10'200 + me);
    each_round([&](Round &round) {
      for (;;) {
        const uint32_t events = some_events(random);
        static constexpr int64_t kTimeouts[] = {-1, -1, 0, 1, 100'000};
        const int64_t timeout = kTimeouts[random.below(5)];
        uint32_t happened_events = 99;
        const haft_status status = wait_for(round.id, events, timeout, &happened_events);
        CHECK((happened_events & ~events) == 0 && (happened_events != 0) == (status == HAFT_OK));
        if (status == HAFT_E_TIMEOUT) {
          CHECK(timeout == 0 || timeout == 1);
          timeouts++;
          jitter(random, 2);
          continue;
        }
        if (status == HAFT_OK && !(happened_events & HAFT_EVENT_CLOSING)) {
          ok++;
          jitter(random, 2);
          continue;
        }
        CHECK(status == HAFT_OK || status == HAFT_E_CLOSED);
        // Who asked for it is told so; else something else has happened, or it is CLOSED.
        if (status == HAFT_E_CLOSED) CHECK((events & HAFT_EVENT_CLOSING) == 0);
        CHECK_STATUS(realm_check(round.id), HAFT_E_CLOSED);
        closed++;
        return;
      }
    });
  });
  threads.start(kCauses, [&](int me) {
    Random random(10'300 + me);
    each_round([&](Round &round) {
      for (haft_status status = HAFT_OK; status != HAFT_E_CLOSED && status != HAFT_E_STALE;) {
        status = random.once_in(2) ? signal_events(round.id, HAFT_EVENT_USER(random.below(8)))
                                   : post(round.handle, op(0), nullptr, 0, HAFT_DROP_NEWEST);
        jitter(random, 8);
      }
    });
  });
  Random random(10'400);
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    all.push_back(std::make_unique<Round>());
    Round &round = *all.back();
    round.id = c.id;
    round.handle = c.create(kind());
    current = &round;
    for (uint32_t k = random.below(8); k > 0; k--) {
      if (random.once_in(2)) CHECK_STATUS(slot_release(c.create(kind())), HAFT_OK);
      c.drain();
      if (random.once_in(3) && c.realm->event_waiters.load() != 0) happened(c.number, HAFT_EVENT_COLLECTED);
      jitter(random, 1);
    }
    CHECK(c.close());
    while (round.out.load() < kWaiters + kCauses) sched_yield();
    CHECK(c.realm->event_waiters.load() == 0);
  }
  done = true;
  threads.join();
  CHECK(ok.load() > 0 && closed.load() >= (uint64_t)rounds * kWaiters && timeouts.load() > 0);
}

// Who asks for closing is told so, at whatever moment the realm closes.
void asked_for_closing(int rounds) {
  say("who asks for closing is told so at any moment");
  constexpr int kThreads = 2;
  std::atomic<haft_realm> current{0};
  std::atomic<int> out{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int) {
    haft_realm seen = 0;
    while (!done.load()) {
      const haft_realm id = current.load();
      if (id == seen) {
        sched_yield();
        continue;
      }
      seen = id;
      haft_status status = HAFT_E_TIMEOUT;
      uint32_t happened_events = 0;
      while (status == HAFT_E_TIMEOUT)
        status = wait_for(id, HAFT_EVENT_CLOSING | HAFT_EVENT_USER(7), 0, &happened_events);
      CHECK_STATUS(status, HAFT_OK);
      CHECK(happened_events == HAFT_EVENT_CLOSING);
      out++;
    }
  });
  Random random(10'500);
  for (int i = 0; i < rounds; i++) {
    out = 0;
    Consumer c;
    current = c.id;
    jitter(random, 2);
    CHECK(c.close());
    while (out.load() < kThreads) sched_yield();
  }
  done = true;
}

}  // namespace

int main() {
  asked_for_closing(amount(300));
  each_event();
  all_who_wait(amount(1500));
  closing(amount(150));
}
