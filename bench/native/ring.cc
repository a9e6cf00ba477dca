// The limit of bench `post`: the same messages over the same kind of ring as haft's mailbox (bounded, many
// producers, one consumer, a sequence number in each cell of 64 bytes), but from C++ to C++.

#include <memory>

#include "js.h"

namespace bench {
namespace {

class Ring {
 public:
  struct Message {
    uint32_t op;
    uint64_t object;
    double x;
  };

  Ring() {
    for (uint32_t i = 0; i < kSize; i++) cells_[i].sequence.store(i, std::memory_order_relaxed);
  }

  bool push(const Message &message) {
    uint32_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell &cell = cells_[at & (kSize - 1)];
      int32_t lead = static_cast<int32_t>(cell.sequence.load(std::memory_order_acquire) - at);
      if (lead < 0) return false;
      if (lead == 0 && tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
        cell.message = message;
        cell.sequence.store(at + 1, std::memory_order_release);
        return true;
      }
      if (lead > 0) at = tail_.load(std::memory_order_relaxed);
    }
  }

  bool pop(Message *message) {
    Cell &cell = cells_[head_ & (kSize - 1)];
    if (cell.sequence.load(std::memory_order_acquire) != head_ + 1) return false;
    *message = cell.message;
    cell.sequence.store(head_ + kSize, std::memory_order_release);
    head_++;
    return true;
  }

 private:
  static constexpr uint32_t kSize = 4096;
  struct alignas(64) Cell {
    std::atomic<uint32_t> sequence;
    Message message;
  };
  alignas(128) std::atomic<uint32_t> tail_{0};
  alignas(128) uint32_t head_ = 0;
  Cell cells_[kSize];
};

struct Counter {
  double total = 0;
};

}  // namespace

// (objects, producers, messages of each, shards): nanoseconds a message. Consumes on the calling thread.
napi_value post_ring(const Args &args) {
  int objects = args.integer(0), producers = args.integer(1), each = args.integer(2), shards = args.integer(3);
  std::vector<std::unique_ptr<Ring>> rings;
  for (int i = 0; i < shards; i++) rings.push_back(std::make_unique<Ring>());
  std::vector<Counter> counters(objects);
  std::vector<uint32_t> numbers(objects);
  for (int i = 0; i < objects; i++) numbers[i] = static_cast<uint32_t>(i);

  Crew crew;
  double began = crew.start(producers, [&](int thread) {
    std::vector<uint32_t> mine = shuffled(numbers, thread);
    size_t next = 0;
    for (int i = 0; i < each; i++) {
      uint32_t object = mine[next];
      if (++next == mine.size()) next = 0;
      while (!rings[object % shards]->push({1, object, 1})) std::this_thread::yield();
    }
  });

  int64_t left = static_cast<int64_t>(producers) * each;
  while (left > 0) {
    int64_t before = left;
    Ring::Message message;
    for (auto &ring : rings)
      while (ring->pop(&message)) {
        counters[message.object].total += message.x;
        left--;
      }
    // Asleep for as long as a system call and a timer take: a consumer at the heels of its producers moves every
    // cache line to and fro for one message, one that comes later finds many.
    if (left == before) std::this_thread::sleep_for(std::chrono::microseconds(1));
  }
  double ended = now();
  crew.join();

  double total = 0;
  for (auto &counter : counters) total += counter.total;
  if (total != static_cast<double>(producers) * each) fail("the ring", "a message was lost");
  return to_js(args.env, (ended - began) / total);
}

}  // namespace bench
