// See labels.h.
#include "labels.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>

#include "error.h"
#include "process.h"
#include "slots.h"

namespace haft {
namespace {

constexpr size_t kLabelBytes = 63;
constexpr size_t kStripes = 16;
constexpr size_t kSweepLeast = 64;  // handles of a stripe below which it is not swept

using Counts = std::map<std::string, uint32_t>;

struct alignas(64) Stripe {
  std::mutex mutex;
  std::unordered_map<haft_handle, Counts> labels;
  size_t sweep_at = kSweepLeast;
};

Stripe &stripe_of(haft_handle handle) {
  static Stripe *const all = new Stripe[kStripes];  // never freed: threads may outlive main (P25)
  return all[handle % kStripes];
}

// None has been made: whoever ends a handle need not look.
std::atomic<bool> any{false};

// JavaScript ends handles without a word to native code: their labels go when as many have come as were left by the last
// sweep, so that each label pays for one look.
void sweep(Stripe &stripe) {
  for (auto entry = stripe.labels.begin(); entry != stripe.labels.end();)
    entry = slot_alive(entry->first) ? std::next(entry) : stripe.labels.erase(entry);
  stripe.sweep_at = std::max(kSweepLeast, stripe.labels.size() * 2);
}

haft_status no_label(haft_handle handle) {
  return fail(HAFT_E_ARGUMENT, handle, "a label is a text of 1 to 63 bytes");
}

}  // namespace

bool is_label(const char *label) {
  return label && label[0] && strnlen(label, kLabelBytes + 1) <= kLabelBytes;
}

haft_status retain_as(haft_handle handle, const char *label) {
  if (!is_label(label)) return no_label(handle);
  Stripe &stripe = stripe_of(handle);
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED, handle);  // P26: before any lock
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const haft_status status = slot_retain(handle);
  if (status != HAFT_OK) return status;
  any.store(true, std::memory_order_relaxed);
  if (stripe.labels.size() >= stripe.sweep_at) sweep(stripe);
  stripe.labels[handle][label]++;
  return HAFT_OK;
}

haft_status release_as(haft_handle handle, const char *label) {
  if (!is_label(label)) return no_label(handle);
  Stripe &stripe = stripe_of(handle);
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED, handle);  // P26: before any lock
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto counts = stripe.labels.find(handle);
  const auto count = counts == stripe.labels.end() ? Counts::iterator() : counts->second.find(label);
  if (counts == stripe.labels.end() || count == counts->second.end()) {
    uint64_t word;
    Target target;
    const haft_status status = slot_check(handle, 0, &word, &target);
    if (status != HAFT_OK && status != HAFT_E_COLLECTED) return status;
    return fail_with(HAFT_E_OWNER, handle, std::string("the handle has no reference labelled \"") + label + '"');
  }
  const haft_status status = slot_release(handle);
  if (status != HAFT_OK) return status;
  if (--count->second == 0) counts->second.erase(count);
  if (counts->second.empty()) stripe.labels.erase(counts);
  return HAFT_OK;
}

std::vector<std::pair<std::string, uint32_t>> labels_of(haft_handle handle) {
  if (!any.load(std::memory_order_relaxed)) return {};
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.labels.find(handle);
  if (found == stripe.labels.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::vector<Labelled> labels_all() {
  std::vector<Labelled> all;
  if (!any.load(std::memory_order_relaxed)) return all;
  for (haft_handle stripe = 0; stripe < kStripes; stripe++) {
    const std::lock_guard<std::mutex> lock(stripe_of(stripe).mutex);
    for (const auto &[handle, counts] : stripe_of(stripe).labels)
      for (const auto &[label, count] : counts) all.push_back({handle, label, count});
  }
  return all;
}

void labels_forget(haft_handle handle) {
  if (!any.load(std::memory_order_relaxed)) return;
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  stripe.labels.erase(handle);
}

void labels_sweep() {
  if (!any.load(std::memory_order_relaxed)) return;
  for (size_t i = 0; i < kStripes; i++) {
    Stripe &stripe = stripe_of(i);
    const std::lock_guard<std::mutex> lock(stripe.mutex);
    sweep(stripe);
  }
}

}  // namespace haft
