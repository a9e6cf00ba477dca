// Counters: every message ends in exactly one, seen from its senders; at rest to the message, and when a realm closes.
#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("counters", 4);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

enum Op : uint32_t { kAnswer = 0, kThrow = 1, kLater = 2, kPost = 3 };

Answer answer_for(const Message &m) {
  switch (m.op & 0xffff) {
    case kThrow:
      return Answer::error(HAFT_E_EXCEPTION, "Error", "no");
    case kLater:
      return Answer::promise();
    default:
      return Answer::i64((int64_t)m.bits[0]);
  }
}

void check_sum(const haft_counters &c) { CHECK(c.sent == c.delivered + c.refused + c.dropped + c.expired); }

// What `counters` must have become since `before`; then it is the next one's before.
struct Expected {
  uint64_t delivered = 0, refused = 0, dropped = 0, expired = 0, waiting = 0;
  void check(const Consumer &c, uint32_t shard, int line) const {
    const haft_counters got = counters_of(c.id, shard);
    if (got.delivered == delivered && got.refused == refused && got.dropped == dropped && got.expired == expired &&
        got.sent == delivered + refused + dropped + expired + waiting)
      return;
    char text[200];
    snprintf(text, sizeof text, "delivered %" PRIu64 " refused %" PRIu64 " dropped %" PRIu64 " expired %" PRIu64
             " sent %" PRIu64, got.delivered, got.refused, got.dropped, got.expired, got.sent);
    fail_at(__FILE__, line, "counters", text);
  }
};

