// Waits on a realm's own thread: circles are refused, termination is noticed, and C that waits can serve meanwhile.
// timeout: 60
#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("blocking", 4);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

haft_status call_i64(haft_handle handle, int64_t number, int64_t timeout_ms = -1, haft_value *result = nullptr) {
  const haft_value arg = haft_value_i64(number);
  return call(handle, op(0), &arg, 1, timeout_ms, result);
}

haft_realm blocked_on(const Consumer &c) { return c.realm->blocked_on.load() & (((uint64_t)1 << kMarkShift) - 1); }

// P18: n realms call each other at the same moment, all in one direction, and none of them drains before it has its
// answer. One at least is told; the others get theirs.
void all_at_once(int n, int rounds) {
  say("P18 a circle of realms, all at once");
  std::vector<std::atomic<haft_handle>> handles(n);
  std::atomic<int> told{0}, ok{0}, over{0};
  Barrier begin(n), end(n);
  Threads threads;
  threads.start(n, [&](int me) {
    Random random(9000 + me);
    Consumer c;
    c.handler = [](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
    handles[me] = c.create(kind());
    for (int i = 0; i < rounds; i++) {
      begin.wait();
      jitter(random, 2);
      haft_value result;
      const haft_status status = call_i64(handles[(me + 1) % n], i, -1, &result);
      CHECK(status == HAFT_OK || status == HAFT_E_DEADLOCK);
      if (status == HAFT_OK) CHECK(result.as.i64 == i);
      (status == HAFT_OK ? ok : told)++;
      over++;
      while (over.load() < n * (i + 1)) {
        c.drain();
        sched_yield();
      }
      c.drain();
      end.wait();
      CHECK(told.load() >= i + 1);
      CHECK(blocked_on(c) == 0);
    }
    begin.wait();
    check_all_replies_free(c.number);
    end.wait();
  });
  threads.join();
  CHECK(ok.load() > 0);
}

// P18: realms call, post and wait for each other in all directions, from their loops and from their handlers.
void at_random(int n, int rounds) {
  say("P18 realms that wait for each other at random");
  std::vector<std::atomic<haft_handle>> handles(n);
  std::vector<std::atomic<haft_realm>> ids(n);
  std::atomic<int> told{0}, ok{0}, finished{0}, idle{0};
  std::atomic<uint64_t> look_ups{0};
  Barrier all(n);
  Threads threads;
  threads.start(n, [&](int me) {
    Random random(9100 + me);
    Consumer c;
    const auto other = [&] { return (me + 1 + (int)random.below(n - 1)) % n; };
    const auto outcome = [&](haft_status status) {
      CHECK(status == HAFT_OK || status == HAFT_E_DEADLOCK);
      (status == HAFT_OK ? ok : told)++;
    };
    c.handler = [&](const Message &m) {
      const int64_t depth = m.token ? (int64_t)m.bits[0] : 0;
      if (depth > 0 && finished.load() < n) outcome(call_i64(handles[other()], depth - 1));
      return Answer::i64(depth);
    };
    handles[me] = c.create(kind());
    ids[me] = c.id;
    all.wait();
    for (int i = 0; i < rounds; i++) {
      const int to = other();
      switch (random.below(40)) {
        case 0:  // until the mailbox is full, and beyond
          for (uint32_t k = 0; k < kRingCells + 20; k++) {
            const haft_status status = post(handles[to], op(1), nullptr, 0, HAFT_BLOCK(-1));
            CHECK(status == HAFT_OK || status == HAFT_E_DEADLOCK);
            if (status == HAFT_OK) continue;
            told++;
            break;
          }
          break;
        case 1: {
          uint32_t happened_events;
          outcome(wait_for(ids[to], HAFT_EVENT_EMPTY, -1, &happened_events));
          break;
        }
        default:
          outcome(call_i64(handles[to], random.below(4)));
      }
      c.drain();
    }
    // Handlers whose callers gave up may still be calling: all drain until nobody does any more.
    finished++;
    for (bool last = false; idle.load() < n;) {
      c.drain();
      sched_yield();
      if (last || finished.load() < n) continue;
      last = true;
      idle++;
    }
    all.wait();
    c.drain();
    all.wait();
    look_ups += c.look_ups.load();
    CHECK(blocked_on(c) == 0);
    check_all_replies_free(c.number);
    all.wait();
  });
  threads.join();
  CHECK(ok.load() > 0 && told.load() > 0);
  CHECK(look_ups.load() > 0);
}

// A realm on a thread of its own that does what it is told to, and otherwise nothing.
class Other {
 public:
  explicit Other(std::function<void(Consumer &)> work) {
    thread_ = std::thread([this, work] {
      Consumer c;
      handle = c.create(kind());
      id = c.id;
      consumer = &c;
      work(c);
      consumer = nullptr;
    });
    while (!consumer.load() && !id.load()) sched_yield();
  }
  ~Other() { thread_.join(); }
  std::atomic<haft_handle> handle{0};
  std::atomic<haft_realm> id{0};
  std::atomic<Consumer *> consumer{nullptr};

 private:
  std::thread thread_;
};

// P18: whichever wait closes the circle, it is told; here the circle's other half is a wait of each sort.
void each_sort() {
  say("P18 each sort of wait closes a circle");
  for (int sort = 0; sort < 5; sort++) {
    Consumer c;
    const haft_handle handle = c.create(kind());
    c.handler = [](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
    std::atomic<bool> asked{false};
    Other other([&](Consumer &o) {
      while (!asked.load()) sched_yield();
      while (o.realm->replies[0].sleeper.load() == 0) sched_yield();  // it has looked round, and sleeps
      haft_handle found;
      switch (sort) {
        case 0:
          CHECK_STATUS(call_i64(handle, 1), HAFT_E_DEADLOCK);
          break;
        case 1: {
          haft_status status = HAFT_OK;
          for (uint32_t i = 0; i <= kRingCells; i++) status = post(handle, op(1), nullptr, 0, HAFT_BLOCK(i < kRingCells ? 0 : -1));
          CHECK_STATUS(status, HAFT_E_DEADLOCK);
          break;
        }
        case 2:
          CHECK_STATUS(wait_for(c.id, HAFT_EVENT_DRAINED, -1, nullptr), HAFT_E_DEADLOCK);
          break;
        case 3:
          CHECK_STATUS(name_find(c.id, "nobody", 0, -1, &found), HAFT_E_DEADLOCK);
          break;
        default: {
          haft_request request = {handle, nullptr, 0, op(0), 0, 0, {}};
          CHECK_STATUS(call_many(&request, 1, -1), HAFT_E_DEADLOCK);
        }
      }
      o.drain();  // lets it go on
    });
    asked = true;
    CHECK_STATUS(call_i64(other.handle, 2), HAFT_OK);
    c.drain();
  }

  say("P18 the own thread waits for no event of its own");
  Consumer c;
  CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(0), -1, nullptr), HAFT_E_DEADLOCK);
  CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(0), 0, nullptr), HAFT_E_TIMEOUT);
  CHECK_STATUS(wait_for(c.id, HAFT_EVENT_EMPTY, -1, nullptr), HAFT_OK);

  say("P18 two realms of one thread");
  Consumer second;
  CHECK_STATUS(call_i64(second.create(kind()), 1), HAFT_OK);  // at once
  std::atomic<bool> go{false};
  Other outside([&](Consumer &o) {
    while (!go.load()) sched_yield();
    while (o.realm->replies[0].sleeper.load() == 0) sched_yield();
    CHECK(blocked_on(c) == o.id && blocked_on(second) == o.id);
    CHECK_STATUS(call_i64(second.create(kind()), 1), HAFT_E_DEADLOCK);
    o.drain();
  });
  go = true;
  CHECK_STATUS(call_i64(outside.handle, 1), HAFT_OK);
}

