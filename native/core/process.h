// What belongs to this process alone and so may not stand in the arena (P28): the mark of a fork, counts of native
// operations in flight, how to ring each realm, and which thread is a realm's own.
#pragma once

#include "layout.h"

namespace haft {

struct alignas(64) Counter {
  std::atomic<uint32_t> count;
};

struct Local {  // a realm, as this process knows it
  std::atomic<uintptr_t> thread;  // the token of the realm's own thread
  void (*ring)(void *edge);       // wakes the realm's event loop; any thread, never blocks
  void (*direct)(void *edge);     // runs Realm::direct on the realm's own thread
  void *edge;
};

extern Local locals[kRealms];
extern Counter waiting_callers[kRealms];    // native threads that wait for a reply of the realm
extern Counter waiting_producers[kRealms];  // and those that wait for room in a mailbox
extern Counter in_flight[kRealms][kShards];  // striped by shard: one counter would be a hot line (P21)
extern std::atomic<bool> forked;                   // this is a forked child; tested first (P26)

void process_prepare();  // installs the fork handler; once, before the first realm opens

inline uintptr_t thread_token() { return (uintptr_t)__builtin_thread_pointer(); }  // unique among living threads

extern thread_local uint32_t realms_of_thread;  // open ones whose own thread this is

inline bool on_own_thread(uint32_t realm) {
  return locals[realm].thread.load(std::memory_order_relaxed) == thread_token();
}

// Counts a native operation in, so that a realm which closes waits for it. Increment first, look at the realm's
// state after that: both sequentially consistent (P21). On the realm's own thread nothing is counted, or a handler
// that closes would wait for itself (P22).
class InFlight {
 public:
  InFlight(uint32_t realm, uint32_t shard) {
    if (on_own_thread(realm)) return;
    count_ = &in_flight[realm][shard].count;
    count_->fetch_add(1, std::memory_order_seq_cst);  // P21
  }
  ~InFlight() {
    if (count_) count_->fetch_sub(1, std::memory_order_seq_cst);  // P21
  }
  InFlight(const InFlight &) = delete;
  InFlight &operator=(const InFlight &) = delete;

 private:
  std::atomic<uint32_t> *count_ = nullptr;
};

}  // namespace haft
