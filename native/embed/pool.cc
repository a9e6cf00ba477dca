// See pool.h.
#include "pool.h"

#include <utility>

#include "host_functions.h"
#include "program.h"

namespace haft {

bool Pool::start(uint32_t threads, Next next) {
  next_ = std::move(next);
  for (uint32_t i = 0; i < threads; i++) {
    pthread_t thread;
    if (!start_thread(&thread, run, this)) return false;
    threads_.push_back(thread);
  }
  return true;
}

void Pool::join() {
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
}

void *Pool::run(void *self) {
  const Pool *pool = static_cast<Pool *>(self);
  for (haft_realm realm = 0; (realm = pool->next_(realm)) != 0;) {
    while (host_serve(realm, -1) == HAFT_OK) {
    }
  }
  return nullptr;
}

}  // namespace haft
