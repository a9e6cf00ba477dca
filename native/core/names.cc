// See names.h.
#include "names.h"

#include <cstring>

#include "error.h"
#include "kinds.h"
#include "process.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

// The entry of a name, or the free one where it would stand; NULL when the table is full.
Name *entry(Realm &r, const char *name, size_t length) {
  const uint64_t hash = hash_bytes(name, length);
  for (uint32_t step = 0; step < kNames; step++) {
    Name &n = r.names[(hash + step) & (kNames - 1)];
    if (n.ready.load(std::memory_order_acquire) == 0) return &n;
    if (n.length == length && memcmp(n.bytes, name, length) == 0) return &n;
  }
  return nullptr;
}

// One look. HAFT_E_NOT_FOUND also when the object is gone: a name says which handle it was, and holds no reference.
haft_status look(uint64_t realm_id, const char *name, size_t length, haft_kind kind, haft_handle *found) {
  Realm &r = arena()->realms[realm_number(realm_id)];
  InFlight counted(realm_number(realm_id), hash_bytes(name, length) & (kShards - 1));
  if (r.life.load(std::memory_order_seq_cst) != open_life(realm_id)) return HAFT_E_CLOSED;  // P21
  const Name *n = entry(r, name, length);
  if (!n || n->ready.load(std::memory_order_acquire) == 0) return HAFT_E_NOT_FOUND;
  const haft_handle handle = n->handle.load(std::memory_order_acquire);
  if (handle == HAFT_NULL) return HAFT_E_NOT_FOUND;
  uint64_t word;
  Target target;
  haft_status status = slot_check(handle, kind, &word, &target);
  if (status == HAFT_OK) status = slot_retain(handle);
  if (status == HAFT_OK) *found = handle;
  return status == HAFT_E_STALE ? HAFT_E_NOT_FOUND : status;
}

}  // namespace

haft_status name_publish(uint32_t realm, const char *name, size_t length, haft_handle handle) {
  if (length == 0 || length > kNameBytes) return HAFT_E_ARGUMENT;
  Realm &r = arena()->realms[realm];
  Name *n = entry(r, name, length);
  if (!n) return HAFT_E_SLOTS;
  n->handle.store(handle, std::memory_order_release);  // the object comes before its name
  if (n->ready.load(std::memory_order_relaxed) == 0) {
    memcpy(n->bytes, name, length);
    n->length = (uint32_t)length;
    n->ready.store(1, std::memory_order_release);
  }
  r.names_changed.fetch_add(1, std::memory_order_seq_cst);  // before the sleepers look at it again
  wake_all(r.names_changed);
  return HAFT_OK;
}

haft_status name_find(haft_realm realm, const char *name, haft_kind kind, int64_t timeout_ms, haft_handle *found) {
  if (!name || !found) return fail(HAFT_E_ARGUMENT);
  *found = HAFT_NULL;
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26
  if (realm_check(realm) != HAFT_OK) return fail(HAFT_E_CLOSED);
  const uint32_t number = realm_number(realm);
  const size_t length = strlen(name);
  if (length == 0 || length > kNameBytes) return fail(HAFT_E_ARGUMENT);
  Deadline deadline(timeout_ms);
  for (;;) {
    std::atomic<uint32_t> &changed = arena()->realms[number].names_changed;
    const uint32_t seen = changed.load(std::memory_order_seq_cst);
    const haft_status status = look(realm, name, length, kind, found);
    if (status == HAFT_OK) return HAFT_OK;
    if (status != HAFT_E_NOT_FOUND || on_own_thread(number) || deadline.passed()) return fail(status);
    sleep_on(changed, seen, deadline.slice());
  }
}

}  // namespace haft
