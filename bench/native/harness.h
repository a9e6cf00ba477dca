// What every driver shares: the clock, a start line for threads, and each thread's own order of visits.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <haft.h>

namespace bench {

// Nanoseconds of the monotonic clock; process.hrtime() and all drivers read the same one.
inline double now() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

// Spins: a sleep would let the caller's own core go idle, and the next call would pay for that as well.
inline void spin(double microseconds) {
  double until = now() + microseconds * 1000;
  while (now() < until) {
  }
}

// The same objects in an order of the thread's own, so that no thread follows another through the cache.
template <typename T>
std::vector<T> shuffled(std::vector<T> items, int thread) {
  std::mt19937_64 random(0x9e3779b97f4a7c15u + static_cast<unsigned>(thread));
  std::shuffle(items.begin(), items.end(), random);
  return items;
}

// Threads that begin together. They wait asleep: on few cores, spinning at the start line would steal time
// from those that have not arrived.
class Crew {
 public:
  // Returns when the line opened.
  double start(int size, std::function<void(int)> work) {
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_ = 0;
    open_ = false;
    for (int index = 0; index < size; index++) {
      threads_.emplace_back([this, index, work] {
        {
          std::unique_lock<std::mutex> at_line(mutex_);
          arrived_++;
          changed_.notify_all();
          changed_.wait(at_line, [this] { return open_; });
        }
        work(index);
      });
    }
    changed_.wait(lock, [&] { return arrived_ == size; });
    open_ = true;
    began_ = now();
    changed_.notify_all();
    return began_;
  }

  // Waits for the end of all; returns when the line had opened.
  double join() {
    for (auto &thread : threads_) thread.join();
    threads_.clear();
    return began_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
  int arrived_ = 0;
  bool open_ = false;
  double began_ = 0;
};

// Ends the process, from any thread: a driver that counted refused work would report a splendid figure, and one
// that stopped would leave JavaScript waiting for the rest.
[[noreturn]] inline void fail(const char *doing, const char *what) {
  std::fprintf(stderr, "Error: %s: %s\n", doing, what);
  std::_Exit(1);
}

inline void must(haft_status status, const char *doing) {
  if (status != HAFT_OK) fail(doing, haft_status_name(status));
}

// Two threads, one cache line: nanoseconds a round trip, the least that any call between threads can take.
double ping_pong(double milliseconds);

}  // namespace bench
