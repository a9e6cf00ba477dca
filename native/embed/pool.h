// Threads of haft's own that run functions of the host (haft_embed_options.pool).
#pragma once

#include <pthread.h>

#include <functional>
#include <vector>

#include "haft.h"

namespace haft {

class Pool {
 public:
  // The realm to serve next, after `before` has closed; waits for it. 0: there will be none.
  using Next = std::function<haft_realm(haft_realm before)>;

  // False: the operating system refuses a thread; those that have started go on.
  bool start(uint32_t threads, Next next);
  // When `next` answers 0, or will: waits for the threads, and for the functions that they run.
  void join();

 private:
  static void *run(void *self);

  Next next_;
  std::vector<pthread_t> threads_;
};

}  // namespace haft
