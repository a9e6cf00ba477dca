// Waiting: clocks, spinning, and sleeping on a word until somebody wakes it.
#pragma once

#include <atomic>
#include <cstdint>

namespace haft {

// No sleep is longer, so that a lost wake-up or a realm that went away costs this much and no more (P16).
constexpr int64_t kSliceNanoseconds = 50 * 1000 * 1000;

int64_t now_nanoseconds();  // monotonic

// When a wait ends: timeouts are milliseconds, 0 tries once, negative never ends. The clock starts when it is first
// looked at: an answer that comes while we spin costs no look at it.
class Deadline {
 public:
  explicit Deadline(int64_t timeout_ms);
  bool may_wait() const { return timeout_ != 0; }
  bool passed() { return slice() == 0; }
  int64_t slice();  // nanoseconds to sleep at most now; 0 when it has passed

 private:
  int64_t timeout_;  // nanoseconds, negative: never
  int64_t at_ = 0;   // 0: the clock has not started
};

void sleep_for(int64_t nanoseconds);

// Whether those who sleep and those who wake may be of several processes (P30): one for all words, set before the first
// realm opens.
extern bool shared_futexes;

// Sleeps while `word` is `expected`, for at most `nanoseconds`. May return early for no reason.
void sleep_on(std::atomic<uint32_t> &word, uint32_t expected, int64_t nanoseconds);
void wake_all(std::atomic<uint32_t> &word);
void wake_one(std::atomic<uint32_t> &word);

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// For what another thread writes in a moment, so that nobody waits for it for long: unless its writer has died (P28), or the
// arena is not as haft left it (P31).
class Patience {
 public:
  // Waits a little. False: not any longer.
  bool wait() {
    if (looks_ == kSpins + kPolls) return false;
    if (looks_++ < kSpins)
      relax();
    else
      sleep_for(1000 * 1000);
    return true;
  }

 private:
  static constexpr uint32_t kSpins = 1000;
  static constexpr uint32_t kPolls = 100;
  uint32_t looks_ = 0;
};

// Spinning takes a core from somebody, so at most all cores but one spin at a time, and a thread whose spins were in
// vain spins less.
bool begin_spin();
bool keep_spinning(uint32_t round, bool alone);
void end_spin();                   // leaves the budget as it is
void end_spin(bool worth_it);      // and learns from it

// Spins until `done()`; true if it became true. One who waits `alone` spins for about as long as it has lately been
// worth it, since a sleep and a wake-up cost more than most answers take. Where several wait, JavaScript is busy and
// needs the core: then only for as long as a quick answer takes.
template <class Done>
bool spin_until(bool alone, Done done) {
  if (!begin_spin()) return done();
  bool success = false;
  for (uint32_t round = 0; !success && keep_spinning(round, alone); round++) success = done();
  if (alone)
    end_spin(success);
  else
    end_spin();
  return success;
}

}  // namespace haft
