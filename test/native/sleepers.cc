// P16: no sleep is longer than a slice: whoever waits without a limit finds by itself what came without a wake-up.
// timeout: 60
#include <unistd.h>

#include "support.h"

using namespace test;

namespace {

constexpr int64_t kAsleepNanoseconds = 20 * 1000 * 1000;  // time to fall asleep in

haft_kind kind() {
  static const haft_kind defined = define_kind("sleepers", 2);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

// One sleeper of each sort, and what it waits for.
void each_sleeper() {
  say("P16 an answer without a wake-up");
  Consumer c;
  std::vector<uint32_t> tokens;
  c.handler = [&](const Message &m) {
    if (m.token) tokens.push_back(m.token);
    return m.token ? Answer::promise() : Answer();
  };
  const haft_handle handle = c.create(kind());
  std::thread caller([&] {
    haft_value result;
    CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, &result), HAFT_OK);
    CHECK(result.as.i64 == 42);
  });
  while (tokens.empty()) c.drain();
  Reply &reply = c.realm->replies[token_number(tokens[0])];
  while (reply.sleeper.load() == 0) sched_yield();
  sleep_for(kAsleepNanoseconds);
  reply.status = HAFT_OK;
  reply.type = HAFT_I64;
  reply.value = 42;
  reply.state.store(reply_word(token_sequence(tokens[0]), kDone));
  caller.join();

  say("P16 room without a wake-up");
  while (post(handle, op(1), nullptr, 0, HAFT_FAIL) == HAFT_OK) {
  }
  c.wakes_producers = false;
  std::thread producer([&] { CHECK_STATUS(post(handle, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_OK); });
  while (c.realm->rings[shard_of(handle)].space_wanted.load() == 0) sched_yield();
  sleep_for(kAsleepNanoseconds);
  c.drain();
  producer.join();
  c.drain();

  say("P16 an event without a wake-up");
  std::thread waiter([&] { CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(0), -1, nullptr), HAFT_OK); });
  while (c.realm->event_waiters.load() == 0) sched_yield();
  sleep_for(kAsleepNanoseconds);
  c.realm->event_counts[__builtin_ctz(HAFT_EVENT_USER(0))].fetch_add(1);
  waiter.join();
}

// The realm closes, and nobody is woken.
void the_end() {
  say("P16 the end of the realm without a wake-up");
  Consumer c;
  const haft_handle handle = c.create(kind());
  haft_handle full;
  do full = c.create(kind());
  while (shard_of(full) == shard_of(handle));
  while (post(full, op(1), nullptr, 0, HAFT_FAIL) == HAFT_OK) {
  }
  Threads threads;
  threads.start(1, [&](int) { CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, nullptr), HAFT_E_CLOSED); });
  threads.start(1, [&](int) { CHECK_STATUS(post(full, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_E_CLOSED); });
  threads.start(1, [&](int) { CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(0), -1, nullptr), HAFT_E_CLOSED); });
  threads.start(1, [&](int) {
    haft_handle found;
    CHECK_STATUS(name_find(c.id, "nobody", 0, -1, &found), HAFT_E_CLOSED);
  });
  while (waiting_now(c.number) < 2 || c.realm->event_waiters.load() == 0) sched_yield();
  sleep_for(kAsleepNanoseconds);
  c.realm->life.store(c.id << 8 | kRealmClosing);
  threads.join();
  c.realm->life.store(open_life(c.id));
}

}  // namespace

int main() {
  alarm(20);  // one that sleeps for ever
  each_sleeper();
  the_end();
}
