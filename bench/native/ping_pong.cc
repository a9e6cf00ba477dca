// The limit of `call`, and the measure of how calm the machine is: one word goes to and fro between two threads.

#include "harness.h"

namespace bench {

double ping_pong(double milliseconds) {
  constexpr uint32_t kStop = UINT32_MAX;
  struct alignas(128) Line {
    std::atomic<uint32_t> word{0};
  } line;

  // Odd words are for the other thread, even ones are its answers. No pause instruction: it takes as long as
  // the trip itself.
  std::thread other([&] {
    for (uint32_t expected = 1;; expected += 2) {
      uint32_t seen;
      while ((seen = line.word.load(std::memory_order_acquire)) != expected)
        if (seen == kStop) return;
      line.word.store(expected + 1, std::memory_order_release);
    }
  });

  uint32_t sent = 1;
  auto trips = [&](int count) {
    for (int i = 0; i < count; i++, sent += 2) {
      line.word.store(sent, std::memory_order_release);
      while (line.word.load(std::memory_order_acquire) != sent + 1) {
      }
    }
  };

  trips(1000);  // the other thread is running now
  double began = now(), ended;
  uint64_t count = 0;
  do {
    trips(64);
    count += 64;
    ended = now();
  } while (ended - began < milliseconds * 1e6);

  line.word.store(kStop, std::memory_order_release);
  other.join();
  return (ended - began) / static_cast<double>(count);
}

}  // namespace bench
