// Clocks, the spinning budget, and futexes. See wait.h.
#include "wait.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#include <thread>

namespace haft {
namespace {

constexpr int64_t kSpinMost = 50 * 1000;  // nanoseconds: a sleep and a wake-up cost about as much
constexpr int64_t kSpinLeast = 500;
constexpr uint32_t kRetryEvery = 64;
constexpr uint32_t kQuickRounds = 128;  // one or two microseconds, without a look at the clock

std::atomic<int> spinning{0};
thread_local int64_t spin_budget = 20 * 1000;
thread_local int64_t spin_started;
thread_local uint32_t vain_spins;

int most_spinners() {
  static const int most = [] {
    const int cores = (int)std::thread::hardware_concurrency();
    return cores > 1 ? cores - 1 : 0;
  }();
  return most;
}

long futex(std::atomic<uint32_t> &word, int op, uint32_t value, const timespec *timeout) {
  // P30: a sleeper of one process is never woken by the private futex of another.
  const int among = shared_futexes ? 0 : FUTEX_PRIVATE_FLAG;
  return syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), op | among, value, timeout, nullptr, 0);
}

}  // namespace

bool shared_futexes = false;

int64_t now_nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

Deadline::Deadline(int64_t timeout_ms) {
  constexpr int64_t kMost = INT64_MAX / 1000000 / 2;
  timeout_ = timeout_ms < 0 ? -1 : (timeout_ms > kMost ? kMost : timeout_ms) * 1000000;
}

int64_t Deadline::slice() {
  if (timeout_ < 0) return kSliceNanoseconds;
  if (timeout_ == 0) return 0;
  const int64_t now = now_nanoseconds();
  if (at_ == 0) at_ = now + timeout_;
  const int64_t left = at_ - now;
  return left < 0 ? 0 : left < kSliceNanoseconds ? left : kSliceNanoseconds;
}

void sleep_for(int64_t nanoseconds) {
  const timespec time = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
  nanosleep(&time, nullptr);
}

void sleep_on(std::atomic<uint32_t> &word, uint32_t expected, int64_t nanoseconds) {
  const timespec timeout = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
  futex(word, FUTEX_WAIT, expected, &timeout);
}

void wake_all(std::atomic<uint32_t> &word) { futex(word, FUTEX_WAKE, INT_MAX, nullptr); }
void wake_one(std::atomic<uint32_t> &word) { futex(word, FUTEX_WAKE, 1, nullptr); }

bool begin_spin() {
  if (spinning.fetch_add(1, std::memory_order_relaxed) < most_spinners()) return true;
  spinning.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

// The clock is looked at now and then, and for the first time when a quick answer would have come.
bool keep_spinning(uint32_t round, bool alone) {
  relax();
  if (round < kQuickRounds) return true;
  if (!alone) return false;
  if ((round & 15) != 0) return true;
  const int64_t now = now_nanoseconds();
  if (round == kQuickRounds) spin_started = now;
  return now - spin_started < spin_budget;
}

void end_spin() { spinning.fetch_sub(1, std::memory_order_relaxed); }

void end_spin(bool worth_it) {
  end_spin();
  // Now and then a long one, or a thread that once learned to sleep would never find out that times have changed.
  if (!worth_it && ++vain_spins % kRetryEvery == 0) {
    spin_budget = kSpinMost;
    return;
  }
  spin_budget = worth_it ? spin_budget * 2 : spin_budget / 2;
  if (spin_budget > kSpinMost) spin_budget = kSpinMost;
  if (spin_budget < kSpinLeast) spin_budget = kSpinLeast;
}

}  // namespace haft
