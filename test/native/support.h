// What the programs of this folder share: checks, random numbers, threads, and `Consumer`, which plays the part of
// JavaScript: it follows src/messages/mailbox.ts, src/mirror.ts and src/messages/wire.ts step by step, over the same memory.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api.h"
#include "arena.h"
#include "async.h"
#include "blocking.h"
#include "calls.h"
#include "counters.h"
#include "error.h"
#include "events.h"
#include "heap.h"
#include "host_calls.h"
#include "host_functions.h"
#include "kinds.h"
#include "mailbox.h"
#include "names.h"
#include "process.h"
#include "queues.h"
#include "realm.h"
#include "replies.h"
#include "slots.h"
#include "wait.h"

namespace test {

using namespace haft;

// ---- Checks, seeds, amounts ----

inline std::atomic<const char *> topic{"start"};

inline uint64_t seed() {
  static const uint64_t value = [] {
    const char *text = getenv("HAFT_STRESS_SEED");
    return text ? strtoull(text, nullptr, 0) : 20240229ull;
  }();
  return value;
}

[[noreturn]] inline void fail_at(const char *file, int line, const char *what, const std::string &more = "") {
  fprintf(stderr, "%s:%d: %s%s%s\n  in %s, HAFT_STRESS_SEED=%" PRIu64 "\n", file, line, what, more.empty() ? "" : ": ",
          more.c_str(), topic.load(), seed());
  fflush(stderr);
#ifdef HAFT_FUZZ
  abort();  // the fuzzer keeps the input
#endif
  _Exit(1);  // other threads are still at work
}

#define CHECK(condition) \
  do {                   \
    if (!(condition)) ::test::fail_at(__FILE__, __LINE__, #condition); \
  } while (0)

#define CHECK_STATUS(expression, expected)                                                               \
  do {                                                                                                   \
    const haft_status got_ = (expression), wanted_ = (expected);                                         \
    if (got_ != wanted_)                                                                                 \
      ::test::fail_at(__FILE__, __LINE__, #expression,                                                   \
                      std::string(::haft::status_name(got_)) + ", not " + ::haft::status_name(wanted_)); \
  } while (0)

#if defined(__SANITIZE_THREAD__)
constexpr int kSlowdown = 6;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kSlowdown = 3;
#else
constexpr int kSlowdown = 1;
#endif

// So much work: less under a sanitizer, more with --long.
inline int amount(int n) {
  static const int scale = [] {
    const char *text = getenv("HAFT_STRESS_SCALE");
    return text ? atoi(text) : 1;
  }();
  const int64_t scaled = (int64_t)n * scale / kSlowdown;
  return scaled < 1 ? 1 : scaled > INT32_MAX ? INT32_MAX : (int)scaled;
}

class Random {
 public:
  explicit Random(uint64_t stream) : state_(seed() * 0x9e3779b97f4a7c15ull + stream) {}
  uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ull); }
  uint32_t below(uint32_t n) { return (uint32_t)((next() >> 32) * n >> 32); }
  bool once_in(uint32_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

// Gives the core away now and then, so that threads meet in the middle of things on a machine with few cores.
inline void jitter(Random &random, uint32_t one_in = 64) {
  if (random.once_in(one_in)) sched_yield();
}

class Threads {
 public:
  template <class F>
  void start(int n, F work) {
    for (int i = 0; i < n; i++) threads_.emplace_back([work, i] { work(i); });
  }
  void join() {
    for (std::thread &t : threads_) t.join();
    threads_.clear();
  }
  ~Threads() { join(); }

 private:
  std::vector<std::thread> threads_;
};

// A barrier of n threads, used again and again.
class Barrier {
 public:
  explicit Barrier(int n) : n_(n) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const uint64_t round = round_;
    if (++here_ == n_) {
      here_ = 0;
      round_++;
      all_.notify_all();
      return;
    }
    all_.wait(lock, [&] { return round_ != round; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  const int n_;
  int here_ = 0;
  uint64_t round_ = 0;
};

// ---- Looking into the arena ----

// JavaScript sees 64-bit words as two 32-bit halves.
typedef uint32_t __attribute__((may_alias)) half_t;
inline half_t *half(std::atomic<uint64_t> &word, int which) { return reinterpret_cast<half_t *>(&word) + which; }

inline haft_handle make_handle(uint64_t generation, uint64_t index) {
  return kHandleBase | generation << kGenerationShift | index;
}
inline uint32_t index_of(haft_handle handle) { return (uint32_t)(handle & kIndexMask); }
inline uint64_t generation_of(haft_handle handle) { return (handle >> kGenerationShift) & ((1u << 26) - 1); }
inline uint32_t shard_of(haft_handle handle) { return (uint32_t)handle & (kShards - 1); }
inline haft_status check(haft_handle handle, haft_kind kind = 0) {
  uint64_t word;
  Target target;
  return slot_check(handle, kind, &word, &target);
}

// Defines a kind with `ops` ops, named op0, op1, ...
inline haft_kind define_kind(const std::string &name, int ops = 4) {
  std::string text;
  CHECK(arena_open());
  for (int i = 0; i < ops; i++) text += "op" + std::to_string(i) + std::string(1, '\0');
  haft_kind kind = 0;
  CHECK_STATUS(kind_define(name.data(), name.size(), 0x1234, text.data(), text.size(), &kind), HAFT_OK);
  return kind;
}

// Pages of a realm's heap that nobody has given back.
inline uint32_t heap_outstanding(uint32_t realm) {
  uint32_t pages = 0;
  for (const auto &word : arena()->realms[realm].heap_pages) pages += (uint32_t)__builtin_popcountll(word.load());
  return pages;
}

inline uint32_t waiting_now(uint32_t realm) {
  return waiting_callers[realm].count.load() + waiting_producers[realm].count.load();
}

// The counters of one shard or of all.
inline haft_counters counters_of(haft_realm id, uint32_t shard = HAFT_ALL_SHARDS) {
  haft_counters counters = {};
  counters.size = sizeof counters;
  CHECK_STATUS(counters_read(id, shard, &counters), HAFT_OK);
  return counters;
}

inline uint32_t in_flight_now(uint32_t realm) {
  uint32_t sum = 0;
  for (auto &c : in_flight[realm]) sum += c.count.load();
  return sum;
}

// P15: no reply slot was lost, and none is in use twice.
inline void check_all_replies_free(uint32_t realm) {
  std::vector<bool> seen(kReplies, false);
  std::vector<uint32_t> tokens;
  while (const uint32_t token = reply_take(realm)) {
    CHECK(token_number(token) < kReplies);
    CHECK(!seen[token_number(token)]);
    seen[token_number(token)] = true;
    tokens.push_back(token);
  }
  CHECK(tokens.size() == kReplies);
  for (uint32_t token : tokens) {
    // As an answer does, or the sequence would be used again.
    arena()->realms[realm].replies[token_number(token)].state.store(reply_word(token_sequence(token), kDone));
    reply_give(realm, token);
  }
}

// ---- The part of JavaScript ----

struct Message {
  haft_handle handle = 0;
  haft_op op = 0;
  uint32_t shard = 0;
  uint32_t token = 0;  // 0: a post
  uint32_t count = 0;
  uint32_t cells = 0;
  uint8_t types[HAFT_ARGS_MAX] = {};
  uint64_t bits[HAFT_ARGS_MAX] = {};  // of strings and bytes: where in `payload` (low half), length (high half)
  bool ascii[HAFT_ARGS_MAX] = {};
  std::string payload;
  bool gone = false;   // the object is
  uint64_t value = 0;  // the object

  std::string text(int i) const { return payload.substr((uint32_t)bits[i], bits[i] >> 32); }
  haft_handle handle_arg(int i) const {
    double number;
    memcpy(&number, &bits[i], 8);
    return (haft_handle)number;
  }
};

struct Answer {
  haft_status status = HAFT_OK;
  uint32_t type = HAFT_VOID;
  uint64_t bits = 0;
  std::string text;
  bool later = false;  // as a handler that returns a promise: answer_later() follows

  static Answer i64(int64_t value) { return {HAFT_OK, HAFT_I64, (uint64_t)value, "", false}; }
  static Answer str(std::string text) { return {HAFT_OK, HAFT_STR, 0, std::move(text), false}; }
  static Answer handle(haft_handle handle) {
    const double number = (double)handle;
    uint64_t bits;
    memcpy(&bits, &number, 8);
    return {HAFT_OK, HAFT_HANDLE, bits, "", false};
  }
  static Answer error(haft_status status, const std::string &name, const std::string &message) {
    return {status, HAFT_VOID, 0, name + std::string(1, '\0') + message + std::string(1, '\0') + "stack", false};
  }
  static Answer promise() {
    Answer answer;
    answer.later = true;
    return answer;
  }
};

class Consumer {
 public:
  using Handler = std::function<Answer(const Message &)>;

  haft_realm id = 0;
  uint32_t number = 0;
  Realm *realm = nullptr;
  Handler handler = [](const Message &) { return Answer(); };
  int budget = 4096;      // messages a drain
  int linger_looks = 0;   // 0: does not linger for calls
  bool chaos = true;      // gives the core away in the middle of steps
  bool wakes_producers = true;
  uint32_t head_every = 16;
  uint64_t created = 0, freed = 0, retired = 0, rings_own = 0;
  uint64_t discarded = 0, late = 0;  // calls whose caller had given up; so many of them when the handler had run
  std::atomic<uint64_t> delivered{0}, gone{0};
  std::atomic<uint64_t> rings{0};
  std::atomic<uint64_t> look_ups{0};        // how often C had us notice a termination (P19)
  std::atomic<bool> terminated{false};      // JavaScript does not run any more: a request is not answered (P19)

  // On the thread that becomes the realm's own. `reserved`: its id, where another process has reserved it.
  explicit Consumer(haft_realm reserved = 0) : id(reserved), random_(0xc0) {
    CHECK_STATUS(reserved != 0 ? realm_open_reserved(id, ring, direct, this) : realm_open(ring, direct, this, &id), HAFT_OK);
    number = realm_number(id);
    realm = &arena()->realms[number];
    // Positions go on from where an earlier realm left them.
    for (uint32_t shard = 0; shard < kShards; shard++) heads_[shard] = realm->rings[shard].head.load();
    realm->armed.store(1, std::memory_order_seq_cst);
  }
  ~Consumer() {
    if (!closed_) CHECK(close());
  }
  Consumer(const Consumer &) = delete;
  Consumer &operator=(const Consumer &) = delete;

  // With `final`, room for kShards counters as they are at the end.
  bool close(int64_t wait_ms = 20'000, haft_counters *final = nullptr) {
    for (uint32_t shard = 0; shard < kShards && !closed_; shard++)
      realm->rings[shard].head.store(heads_[shard], std::memory_order_seq_cst);
    closed_ = true;
    return realm_close(id, wait_ms, final);
  }
  bool closed() const { return closed_; }

  // ---- Handles (src/mirror.ts) ----

  // The handle that the next create() issues.
  haft_handle next_handle() {
    if (free_.empty()) grow();
    if (free_.empty()) return HAFT_NULL;
    const uint32_t index = free_.back();
    const uint32_t high = __atomic_load_n(half(slot(index).word, 1), __ATOMIC_RELAXED);
    return make_handle(high >> (kWordGenerationShift - 32), index);
  }

  // HAFT_NULL when there is no slot left.
  haft_handle create(haft_kind kind, uint64_t value = 0) {
    const haft_handle handle = next_handle();
    if (handle == HAFT_NULL) return HAFT_NULL;
    const uint32_t index = index_of(handle);
    free_.pop_back();
    Mirror &mirror = *mirror_of(index);
    CHECK(mirror.handles[index & (kBlockSlots - 1)] == HAFT_NULL);  // P3: on the free list once
    mirror.handles[index & (kBlockSlots - 1)] = handle;
    mirror.values[index & (kBlockSlots - 1)] = value;
    // P1: a plain store of the low half, an atomic one of the high half.
    std::atomic<uint64_t> &word = slot(index).word;
    const uint64_t whole =
        generation_of(handle) << kWordGenerationShift | (uint64_t)kLive << kStateShift | (uint64_t)kind << kKindShift | 1;
    __atomic_store_n(half(word, 0), (uint32_t)whole, __ATOMIC_RELAXED);
    if (chaos) jitter(random_, 256);
    __atomic_store_n(half(word, 1), (uint32_t)(whole >> 32), __ATOMIC_SEQ_CST);
    created++;
    live_++;
    return handle;
  }

  haft_status remove(haft_handle handle) {
    if (!has(handle)) return HAFT_E_STALE;
    if (end_here(index_of(handle))) return HAFT_OK;
    bool retires = false;
    const haft_status status = slot_delete(handle, id, &retires);
    if (status != HAFT_OK) return status;
    forget(index_of(handle));
    if (retires)
      retired++;
    else
      free_.push_back(index_of(handle));
    return HAFT_OK;
  }

  // The object lives on under `now`, of another realm; its slot is forget_moved's. Messages to the old handle may still
  // be on their way until let_go.
  haft_status begin_move(haft_handle handle, haft_handle now) {
    if (!has(handle)) return HAFT_E_STALE;
    const haft_status status = slot_move(handle, id, now);
    if (status == HAFT_OK) forget(index_of(handle));
    return status;
  }
  void let_go(haft_handle handle) { slot_let_go(handle, id); }
  haft_status move(haft_handle handle, haft_handle now) {
    const haft_status status = begin_move(handle, now);
    if (status == HAFT_OK) let_go(handle);
    return status;
  }
  void forget_moved(haft_handle handle) {
    bool retires = false;
    CHECK_STATUS(slot_forget(handle, id, &retires), HAFT_OK);
    Mirror &mirror = *mirror_of(index_of(handle));
    if (mirror.lives > 0) mirror.lives--;
    if (retires)
      retired++;
    else
      free_.push_back(index_of(handle));
  }

  // Gives a block back, if all its slots are free.
  bool give(uint32_t block) {
    if (!block_give(id, block)) return false;
    free_.erase(std::remove_if(free_.begin(), free_.end(), [&](uint32_t i) { return i >> kBlockBits == block; }),
                free_.end());
    mirrors_[(block - arena()->block_base) & (kBlocks - 1)].reset();
    return true;
  }

  bool has(haft_handle handle) {
    Mirror *mirror = mirror_of(index_of(handle));
    return handle != HAFT_NULL && mirror && mirror->handles[handle & (kBlockSlots - 1)] == handle;
  }
  uint64_t value(haft_handle handle) { return mirror_of(index_of(handle))->values[handle & (kBlockSlots - 1)]; }
  uint64_t live() const { return live_; }
  size_t free_slots() const { return free_.size(); }

  // Sets where all mailboxes begin. Before the first message.
  void start_at(uint64_t position) {
    for (uint32_t shard = 0; shard < kShards; shard++) {
      Ring &ring = realm->rings[shard];
      ring.tail.store(position);
      ring.head.store((uint32_t)position);
      ring.known_head.store((uint32_t)position);
      // As freed in the round before.
      for (uint32_t i = 0; i < kRingCells; i++) {
        const uint32_t at = (uint32_t)position + i;
        ring.cells[at & (kRingCells - 1)].sequence.store(at - kRingCells);
      }
      heads_[shard] = (uint32_t)position;
    }
  }
  uint32_t head(uint32_t shard) const { return heads_[shard]; }

  // ---- The drain (src/messages/mailbox.ts) ----

  void drain() {
    left_ = budget;
    calls_ = 0;
    later_ = false;
    lingers_ = linger_looks > 0;
    drain_all();
    lingers_ = false;
  }

  // Handles what waits now; tells how many messages that was. For handlers, and for C that serves.
  int drain_now(int depth_most = 16) {
    if (draining_ >= depth_most) return 0;
    const bool lingers = lingers_;
    const int left = left_;
    lingers_ = false;
    left_ = budget;
    drain_all();
    const int handled = budget - left_;
    left_ = left;
    lingers_ = lingers;
    return handled;
  }

  void reclaim() {
    take_released();
    free_if_drained();
  }

  void answer_later(uint32_t token, const Answer &answer) {
    if (closed_) return;
    const auto promised = promised_.find(token);
    // LATER -> STARTED, unless the caller has left, and freed the slot (P15).
    if (promised == promised_.end() || !take_back(token)) {
      if (promised != promised_.end()) discarded++, late++;
      promised_.erase(token);
      if (answer.status == HAFT_OK && answer.type == HAFT_HANDLE) {
        double given;
        memcpy(&given, &answer.bits, sizeof given);
        slot_release((haft_handle)given);
      }
      return;
    }
    const haft_handle handle = promised->second;
    promised_.erase(promised);
    write_answer(realm->replies[token_number(token)], answer);
    finish(token, handle, &Counters::delivered);
    flush_wakes();
  }

  // ---- The event loop ----

  // Drains whenever the doorbell rings, until stop().
  void run() {
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_ = true;
        rang_.wait(lock, [&] { return pending_rings_ > 0 || stop_; });
        asleep_ = false;
        if (stop_) {
          stop_ = false;
          return;  // a ring that nobody has answered stays: who rang took the doorbell's arm down
        }
        pending_rings_ = 0;
      }
      drain();
      if (closed_) return;
      if (after_drain) after_drain();
    }
  }
  std::function<void()> after_drain;
  std::function<void()> host_answered;  // has to empty the list

  // Any thread.
  void stop() {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    rang_.notify_all();
  }
  // Whether the realm sleeps and nobody has rung. With all producers at rest this stays so.
  bool sleeps() {
    std::lock_guard<std::mutex> lock(mutex_);
    return asleep_ && pending_rings_ == 0;
  }
  // Another process rang.
  void ring_from_outside() { ring(this); }
  // Takes one ring, if there was one: for tests that have no loop.
  bool rung() {
    std::lock_guard<std::mutex> lock(mutex_);
    const bool was = pending_rings_ > 0;
    pending_rings_ = 0;
    return was;
  }

 private:
  struct Mirror {
    haft_handle handles[kBlockSlots] = {};
    uint64_t values[kBlockSlots] = {};
    int64_t lives = 0;  // as in src/mirror.ts
  };

  static void ring(void *self) {
    Consumer *c = static_cast<Consumer *>(self);
    c->rings.fetch_add(1, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(c->mutex_);
    c->pending_rings_++;
    c->rang_.notify_all();
  }

  static void direct(void *self) {
    Consumer *c = static_cast<Consumer *>(self);
    Reply &reply = c->realm->direct_reply;
    if (c->terminated.load()) return;
    Message m;
    c->read(reinterpret_cast<Cell *>(c->realm->direct), 0, &m);
    if (m.op == 0) {
      c->answer_request(c->realm->direct[0].args[0]);
      return;
    }
    c->running_++;
    c->count(m.handle, c->has(m.handle) ? &Counters::delivered : &Counters::declined);
    const Answer answer = c->invoke(m);
    c->running_--;
    if (c->closed_) return;
    c->write_answer(reply, answer.later ? Answer{HAFT_E_DEADLOCK, HAFT_VOID, 0, "", false} : answer);
    c->free_if_drained();
  }

  // What C asks while it waits on our thread (P19, P20).
  void answer_request(uint64_t request) {
    if (request == kLookUp) look_ups.fetch_add(1, std::memory_order_relaxed);
    const double handled = request == kServe ? drain_now(96) : 0;
    if (closed_) return;
    Reply &reply = realm->direct_reply;
    memcpy(&reply.value, &handled, sizeof handled);
    reply.status = HAFT_OK;
    reply.type = HAFT_VOID;
  }

  Slot &slot(uint32_t index) { return arena()->slots[index]; }

  Mirror *mirror_of(uint32_t index) {
    const uint32_t n = ((index >> kBlockBits) - arena()->block_base) & (kBlocks - 1);
    return n < mirrors_.size() ? mirrors_[n].get() : nullptr;
  }

  void grow() {
    reclaim();  // P4
    while (free_.empty()) {
      const int64_t block = block_take(id);
      if (block < 0) return;
      const uint32_t n = ((uint32_t)block - arena()->block_base) & (kBlocks - 1);
      while (mirrors_.size() <= n) mirrors_.emplace_back();
      mirrors_[n] = std::make_unique<Mirror>();
      for (uint32_t i = kBlockSlots; i-- > 0;) {
        const uint32_t index = ((uint32_t)block << kBlockBits) + i;
        const uint32_t high = __atomic_load_n(half(slot(index).word, 1), __ATOMIC_RELAXED);
        const uint32_t state = (high >> (kStateShift - 32)) & 7;
        CHECK(state == kFree || state == kRetired);
        if (state == kFree) free_.push_back(index);
      }
    }
  }

  // P1: as JavaScript does, by a swap of the high half alone, while no slot of the block can have come round.
  bool end_here(uint32_t index) {
    Mirror &mirror = *mirror_of(index);
    if (mirror.lives <= 0) {
      if (mirror.lives++ < 0) return false;
      mirror.lives = block_lives(index >> kBlockBits);
      if (mirror.lives == 0) mirror.lives = -(int64_t)kBlockSlots;
      if (mirror.lives < 0) return false;
    }
    uint32_t *high = half(slot(index).word, 1);
    uint32_t seen = __atomic_load_n(high, __ATOMIC_RELAXED);
    if (word_state((uint64_t)seen << 32) != kLive) return false;
    if (chaos) jitter(random_, 256);
    const uint64_t generation = (word_generation((uint64_t)seen << 32) + 1) & kGenerationMask;
    const uint32_t next = (uint32_t)(generation << kWordGenerationShift >> 32);
    if (!__atomic_compare_exchange_n(high, &seen, next, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return false;
    forget(index);
    free_.push_back(index);
    return true;
  }

  void forget(uint32_t index) {
    Mirror &mirror = *mirror_of(index);
    if (mirror.lives > 0) mirror.lives--;
    CHECK(mirror.handles[index & (kBlockSlots - 1)] != HAFT_NULL);  // P3: not freed twice
    mirror.handles[index & (kBlockSlots - 1)] = HAFT_NULL;
    live_--;
    freed++;
  }

  void drain_all() {
    draining_++;
    const bool empty = drain_until_empty();
    draining_--;
    if (closed_) return;
    flush_wakes();
    if (realm->event_waiters.load(std::memory_order_seq_cst) == 0) return;
    const uint32_t events = (empty ? HAFT_EVENT_DRAINED : 0) | (reclaimed_ ? HAFT_EVENT_RECLAIMED : 0);
    reclaimed_ = false;
    if (events != 0) happened(number, events);
  }

  // False if the budget ended it, or the realm is closed.
  bool drain_until_empty() {
    while (!closed_) {
      if (realm->host_done.load(std::memory_order_relaxed) != 0 && host_answered) host_answered();
      const uint32_t rest = drain_mask(realm->dirty.exchange(0, std::memory_order_seq_cst));
      if (closed_) return false;
      if (rest != 0) {
        come_back(rest);
        return false;
      }
      if (realm->dirty.load(std::memory_order_seq_cst) != 0) continue;
      flush_wakes();
      if (lingers_ && calls_ > 0 && !later_) {
        const bool more = linger_for_calls();
        if (closed_) return false;
        if (more) continue;
        const uint32_t left = drain_mask(realm->dirty.exchange(0, std::memory_order_seq_cst));
        if (closed_) return false;
        if (left != 0) {
          come_back(left);
          return false;
        }
      }
      // P10: armed, a full fence, then the mask and the host's answers once more.
      realm->armed.store(1, std::memory_order_seq_cst);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      const bool answered = host_answered && realm->host_done.load(std::memory_order_seq_cst) != 0;
      if (realm->dirty.load(std::memory_order_seq_cst) == 0 && !answered) return true;
      if (realm->armed.exchange(0, std::memory_order_seq_cst) == 0) return true;
    }
    return false;
  }

  uint32_t drain_mask(uint32_t mask) {
    // P5: the reclaim lists first, then the tails, then the messages up to there, then the slots.
    if (mask >> kShards != 0 || reclaim_dirty_) take_released();
    shards_ |= mask & ((1u << kShards) - 1);
    if (reclaiming_) shards_ |= shards_before_tails();
    uint32_t rest = 0;
    while (shards_ != 0) {
      const uint32_t shard = (uint32_t)__builtin_ctz(shards_);
      if (!drain_shard(shard)) rest |= 1u << shard;
      if (closed_) return 0;
      shards_ &= ~(1u << shard);
    }
    if (reclaiming_) free_if_drained();
    return rest;
  }

  bool drain_shard(uint32_t shard) {
    Ring &ring = realm->rings[shard];
    uint32_t unpublished = 0;
    bool done = true;
    for (;;) {
      const uint32_t head = heads_[shard];
      Cell &cell = ring.cells[head & (kRingCells - 1)];
      if (cell.sequence.load(std::memory_order_seq_cst) != head + 1) break;
      if (left_ <= 0) {
        done = false;
        break;
      }
      left_--;
      // P11: copy out, free the cells, advance the head, run the handler.
      Message m;
      read(&cell, shard, &m);
      if (chaos) jitter(random_, 512);
      for (uint32_t i = 1; i < m.cells; i++) {
        const uint32_t position = head + i;
        ring.cells[position & (kRingCells - 1)].sequence.store(position, std::memory_order_relaxed);
      }
      heads_[shard] = head + m.cells;
      if (m.op != 0) {
        if (!wakes_.empty()) flush_wakes();  // P16
        running_++;
        deliver(m);
        running_--;
        if (closed_) return true;
      }
      if (++unpublished >= head_every) {
        unpublished = 0;
        note_own_fill(ring);
        ring.head.store(heads_[shard], std::memory_order_seq_cst);
      }
    }
    if (unpublished > 0) ring.head.store(heads_[shard], std::memory_order_seq_cst);
    if (ring.space_wanted.load(std::memory_order_seq_cst) != 0 && wakes_producers) realm_wake_producers(number, shard);
    return done;
  }

  void deliver(Message &m) {
    if (m.token == 0) {
      count(m.handle, has(m.handle) ? &Counters::delivered : &Counters::declined);
      invoke(m);
      return;
    }
    if (!start(m.token)) {
      discarded++;
      return;
    }
    calls_++;
    last_shard_ = m.shard;
    const Answer answer = invoke(m);
    if (closed_) return;
    if (answer.later) {
      later_ = true;
      begin_later(m);
      return;
    }
    if (chaos) jitter(random_, 256);
    write_answer(realm->replies[token_number(m.token)], m.gone ? Answer{HAFT_E_STALE, HAFT_VOID, 0, "", false} : answer);
    finish(m.token, m.handle, m.gone ? &Counters::declined : &Counters::delivered);
  }

  void count(haft_handle handle, std::atomic<double> Counters::*counter) {
    std::atomic<double> &at = realm->rings[shard_of(handle)].counters.*counter;
    at.store(at.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  void note_own_fill(Ring &ring) {
    const double fill = __atomic_load_n(half(ring.tail, 0), __ATOMIC_SEQ_CST) - ring.head.load(std::memory_order_relaxed);
    if (fill > ring.counters.fill.load(std::memory_order_relaxed))
      ring.counters.fill.store(fill, std::memory_order_relaxed);
  }

  Answer invoke(Message &m) {
    m.gone = !has(m.handle);
    if (m.gone)
      gone.fetch_add(1, std::memory_order_relaxed);
    else
      m.value = value(m.handle);
    Answer answer = handler(m);
    if (!m.gone) delivered.fetch_add(1, std::memory_order_release);
    return answer;
  }

  // ---- Values (src/messages/wire.ts) ----

  void read(Cell *cell, uint32_t shard, Message *m) {
    m->op = cell->op;
    m->shard = shard;
    m->cells = cell->shape >> kShapeCellsShift & 31;
    if (m->op == 0) return;
    m->handle = (haft_handle)cell->handle;
    m->token = cell->reply;
    m->count = cell->shape >> kShapeCountShift & 31;
    CHECK(m->count <= HAFT_ARGS_MAX);
    const bool heap = cell->shape & kShapeHeapBit;
    const HeapTail *second = reinterpret_cast<const HeapTail *>(cell + 1);
    const uint64_t chunk = heap ? second->chunk : 0;
    if (heap) CHECK(heap_contains(number, chunk, second->bytes));
    const unsigned char *tail = heap ? at_offset(chunk) : reinterpret_cast<unsigned char *>(cell + 1);
    const uint32_t extras = m->count > kInlineArgs ? m->count - kInlineArgs : 0;
    for (uint32_t i = 0; i < m->count; i++) {
      uint64_t bits;
      if (i < kInlineArgs) {
        m->types[i] = cell->shape >> (4 * i) & 15;
        bits = cell->args[i];
      } else {
        m->types[i] = tail[extras * 8 + (i - kInlineArgs)];
        memcpy(&bits, tail + (i - kInlineArgs) * 8, 8);
      }
      m->bits[i] = bits;
      const bool text = m->types[i] == kWireText && bits != kNoText;
      if (m->types[i] != HAFT_STR && m->types[i] != HAFT_BYTES && !text) continue;
      const uint32_t length = (uint32_t)(bits >> 32) & ~kAsciiFlag;
      m->ascii[i] = (bits >> 32) & kAsciiFlag;
      m->bits[i] = m->payload.size() | (uint64_t)length << 32;
      m->payload.append(reinterpret_cast<const char *>(tail + (uint32_t)bits), length);
    }
    if (heap) heap_give(number, chunk);
  }

  void write_answer(Reply &reply, const Answer &answer) {
    reply.status = answer.status;
    reply.type = answer.type;
    reply.value = answer.bits;
    reply.length = 0;
    reply.in_heap = 0;
    const bool text = answer.status != HAFT_OK || answer.type == HAFT_STR || answer.type == HAFT_BYTES;
    if (!text || answer.text.empty()) return;
    reply.length = (uint32_t)answer.text.size();
    if (answer.text.size() * 3 <= kReplyInlineBytes) {
      memcpy(reply.text, answer.text.data(), answer.text.size());
      return;
    }
    const uint64_t chunk = heap_take(number, answer.text.size() + 1);
    if (chunk == 0) {
      reply.status = HAFT_E_NO_MEMORY;
      reply.length = 0;
      return;
    }
    memcpy(at_offset(chunk), answer.text.data(), answer.text.size());
    reply.value = chunk;
    reply.in_heap = 1;
  }

  // ---- Replies ----

  bool start(uint32_t token) {
    const uint32_t sequence = token_sequence(token);
    uint32_t pending = pending_word(sequence);
    if (realm->replies[token_number(token)].state.compare_exchange_strong(pending, reply_word(sequence, kStarted)))
      return true;
    reply_discard(number, token, false);
    return false;
  }

  // STARTED -> LATER, unless the caller has given up meanwhile: then the slot is ours to free.
  void begin_later(const Message &m) {
    const uint32_t sequence = token_sequence(m.token);
    uint32_t started = reply_word(sequence, kStarted);
    if (realm->replies[token_number(m.token)].state.compare_exchange_strong(started, reply_word(sequence, kLater))) {
      promised_[m.token] = m.handle;
      return;
    }
    discarded++;
    late++;
    reply_discard(number, m.token, false);
  }

  bool take_back(uint32_t token) {
    const uint32_t sequence = token_sequence(token);
    uint32_t later = reply_word(sequence, kLater);
    return realm->replies[token_number(token)].state.compare_exchange_strong(later, reply_word(sequence, kStarted));
  }

  void finish(uint32_t token, haft_handle handle, std::atomic<double> Counters::*counter) {
    Reply &reply = realm->replies[token_number(token)];
    const uint32_t sequence = token_sequence(token);
    uint32_t started = reply_word(sequence, kStarted);
    if (!reply.state.compare_exchange_strong(started, reply_word(sequence, kDone))) {
      discarded++;
      late++;
      reply_discard(number, token, true);  // its caller has counted it
      return;
    }
    count(handle, counter);
    if (reply.sleeper.load(std::memory_order_seq_cst) == 0) return;
    if (wakes_.size() == kExchangeWords - kExchangeWake) flush_wakes();
    wakes_.push_back((int32_t)token_number(token));
  }

  void flush_wakes() {
    if (wakes_.empty() || closed_) return;
    std::vector<int32_t> wakes;
    wakes.swap(wakes_);  // a completion may call us, and fill the next list
    realm_wake(number, wakes.data(), (uint32_t)wakes.size());
  }

  // ---- Released slots (P5) ----

  void take_released() {
    reclaim_dirty_ = reclaiming_;
    if (reclaiming_) return;
    if (!reclaim_take(number)) return;
    reclaiming_ = true;
    for (uint32_t shard = 0; shard < kShards; shard++)
      tails_[shard] = __atomic_load_n(half(realm->rings[shard].tail, 0), __ATOMIC_SEQ_CST);
  }

  uint32_t shards_before_tails() {
    uint32_t shards = 0;
    for (uint32_t shard = 0; shard < kShards; shard++) {
      if ((int32_t)(tails_[shard] - heads_[shard]) > 0) shards |= 1u << shard;
    }
    return shards;
  }

  void free_if_drained() {
    while (reclaiming_ && running_ == 0 && !closed_ && shards_before_tails() == 0) {
      int32_t list[64];
      while (const uint32_t count = reclaim_free(number, list, 64)) {
        for (uint32_t i = 0; i < count; i++) {
          const uint32_t index = (uint32_t)(list[i] < 0 ? -1 - list[i] : list[i]);
          forget(index);
          if (list[i] < 0)
            retired++;
          else
            free_.push_back(index);
        }
      }
      reclaiming_ = false;
      reclaimed_ = true;
      if (reclaim_dirty_) take_released();
    }
  }

  // ---- When to stop ----

  void come_back(uint32_t rest) {
    realm->dirty.fetch_or(rest, std::memory_order_seq_cst);
    rings_own++;
    ring(this);  // P12
  }

  bool linger_for_calls() {
    const uint32_t shard = last_shard_, bit = 1u << shard;
    realm->dirty.fetch_or(bit, std::memory_order_seq_cst);
    for (int look = 0; look < linger_looks; look++) {
      const uint32_t head = heads_[shard];
      if (realm->rings[shard].cells[head & (kRingCells - 1)].sequence.load(std::memory_order_seq_cst) == head + 1) {
        if (!drain_shard(shard) || closed_ || later_ || reclaiming_) return true;
        flush_wakes();
        look = 0;
        continue;
      }
      if (realm->dirty.load(std::memory_order_seq_cst) != bit) return true;
      if (chaos && (look & 7) == 7) sched_yield();
    }
    return false;
  }

  Random random_;
  std::vector<std::unique_ptr<Mirror>> mirrors_;
  std::vector<uint32_t> free_;
  std::vector<int32_t> wakes_;
  std::map<uint32_t, haft_handle> promised_;  // which handle a call that waits for its promise was of
  uint64_t live_ = 0;
  uint32_t heads_[kShards] = {}, tails_[kShards] = {};
  bool reclaiming_ = false, reclaim_dirty_ = false, closed_ = false, later_ = false;
  bool reclaimed_ = false, lingers_ = false;
  uint32_t shards_ = 0;  // known to have messages: a drain inside a handler takes them over (P11)
  int left_ = 0, calls_ = 0, running_ = 0, draining_ = 0;
  uint32_t last_shard_ = 0;
  std::mutex mutex_;
  std::condition_variable rang_;
  int pending_rings_ = 0;
  bool asleep_ = false, stop_ = false;
};

// Waits until `done()`; fails at once if the realm sleeps without a ring although it is not done: a lost wake-up.
// Only with all producers at rest.
template <class Done>
inline void await_delivery(Consumer &c, Done done) {
  while (!done()) {
    if (c.sleeps() && !done()) fail_at(__FILE__, __LINE__, "P10: a wake-up was lost");
    sched_yield();
  }
}

inline void say(const char *text) { topic.store(text); }

}  // namespace test
