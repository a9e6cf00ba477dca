// Benches `call` and `call-loaded`: threads that are not JavaScript's call a method and wait for its result. The callers
// of haft and those of its peers; all return at once, since JavaScript has to go back to its event loop to answer.

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "callers.h"

namespace bench {
namespace {

// One call in flight through the thread-safe function. The caller spins, then sleeps until the answer.
class Waiter {
 public:
  double x;
  double result;

  void answer() {
    if (state_.exchange(kDone) == kAsleep) wake();
  }
  void wait() {
    double until = now() + kSpinMicroseconds * 1000;
    do {
      for (int i = 0; i < 64; i++)
        if (state_.load(std::memory_order_acquire) == kDone) return;
    } while (now() < until);
    uint32_t waiting = kWaiting;
    if (state_.compare_exchange_strong(waiting, kAsleep)) sleep();
  }
  void reset() { state_.store(kWaiting, std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kWaiting = 0, kAsleep = 1, kDone = 2;
  static constexpr double kSpinMicroseconds = 100;
  std::atomic<uint32_t> state_{kWaiting};

#if defined(__linux__)
  void sleep() {
    while (state_.load() == kAsleep)
      syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kAsleep, nullptr, nullptr, 0);
  }
  void wake() { syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }
#else
  std::mutex mutex_;
  std::condition_variable changed_;
  void sleep() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return state_.load() == kDone; });
  }
  void wake() {
    std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_one();
  }
#endif
};

napi_threadsafe_function to_javascript;
Waiter waiter;

void deliver(napi_env env, napi_value callback, void *, void *data) {
  if (!env) return;
  auto *call = static_cast<Waiter *>(data);
  napi_value undefined, argument, result;
  napi_get_undefined(env, &undefined);
  napi_create_double(env, call->x, &argument);
  if (napi_call_function(env, undefined, callback, 1, &argument, &result) == napi_ok)
    napi_get_value_double(env, result, &call->result);
  call->answer();
}

}  // namespace

// (handle, op, threads, milliseconds, pause)
napi_value call_haft(const Args &args) {
  uint64_t handle = static_cast<uint64_t>(args.number(0));
  haft_op op = static_cast<haft_op>(args.number(1));
  start_callers({args.integer(2), args.number(3), args.number(4)}, [=](double x) {
    haft_value argument = haft_value_f64(x), result;
    must(haft_call(handle, op, &argument, 1, -1, &result), "haft_call");
  });
  return nullptr;
}

// (callback, milliseconds, pause)
napi_value call_tsfn(const Args &args) {
  napi_value name;
  must(napi_create_string_utf8(args.env, "bench", NAPI_AUTO_LENGTH, &name));
  must(napi_create_threadsafe_function(args.env, args.value(0), nullptr, name, 0, 1, nullptr, nullptr, nullptr,
                                       deliver, &to_javascript));
  start_callers({1, args.number(1), args.number(2)}, [](double x) {
    waiter.reset();
    waiter.x = x;
    must(napi_call_threadsafe_function(to_javascript, &waiter, napi_tsfn_nonblocking));
    waiter.wait();
    if (x == 0) napi_release_threadsafe_function(to_javascript, napi_tsfn_release);
  });
  return nullptr;
}

// After the last call: nanoseconds a call.
napi_value call_join(const Args &args) {
  callers_crew.join();
  return to_js(args.env, callers_nanoseconds);
}

}  // namespace bench

// For koffi, which loads this addon as a plain shared library: `callback` is a registered callback, and koffi lets
// the calling thread wait until the event loop has run it.
extern "C" HAFT_EXPORT void bench_call_koffi(double (*callback)(double), int threads, double milliseconds,
                                             double pause) {
  bench::start_callers({threads, milliseconds, pause}, callback);
}
