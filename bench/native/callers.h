// Threads that call JavaScript and wait for each result: how they run, and how their time is told. For the benches
// `call`, `call-loaded` and `call-many`.
#pragma once

#include "js.h"

namespace bench {

struct Callers {
  int threads = 1;
  double milliseconds = 0;
  double pause_microseconds = 0;  // before each call, for one thread only
  int calls = 1;                  // that one run of `call` makes
};

inline Crew callers_crew;
inline double callers_nanoseconds;

// Each thread runs `call(1)` for so many milliseconds. Without a pause: the time of all threads over the calls of all,
// back to back. With one: the median of single calls, each after a pause in which the event loop went to sleep; their
// mean would tell of a few preemptions. Afterwards call(0) tells JavaScript that all is over.
template <typename Call>
void start_callers(const Callers &how, Call call) {
  struct Shared {
    std::atomic<int> running;
    std::mutex mutex;
    double per_nanosecond = 0;
  };
  auto shared = std::make_shared<Shared>();
  shared->running = how.threads;

  callers_crew.start(how.threads, [=](int) mutable {
    for (int i = 0; i < 3; i++) call(1);
    double began = now(), ended = began;
    if (how.pause_microseconds == 0) {
      const int runs = how.calls < 16 ? 16 / how.calls : 1;
      uint64_t count = 0;
      do {
        for (int i = 0; i < runs; i++) call(1);
        count += static_cast<uint64_t>(runs) * how.calls;
        ended = now();
      } while (ended - began < how.milliseconds * 1e6);
      std::lock_guard<std::mutex> lock(shared->mutex);
      shared->per_nanosecond += static_cast<double>(count) / (ended - began);
    } else {
      std::vector<double> each;
      do {
        spin(how.pause_microseconds);
        double before = now();
        call(1);
        ended = now();
        each.push_back(ended - before);
      } while (ended - began < how.milliseconds * 1e6);
      std::nth_element(each.begin(), each.begin() + each.size() / 2, each.end());
      shared->per_nanosecond = how.calls / each[each.size() / 2];
    }
    if (shared->running.fetch_sub(1) != 1) return;
    callers_nanoseconds = 1 / shared->per_nanosecond;
    call(0);
  });
}

}  // namespace bench
