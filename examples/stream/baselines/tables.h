// tables.h: the two classic tables that haft is compared with. Each maps a handle (here a plain number that counts
// up) to a kind and a count of references. Neither knows Node.
#ifndef BASELINES_TABLES_H
#define BASELINES_TABLES_H

#include <haft.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

namespace baselines {

// What a release did.
struct Released {
  haft_status status;
  bool last;  // the handle has ended, and its object can go
};

class Table {
 public:
  virtual ~Table() = default;
  virtual haft_handle Create(haft_kind kind) = 0;  // with one reference
  virtual haft_status Retain(haft_handle handle) = 0;
  virtual Released Release(haft_handle handle) = 0;
  virtual haft_status KindOf(haft_handle handle, haft_kind *kind) = 0;
  virtual bool Delete(haft_handle handle) = 0;  // whatever its references; false: there is none
  virtual uint64_t Created() = 0;
};

// One lock, one map, and a counter under the lock.
class BigOldMap final : public Table {
 public:
  haft_handle Create(haft_kind kind) override {
    std::lock_guard lock(mutex_);
    entries_.emplace(++issued_, Entry{kind, 1});
    return issued_;
  }

  haft_status Retain(haft_handle handle) override {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(handle);
    if (found == entries_.end()) return Missing(handle);
    found->second.references++;
    return HAFT_OK;
  }

  Released Release(haft_handle handle) override {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(handle);
    if (found == entries_.end()) return {Missing(handle), false};
    if (--found->second.references > 0) return {HAFT_OK, false};
    entries_.erase(found);
    return {HAFT_OK, true};
  }

  haft_status KindOf(haft_handle handle, haft_kind *kind) override {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(handle);
    if (found == entries_.end()) return Missing(handle);
    *kind = found->second.kind;
    return HAFT_OK;
  }

  bool Delete(haft_handle handle) override {
    std::lock_guard lock(mutex_);
    return entries_.erase(handle) > 0;
  }

  uint64_t Created() override {
    std::lock_guard lock(mutex_);
    return issued_;
  }

 private:
  struct Entry {
    haft_kind kind;
    uint32_t references;
  };

  haft_status Missing(haft_handle handle) const {
    return handle == HAFT_NULL || handle > issued_ ? HAFT_E_FORGED : HAFT_E_STALE;
  }

  std::mutex mutex_;
  uint64_t issued_ = 0;
  std::unordered_map<haft_handle, Entry> entries_;
};

// 64 maps, each with a read/write lock of its own; handles are counted with one atomic and so spread evenly.
class ShardedMap final : public Table {
 public:
  haft_handle Create(haft_kind kind) override {
    haft_handle handle = issued_.fetch_add(1, std::memory_order_relaxed) + 1;
    Shard &shard = ShardOf(handle);
    std::unique_lock lock(shard.mutex);
    shard.entries.try_emplace(handle, kind);
    return handle;
  }

  haft_status Retain(haft_handle handle) override {
    Shard &shard = ShardOf(handle);
    std::shared_lock lock(shard.mutex);
    auto found = shard.entries.find(handle);
    if (found == shard.entries.end()) return Missing(handle);
    // From 0 there is no way back: a releasing thread is about to erase the entry.
    std::atomic<uint32_t> &references = found->second.references;
    uint32_t now = references.load(std::memory_order_relaxed);
    do {
      if (now == 0) return HAFT_E_STALE;
    } while (!references.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
    return HAFT_OK;
  }

  Released Release(haft_handle handle) override {
    Shard &shard = ShardOf(handle);
    {
      std::shared_lock lock(shard.mutex);
      auto found = shard.entries.find(handle);
      if (found == shard.entries.end()) return {Missing(handle), false};
      std::atomic<uint32_t> &references = found->second.references;
      uint32_t now = references.load(std::memory_order_relaxed);
      do {
        if (now == 0) return {HAFT_E_STALE, false};
      } while (!references.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel));
      if (now > 1) return {HAFT_OK, false};
    }
    std::unique_lock lock(shard.mutex);
    return {HAFT_OK, shard.entries.erase(handle) > 0};
  }

  haft_status KindOf(haft_handle handle, haft_kind *kind) override {
    Shard &shard = ShardOf(handle);
    std::shared_lock lock(shard.mutex);
    auto found = shard.entries.find(handle);
    if (found == shard.entries.end()) return Missing(handle);
    if (found->second.references.load(std::memory_order_relaxed) == 0) return HAFT_E_STALE;
    *kind = found->second.kind;
    return HAFT_OK;
  }

  bool Delete(haft_handle handle) override {
    Shard &shard = ShardOf(handle);
    std::unique_lock lock(shard.mutex);
    return shard.entries.erase(handle) > 0;
  }

  uint64_t Created() override { return issued_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    explicit Entry(haft_kind kind) : kind(kind) {}
    const haft_kind kind;
    std::atomic<uint32_t> references{1};
  };

  struct alignas(64) Shard {
    std::shared_mutex mutex;
    std::unordered_map<haft_handle, Entry> entries;
  };

  Shard &ShardOf(haft_handle handle) { return shards_[handle % shards_.size()]; }

  haft_status Missing(haft_handle handle) const {
    return handle == HAFT_NULL || handle > issued_.load(std::memory_order_relaxed) ? HAFT_E_FORGED : HAFT_E_STALE;
  }

  std::atomic<uint64_t> issued_{0};
  std::array<Shard, 64> shards_;
};

}  // namespace baselines

#endif
