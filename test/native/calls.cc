// Calls: answers of every sort, callers that give up before and after the handler began, and calls on the realm's own
// thread.
#include <deque>

#include "support.h"

using namespace test;

namespace {

enum Op : uint32_t { kEcho = 0, kText = 1, kObject = 2, kThrow = 3 };

haft_kind kind() {
  static const haft_kind defined = define_kind("calls", 4);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

std::string text_of(uint64_t tag) {
  Random random(tag);
  std::string text(random.once_in(3) ? 200 + random.below(4000) : random.below(69), ' ');
  for (char &c : text) c = (char)('a' + random.below(26));
  return text;
}

void check_result(haft_status status, uint32_t what, uint64_t tag, haft_value *result, haft_kind of) {
  if (status == HAFT_E_TIMEOUT) {
    CHECK(result->type == HAFT_VOID);
    return;
  }
  switch (what) {
    case kEcho:
      CHECK_STATUS(status, HAFT_OK);
      CHECK(result->type == HAFT_I64 && result->as.i64 == (int64_t)tag);
      break;
    case kText: {
      CHECK_STATUS(status, HAFT_OK);
      const std::string text = text_of(tag);
      CHECK(result->type == HAFT_STR && result->length == text.size() &&
            memcmp(result->as.str, text.data(), text.size()) == 0 && result->as.str[text.size()] == 0);
      break;
    }
    case kObject: {
      CHECK_STATUS(status, HAFT_OK);
      CHECK(result->type == HAFT_HANDLE);
      uint64_t word;
      Target target;
      CHECK_STATUS(slot_check(result->as.handle, of, &word, &target), HAFT_OK);
      CHECK(word_references(word) == 1);
      CHECK_STATUS(slot_release(result->as.handle), HAFT_OK);
      break;
    }
    default:
      CHECK_STATUS(status, HAFT_E_EXCEPTION);
      CHECK(result->type == HAFT_VOID);
      CHECK(strcmp(last_error()->name, "Error") == 0 && text_of(tag).compare(0, 3000, last_error()->message, 0, 3000) == 0);
  }
  value_free(result);
}

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

// After all calls are over nothing may be left: no object, no memory, no reply slot.
void nothing_left(Consumer &c, uint64_t live) {
  c.drain();
  c.drain();
  CHECK(c.live() == live);
  CHECK(heap_outstanding(c.number) == 0);
  CHECK(in_flight_now(c.number) == 0);
  check_all_replies_free(c.number);
}

// P15: callers with all sorts of patience against a consumer that answers at once, late, or much later.
void patience(int linger, bool promises, bool loop) {
  constexpr int kCallers = 4, kHandles = 4;
  const int rounds = amount(4000);
  std::atomic<Consumer *> opened{nullptr};
  std::vector<haft_handle> handles;
  std::atomic<int> running{kCallers};
  std::atomic<uint64_t> timeouts{0}, answered{0};
  std::thread owner([&] {
    Consumer c;
    c.linger_looks = linger;
    for (int i = 0; i < kHandles; i++) handles.push_back(c.create(kind(), i));
    Random random(4000);
    std::deque<std::pair<uint32_t, std::pair<uint32_t, uint64_t>>> promised;
    const auto settle = [&](size_t most) {
      while (promised.size() > most) {
        const auto [token, what] = promised.front();
        promised.pop_front();
        c.answer_later(token, answer_for(c, what.first, what.second));
      }
    };
    c.handler = [&](const Message &m) {
      const uint32_t what = m.op & 0xffff;
      const uint64_t tag = m.bits[0];
      if (m.token == 0) return Answer();
      if (random.once_in(8)) jitter(random, 1);
      if (promises && random.once_in(2)) {
        promised.push_back({m.token, {what, tag}});
        return Answer::promise();
      }
      return answer_for(c, what, tag);
    };
    opened = &c;
    if (loop) {
      c.after_drain = [&] { settle(0); };
      c.run();
    } else {
      while (running.load() > 0) {
        c.drain();
        settle(random.below(3));
        if (random.once_in(8)) sched_yield();
      }
    }
    settle(0);
    nothing_left(c, kHandles);
    if (promises) CHECK(c.discarded > 0);
  });
  while (!opened.load()) sched_yield();
  {
    Threads threads;
    threads.start(kCallers, [&](int me) {
      Random random(4100 + me);
      const std::string ballast(2000, 'z');
      for (int i = 0; i < rounds; i++) {
        const uint64_t tag = (uint64_t)me << 32 | (uint64_t)i;
        const uint32_t what = random.below(4);
        const haft_value args[] = {haft_value_i64((int64_t)tag),
                                   haft_value_str(ballast.data(), random.once_in(8) ? ballast.size() : 0)};
        static constexpr int64_t kTimeouts[] = {-1, -1, 1000'000, 0, 0, 1};
        haft_value result;
        const haft_status status =
            call(handles[random.below(kHandles)], op(what), args, 2, kTimeouts[random.below(6)], &result);
        check_result(status, what, tag, &result, kind());
        (status == HAFT_E_TIMEOUT ? timeouts : answered)++;
      }
      running--;
    });
  }
  if (loop) opened.load()->stop();
  owner.join();
  CHECK(timeouts.load() > 0 && answered.load() > 0);
}

// P15: given up in PENDING: the handler never runs, and the slot comes back.
void abandoned_pending() {
  say("P15 abandoned while pending");
  Consumer c;
  const haft_handle handle = c.create(kind());
  int ran = 0;
  c.handler = [&](const Message &) {
    ran++;
    return Answer::i64(1);
  };
  const int rounds = amount(3000);
  std::thread([&] {
    haft_value result;
    const std::string text(3000, 'q');
    const haft_value arg = haft_value_str(text.data(), text.size());
    for (int i = 0; i < (rounds < 500 ? rounds : 500); i++)
      CHECK_STATUS(call(handle, op(0), i % 2 ? &arg : nullptr, i % 2, i % 64 == 0 ? 1 : 0, &result), HAFT_E_TIMEOUT);
  }).join();
  c.drain();
  CHECK(ran == 0);
  CHECK(c.discarded == (uint64_t)(rounds < 500 ? rounds : 500));
  nothing_left(c, 1);
}

// P15: given up in STARTED: what the late answer carries is given back.
void abandoned_started() {
  say("P15 abandoned after the handler began");
  for (uint32_t what = 0; what < 4; what++) {
    for (const bool promise : {false, true}) {
      Consumer c;
      const haft_handle handle = c.create(kind());
      std::vector<uint32_t> tokens;
      c.handler = [&](const Message &m) {
        const auto &state = c.realm->replies[token_number(m.token)].state;
        tokens.push_back(m.token);
        if (promise) return Answer::promise();
        while (state.load() != reply_word(token_sequence(m.token), kAbandoned)) sched_yield();
        Answer answer = answer_for(c, what, 7);
        if (what == kText) answer.text = std::string(5000, 'l');
        return answer;
      };
      std::atomic<bool> over{false};
      std::thread caller([&] {
        haft_value result;
        CHECK_STATUS(call(handle, op(what), nullptr, 0, 20, &result), HAFT_E_TIMEOUT);
        over = true;
      });
      while (c.delivered.load() == 0 && !over.load()) c.drain();
      caller.join();
      c.drain();
      if (promise && !tokens.empty()) {
        Answer answer = answer_for(c, what, 7);
        if (what == kText) answer.text = std::string(5000, 'l');
        c.answer_later(tokens[0], answer);
      }
      CHECK(c.discarded == 1);
      nothing_left(c, 1);
    }
  }
}

// The sequence of a reply slot comes round, and its PENDING is the DONE before.
void sequences_wrap() {
  say("P15 the sequence of a reply slot comes round");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
  c.realm->replies[0].state.store(reply_word(kReplySequenceMask - 5, kDone));
  std::atomic<bool> done{false};
  std::thread caller([&] {
    for (int i = 0; i < 12; i++) {
      haft_value result;
      const haft_value arg = haft_value_i64(i);
      const haft_status status = call(handle, op(0), &arg, 1, i % 3 == 2 ? 0 : -1, &result);
      CHECK(status == HAFT_OK || (i % 3 == 2 && status == HAFT_E_TIMEOUT));
      if (status == HAFT_OK) CHECK(result.as.i64 == i);
      // The same slot each time: wait until it is discarded.
      while ((uint32_t)c.realm->free_replies.load() == 0) sched_yield();
      CHECK(c.realm->replies_issued.load() == 1);
    }
    done = true;
  });
  while (!done.load()) {
    c.drain();
    sched_yield();
  }
  caller.join();
  nothing_left(c, 1);
}

void reply_slots_run_out() {
  say("reply slots run out");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
  std::vector<uint32_t> tokens;
  while (const uint32_t token = reply_take(c.number)) tokens.push_back(token);
  CHECK(tokens.size() == kReplies);
  std::thread([&] {
    haft_value result;
    CHECK_STATUS(call(handle, op(0), nullptr, 0, 1000, &result), HAFT_E_BUSY);
  }).join();
  for (uint32_t token : tokens) reply_give(c.number, token);
  nothing_left(c, 1);
}

void many() {
  say("call_many");
  Consumer c;
  const haft_handle a = c.create(kind()), b = c.create(kind()), dead = c.create(kind());
  CHECK_STATUS(c.remove(dead), HAFT_OK);
  c.handler = [&](const Message &m) { return answer_for(c, m.op & 0xffff, m.bits[0]); };
  std::atomic<bool> done{false};
  std::thread caller([&] {
    Random random(4300);
    for (size_t n : {(size_t)0, (size_t)1, (size_t)2, (size_t)255, (size_t)256, (size_t)257, (size_t)900}) {
      std::vector<haft_request> requests(n);
      std::vector<haft_value> args(n);
      std::vector<int> what(n);
      bool all = true;
      for (size_t i = 0; i < n; i++) {
        what[i] = random.once_in(50) ? -1 : (int)random.below(4);
        args[i] = haft_value_i64((int64_t)i);
        requests[i] = {what[i] < 0 ? dead : random.once_in(2) ? a : b, &args[i], 1, op(what[i] < 0 ? 0 : what[i]), 99, 0, {}};
        all = all && what[i] >= 0 && what[i] != kThrow;
      }
      CHECK((call_many(requests.data(), n, -1) == HAFT_OK) == all);
      for (size_t i = 0; i < n; i++) {
        haft_request &q = requests[i];
        if (what[i] < 0) {
          CHECK_STATUS(q.status, HAFT_E_STALE);
          CHECK(q.result.type == HAFT_VOID);
        } else if (what[i] == kThrow) {
          CHECK_STATUS(q.status, HAFT_E_EXCEPTION);
          CHECK(q.result.type == HAFT_STR && std::string(q.result.as.str, q.result.length).rfind("Error: ", 0) == 0);
          value_free(&q.result);
        } else {
          check_result(q.status, (uint32_t)what[i], i, &q.result, kind());
        }
      }
    }
    // Given up all together.
    std::vector<haft_request> requests(300);
    for (haft_request &q : requests) q = {a, nullptr, 0, op(kText), 99, 0, {}};
    const haft_status status = call_many(requests.data(), requests.size(), 0);
    CHECK(status == HAFT_OK || status == HAFT_E_TIMEOUT);
    for (haft_request &q : requests) {
      CHECK(q.status == HAFT_OK || q.status == HAFT_E_TIMEOUT);
      value_free(&q.result);
    }
    done = true;
  });
  while (!done.load()) c.drain();
  caller.join();
  nothing_left(c, 2);
}

void result_dropped() {
  say("a result that nobody takes");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) { return answer_for(c, m.op & 0xffff, 5); };
  std::atomic<bool> done{false};
  std::thread caller([&] {
    for (uint32_t what = 0; what < 4; what++)
      CHECK_STATUS(call(handle, op(what), nullptr, 0, -1, nullptr), what == kThrow ? HAFT_E_EXCEPTION : HAFT_OK);
    done = true;
  });
  while (!done.load()) c.drain();
  caller.join();
  nothing_left(c, 1);
}

// P16: an answer that comes without a wake-up is found within a slice of the sleep.
void unwoken_sleeper() {
  say("P16 a sleeper looks again by itself");
  Consumer c;
  const haft_handle handle = c.create(kind());
  std::vector<uint32_t> tokens;
  c.handler = [&](const Message &m) {
    tokens.push_back(m.token);
    return Answer::promise();
  };
  std::thread caller([&] {
    haft_value result;
    CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, &result), HAFT_OK);
    CHECK(result.as.i64 == 42);
  });
  while (tokens.empty()) c.drain();
  Reply &reply = c.realm->replies[token_number(tokens[0])];
  while (reply.sleeper.load() == 0) sched_yield();
  reply.status = HAFT_OK;
  reply.type = HAFT_I64;
  reply.value = 42;
  reply.state.store(reply_word(token_sequence(tokens[0]), kDone));
  caller.join();
  nothing_left(c, 1);
}