// P19: a wait on a realm's own thread ends when its JavaScript is being terminated, whatever it waits for.
void termination() {
  say("P19 a wait notices termination");
  std::atomic<bool> done{false};
  Other mute([&](Consumer &) {
    while (!done.load()) sched_yield();
  });
  while (post(mute.handle, op(1), nullptr, 0, HAFT_FAIL) == HAFT_OK) {
  }
  haft_handle free_shard = 0;
  {  // another mailbox of it has room
    std::atomic<haft_handle> made{0};
    free_shard = mute.consumer.load()->create(kind());
  }
  haft_queue queue;
  int descriptor;
  CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
  for (int sort = 0; sort < 6; sort++) {
    Consumer c;
    c.create(kind());
    std::thread terminator([&] {
      while (c.look_ups.load() < 3 && sort != 4) sched_yield();
      for (int i = 0; i < 100; i++) sched_yield();
      c.terminated = true;
    });
    haft_handle found;
    haft_completion completion;
    haft_status status;
    switch (sort) {
      case 0:
        status = call_i64(free_shard, 1);
        break;
      case 1:
        status = post(mute.handle, op(1), nullptr, 0, HAFT_BLOCK(-1));
        break;
      case 2:
        status = wait_for(mute.id, HAFT_EVENT_USER(1), -1, nullptr);
        break;
      case 3:
        status = name_find(mute.id, "nobody", 0, -1, &found);
        break;
      case 4:
        status = serve(c.id, -1);
        break;
      default:
        status = queue_next(queue, -1, &completion);
    }
    CHECK_STATUS(status, HAFT_E_CLOSED);
    terminator.join();
  }
  CHECK_STATUS(queue_close(queue), HAFT_OK);
  done = true;
}

