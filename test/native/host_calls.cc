// Calls of functions of the host: who runs them, how they are given up, that none is lost, and what a hostile process could
// write in their place.
// timeout: 60
#include "message.h"
#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("host calls", 2);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

// As native/calling.cc does.
uint32_t begin(const Consumer &c, const char *name, HostCallMode mode, const std::vector<haft_value> &args) {
  const uint32_t token = host_call_take(c.number);
  if (token == 0) return 0;
  HostCall &call = host_call_of(*c.realm, token);
  Plan plan;
  CHECK_STATUS(plan_given(c.id, 0, args.data(), args.size(), &plan), HAFT_OK);
  if (plan.cells > kMessageCells) CHECK((plan.chunk = heap_take(c.number, plan.tail_bytes)) != 0);
  for (const haft_value &arg : args) {
    if (arg.type == HAFT_HANDLE) CHECK_STATUS(slot_retain(arg.as.handle), HAFT_OK);
  }
  write_message(plan, HAFT_NULL, 0, 0, call.message);
  call.mode = mode;
  call.name_length = (uint32_t)strlen(name);
  memcpy(call.name, name, call.name_length);
  host_call_queue(c.number, token);
  return token;
}

// The answer's number, or the status of one that is none.
int64_t take(const Consumer &c, uint32_t token) {
  const Reply &reply = host_call_of(*c.realm, token).reply;
  const int64_t result = reply.status == HAFT_OK ? (int64_t)reply.value : reply.status;
  if (reply.in_heap) heap_give(c.number, reply.value);
  host_call_free(c.number, token);
  return result;
}

bool give_up(const Consumer &c, uint32_t token) {
  bool taken;
  if (!host_call_give_up(c.number, token, &taken)) return false;
  if (taken) return true;
  HostArguments arguments;
  CHECK_STATUS(arguments.copy(c.number, host_call_of(*c.realm, token).message), HAFT_OK);
  arguments.give_handles_back();
  if (arguments.chunk()) heap_give(c.number, arguments.chunk());
  host_call_free(c.number, token);
  return true;
}

int64_t await(const Consumer &c, uint32_t token, int64_t timeout_ms = -1) {
  const haft_status status = await_host(c.id, token, timeout_ms);
  if (status == HAFT_OK || !give_up(c, token)) return take(c, token);
  return status;
}

void all_are_free(const Consumer &c) {
  for (const HostCall &call : c.realm->host_calls)
    CHECK((call.state.load() & ((1u << kHostStateBits) - 1)) == kHostFree);
  CHECK(heap_outstanding(c.number) == 0);
}

std::atomic<uint64_t> runs{0};

// Answers with its first argument, a number; with its last one where that is a text.
haft_status echo(void *, const haft_value *args, size_t count, haft_reply *reply) {
  runs++;
  return host_reply_value(reply, &args[args[count - 1].type == HAFT_STR ? count - 1 : 0]);
}

std::vector<haft_value> number(int64_t n) { return {haft_value_i64(n)}; }

// P34: a caller that sleeps, or a server, is woken by each call: slices of sleep would take more time than there is.
void wakes(bool server, int rounds) {
  say(server ? "P34 one that serves is woken" : "P34 a sleeping caller is woken");
  Consumer c;
  std::vector<uint32_t> calls;
  c.handler = [&](const Message &m) {
    calls.push_back(m.token);
    return Answer::promise();
  };
  const haft_handle handle = c.create(kind());
  CHECK_STATUS(host_expose(c.id, "echo", echo, nullptr), HAFT_OK);
  std::atomic<bool> stop{false};
  Threads threads;
  threads.start(1, [&](int) {
    if (!server) CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, nullptr), HAFT_OK);
    while (server && !stop.load()) CHECK_STATUS(serve(c.id, -1), HAFT_OK);
  });
  while (!server && calls.empty()) c.drain();
  Random random(1);
  for (int i = 0; i < rounds; i++) {
    // Sometimes at once, while it is on its way to sleep.
    if (random.once_in(2)) {
      while (server ? c.realm->host_servers.load() == 0 : c.realm->replies[0].sleeper.load() != kAsleep) sched_yield();
    }
    const uint32_t token = begin(c, "echo", kHostPromise, number(i));
    while (c.realm->host_done.load() == 0) sched_yield();
    uint32_t tokens[kHostCalls];
    CHECK(host_calls_done(c.number, tokens) == 1 && tokens[0] == token);
    CHECK(take(c, token) == i);
  }
  stop = true;
  CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(0)), HAFT_OK);
  for (uint32_t token : calls) c.answer_later(token, Answer());
  threads.join();
  all_are_free(c);
}

