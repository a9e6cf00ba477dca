// Calls without a waiting thread: each completer hears exactly once, however the call ends, and nothing is left behind.
// timeout: 60
#include <poll.h>

#include <deque>

#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("async", 4);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

enum Op : uint32_t { kEcho = 0, kText = 1, kObject = 2, kThrow = 3 };

std::string text_of(uint64_t tag) { return std::string(20 + tag % 7 * 600, (char)('a' + tag % 26)); }

Answer answer_for(Consumer &c, uint32_t what, uint64_t tag) {
  switch (what) {
    case kEcho:
      return Answer::i64((int64_t)tag);
    case kText:
      return Answer::str(text_of(tag));
    case kObject:
      return Answer::handle(c.create(kind(), tag));
    default:
      return Answer::error(HAFT_E_EXCEPTION, "Error", text_of(tag));
  }
}

void nothing_left(Consumer &c, uint64_t live) {
  c.drain();
  c.drain();
  CHECK(c.live() == live);
  CHECK(heap_outstanding(c.number) == 0);
  CHECK(in_flight_now(c.number) == 0);
  check_all_replies_free(c.number);
}

// What all jobs came to.
struct Ends {
  std::atomic<uint64_t> sent{0}, heard{0}, ok{0}, timeouts{0}, closed{0};
};

// One call. It lives until the end of the test, so that a second completion is seen and not a crash.
struct Job {
  Ends *ends = nullptr;
  uint32_t what = 0;
  uint64_t tag = 0;
  std::atomic<int> heard{0};
  std::atomic<bool> refused{false};  // call_async said that nothing would be heard

  void hear(haft_status status, haft_value *result) {
    CHECK(heard.fetch_add(1) == 0);  // P15: once
    CHECK(!refused.load());
    check(status, result);
    value_free(result);
    (status == HAFT_E_TIMEOUT ? ends->timeouts : status == HAFT_E_CLOSED ? ends->closed : ends->ok)++;
    ends->heard++;
  }

  void check(haft_status status, haft_value *result) {
    if (status == HAFT_E_TIMEOUT || status == HAFT_E_CLOSED) {
      CHECK(result->type == HAFT_VOID);
      return;
    }
    switch (what) {
      case kEcho:
        CHECK_STATUS(status, HAFT_OK);
        CHECK(result->type == HAFT_I64 && result->as.i64 == (int64_t)tag);
        break;
      case kText:
        if (status == HAFT_E_NO_MEMORY) break;
        CHECK_STATUS(status, HAFT_OK);
        CHECK(result->type == HAFT_STR && std::string(result->as.str, result->length) == text_of(tag));
        break;
      case kObject: {
        CHECK_STATUS(status, HAFT_OK);
        CHECK(result->type == HAFT_HANDLE);
        const haft_status released = slot_release(result->as.handle);
        CHECK(released == HAFT_OK || released == HAFT_E_CLOSED || released == HAFT_E_STALE);
        break;
      }
      default:
        CHECK_STATUS(status, HAFT_E_EXCEPTION);
        CHECK(result->type == HAFT_STR && std::string(result->as.str, result->length) == "Error: " + text_of(tag));
    }
  }

  // The completion comes to us, or to a queue.
  haft_status send(haft_handle handle, int64_t timeout_ms, haft_queue queue = 0) {
    const haft_value arg = haft_value_i64((int64_t)tag);
    const haft_done done = [](void *user, haft_status status, haft_value *result) {
      static_cast<Job *>(user)->hear(status, result);
    };
    const haft_completer completer = {sizeof completer, queue ? nullptr : done, queue, this};
    ends->sent++;
    const haft_status status = call_async(handle, op(what), &arg, 1, timeout_ms, &completer);
    if (status == HAFT_OK) return HAFT_OK;
    ends->sent--;
    refused = true;
    CHECK(heard.load() == 0);
    return status;
  }
};