// P20: a realm that waits for something unknown answers early, to those who wait already and to those who come.
void unknown_waits() {
  say("P20 haft_blocking");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
  haft_handle full;
  do full = c.create(kind());
  while (shard_of(full) == shard_of(handle));
  const auto in_thread = [](std::function<void()> work) { std::thread(work).join(); };
  in_thread([&] {
    CHECK_STATUS(blocking_set(c.id, true), HAFT_E_REALM);
  });
  while (post(full, op(1), nullptr, 0, HAFT_FAIL) == HAFT_OK) {
  }
  std::atomic<bool> stop{false};
  Other other([&](Consumer &o) {
    o.handler = [](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
    while (!stop.load()) {
      o.drain();
      sched_yield();
    }
  });
  for (int round = 0; round < 3; round++) {
    {
      Threads waiting;
      waiting.start(2, [&](int) { CHECK_STATUS(call_i64(handle, 1), HAFT_E_DEADLOCK); });
      waiting.start(2, [&](int) { CHECK_STATUS(post(full, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_E_DEADLOCK); });
      while (waiting_now(c.number) < 4) sched_yield();
      CHECK_STATUS(blocking_set(c.id, true), HAFT_OK);
    }
    in_thread([&] {
      CHECK_STATUS(call_i64(handle, 1), HAFT_E_DEADLOCK);
      CHECK_STATUS(post(full, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_E_DEADLOCK);
      CHECK_STATUS(post(handle, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_OK);  // need not wait
    });
    // Calls of its own leave it blocked.
    CHECK_STATUS(call_i64(other.handle, 1), HAFT_OK);
    in_thread([&] { CHECK_STATUS(call_i64(handle, 1), HAFT_E_DEADLOCK); });
    CHECK_STATUS(blocking_set(c.id, false), HAFT_OK);
    c.drain();
    std::atomic<bool> answered{false};
    std::thread caller([&] {
      CHECK_STATUS(call_i64(handle, 1), HAFT_OK);
      answered = true;
    });
    while (!answered.load()) c.drain();
    caller.join();
    while (post(full, op(1), nullptr, 0, HAFT_FAIL) == HAFT_OK) {
    }
  }
  stop = true;
}

// P20: threads that call the realm whose own thread joins them, under haft_serve; in handlers too.
void serving(int rounds) {
  say("P20 haft_serve");
  Consumer c;
  const haft_handle handle = c.create(kind());
  CHECK_STATUS(serve(c.id, 0), HAFT_E_TIMEOUT);
  CHECK_STATUS(serve(c.id, 1), HAFT_E_TIMEOUT);
  int depth = 0;
  std::atomic<int> posted{0};
  Random own(9300);
  c.handler = [&](const Message &m) {
    if ((m.op & 0xffff) == 1) {
      posted--;
      return Answer();
    }
    if (depth < 4 && own.once_in(8)) {  // the handler waits too, for threads that call us
      depth++;
      const haft_status status = serve(c.id, own.below(2));
      CHECK(status == HAFT_OK || status == HAFT_E_TIMEOUT);
      depth--;
    }
    return Answer::i64((int64_t)m.bits[0]);
  };
  for (int i = 0; i < rounds; i++) {
    std::atomic<int> running{3};
    std::atomic<bool> ended{false};
    Threads threads;
    threads.start(3, [&](int me) {
      Random random(9400 + me + 10 * (uint64_t)i);
      for (int k = 0; k < 30; k++) {
        if (random.once_in(3)) {
          posted++;
          CHECK_STATUS(post(handle, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_OK);
        } else {
          haft_value result;
          CHECK_STATUS(call_i64(handle, k, -1, &result), HAFT_OK);
          CHECK(result.as.i64 == k);
        }
        jitter(random, 4);
      }
      if (running.fetch_sub(1) != 1) return;
      ended = true;
      CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(7)), HAFT_OK);
    });
    while (!ended.load()) {  // the signal ends the last wait, however long
      const haft_status status = serve(c.id, own.once_in(2) ? -1 : 2);
      CHECK(status == HAFT_OK || status == HAFT_E_TIMEOUT);
    }
    threads.join();
    c.drain();
    CHECK(posted.load() == 0);
    // A bell that came too late for the last one leaves nothing behind.
    CHECK(c.realm->serving.load() == kNotServing);
  }
  check_all_replies_free(c.number);

  say("P20 haft_serve and the end of the realm");
  const haft_completer closer = {sizeof closer, [](void *user, haft_status, haft_value *) {
                                   CHECK(static_cast<Consumer *>(user)->close());
                                 }, 0, &c};
  c.handler = [](const Message &) { return Answer(); };
  CHECK_STATUS(call_async(handle, op(0), nullptr, 0, -1, &closer), HAFT_OK);
  CHECK_STATUS(serve(c.id, -1), HAFT_E_CLOSED);
  CHECK_STATUS(serve(c.id, -1), HAFT_E_CLOSED);
  CHECK_STATUS(blocking_set(c.id, true), HAFT_E_CLOSED);
}

// P16, P18: a realm that closes lets go the realms that wait for it.
void closed_while_waited_for() {
  say("P16 P18 a realm that others wait for closes");
  for (int i = 0; i < amount(200); i++) {
    Consumer c;
    c.handler = [](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
    Other other([&](Consumer &o) {
      while (blocked_on(c) != o.id) sched_yield();
      CHECK(o.close());
    });
    CHECK_STATUS(call_i64(other.handle, 1), HAFT_E_CLOSED);
    CHECK(blocked_on(c) == 0);
  }
}

}  // namespace

int main() {
  each_sort();
  termination();
  unknown_waits();
  closed_while_waited_for();
  all_at_once(2, amount(1500));
  all_at_once(3, amount(1000));
  at_random(2, amount(600));
  at_random(3, amount(600));
  serving(amount(150));
}