// P34: of many that sleep some leave, when one of them has been woken for a call: those that stay run it.
void leavers(int rounds) {
  say("P34 one that leaves passes on what it was woken for");
  Consumer c;
  std::vector<uint32_t> stays, leaves;
  c.handler = [&](const Message &m) {
    (m.op == op(0) ? leaves : stays).push_back(m.token);
    return Answer::promise();
  };
  const haft_handle handle = c.create(kind());
  CHECK_STATUS(host_expose(c.id, "echo", echo, nullptr), HAFT_OK);
  std::atomic<bool> stop{false};
  Threads threads;
  const auto asleep = [&](int reply) { return c.realm->replies[reply].sleeper.load() == kAsleep; };
  std::atomic<int> ended{0};
  // In this order: who waits with the first reply is woken first.
  threads.start(1, [&](int) {
    for (int left = 1; !stop.load(); left++) {
      CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, nullptr), HAFT_OK);
      while (ended.load() < left) sched_yield();  // it comes back when the function has run
    }
  });
  while (leaves.empty()) c.drain();
  threads.start(1, [&](int) { CHECK_STATUS(call(handle, op(1), nullptr, 0, -1, nullptr), HAFT_OK); });
  while (stays.empty()) c.drain();
  for (int i = 0; i < rounds; i++) {
    while (leaves.empty()) c.drain();
    while (!asleep(0) || !asleep(1)) sched_yield();
    // It is answered, but woken only for the call: so it leaves.
    Reply &reply = c.realm->replies[token_number(leaves[0])];
    reply.status = HAFT_OK;
    reply.type = HAFT_VOID;
    reply.state.store(reply_word(token_sequence(leaves[0]), kDone));
    const uint32_t token = begin(c, "echo", kHostPromise, number(i));
    while (c.realm->host_done.load() == 0) sched_yield();
    uint32_t tokens[kHostCalls];
    CHECK(host_calls_done(c.number, tokens) == 1 && tokens[0] == token);
    CHECK(take(c, token) == i);
    c.answer_later(leaves[0], Answer());  // finds that it has gone
    leaves.clear();
    ended++;
  }
  while (leaves.empty()) c.drain();  // before it is told to stop, or it might not come
  stop = true;
  ended++;
  c.answer_later(leaves[0], Answer());
  c.answer_later(stays[0], Answer());
  threads.join();
  all_are_free(c);
}

// P10: an answer wakes an event loop that sleeps; P33: each call ends once, given up or answered, and keeps nothing.
void answers_and_ends(int servers, int count) {
  say("P33 calls that are given up at any moment");
  Consumer c;
  Random random(servers);
  const haft_handle handle = c.create(kind());
  CHECK_STATUS(host_expose(c.id, "echo", echo, nullptr), HAFT_OK);
  std::map<uint32_t, int64_t> waiting;
  int begun = 0, ended = 0;
  runs = 0;
  const std::string text(20'000, 't');
  const auto more = [&] {
    while (begun < count && waiting.size() < 20) {
      std::vector<haft_value> args = {haft_value_i64(begun), haft_value_handle(handle)};
      if (random.once_in(8)) args.push_back(haft_value_str(text.data(), text.size()));
      const uint32_t token = begin(c, "echo", kHostPromise, args);
      if (token == 0) break;
      CHECK(waiting.emplace(token, begun++).second);
      jitter(random, 4);
      if (!random.once_in(3)) continue;
      const auto victim = std::next(waiting.begin(), random.below((uint32_t)waiting.size()));
      if (!give_up(c, victim->first)) continue;
      waiting.erase(victim);
      ended++;
    }
  };
  c.host_answered = [&] {
    uint32_t tokens[kHostCalls];
    const uint32_t n = host_calls_done(c.number, tokens);
    for (uint32_t i = 0; i < n; i++) {
      const auto found = waiting.find(tokens[i]);
      CHECK(found != waiting.end());
      const bool is_text = host_call_of(*c.realm, tokens[i]).reply.type == HAFT_STR;
      const int64_t answer = take(c, tokens[i]);
      CHECK(is_text || answer == found->second);
      waiting.erase(found);
      ended++;
    }
    more();
  };
  std::atomic<bool> stop{false};
  Threads threads;
  threads.start(servers, [&](int) {
    while (!stop.load()) CHECK_STATUS(serve(c.id, -1), HAFT_OK);
  });
  c.after_drain = [&] {
    more();
    if (ended == count) c.stop();
  };
  CHECK(c.rung() || true);
  c.drain();
  more();
  if (ended < count) c.run();
  CHECK(begun == count && ended == count && waiting.empty());
  stop = true;
  CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(0)), HAFT_OK);
  threads.join();
  CHECK(runs.load() <= (uint64_t)count);
  all_are_free(c);
  CHECK_STATUS(slot_release(handle), HAFT_OK);  // the only reference left
  CHECK_STATUS(check(handle), HAFT_E_STALE);
  c.drain();
  CHECK(c.live() == 0);
}

