// See names.h.
#include "names.h"

#include <cstring>

#include "blocking.h"
#include "error.h"
#include "host_functions.h"
#include "kinds.h"
#include "process.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

struct Key {  // a name as it stands in an entry
  uint64_t hash;
  uint32_t length;
  uint64_t words[kNameBytes / 8];
};

Key key_of(const char *name, size_t length) {
  Key key = {hash_bytes(name, length), (uint32_t)length, {0}};
  memcpy(key.words, name, length);
  return key;
}

Name &probe(Realm &r, const Key &key, uint32_t step) { return r.names[(key.hash + step) & (kNames - 1)]; }

bool equal(const Name &n, const Key &key) {
  if (n.length.load(std::memory_order_relaxed) != key.length) return false;
  for (uint32_t i = 0; i * 8 < key.length; i++) {
    if (n.words[i].load(std::memory_order_relaxed) != key.words[i]) return false;
  }
  return true;
}

// The handle under a name; HAFT_NULL when there is none. Any thread.
haft_handle read_handle(Realm &r, const Key &key) {
  Patience patience;  // for all entries on the way: one that nobody finishes has no handle
  for (uint32_t step = 0; step < kNames; step++) {
    const Name &n = probe(r, key, step);
    for (;;) {
      const uint32_t version = n.version.load(std::memory_order_acquire);  // the entry is read after its version
      if (version == 0) return HAFT_NULL;
      const bool found = equal(n, key);
      const haft_handle handle = n.handle.load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);  // and before it is looked at again
      if ((version & 1) == 0 && n.version.load(std::memory_order_relaxed) == version) {
        if (found && handle != HAFT_NULL) return handle;
        break;
      }
      if (!patience.wait()) break;
    }
  }
  return HAFT_NULL;
}

void write_entry(Name &n, const Key &key, haft_handle handle) {
  const uint32_t version = n.version.load(std::memory_order_relaxed);
  n.version.store(version + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // a reader of what follows sees that the version is odd
  n.length.store(key.length, std::memory_order_relaxed);
  for (uint32_t i = 0; i * 8 < key.length; i++) n.words[i].store(key.words[i], std::memory_order_relaxed);
  n.handle.store(handle, std::memory_order_relaxed);
  n.version.store(version + 2, std::memory_order_release);  // the entry comes before its version, the object before both
}

// One look. HAFT_E_NOT_FOUND also when the object is gone: a name says which handle it was, and holds no reference.
haft_status look(uint64_t realm_id, const Key &key, haft_kind kind, haft_handle *found) {
  Realm &r = arena()->realms[realm_number(realm_id)];
  InFlight counted(realm_number(realm_id), key.hash & (kShards - 1));
  if (r.life.load(std::memory_order_seq_cst) != open_life(realm_id)) return HAFT_E_CLOSED;  // P21
  const haft_handle handle = read_handle(r, key);
  if (handle == HAFT_NULL)  // the realm may have ended while we waited for an entry
    return r.life.load(std::memory_order_seq_cst) == open_life(realm_id) ? HAFT_E_NOT_FOUND : HAFT_E_CLOSED;
  uint64_t word;
  Target target;
  haft_status status = slot_check(handle, kind, &word, &target);
  if (status == HAFT_OK) status = slot_retain(handle);
  if (status == HAFT_OK) *found = handle;
  return status == HAFT_E_STALE || status == HAFT_E_COLLECTED ? HAFT_E_NOT_FOUND : status;
}

}  // namespace

haft_status name_publish(uint32_t realm, const char *name, size_t length, haft_handle handle) {
  if (length == 0 || length > kNameBytes) return HAFT_E_ARGUMENT;
  Realm &r = arena()->realms[realm];
  const Key key = key_of(name, length);
  Name *entry = nullptr;  // of this name, else the first free one on its way
  bool known = false;
  for (uint32_t step = 0; step < kNames; step++) {
    Name &n = probe(r, key, step);
    const bool free = n.handle.load(std::memory_order_relaxed) == HAFT_NULL;
    if (free && !entry) entry = &n;
    if (n.version.load(std::memory_order_relaxed) == 0) break;
    if (free || !equal(n, key)) continue;
    entry = &n;
    known = true;
    break;
  }
  if (handle == HAFT_NULL && !known) return HAFT_OK;  // nothing to take back
  if (!entry) return HAFT_E_SLOTS;
  write_entry(*entry, key, handle);
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
  const Key key = key_of(name, length);
  haft_status status = look(realm, key, kind, found);
  if (status == HAFT_OK) return HAFT_OK;
  if (status != HAFT_E_NOT_FOUND || on_own_thread(number) || timeout_ms == 0) return fail(status);
  Deadline deadline(timeout_ms);
  const Blocking blocking(realm);
  if (blocking.deadlock()) return fail(HAFT_E_DEADLOCK);  // P18
  std::atomic<uint32_t> &changed = arena()->realms[number].names_changed;
  for (;;) {
    const uint32_t seen = changed.load(std::memory_order_seq_cst);
    status = look(realm, key, kind, found);
    if (status == HAFT_OK) return HAFT_OK;
    if (status != HAFT_E_NOT_FOUND || deadline.passed()) return fail(status);
    if (host_run_one_meanwhile(realm, arena()->realms[number])) continue;
    if (!blocking.alive()) return fail(HAFT_E_CLOSED);  // P19
    sleep_on(changed, seen, blocking.slice(deadline.slice()));
  }
}

}  // namespace haft