// Each way to end, one by one.
void each_end() {
  say("counters: each end");
  Consumer c;
  c.handler = answer_for;
  const haft_handle handle = c.create(kind());
  const uint32_t shard = shard_of(handle);
  Expected e;
  haft_value result;
  const haft_value one = haft_value_i64(1);
  const auto foreign = [](std::function<void()> work) { std::thread(work).join(); };
#define EXPECT(change) \
  do {                 \
    change;            \
    e.check(c, shard, __LINE__); \
  } while (0)

  EXPECT(0);
  // What is no message is not counted.
  CHECK_STATUS(post(handle ^ 1ull << 40, op(0), &one, 1, HAFT_FAIL), HAFT_E_FORGED);
  CHECK_STATUS(post(handle, op(4), &one, 1, HAFT_FAIL), HAFT_E_OP);
  const haft_value bad = haft_value_str("\xff", 1);
  CHECK_STATUS(post(handle, op(0), &bad, 1, HAFT_FAIL), HAFT_E_UTF8);
  EXPECT(0);

  CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(e.waiting++);
  c.drain();
  EXPECT((e.waiting--, e.delivered++));

  // Own thread: at once.
  CHECK_STATUS(call(handle, op(kAnswer), &one, 1, -1, &result), HAFT_OK);
  EXPECT(e.delivered++);
  CHECK_STATUS(call(handle, op(kThrow), &one, 1, -1, &result), HAFT_E_EXCEPTION);
  EXPECT(e.delivered++);

  // Full.
  for (uint32_t i = 0; i < kRingCells; i++) CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(e.waiting += kRingCells);
  CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_FAIL), HAFT_E_FULL);
  EXPECT(e.refused++);
  CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_DROP_NEWEST), HAFT_OK);
  EXPECT(e.dropped++);
  CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_BLOCK(100)), HAFT_E_DEADLOCK);  // own thread
  EXPECT(e.refused++);
  foreign([&] { CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_BLOCK(1)), HAFT_E_FULL); });
  EXPECT(e.refused++);
  CHECK(counters_of(c.id, shard).longest_wait >= 1000 * 1000);
  CHECK(counters_of(c.id, shard).highest_fill == kRingCells);
  foreign([&] { CHECK_STATUS(call(handle, op(kAnswer), &one, 1, 0, &result), HAFT_E_TIMEOUT); });
  EXPECT(e.expired++);
  foreign([&] { CHECK_STATUS(call(handle, op(kAnswer), &one, 1, 1, &result), HAFT_E_TIMEOUT); });
  EXPECT(e.expired++);
  const haft_completer nobody = {sizeof nobody, [](void *, haft_status, haft_value *) { CHECK(false); }, 0, nullptr};
  CHECK_STATUS(call_async(handle, op(kAnswer), &one, 1, -1, &nobody), HAFT_E_FULL);
  EXPECT(e.refused++);
  c.drain();
  EXPECT((e.waiting -= kRingCells, e.delivered += kRingCells));

  // Given up in the ring, and after the handler began.
  foreign([&] { CHECK_STATUS(call(handle, op(kAnswer), &one, 1, 0, &result), HAFT_E_TIMEOUT); });
  EXPECT(e.expired++);
  c.drain();
  EXPECT(0);
  uint32_t promised = 0;
  c.handler = [&](const Message &m) {
    promised = m.token;
    return Answer::promise();
  };
  std::atomic<bool> over{false};
  std::thread patient([&] {
    CHECK_STATUS(call(handle, op(kLater), nullptr, 0, 30, &result), HAFT_E_TIMEOUT);
    over = true;
  });
  while (!over.load()) c.drain();
  patient.join();
  c.drain();
  if (promised != 0) c.answer_later(promised, Answer::i64(1));
  EXPECT(e.expired++);
  c.handler = answer_for;

  // No reply left, no memory, the breaker.
  std::vector<uint32_t> tokens;
  while (const uint32_t token = reply_take(c.number)) tokens.push_back(token);
  foreign([&] { CHECK_STATUS(call(handle, op(kAnswer), &one, 1, -1, &result), HAFT_E_BUSY); });
  EXPECT(e.refused++);
  CHECK_STATUS(call_async(handle, op(kAnswer), &one, 1, -1, &nobody), HAFT_E_BUSY);
  EXPECT(e.refused++);
  for (uint32_t token : tokens) reply_give(c.number, token);
  const uint64_t chunk = heap_take(c.number, kHeapBytes - kHeapPageBytes);
  CHECK(chunk != 0);
  const std::string text(8000, 'm');
  const haft_value large = haft_value_str(text.data(), text.size());
  CHECK_STATUS(post(handle, op(kPost), &large, 1, HAFT_FAIL), HAFT_E_NO_MEMORY);
  EXPECT(e.refused++);
  CHECK_STATUS(post(handle, op(kPost), &large, 1, HAFT_DROP_NEWEST), HAFT_E_NO_MEMORY);
  EXPECT(e.refused++);
  foreign([&] { CHECK_STATUS(post(handle, op(kPost), &large, 1, HAFT_BLOCK(1)), HAFT_E_NO_MEMORY); });
  EXPECT(e.refused++);
  CHECK_STATUS(call(handle, op(kAnswer), &large, 1, -1, &result), HAFT_E_NO_MEMORY);
  EXPECT(e.refused++);
  heap_give(c.number, chunk);
  kind_refuse(kind(), c.number, INT64_MAX);
  CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_FAIL), HAFT_E_BREAKER);
  EXPECT(e.refused++);
  CHECK_STATUS(call(handle, op(kAnswer), &one, 1, -1, &result), HAFT_E_BREAKER);
  EXPECT(e.refused++);
  CHECK_STATUS(call_async(handle, op(kAnswer), &one, 1, -1, &nobody), HAFT_E_BREAKER);
  EXPECT(e.refused++);
  kind_refuse(kind(), c.number, 0);
  CHECK_STATUS(post(handle, op(kPost), &one, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(e.waiting++);

  // The object is gone.
  CHECK_STATUS(c.remove(handle), HAFT_OK);
  c.drain();
  EXPECT((e.waiting--, e.refused++));
#undef EXPECT

  say("counters: sizes and shards");
  haft_counters part = {};
  part.size = 16;
  part.delivered = 77;
  CHECK_STATUS(counters_read(c.id, shard, &part), HAFT_OK);
  CHECK(part.size == 16 && part.sent != 0 && part.delivered == 77);
  CHECK_STATUS(counters_read(c.id, kShards, &part), HAFT_E_ARGUMENT);
  CHECK_STATUS(counters_read(c.id, 0, nullptr), HAFT_E_ARGUMENT);
  part.size = 3;
  CHECK_STATUS(counters_read(c.id, 0, &part), HAFT_E_ARGUMENT);

  say("counters: what nobody took is refused at the end");
  haft_handle left;
  do left = c.create(kind());
  while (shard_of(left) != shard);
  for (int i = 0; i < 20; i++) CHECK_STATUS(post(left, op(kPost), i % 2 ? &one : &large, 1, HAFT_FAIL), HAFT_OK);
  foreign([&] { CHECK_STATUS(call(left, op(kAnswer), &one, 1, 0, &result), HAFT_E_TIMEOUT); });
  std::atomic<int> ended{0};
  const haft_completer closed = {sizeof closed,
                                 [](void *user, haft_status status, haft_value *) {
                                   CHECK_STATUS(status, HAFT_E_CLOSED);
                                   static_cast<std::atomic<int> *>(user)->fetch_add(1);
                                 },
                                 0, &ended};
  CHECK_STATUS(call_async(left, op(kAnswer), &one, 1, -1, &closed), HAFT_OK);
  haft_counters final[kShards];
  CHECK(c.close(20'000, final));
  CHECK(ended.load() == 1);
  check_sum(final[shard]);
  CHECK(final[shard].delivered == e.delivered);
  CHECK(final[shard].refused == e.refused + 21);
  CHECK(final[shard].expired == e.expired + 1);
  CHECK(final[shard].dropped == e.dropped);
  part.size = sizeof part;
  CHECK_STATUS(counters_read(c.id, shard, &part), HAFT_E_CLOSED);
}

// What the senders of a round saw, a shard.
struct Seen {
  std::atomic<uint64_t> messages{0}, sure{0}, timeouts{0}, answered{0}, dropping{0}, refused{0};
};

struct Senders {
  Seen seen[kShards];
  std::atomic<uint64_t> async_sent{0}, async_ended{0};

  // One message of some sort to `handle`; false when its realm is closed.
  bool send(Random &random, haft_handle handle, bool calls) {
    Seen &s = seen[shard_of(handle)];
    const std::string text(random.once_in(16) ? 2000 : 3, 's');
    const haft_value args[] = {haft_value_i64(5), haft_value_str(text.data(), text.size())};
    static constexpr int64_t kTimeouts[] = {-1, 0, 1, 50'000};
    haft_value result;
    haft_status status;
    const uint32_t sort = calls ? random.below(8) : random.below(4);
    switch (sort) {
      case 0:
        status = post(handle, op(kPost), args, 2, HAFT_FAIL);
        break;
      case 1:
        status = post(handle, op(kPost), args, 2, HAFT_DROP_NEWEST);
        if (status == HAFT_OK) s.dropping++;
        break;
      case 2:
      case 3:
        status = post(handle, op(kPost), args, 2, HAFT_BLOCK(sort == 2 ? -1 : 1));
        break;
      case 4: {
        struct Job {
          Senders *senders;
          Seen *seen;
        };
        Job *job = new Job{this, &s};
        const haft_completer completer = {sizeof completer,
                                          [](void *user, haft_status ended, haft_value *value) {
                                            Job *done = static_cast<Job *>(user);
                                            value_free(value);
                                            Senders *all = done->senders;
                                            done->seen->messages++;
                                            if (ended == HAFT_OK || ended == HAFT_E_EXCEPTION) {
                                              done->seen->answered++;
                                              done->seen->sure++;
                                            } else if (ended == HAFT_E_TIMEOUT) {
                                              done->seen->timeouts++;
                                              done->seen->sure++;
                                            } else {
                                              CHECK_STATUS(ended, HAFT_E_CLOSED);
                                            }
                                            delete done;
                                            all->async_ended++;
                                          },
                                          0, job};
        status = call_async(handle, op(random.below(2)), args, 2, random.once_in(2) ? -1 : 1 + random.below(3), &completer);
        if (status == HAFT_OK) {
          async_sent++;
          return true;
        }
        delete job;
        break;
      }
      default:
        status = call(handle, op(random.below(2)), args, 2, kTimeouts[random.below(4)], &result);
        if (status == HAFT_OK || status == HAFT_E_EXCEPTION) s.answered++;
        value_free(&result);
    }
    switch (status) {
      case HAFT_E_STALE:
        return true;  // not a message; only posts are sent to what may go
      case HAFT_E_FORGED:
        CHECK(false);
        break;
      case HAFT_OK:
      case HAFT_E_EXCEPTION:
        s.messages++;
        s.sure++;
        return true;
      case HAFT_E_TIMEOUT:
        s.messages++;
        s.timeouts++;
        return true;
      default:
        CHECK(status == HAFT_E_CLOSED || status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY || status == HAFT_E_BUSY);
        s.messages++;
        if (status != HAFT_E_CLOSED) s.refused++;
        return status != HAFT_E_CLOSED;
    }
  }
};

// At rest the counters are what the senders saw, to the message; read meanwhile, they only grow.
void to_the_message() {
  say("counters: to the message");
  constexpr int kThreads = 4, kHandles = 4;
  const int rounds = amount(3000);
  Consumer c;
  c.handler = answer_for;
  std::vector<haft_handle> handles;
  for (int i = 0; i < kHandles; i++) handles.push_back(c.create(kind()));
  std::atomic<haft_handle> doomed{c.create(kind())};
  std::atomic<int> running{kThreads};
  std::atomic<bool> done{false};
  Senders senders;
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(7000 + me);
    for (int i = 0; i < rounds; i++) {
      const bool calls = random.once_in(3);
      CHECK(senders.send(random, calls ? handles[random.below(kHandles)] : doomed.load(), calls));
      jitter(random, 32);
    }
    running--;
  });
  threads.start(1, [&](int) {
    haft_counters before = {};
    while (!done.load()) {
      const haft_counters now = counters_of(c.id);
      CHECK(now.delivered >= before.delivered && now.refused >= before.refused && now.dropped >= before.dropped &&
            now.expired >= before.expired && now.longest_wait >= before.longest_wait);
      CHECK(now.highest_fill >= before.highest_fill && now.highest_fill <= kRingCells);
      before = now;
      sched_yield();
    }
  });
  Random random(7100);
  while (running.load() > 0 || senders.async_ended.load() < senders.async_sent.load()) {
    c.drain();
    if (random.once_in(64)) {
      const haft_handle old = doomed.exchange(c.create(kind()));
      CHECK_STATUS(c.remove(old), HAFT_OK);
    }
    for (uint32_t k = random.below(40); k > 0; k--) sched_yield();
  }
  c.drain();
  done = true;
  threads.join();
  uint64_t gone = 0;
  for (uint32_t shard = 0; shard < kShards; shard++) {
    const haft_counters got = counters_of(c.id, shard);
    const Seen &s = senders.seen[shard];
    check_sum(got);
    CHECK(got.sent == s.messages.load());
    CHECK(got.expired == s.timeouts.load());
    CHECK(got.dropped <= s.dropping.load());
    CHECK(got.refused >= s.refused.load());
    gone += got.refused - s.refused.load();
  }
  const haft_counters all = counters_of(c.id);
  CHECK(all.delivered == c.delivered.load() - c.late);
  CHECK(gone == c.gone.load());
  haft_counters final[kShards];
  CHECK(c.close(20'000, final));
  uint64_t sent = 0;
  for (const haft_counters &f : final) sent += f.sent;
  CHECK(sent == all.sent);
}

// A realm that closes in the midst of it. Whoever was told more than CLOSED was counted: what the realm's end refuses may
// reach it when it is gone.
void closing(int rounds) {
  say("counters: closing");
  constexpr int kThreads = 4;
  struct Round {
    haft_handle handles[2];
    Senders senders;
    std::atomic<int> out{0};
  };
  std::atomic<Round *> current{nullptr};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(7200 + me);
    Round *seen = nullptr;
    while (!done.load()) {
      Round *round = current.load();
      if (round == seen) {
        sched_yield();
        continue;
      }
      seen = round;
      while (round->senders.send(random, round->handles[random.below(2)], true)) jitter(random, 16);
      round->out++;
    }
  });
  Random random(7300);
  std::vector<std::unique_ptr<Round>> all;
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    c.handler = answer_for;
    all.push_back(std::make_unique<Round>());
    Round &round = *all.back();
    for (haft_handle &handle : round.handles) handle = c.create(kind());
    current = &round;
    for (uint32_t k = 1 + random.below(10); k > 0; k--) {
      c.drain();
      jitter(random, 2);
    }
    haft_counters final[kShards];
    CHECK(c.close(20'000, final));
    while (round.out.load() < kThreads) sched_yield();
    while (round.senders.async_ended.load() < round.senders.async_sent.load()) sched_yield();
    uint64_t delivered = 0;
    for (uint32_t shard = 0; shard < kShards; shard++) {
      const Seen &s = round.senders.seen[shard];
      const haft_counters &f = final[shard];
      check_sum(f);
      CHECK(f.sent >= s.sure.load() && f.sent <= s.messages.load());
      CHECK(f.delivered >= s.answered.load());
      CHECK(f.expired <= s.timeouts.load());
      CHECK(f.dropped <= s.dropping.load());
      delivered += f.delivered;
    }
    CHECK(delivered == c.delivered.load() - c.late);
  }
  done = true;
}

// Those who wait when the realm closes count how their messages end: the realm waits for that.
void waiting_at_the_end(int rounds) {
  say("counters: who waits at the end is counted");
  constexpr int kCallers = 3, kProducers = 2;
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    const haft_handle handle = c.create(kind());
    haft_handle full;
    do full = c.create(kind());
    while (shard_of(full) == shard_of(handle));
    uint64_t posts = 0;
    while (post(full, op(kPost), nullptr, 0, HAFT_FAIL) == HAFT_OK) posts++;
    Threads threads;
    threads.start(kCallers, [&](int) { CHECK_STATUS(call(handle, op(kAnswer), nullptr, 0, -1, nullptr), HAFT_E_CLOSED); });
    threads.start(kProducers, [&](int) {
      CHECK_STATUS(post(full, op(kPost), nullptr, 0, HAFT_BLOCK(-1)), HAFT_E_CLOSED);
    });
    while (waiting_now(c.number) < kCallers + kProducers) sched_yield();
    haft_counters final[kShards];
    CHECK(c.close(20'000, final));
    CHECK(final[shard_of(handle)].refused == kCallers && final[shard_of(handle)].sent == kCallers);
    CHECK(final[shard_of(full)].refused == posts + 1 + kProducers);
    threads.join();
  }
}

}  // namespace

int main() {
  waiting_at_the_end(amount(50));
  each_end();
  to_the_message();
  closing(amount(600));
}