// Calls that nobody takes, given up again and again: the queue has room for others, and keeps their order.
void queue_of_withdrawn() {
  say("P33 a queue full of calls that were given up");
  Consumer c;
  static std::vector<int64_t> order;
  order.clear();
  const auto note = [](void *, const haft_value *args, size_t, haft_reply *) -> haft_status {
    order.push_back(args[0].as.i64);
    return HAFT_OK;
  };
  CHECK_STATUS(host_expose(c.id, "note", note, nullptr), HAFT_OK);
  std::vector<uint32_t> kept;
  for (int i = 0; i < 4000; i++) {
    const uint32_t token = begin(c, "note", kHostPromise, number(i));
    CHECK(token != 0);
    if (i % 40 == 0)
      kept.push_back(token);
    else
      CHECK(give_up(c, token));
  }
  while (begin(c, "note", kHostPromise, number(-1)) != 0) {
  }
  std::thread([&] {
    while (serve(c.id, 0) == HAFT_OK) {
    }
  }).join();
  CHECK(order.size() == kHostCalls);
  for (size_t i = 0; i < kHostCalls; i++) CHECK(order[i] == (i < kept.size() ? (int64_t)i * 40 : -1));
  uint32_t tokens[kHostCalls];
  CHECK(host_calls_done(c.number, tokens) == kHostCalls);
  for (size_t i = 0; i < kHostCalls; i++) {
    if (i < kept.size()) CHECK(tokens[i] == kept[i]);
    take(c, tokens[i]);
  }
  all_are_free(c);
}

struct Nest {
  haft_handle handle;
  std::atomic<int> deepest{0};
};

// Calls JavaScript with one less, which calls it, to 0.
haft_status down(void *user, const haft_value *args, size_t, haft_reply *reply) {
  Nest &nest = *static_cast<Nest *>(user);
  haft_value result = haft_value_i64(0);
  if (args[0].as.i64 > 0) {
    const haft_value less = haft_value_i64(args[0].as.i64 - 1);
    const haft_status status = call(nest.handle, op(0), &less, 1, -1, &result);
    if (status != HAFT_OK) return status;
    result.as.i64++;
  }
  return host_reply_value(reply, &result);
}

// Both sides call each other, each waiting for the other, on several threads: no deadlock, and every number right.
void nested(int callers, int servers, int rounds) {
  say("nested calls of both sides");
  Consumer c;
  Nest nest;
  c.handler = [&](const Message &m) {
    const uint32_t token = begin(c, "down", kHostSync, number((int64_t)m.bits[0]));
    CHECK(token != 0);
    return Answer::i64(await(c, token));
  };
  nest.handle = c.create(kind());
  CHECK_STATUS(host_expose(c.id, "down", down, &nest), HAFT_OK);
  std::atomic<bool> stop{false};
  std::atomic<int> left{callers};
  Threads threads;
  threads.start(servers, [&](int) {
    while (!stop.load()) CHECK_STATUS(serve(c.id, -1), HAFT_OK);
  });
  threads.start(callers, [&](int i) {
    Random random(100 + i);
    for (int round = 0; round < rounds; round++) {
      const int64_t depth = random.below(8);
      const haft_value arg = haft_value_i64(depth);
      haft_value result;
      CHECK_STATUS(call(nest.handle, op(0), &arg, 1, -1, &result), HAFT_OK);
      CHECK(result.as.i64 == depth);
    }
    if (--left == 0) c.stop();
  });
  c.drain();
  c.run();
  stop = true;
  CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(0)), HAFT_OK);
  threads.join();
  all_are_free(c);
}

