// Bench `loop`: producers that never pause, and stop only when they are told to.

#include "tsfn_producers.h"

namespace bench {
namespace {

Crew crew;
TsfnProducers tsfn;
std::atomic<bool> ended;
std::atomic<int> running;
std::atomic<int64_t> sent;

void start(int producers, std::function<int64_t(int)> produce) {
  ended = false;
  sent = 0;
  running = producers;
  crew.start(producers, [=](int thread) {
    sent += produce(thread);
    running--;
  });
}

bool go_on() { return !ended.load(std::memory_order_relaxed); }

}  // namespace

// (handles, op, producers, whether to block when a mailbox is full: else they try again at once)
napi_value unpausing_haft(const Args &args) {
  std::vector<uint64_t> handles = args.handles(0);
  haft_op op = static_cast<haft_op>(args.number(1));
  haft_full when_full = args.number(3) != 0 ? HAFT_BLOCK(-1) : HAFT_FAIL;
  start(args.integer(2), [=](int thread) {
    std::vector<uint64_t> mine = shuffled(handles, thread);
    haft_value one = haft_value_f64(1);
    int64_t accepted = 0;
    for (size_t next = 0; go_on(); next = next + 1 == mine.size() ? 0 : next + 1) {
      haft_status status = haft_post(mine[next], op, &one, 1, when_full);
      if (status == HAFT_OK) accepted++;
      else if (status != HAFT_E_FULL) must(status, "haft_post");
    }
    return accepted;
  });
  return nullptr;
}

// (dispatch, objects, producers)
napi_value unpausing_tsfn(const Args &args) {
  int producers = args.integer(2);
  tsfn.open(args.env, args.value(0), args.integer(1), producers);
  start(producers, [](int thread) { return tsfn.produce(thread, [](int) { return go_on(); }); });
  return nullptr;
}

// Returns at once: a producer may be waiting for room, which JavaScript has to make.
napi_value unpausing_stop(const Args &) {
  ended = true;
  return nullptr;
}

// How many messages were sent in all; -1 while producers still run.
napi_value unpausing_sent(const Args &args) {
  if (running > 0) return to_js(args.env, -1);
  crew.join();
  return to_js(args.env, static_cast<double>(sent.load()));
}

}  // namespace bench