int64_t some_timeout(Random &random) {
  static constexpr int64_t kTimeouts[] = {-1, -1, 1, 2, 5, 60'000, INT64_MAX};
  return kTimeouts[random.below(7)];
}

// Answers at once, late, or never.
class Script {
 public:
  Script(Consumer &c, uint64_t stream, bool never) : c_(c), random_(stream), never_(never) {
    c.handler = [this](const Message &m) { return handle(m); };
  }
  void settle(size_t most) {
    while (promised_.size() > most) {
      const Message m = promised_.front();
      promised_.pop_front();
      c_.answer_later(m.token, answer_for(c_, m.op & 0xffff, m.bits[0]));
    }
  }

 private:
  Answer handle(const Message &m) {
    if (m.token == 0) return Answer();
    if (never_ && random_.once_in(4)) return Answer::promise();
    if (random_.once_in(3)) {
      promised_.push_back(m);
      return Answer::promise();
    }
    return answer_for(c_, m.op & 0xffff, m.bits[0]);
  }

  Consumer &c_;
  Random random_;
  const bool never_;
  std::deque<Message> promised_;
};

// P15: answers against the clock, with functions and queues that open and close meanwhile; at the end of it nothing is
// left: no slot, no reference, no memory.
void against_the_clock() {
  say("P15 async: answers against the clock");
  constexpr int kThreads = 3, kHandles = 4, kQueuesOpen = 3;
  const int jobs = amount(6000);
  Consumer c;
  Script script(c, 8000, false);
  std::vector<haft_handle> handles;
  for (int i = 0; i < kHandles; i++) handles.push_back(c.create(kind()));
  Ends ends;
  std::atomic<haft_queue> queues[kQueuesOpen] = {};
  std::atomic<int> running{kThreads};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> taken{0}, queued{0};
  std::vector<std::unique_ptr<std::deque<Job>>> all;
  for (int i = 0; i < kThreads; i++) all.push_back(std::make_unique<std::deque<Job>>());
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(8100 + me);
    for (int i = 0; i < jobs; i++) {
      Job &job = all[me]->emplace_back();
      job.ends = &ends;
      job.what = random.below(4);
      job.tag = (uint64_t)me << 32 | (uint64_t)i;
      const haft_queue queue = random.once_in(2) ? queues[random.below(kQueuesOpen)].load() : 0;
      const haft_status status = job.send(handles[random.below(kHandles)], some_timeout(random), queue);
      CHECK(status == HAFT_OK || status == HAFT_E_FULL || status == HAFT_E_BUSY || (queue && status == HAFT_E_FORGED));
      if (status == HAFT_OK && queue) queued++;
      jitter(random, status == HAFT_OK ? 8 : 1);
    }
    running--;
  });
  threads.start(2, [&](int me) {  // take
    Random random(8200 + me);
    while (!done.load()) {
      haft_completion completion;
      const haft_status status = queue_next(queues[random.below(kQueuesOpen)].load(), random.below(2), &completion);
      CHECK(status == HAFT_OK || status == HAFT_E_TIMEOUT || status == HAFT_E_FORGED);
      if (status == HAFT_OK) {
        static_cast<Job *>(completion.user)->hear(completion.status, &completion.result);
        taken++;
      } else {
        CHECK(completion.user == nullptr && completion.result.type == HAFT_VOID);
      }
      jitter(random, 2);
    }
  });
  threads.start(1, [&](int) {  // open and close
    Random random(8300);
    while (!done.load()) {
      haft_queue fresh;
      int descriptor;
      CHECK_STATUS(queue_open(&fresh, &descriptor), HAFT_OK);
      CHECK(descriptor >= 0);
      const haft_queue old = queues[random.below(kQueuesOpen)].exchange(fresh);
      if (old) CHECK_STATUS(queue_close(old), HAFT_OK);
      if (old) CHECK_STATUS(queue_close(old), HAFT_E_FORGED);
      for (uint32_t k = random.below(200); k > 0; k--) sched_yield();
    }
  });
  Random random(8400);
  while (running.load() > 0) {
    c.drain();
    script.settle(random.below(200));
    for (uint32_t k = random.below(20); k > 0; k--) sched_yield();
  }
  done = true;
  threads.join();
  c.drain();
  script.settle(0);
  c.drain();
  // All have ended now but what the clock is in the midst of.
  while (counters_of(c.id).sent != counters_of(c.id).delivered + counters_of(c.id).refused + counters_of(c.id).expired)
    sched_yield();
  const auto over = [&] { return ends.sent.load() - queued.load() == ends.heard.load() - taken.load(); };
  while (!over()) sched_yield();
  for (auto &queue : queues) queue_close(queue.load());
  CHECK(ends.heard.load() <= ends.sent.load());
  CHECK(ends.ok.load() > 0);
  nothing_left(c, kHandles);
}