// A realm that closes while its calls wait and run: those that serve hear of it, and whatever is late touches nothing.
void ends(int rounds) {
  say("the end of a realm with calls of the host");
  Random random(77);
  for (int i = 0; i < rounds; i++) {
    auto c = std::make_unique<Consumer>();
    const haft_realm id = c->id;
    CHECK_STATUS(host_expose(id, "echo", echo, nullptr), HAFT_OK);
    Threads threads;
    threads.start(3, [&](int) {
      haft_status status;
      do status = serve(id, -1);
      while (status == HAFT_OK);
      CHECK_STATUS(status, HAFT_E_CLOSED);
    });
    for (uint32_t n = random.below(30); n > 0; n--) {
      const std::string text(random.once_in(4) ? 9000 : 10, 'e');
      begin(*c, random.once_in(4) ? "nobody" : "echo", kHostPromise, {haft_value_str(text.data(), text.size())});
    }
    jitter(random, 2);
    CHECK(c->close());
    CHECK_STATUS(host_expose(id, "echo", echo, nullptr), HAFT_E_CLOSED);
    threads.join();
  }
}

// P31: whatever stands where a call's arguments are, nothing outside is read.
void hostile(int rounds) {
  say("P31 arguments that somebody has written over");
  Consumer c;
  Random random(31);
  const uint32_t token = begin(c, "echo", kHostPromise, number(1));
  HostCall &call = host_call_of(*c.realm, token);
  unsigned char *const bytes = reinterpret_cast<unsigned char *>(call.message);
  for (int i = 0; i < rounds; i++) {
    for (size_t at = 0; at < sizeof call.message; at++) bytes[at] = (unsigned char)random.next();
    if (random.once_in(2)) {  // likely ones, or most are refused at the first look
      const uint32_t count = random.below(18);
      uint32_t shape = count << kShapeCountShift | (random.once_in(3) ? kShapeHeapBit : 0);
      for (uint32_t n = 0; n < kInlineArgs; n++) {
        shape |= (1 + random.below(8)) << (4 * n);
        call.message[0].args[n] = random.below(1000) | (uint64_t)random.below(1000) << 32;
      }
      call.message[0].shape.store(shape);
    }
    HostArguments arguments;
    if (arguments.copy(c.number, call.message) != HAFT_OK) continue;
    for (uint32_t n = 0; n < arguments.size(); n++) {
      const haft_value &v = arguments.data()[n];
      if (v.type != HAFT_STR && v.type != HAFT_BYTES) continue;
      CHECK(v.length < kHeapBytes && v.as.str[v.length] == 0);
    }
  }
  call.message[0].shape.store(0);
  // The queue, and the words of a call.
  for (int i = 0; i < 1000; i++) {
    c.realm->host_head.store((uint32_t)random.next());
    c.realm->host_tail.store((uint32_t)random.next());
    for (auto &place : c.realm->host_queue) place.store((uint32_t)random.next());
    std::thread([&] { serve(c.id, 0); }).join();
  }
  c.realm->host_head.store(0);
  c.realm->host_tail.store(1);
}

}  // namespace

int main() {
  wakes(false, amount(2000));
  wakes(true, amount(2000));
  leavers(amount(1000));
  answers_and_ends(1, amount(20'000));
  answers_and_ends(3, amount(20'000));
  queue_of_withdrawn();
  nested(1, 0, amount(1000));
  nested(3, 0, amount(500));
  nested(2, 2, amount(500));
  ends(amount(200));
  hostile(amount(20'000));
}
