// See counters.h.
#include "counters.h"

#include <cstring>

#include "mailbox.h"
#include "process.h"
#include "realm.h"

namespace haft {
namespace {

// JavaScript counts in doubles. Not every double is a number of messages (P31).
uint64_t whole(const std::atomic<double> &counter) {
  const double count = counter.load(std::memory_order_relaxed);
  return count >= 0 && count < (double)(1ull << 53) ? (uint64_t)count : 0;
}

haft_counters read(const Ring &ring) {
  const Counters &c = ring.counters;
  haft_counters now = {};
  now.size = sizeof now;
  // Relaxed: numbers for people. Exact when nothing is under way.
  now.delivered = whole(c.delivered);
  now.refused = c.refused.load(std::memory_order_relaxed) + whole(c.declined);
  now.dropped = c.dropped.load(std::memory_order_relaxed);
  now.expired = c.expired.load(std::memory_order_relaxed);
  now.longest_wait = c.longest_wait.load(std::memory_order_relaxed);
  now.highest_fill = c.highest_fill.load(std::memory_order_relaxed);
  const uint32_t fill = (uint32_t)whole(c.fill);
  if (fill > now.highest_fill) now.highest_fill = fill;
  now.sent = now.delivered + now.refused + now.dropped + now.expired;
  return now;
}

void add(haft_counters &sum, const haft_counters &one) {
  sum.sent += one.sent;
  sum.delivered += one.delivered;
  sum.refused += one.refused;
  sum.dropped += one.dropped;
  sum.expired += one.expired;
  if (one.longest_wait > sum.longest_wait) sum.longest_wait = one.longest_wait;
  if (one.highest_fill > sum.highest_fill) sum.highest_fill = one.highest_fill;
}

// Raises to `value` what is lower.
template <class Word, class Value>
void raise(std::atomic<Word> &word, Value value) {
  Word known = word.load(std::memory_order_relaxed);
  while (known < (Word)value && !word.compare_exchange_weak(known, (Word)value, std::memory_order_relaxed)) {
  }
}

}  // namespace

void count_message(const Target &t, std::atomic<uint64_t> Counters::*counter) {
  InFlight counted(t.realm, t.shard);
  Realm &r = arena()->realms[t.realm];
  if (!still_alive(r.life.load(std::memory_order_seq_cst), t.realm_id)) return;  // P21, P23
  (r.rings[t.shard].counters.*counter).fetch_add(1, std::memory_order_relaxed);
}

void count_failure(const Target &t, haft_status status) {
  // The handle was not valid any more when it was looked at again: nothing was sent, here.
  if (status == HAFT_E_MOVED || status == HAFT_E_STALE) return;
  count_message(t, status == HAFT_E_TIMEOUT ? &Counters::expired : &Counters::refused);
}

void note_longest_wait(const Target &t, int64_t nanoseconds) {
  InFlight counted(t.realm, t.shard);
  Realm &r = arena()->realms[t.realm];
  if (still_alive(r.life.load(std::memory_order_seq_cst), t.realm_id))  // P21, P23
    raise(r.rings[t.shard].counters.longest_wait, nanoseconds);
}

void note_fill(Ring &ring, uint32_t cells) { raise(ring.counters.highest_fill, cells); }

haft_status counters_read(haft_realm realm, uint32_t shard, haft_counters *counters) {
  if (!counters || counters->size < sizeof counters->size) return fail(HAFT_E_ARGUMENT);
  if (shard >= kShards && shard != HAFT_ALL_SHARDS) return fail(HAFT_E_ARGUMENT);
  const haft_status status = realm_check(realm);
  if (status != HAFT_OK) return fail(status);
  haft_counters sum = {};
  for (uint32_t s = 0; s < kShards; s++) {
    if (shard != HAFT_ALL_SHARDS && shard != s) continue;
    const Ring &ring = arena()->realms[realm_number(realm)].rings[s];
    haft_counters one = read(ring);
    one.sent += posts_in(ring) + whole(ring.counters.waiting);
    add(sum, one);
  }
  const uint32_t bytes = counters->size < sizeof sum ? counters->size : (uint32_t)sizeof sum;
  sum.size = bytes;
  memcpy(counters, &sum, bytes);
  return HAFT_OK;
}

haft_counters counters_final(Ring &ring) {
  haft_counters final = read(ring);
  const uint64_t never = posts_in(ring) + whole(ring.counters.waiting);
  final.refused += never;
  final.sent += never;
  return final;
}

}  // namespace haft
