// See kinds.h.
#include "kinds.h"

#include <cstring>

#include "arena.h"
#include "error.h"
#include "wait.h"

namespace haft {
namespace {

constexpr uint32_t kLast = kKinds - 1;
constexpr int kReadyPolls = 100;  // of 1 ms

// Entries of one name stand in one run of the table, whatever their fingerprints.
haft_kind probe(uint64_t name_hash, uint32_t step) { return 1 + (uint32_t)((name_hash + step) % kLast); }

bool ready(const Kind &k) { return (k.ready.load(std::memory_order_acquire) & kReady) != 0; }

bool named(const Kind &k, const char *name, size_t length) {
  return k.name_length == length && memcmp(k.name, name, length) == 0;
}

bool fill(Kind &k, const char *name, size_t name_length, uint64_t fingerprint, const char *ops, size_t ops_bytes) {
  Arena *a = arena();
  const uint32_t text = a->text_used.fetch_add((uint32_t)ops_bytes, std::memory_order_relaxed);
  if (text > kTextBytes - ops_bytes) return false;
  memcpy(a->text + text, ops, ops_bytes);
  uint16_t count = 0;
  for (size_t i = 0; i < ops_bytes; i++) count += ops[i] == 0;
  memcpy(k.name, name, name_length);
  k.name_length = (uint16_t)name_length;
  k.fingerprint = fingerprint;
  k.text = text;
  k.text_bytes = (uint32_t)ops_bytes;
  k.ops = count;
  k.ready.store(kReady, std::memory_order_release);  // the entry comes before the mark that it is ready
  return true;
}

// Waits for whoever claimed the entry and is writing it.
bool await_ready(const Kind &k) {
  for (int i = 0; i < kReadyPolls && !ready(k); i++) sleep_for(1000 * 1000);
  return ready(k);
}

}  // namespace

uint64_t hash_bytes(const char *bytes, size_t n) {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
  return hash;
}

haft_status kind_define(const char *name, size_t name_length, uint64_t fingerprint, const char *ops, size_t ops_bytes,
                        haft_kind *kind) {
  if (name_length == 0 || name_length > kKindNameBytes || ops_bytes > kTextBytes) return fail(HAFT_E_ARGUMENT);
  Arena *a = arena();
  const uint64_t name_hash = hash_bytes(name, name_length);
  const uint64_t key = mix(name_hash ^ mix(fingerprint)) | 1;  // never 0
  for (uint32_t step = 0; step < kLast; step++) {
    const haft_kind number = probe(name_hash, step);
    Kind &k = a->kinds[number];
    uint64_t found = k.key.load(std::memory_order_acquire);
    if (found == 0 && k.key.compare_exchange_strong(found, key, std::memory_order_acq_rel)) {
      *kind = number;
      return fill(k, name, name_length, fingerprint, ops, ops_bytes) ? HAFT_OK : fail(HAFT_E_SLOTS);
    }
    if (found != key) continue;
    // A definer that died left its claim: write the same bytes again.
    if (!await_ready(k) && !fill(k, name, name_length, fingerprint, ops, ops_bytes)) return fail(HAFT_E_SLOTS);
    if (!named(k, name, name_length) || k.fingerprint != fingerprint) continue;
    *kind = number;
    return HAFT_OK;
  }
  return fail(HAFT_E_SLOTS);
}

haft_status kind_find(const char *name, uint64_t fingerprint, haft_kind *kind) {
  if (!name || !kind) return fail(HAFT_E_ARGUMENT);
  Arena *a = arena();
  if (!a) return fail(HAFT_E_NOT_FOUND);
  const size_t length = strlen(name);
  const uint64_t name_hash = hash_bytes(name, length);
  haft_status status = HAFT_E_NOT_FOUND;
  for (uint32_t step = 0; step < kLast; step++) {
    const haft_kind number = probe(name_hash, step);
    const Kind &k = a->kinds[number];
    if (k.key.load(std::memory_order_acquire) == 0) break;
    if (!ready(k) || !named(k, name, length)) continue;
    if (fingerprint != 0 && k.fingerprint != fingerprint) {
      status = HAFT_E_ABI;
      continue;
    }
    *kind = number;
    return HAFT_OK;
  }
  return fail(status);
}

uint32_t kind_ops(haft_kind kind) {
  Arena *a = arena();
  return a && kind != 0 && kind < kKinds && ready(a->kinds[kind]) ? a->kinds[kind].ops : 0;
}

bool kind_refused(haft_kind kind, uint32_t realm) {
  // Relaxed: a breaker that is seen a moment later refuses a moment later.
  if ((arena()->kinds[kind].ready.load(std::memory_order_relaxed) & kHasBreaker) == 0) return false;
  const uint64_t until = arena()->realms[realm].breaker_until[kind].load(std::memory_order_relaxed);
  return until != 0 && (int64_t)until > now_nanoseconds();
}

void kind_refuse(haft_kind kind, uint32_t realm, uint64_t until) {
  arena()->realms[realm].breaker_until[kind].store(until, std::memory_order_relaxed);
  arena()->kinds[kind].ready.fetch_or(kHasBreaker, std::memory_order_relaxed);
}

haft_status op_find(haft_kind kind, const char *name, haft_op *op) {
  if (!name || !op) return fail(HAFT_E_ARGUMENT);
  if (!arena() || kind == 0 || kind >= kKinds || !ready(arena()->kinds[kind])) return fail(HAFT_E_NOT_FOUND);
  const Kind &k = arena()->kinds[kind];
  const char *at = arena()->text + k.text;
  for (uint32_t position = 0; position < k.ops; position++, at += strlen(at) + 1) {
    if (strcmp(at, name) != 0) continue;
    *op = HAFT_OP(kind, position);
    return HAFT_OK;
  }
  return fail(HAFT_E_OP);
}

}  // namespace haft