// P15, P21: the realm's end among calls that are being sent, answered, timed out or never answered.
void closing(int rounds) {
  say("P15 P21 async: closing");
  constexpr int kThreads = 3;
  struct Round {
    haft_handle handle;
    Ends ends;
    std::deque<Job> jobs[kThreads];
    std::atomic<int> out{0};
  };
  std::atomic<Round *> current{nullptr};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> closed{0}, ok{0};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(8500 + me);
    Round *seen = nullptr;
    while (!done.load()) {
      Round *round = current.load();
      if (round == seen) {
        sched_yield();
        continue;
      }
      seen = round;
      for (haft_status status = HAFT_OK; status != HAFT_E_CLOSED && status != HAFT_E_STALE;) {
        Job &job = round->jobs[me].emplace_back();
        job.ends = &round->ends;
        job.what = random.below(4);
        job.tag = random.next() >> 1;
        status = job.send(round->handle, some_timeout(random));
        if (status != HAFT_OK) jitter(random, 1);
      }
      round->out++;
    }
  });
  Random random(8600);
  std::vector<std::unique_ptr<Round>> all;
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    Script script(c, 8700 + i, true);
    all.push_back(std::make_unique<Round>());
    Round &round = *all.back();
    round.handle = c.create(kind());
    current = &round;
    for (uint32_t k = random.below(6); k > 0; k--) {
      jitter(random, 1);
      c.drain();
      script.settle(random.below(10));
    }
    for (uint32_t k = random.below(4); k > 0; k--) sched_yield();
    CHECK(c.close());
    while (round.out.load() < kThreads) sched_yield();
    // All have heard; the clock may be in the midst of telling one.
    while (round.ends.heard.load() < round.ends.sent.load()) sched_yield();
    closed += round.ends.closed.load();
    ok += round.ends.ok.load();
    for (auto &jobs : round.jobs) {
      for (const Job &job : jobs) CHECK(job.heard.load() + (job.refused.load() ? 1 : 0) == 1);
    }
    if (all.size() > 8) {  // a second completion has had its time
      for (auto &jobs : all[all.size() - 8]->jobs) jobs.clear();
    }
  }
  done = true;
  threads.join();
  CHECK(closed.load() > 0 && ok.load() > 0);
}

// Promises that never settle: each call times out, by the clock alone, and the late answers of some are discarded.
void never_settles() {
  say("P15 async: promises that never settle");
  Consumer c;
  const haft_handle handle = c.create(kind());
  std::vector<Message> promised;
  c.handler = [&](const Message &m) {
    promised.push_back(m);
    return Answer::promise();
  };
  Ends ends;
  std::deque<Job> jobs;
  Random random(8800);
  const int n = 1500;
  for (int i = 0; i < n; i++) {
    Job &job = jobs.emplace_back();
    job.ends = &ends;
    job.what = random.below(4);
    job.tag = (uint64_t)i;
    // A later one may be due sooner.
    while (job.send(handle, 1 + (int64_t)random.below(20)) != HAFT_OK) {
      job.refused = false;
      c.drain();
    }
    if (i == n / 2) c.drain();
  }
  while (ends.heard.load() < (uint64_t)n) sched_yield();
  CHECK(ends.timeouts.load() == (uint64_t)n);
  c.drain();
  CHECK(counters_of(c.id).expired == (uint64_t)n);
  for (const Message &m : promised) c.answer_later(m.token, answer_for(c, m.op & 0xffff, m.bits[0]));
  CHECK(c.discarded == (uint64_t)n);
  nothing_left(c, 1);
}