// ---- On the realm's own thread ----

void own_thread() {
  say("P17 a call on the own thread overtakes its posts");
  Consumer c;
  const haft_handle handle = c.create(kind());
  std::vector<uint64_t> order;
  c.handler = [&](const Message &m) {
    order.push_back(m.bits[0]);
    CHECK(in_flight_now(c.number) == 0);  // P22: not counted
    return Answer::i64((int64_t)m.bits[0]);
  };
  haft_value one = haft_value_i64(1), two = haft_value_i64(2), result;
  CHECK_STATUS(post(handle, op(0), &one, 1, HAFT_FAIL), HAFT_OK);
  CHECK_STATUS(call(handle, op(0), &two, 1, 0, &result), HAFT_OK);
  CHECK(result.as.i64 == 2);
  CHECK((order == std::vector<uint64_t>{2}));
  c.drain();
  CHECK((order == std::vector<uint64_t>{2, 1}));

  say("calls on the own thread, one inside the other");
  const std::string text(3000, 't');
  int depth = 0;
  c.handler = [&](const Message &m) {
    if (++depth < 6) {
      haft_value inner;
      const haft_value args[] = {haft_value_i64((int64_t)m.bits[0] + 1), haft_value_str(text.data(), depth * 500)};
      CHECK_STATUS(call(handle, op(kText), args, 2, -1, &inner), HAFT_OK);
      CHECK(std::string(inner.as.str, inner.length) == text_of(m.bits[0] + 1));
      value_free(&inner);
    }
    return Answer::str(text_of(m.bits[0]));
  };
  const haft_value args[] = {haft_value_i64(10), haft_value_str(text.data(), text.size())};
  CHECK_STATUS(call(handle, op(kText), args, 2, -1, &result), HAFT_OK);
  CHECK(std::string(result.as.str, result.length) == text_of(10));
  value_free(&result);
  CHECK(depth == 6);

  say("a promise on the own thread");
  c.handler = [&](const Message &) { return Answer::promise(); };
  CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, &result), HAFT_E_DEADLOCK);
  CHECK(result.type == HAFT_VOID);
  nothing_left(c, 1);

  say("P22 the own thread is not counted");
  {
    InFlight own(c.number, 3);
    CHECK(in_flight_now(c.number) == 0);
    std::thread([&] {
      InFlight other(c.number, 3);
      CHECK(in_flight_now(c.number) == 1);
    }).join();
  }

  say("P22 a handler that closes its realm and opens the next");
  {
    Consumer first;
    const haft_handle target = first.create(kind());
    std::unique_ptr<Consumer> second;
    first.handler = [&](const Message &) {
      const uint32_t number = first.number;
      CHECK(first.close());
      second = std::make_unique<Consumer>();
      CHECK(second->number == number);
      second->handler = [](const Message &) { return Answer::i64(77); };
      haft_value inner;
      CHECK_STATUS(call(second->create(kind()), op(0), nullptr, 0, -1, &inner), HAFT_OK);
      CHECK(inner.as.i64 == 77);
      return Answer::i64(1);
    };
    // The answer that stands there is the other realm's.
    CHECK_STATUS(call(target, op(0), nullptr, 0, -1, &result), HAFT_E_CLOSED);
    CHECK(result.type == HAFT_VOID);
  }

  say("P22 a handler that closes its realm");
  for (const bool direct : {true, false}) {
    Consumer closes;
    const haft_handle target = closes.create(kind());
    closes.handler = [&](const Message &) {
      CHECK(closes.close(20'000));  // waits for nobody
      return Answer::i64(1);
    };
    if (direct) {
      CHECK_STATUS(call(target, op(0), nullptr, 0, -1, &result), HAFT_E_CLOSED);
      CHECK(result.type == HAFT_VOID);
    } else {
      CHECK_STATUS(post(target, op(0), nullptr, 0, HAFT_FAIL), HAFT_OK);
      closes.drain();
      CHECK_STATUS(post(target, op(0), nullptr, 0, HAFT_FAIL), HAFT_E_CLOSED);
    }
    CHECK(closes.closed());
  }
}

}  // namespace

int main() {
  own_thread();
  abandoned_pending();
  abandoned_started();
  sequences_wrap();
  reply_slots_run_out();
  result_dropped();
  unwoken_sleeper();
  many();
  say("P15 patience, answered at once");
  patience(0, false, false);
  say("P15 patience, asleep in between");
  patience(0, false, true);
  say("P15 patience, promises");
  patience(0, true, false);
  say("P10 P15 patience, lingering");
  patience(200, true, true);
  patience(200, false, true);
}
