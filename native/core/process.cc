// See process.h. No object here has a destructor: at exit nothing may vanish under a thread that still runs (P25).
#include "process.h"

#include <pthread.h>

namespace haft {

Local locals[kRealms];
Counter waiting_callers[kRealms];
Counter waiting_producers[kRealms];
Counter in_flight[kRealms][kShards];
std::atomic<bool> forked{false};
thread_local uint32_t realms_of_thread;

void process_prepare() {
  static const int installed = pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
  (void)installed;
}

}  // namespace haft
