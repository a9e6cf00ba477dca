// Benches `trampoline` and `trampoline-loaded`: C that knows nothing of haft calls a function pointer with its user data,
// on JavaScript's thread or on others. haft's trampoline and koffi's registered callback are called by the same code,
// through koffi both.

#include "callers.h"

namespace {

using Add = int (*)(int, void *);

}  // namespace

// Nanoseconds a call; the way into C is paid once a loop.
extern "C" HAFT_EXPORT double bench_trampoline_loop(Add add, void *user_data, int count) {
  const double began = bench::now();
  int64_t total = 0;
  for (int i = 0; i < count; i++) total += add(1, user_data);
  const double ended = bench::now();
  if (total < count) bench::fail("a callback", "no result");  // every result is at least 1
  return (ended - began) / count;
}

extern "C" HAFT_EXPORT void bench_trampoline_start(Add add, void *user_data, int threads, double milliseconds) {
  bench::start_callers({threads, milliseconds}, [=](double x) {
    if (add(static_cast<int>(x), user_data) <= 0) bench::fail("a callback", "no result");
  });
}