// On the realm's own thread, and a completer that calls again.
void own_thread() {
  say("async on the own thread, in a chain");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) { return answer_for(c, m.op & 0xffff, m.bits[0]); };
  struct Chain {
    haft_handle handle;
    int left;
    haft_completer completer;
  } chain = {handle, 200, {}};
  chain.completer = {sizeof(haft_completer),
                     [](void *user, haft_status status, haft_value *result) {
                       Chain *at = static_cast<Chain *>(user);
                       CHECK_STATUS(status, HAFT_OK);
                       CHECK(result->as.i64 == at->left);
                       if (--at->left == 0) return;
                       const haft_value arg = haft_value_i64(at->left);
                       CHECK_STATUS(call_async(at->handle, op(kEcho), &arg, 1, -1, &at->completer), HAFT_OK);
                     },
                     0, &chain};
  const haft_value arg = haft_value_i64(chain.left);
  CHECK_STATUS(call_async(handle, op(kEcho), &arg, 1, -1, &chain.completer), HAFT_OK);
  CHECK(chain.left == 200);  // in its turn, not at once
  for (int i = 0; i < 400 && chain.left > 0; i++) c.drain();
  CHECK(chain.left == 0);

  say("async: a completer that ends the realm");
  Ends ends;
  std::deque<Job> jobs;
  static Consumer *closes;
  Consumer second;
  closes = &second;
  const haft_handle target = second.create(kind());
  second.handler = [&](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
  const haft_completer ender = {sizeof ender, [](void *, haft_status, haft_value *) { CHECK(closes->close()); }, 0, nullptr};
  for (int i = 0; i < 50; i++) {
    if (i == 20) CHECK_STATUS(call_async(target, op(kEcho), &arg, 1, -1, &ender), HAFT_OK);
    Job &job = jobs.emplace_back();
    job.ends = &ends;
    job.tag = (uint64_t)i;
    CHECK_STATUS(job.send(target, i % 2 ? -1 : 60'000), HAFT_OK);
  }
  second.drain();
  CHECK(second.closed());
  CHECK(ends.heard.load() == 50 && ends.timeouts.load() == 0);
  nothing_left(c, 1);
}

void what_is_refused() {
  say("async: what is refused is never heard of");
  Consumer c;
  const haft_handle handle = c.create(kind());
  Ends ends;
  std::deque<Job> jobs;
  const auto refused = [&](int64_t timeout_ms, haft_status expected, haft_queue queue = 0, haft_handle to = 0) {
    Job &job = jobs.emplace_back();
    job.ends = &ends;
    CHECK_STATUS(job.send(to ? to : handle, timeout_ms, queue), expected);
  };
  refused(0, HAFT_E_ARGUMENT);
  refused(-1, HAFT_E_FORGED, 12345);
  refused(-1, HAFT_E_FORGED, 0, handle ^ 1ull << 40);
  const haft_completer small = {8, [](void *, haft_status, haft_value *) {}, 0, nullptr};
  CHECK_STATUS(call_async(handle, op(0), nullptr, 0, -1, &small), HAFT_E_ARGUMENT);
  CHECK_STATUS(call_async(handle, op(0), nullptr, 0, -1, nullptr), HAFT_E_ARGUMENT);
  const haft_completer neither = {sizeof neither, nullptr, 0, nullptr};
  CHECK_STATUS(call_async(handle, op(0), nullptr, 0, -1, &neither), HAFT_E_FORGED);
  for (uint32_t i = 0; i < kRingCells; i++) CHECK_STATUS(post(handle, op(0), nullptr, 0, HAFT_FAIL), HAFT_OK);
  for (int i = 0; i < 100; i++) refused(i % 2 ? -1 : 60'000, HAFT_E_FULL);
  CHECK(ends.heard.load() == 0 && ends.sent.load() == 0);

  say("P15 async: full, or timed out before that was known");
  for (int i = 0; i < amount(20'000); i++) {
    Job &job = jobs.emplace_back();
    job.ends = &ends;
    const haft_status status = job.send(handle, 1);
    CHECK(status == HAFT_OK || status == HAFT_E_FULL);
  }
  while (ends.heard.load() < ends.sent.load()) sched_yield();
  CHECK(ends.timeouts.load() == ends.heard.load());
  const uint64_t early = ends.heard.load();
  c.drain();

  say("async: all reply slots");
  c.handler = [&](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
  std::vector<haft_handle> handles;
  for (uint32_t i = 0; i < 2 * kShards; i++) handles.push_back(c.create(kind()));
  uint32_t sent = 0;
  for (;; sent++) {
    Job &job = jobs.emplace_back();
    job.ends = &ends;
    job.tag = sent;
    const haft_status status = job.send(handles[sent % handles.size()], -1);
    if (status == HAFT_E_BUSY) break;
    CHECK_STATUS(status, HAFT_OK);
  }
  CHECK(sent == kReplies);
  c.drain();
  CHECK(ends.heard.load() == early + kReplies && ends.ok.load() == kReplies);
  for (const haft_handle h : handles) CHECK_STATUS(c.remove(h), HAFT_OK);
  nothing_left(c, 1);
}

void queues() {
  say("queues: the descriptor tells");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) { return answer_for(c, m.op & 0xffff, m.bits[0]); };
  haft_queue queue;
  int descriptor;
  CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
  const auto readable = [&] {
    pollfd asked = {descriptor, POLLIN, 0};
    return poll(&asked, 1, 0) == 1 && (asked.revents & POLLIN);
  };
  Ends ends;
  std::deque<Job> jobs;
  const auto send = [&](int n, uint32_t what) {
    for (int i = 0; i < n; i++) {
      Job &job = jobs.emplace_back();
      job.ends = &ends;
      job.what = what;
      job.tag = (uint64_t)jobs.size();
      CHECK_STATUS(job.send(handle, -1, queue), HAFT_OK);
    }
  };
  haft_completion completion;
  CHECK(!readable());
  CHECK_STATUS(queue_next(queue, 0, &completion), HAFT_E_TIMEOUT);
  send(5, kText);
  CHECK(!readable());
  c.drain();
  for (int i = 0; i < 5; i++) {
    CHECK(readable());
    CHECK_STATUS(queue_next(queue, -1, &completion), HAFT_OK);
    CHECK(completion.user == &jobs[i]);  // the oldest first
    jobs[i].hear(completion.status, &completion.result);
  }
  CHECK(!readable());

  say("queues: what is left in a closed one is given back");
  send(20, kText);
  send(20, kObject);
  c.drain();
  CHECK(c.live() == 21);
  CHECK_STATUS(queue_close(queue), HAFT_OK);
  c.drain();
  CHECK(c.live() == 1);
  CHECK_STATUS(queue_next(queue, -1, &completion), HAFT_E_FORGED);

  say("queues: what comes after the end is given back");
  CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
  send(20, kObject);
  send(20, kText);
  CHECK_STATUS(queue_close(queue), HAFT_OK);
  c.drain();
  c.drain();
  CHECK(c.live() == 1);

  say("queues: a taker that waits hears of the end");
  CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
  std::thread taker([&] {
    haft_completion none;
    CHECK_STATUS(queue_next(queue, -1, &none), HAFT_E_FORGED);
  });
  for (int i = 0; i < 100; i++) sched_yield();
  CHECK_STATUS(queue_close(queue), HAFT_OK);
  taker.join();

  say("queues: all of them");
  std::vector<haft_queue> all;
  for (haft_status status; (status = queue_open(&queue, &descriptor)) == HAFT_OK;) {
    all.push_back(queue);
    if (all.size() == 100) break;  // a machine may allow few descriptors
  }
  for (const haft_queue q : all) CHECK_STATUS(queue_close(q), HAFT_OK);
  for (const haft_queue q : {(haft_queue)0, (haft_queue)1, ~(haft_queue)0, all[0]})
    CHECK_STATUS(queue_close(q), HAFT_E_FORGED);
  CHECK_STATUS(queue_open(nullptr, &descriptor), HAFT_E_ARGUMENT);
  nothing_left(c, 1);
}

// P15: whoever is woken looks whether it was answered: the wake-up may have been for a caller that had the slot before.
void woken_too_early() {
  say("P15 async: woken too early");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) { return answer_for(c, m.op & 0xffff, m.bits[0]); };
  Ends ends;
  std::deque<Job> jobs;
  std::vector<int32_t> numbers;
  for (int i = 0; i < 20; i++) {
    Job &job = jobs.emplace_back();
    job.ends = &ends;
    job.tag = (uint64_t)i + 1;
    CHECK_STATUS(job.send(handle, i % 2 ? -1 : 60'000), HAFT_OK);
    numbers.push_back(i);
  }
  CHECK(c.realm->replies_issued.load() == numbers.size());
  realm_wake(c.number, numbers.data(), (uint32_t)numbers.size());
  CHECK(ends.heard.load() == 0);
  c.drain();
  CHECK(ends.ok.load() == 20);
  realm_wake(c.number, numbers.data(), (uint32_t)numbers.size());
  CHECK(ends.heard.load() == 20);
  nothing_left(c, 1);
}

// P15: a call that was answered has its answer, though the realm ends before anybody is told.
void answered_at_the_end() {
  say("P15 async: answered, and the realm ends before that is told");
  Consumer c;
  const haft_handle handle = c.create(kind());
  Ends ends;
  Job answered, other;
  for (Job *job : {&answered, &other}) {
    job->ends = &ends;
    job->tag = 5;
    CHECK_STATUS(job->send(handle, -1), HAFT_OK);
  }
  Reply &reply = c.realm->replies[0];
  reply.status = HAFT_OK;
  reply.type = HAFT_I64;
  reply.value = 5;
  const uint32_t sequence = (reply.state.load() >> kReplySequenceShift) + 1;
  reply.state.store(reply_word(sequence, kDone));
  CHECK(c.close());
  CHECK(ends.ok.load() == 1 && ends.closed.load() == 1);
  CHECK(answered.heard.load() == 1 && other.heard.load() == 1);
}

}  // namespace

int main() {
  woken_too_early();
  answered_at_the_end();
  what_is_refused();
  own_thread();
  queues();
  never_settles();
  against_the_clock();
  closing(amount(150));
}
