// Threads that only compute, and never yield: the load of the benches `call-loaded` and `loop`.

#include "js.h"

namespace bench {
namespace {

Crew crew;
std::atomic<bool> ended;
std::atomic<uint64_t> computed;  // so that the work cannot be optimised away

}  // namespace

// (threads)
napi_value busy_start(const Args &args) {
  ended = false;
  crew.start(args.integer(0), [](int thread) {
    uint64_t x = static_cast<uint64_t>(thread);
    while (!ended.load(std::memory_order_relaxed))
      for (int i = 0; i < 1000; i++) x = x * 6364136223846793005u + 1442695040888963407u;
    computed += x;
  });
  return nullptr;
}

napi_value busy_stop(const Args &) {
  ended = true;
  crew.join();
  return nullptr;
}

}  // namespace bench
