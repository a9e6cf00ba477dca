// See slots.h.
#include "slots.h"

#include "labels.h"
#include "mailbox.h"
#include "process.h"
#include "wait.h"

namespace haft {
namespace {

// No object moves on so often that somebody still has its first handle: a longer way is a circle (P31).
constexpr uint32_t kMovesMost = 1000;

// The slots that reclaim_take took, a chain a shard. Only the realm's own thread touches them.
uint64_t taken[kRealms][kShards];

// Whether the handle's generation was ever given out for its slot. Generations count up from the first one (P7).
bool issued(const Arena *a, uint32_t index, uint64_t generation, uint64_t word) {
  if (generation > kGenerationMask) return false;
  const uint64_t first = first_generation(a, index);
  const uint64_t asked = (generation - first) & kGenerationMask;
  const uint64_t current = (word_generation(word) - first) & kGenerationMask;
  switch (word_state(word)) {
    case kRetired:
      return true;
    case kFree:
      return asked < current;
    default:
      return asked <= current;
  }
}

// Word A of the slot's next life: free with the next generation, or retired if that is the first again.
uint64_t next_life(const Arena *a, uint32_t index, uint64_t word) {
  const uint64_t generation = (word_generation(word) + 1) & kGenerationMask;
  const uint64_t state = generation == first_generation(a, index) ? kRetired : kFree;
  return generation << kWordGenerationShift | state << kStateShift;
}

void push_reclaim(const Target &t) {
  std::atomic<uint64_t> &first = arena()->realms[t.realm].reclaim[t.shard].first;
  uint64_t head = first.load(std::memory_order_relaxed);
  do {
    // Release: who finds a link that is not the moved slot's also finds the slot's word changed (slot_moved).
    t.slot->link.store(head, std::memory_order_release);
    // Release: whoever takes the list sees the links (P5).
  } while (!first.compare_exchange_weak(head, t.index + 1, std::memory_order_release, std::memory_order_relaxed));
  if (head == 0) notify(t.realm, kShards + t.shard);  // P4: an idle realm would hold the object for ever
}

// A slot's next life must not answer with where its last one has gone.
void forget_link(Slot &slot) { slot.link.store(0, std::memory_order_relaxed); }

// The realm may have closed, and swept the slot, since it was located: the handle did not go stale by itself (P24). An
// open realm may have given the slot's block back: that leaves it stale.
haft_status refuse(haft_status status, const Target &t) {
  const bool open = arena()->realms[t.realm].life.load(std::memory_order_seq_cst) == open_life(t.realm_id);
  return fail(status == HAFT_E_STALE && !open ? HAFT_E_CLOSED : status, t.handle);
}

// A weak handle whose object was collected still has its references, and can be ended.
bool has_references(haft_status status) { return status == HAFT_OK || status == HAFT_E_COLLECTED; }

// Whatever the arena says, there are no more (P31).
uint32_t blocks_issued(const Arena *a) {
  const uint32_t issued = a->blocks_issued.load(std::memory_order_relaxed);
  return issued < kBlocks ? issued : kBlocks;
}

uint64_t in_state(uint64_t word, SlotState state) {
  return (word & ~(7ull << kStateShift)) | (uint64_t)state << kStateShift;
}

}  // namespace

haft_status locate(haft_handle handle, Target *t) {
  if (forked.load(std::memory_order_relaxed)) return HAFT_E_FORKED;  // P26
  if (handle >> 52 != 1) return HAFT_E_FORGED;
  Arena *a = arena();
  if (!a) return HAFT_E_FORGED;
  t->handle = handle;
  t->index = (uint32_t)(handle & kIndexMask);
  // Acquire: the slots of a block that is in the directory are initialised.
  const uint64_t owner = a->directory[t->index >> kBlockBits].load(std::memory_order_acquire);
  if (owner == 0) return HAFT_E_FORGED;  // P8
  t->slot = &a->slots[t->index];
  t->realm_id = owner;
  if (owner != kBlockOrphan && owner != kBlockSpare) {
    t->realm = realm_number(owner);
    if (t->realm >= kRealms) return HAFT_E_FORGED;  // P31: it is an index of arrays outside the arena too
    t->shard = t->index & (kShards - 1);
    // Acquire: an open realm's structures are ready.
    if (a->realms[t->realm].life.load(std::memory_order_acquire) == open_life(owner))
      return attached && !locals[t->realm].ring ? HAFT_E_REALM : HAFT_OK;  // another process's cannot be rung
  }
  const uint64_t word = t->slot->word.load(std::memory_order_relaxed);
  if (!issued(a, t->index, handle_generation(handle), word)) return HAFT_E_FORGED;
  return owner == kBlockSpare ? HAFT_E_STALE : HAFT_E_CLOSED;  // P24
}

bool still_open(const Target &t) {
  Arena *a = arena();
  // P21: sequentially consistent after the increment of the count.
  return a->realms[t.realm].life.load(std::memory_order_seq_cst) == open_life(t.realm_id) &&
         a->directory[t.index >> kBlockBits].load(std::memory_order_seq_cst) == t.realm_id;  // P23
}

haft_status grade(const Target &t, uint64_t word) {
  const uint64_t generation = handle_generation(t.handle);
  if (word_generation(word) == generation) {
    if (word_state(word) == kLive) return HAFT_OK;
    if (word_state(word) == kMoved) return HAFT_E_MOVED;
    if (word_state(word) == kCollected) return HAFT_E_COLLECTED;
  }
  return issued(arena(), t.index, generation, word) ? HAFT_E_STALE : HAFT_E_FORGED;
}

haft_status slot_check(haft_handle handle, haft_kind kind, uint64_t *word_out, Target *t) {
  haft_status status = locate(handle, t);
  if (status != HAFT_OK) return fail(status, handle);
  // Acquire: whoever passed us the handle published the slot before.
  const uint64_t word = t->slot->word.load(std::memory_order_acquire);
  status = grade(*t, word);
  if (status == HAFT_OK && kind != 0 && word_kind(word) != kind) status = HAFT_E_KIND;
  if (status != HAFT_OK) return refuse(status, *t);
  *word_out = word;
  return HAFT_OK;
}

haft_status slot_retain(haft_handle handle) {
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return fail(status, handle);
  uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  for (;;) {
    status = grade(t, word);
    if (status == HAFT_OK && word_references(word) == kReferenceMask) status = HAFT_E_OVERFLOW;
    if (status != HAFT_OK) return refuse(status, t);
    // Relaxed: the caller holds a reference or was handed the handle with an ordering of its own.
    if (t.slot->word.compare_exchange_weak(word, word + 1, std::memory_order_relaxed)) return HAFT_OK;
  }
}

haft_status slot_release(haft_handle handle) {
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return fail(status, handle);
  uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  while (has_references(status = grade(t, word))) {
    if (word_references(word) > 1) {
      // Release: what this thread did with the object comes before the last release of whichever thread.
      if (t.slot->word.compare_exchange_weak(word, word - 1, std::memory_order_release, std::memory_order_relaxed))
        return HAFT_OK;
      continue;
    }
    InFlight counted(t.realm, t.shard);  // the push writes on the realm's list (P23)
    if (!still_open(t)) return fail(HAFT_E_CLOSED, handle);
    const uint64_t zombie = in_state(word & ~kReferenceMask, kZombie);
    // Acquire and release: see above, for all threads that released before.
    if (!t.slot->word.compare_exchange_strong(word, zombie, std::memory_order_acq_rel, std::memory_order_relaxed))
      continue;
    push_reclaim(t);
    return HAFT_OK;
  }
  return refuse(status, t);
}

haft_status slot_delete(haft_handle handle, uint64_t realm_id, bool *retired) {
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return status;
  if (t.realm_id != realm_id) return HAFT_E_REALM;
  uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  while (has_references(status = grade(t, word))) {  // P3: a ZOMBIE is stale here
    const uint64_t next = next_life(arena(), t.index, word);
    // Acquire: the releases of other threads come before the slot's next use.
    if (!t.slot->word.compare_exchange_weak(word, next, std::memory_order_acquire, std::memory_order_relaxed))
      continue;
    *retired = word_state(next) == kRetired;
    labels_forget(handle);
    return HAFT_OK;
  }
  return status;
}

haft_status slot_collect(haft_handle handle, uint64_t realm_id) {
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return status;
  if (t.realm_id != realm_id) return HAFT_E_REALM;
  uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  while ((status = grade(t, word)) == HAFT_OK) {
    // P3: against the last release, which has put the slot on its list where it came first. Relaxed: who sees the object
    // gone is told nothing else by it.
    if (t.slot->word.compare_exchange_weak(word, in_state(word, kCollected), std::memory_order_relaxed)) return HAFT_OK;
  }
  return status;
}

bool slot_alive(haft_handle handle) {
  Target t;
  return locate(handle, &t) == HAFT_OK && has_references(grade(t, t.slot->word.load(std::memory_order_relaxed)));
}

haft_status slot_moved(haft_handle handle, haft_handle *now) {
  if (!now) return fail(HAFT_E_ARGUMENT, handle);
  *now = HAFT_NULL;
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return fail(status, handle);
  Patience patience;  // the link is written right after the mark
  while ((status = grade(t, t.slot->word.load(std::memory_order_acquire))) == HAFT_E_MOVED) {
    // Acquire: with the link come the references that it may be used to give back.
    const uint64_t link = t.slot->link.load(std::memory_order_acquire);
    // The slot may have been forgotten and used again meanwhile: then the link is not what we asked for.
    const bool moved = grade(t, t.slot->word.load(std::memory_order_relaxed)) == HAFT_E_MOVED;
    if (moved && link >= kHandleBase) {
      *now = link;
      return HAFT_OK;
    }
    if (!still_open(t)) return fail(HAFT_E_CLOSED, handle);
    if (!patience.wait()) return fail(HAFT_E_STALE, handle);
  }
  if (status != HAFT_OK) return refuse(status, t);
  *now = handle;
  return HAFT_OK;
}

void slot_drop(haft_handle handle) {
  for (uint32_t moves = 0; moves <= kMovesMost; moves++) {
    if (slot_release(handle) != HAFT_E_MOVED || slot_moved(handle, &handle) != HAFT_OK) return;
  }
}

namespace {

// Adds references to a live handle, or takes some; one at least stays.
haft_status add_references(haft_handle handle, int64_t change) {
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return status;
  uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  while ((status = grade(t, word)) == HAFT_OK) {
    const int64_t references = (int64_t)word_references(word) + change;
    if (references > (int64_t)kReferenceMask) return HAFT_E_OVERFLOW;
    if (references < 1) return HAFT_E_STALE;
    if (t.slot->word.compare_exchange_weak(word, word + (uint64_t)change, std::memory_order_relaxed)) return HAFT_OK;
  }
  return status;
}

}  // namespace

haft_status slot_move(haft_handle handle, uint64_t realm_id, haft_handle now) {
  Target t;
  haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return status;
  if (t.realm_id != realm_id) return HAFT_E_REALM;
  int64_t given = 1;
  uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  while ((status = grade(t, word)) == HAFT_OK) {
    const int64_t references = word_references(word);
    if (references + 1 != given) {
      status = add_references(now, references + 1 - given);
      if (status != HAFT_OK) break;
      given = references + 1;
    }
    const uint64_t moved = in_state(word & ~kReferenceMask, kMoved) | 1;
    // Sequentially consistent, before the tails are read: a sender looks after its claim (send.cc).
    if (!t.slot->word.compare_exchange_strong(word, moved, std::memory_order_seq_cst, std::memory_order_relaxed))
      continue;
    // After the mark: before it the link may be the list's, by a last release. Release: see slot_moved.
    t.slot->link.store(now, std::memory_order_release);
    return HAFT_OK;
  }
  if (given > 1) add_references(now, 1 - given);
  return status;
}

namespace {

// Whether the object has left the slot.
bool moved_away(const Target &t) { return grade(t, t.slot->word.load(std::memory_order_relaxed)) == HAFT_E_MOVED; }

// The object may have moved on. Nobody else changes a word that is not live.
void give_back_moved(Slot &slot) {
  const uint64_t word = slot.word.load(std::memory_order_relaxed);
  if (word_references(word) == 0) return;
  slot.word.store(word & ~kReferenceMask, std::memory_order_relaxed);
  slot_drop(slot.link.load(std::memory_order_relaxed));
}

}  // namespace

void slot_let_go(haft_handle handle, uint64_t realm_id) {
  Target t;
  if (locate(handle, &t) == HAFT_OK && t.realm_id == realm_id && moved_away(t)) give_back_moved(*t.slot);
}

haft_status slot_forget(haft_handle handle, uint64_t realm_id, bool *retired) {
  Target t;
  const haft_status status = locate(handle, &t);
  if (status != HAFT_OK) return status;
  if (t.realm_id != realm_id) return HAFT_E_REALM;
  if (!moved_away(t)) return HAFT_E_STALE;
  give_back_moved(*t.slot);
  const uint64_t word = t.slot->word.load(std::memory_order_relaxed);
  const uint64_t next = next_life(arena(), t.index, word);
  forget_link(*t.slot);
  // Nobody else changes a word that is not live.
  t.slot->word.store(next, std::memory_order_release);
  *retired = word_state(next) == kRetired;
  return HAFT_OK;
}

bool reclaim_take(uint32_t realm) {
  Realm &r = arena()->realms[realm];
  bool any = false;
  for (uint32_t shard = 0; shard < kShards; shard++) {
    if (r.reclaim[shard].first.load(std::memory_order_relaxed) == 0) continue;
    // P5: sequentially consistent, since the tails are read after this; acquire, for the links.
    taken[realm][shard] = r.reclaim[shard].first.exchange(0, std::memory_order_seq_cst);
    any = true;
  }
  return any;
}

uint64_t reclaim_taken(uint32_t realm, uint32_t shard) { return taken[realm][shard]; }

uint32_t reclaim_free(uint32_t realm, int32_t *indexes, uint32_t most) {
  Arena *a = arena();
  uint32_t count = 0;
  for (uint32_t shard = 0; shard < kShards; shard++) {
    uint64_t &chain = taken[realm][shard];
    while (chain != 0 && count < most) {
      if (chain - 1 > kIndexMask) {  // not what we wrote (P31)
        chain = 0;
        break;
      }
      const uint32_t index = (uint32_t)(chain - 1);
      Slot &slot = a->slots[index];
      chain = slot.link.load(std::memory_order_relaxed);
      const uint64_t word = slot.word.load(std::memory_order_relaxed);
      const uint64_t next = next_life(a, index, word);
      labels_forget(kHandleBase + (word_generation(word) << kGenerationShift) + index);
      // Relaxed: only this thread publishes the slot again, and a ZOMBIE is changed by nobody else (P3).
      slot.word.store(next, std::memory_order_relaxed);
      indexes[count++] = word_state(next) == kRetired ? -1 - (int32_t)index : (int32_t)index;
    }
  }
  return count;
}

int64_t block_take(uint64_t realm_id) {
  Arena *a = arena();
  if (a->orphans.load(std::memory_order_relaxed) > 0) {
    const uint32_t issued_blocks = blocks_issued(a);
    for (uint32_t n = 0; n < issued_blocks; n++) {
      const uint32_t block = (a->block_base + n) & (kBlocks - 1);
      uint64_t owner = a->directory[block].load(std::memory_order_relaxed);
      if (owner != kBlockOrphan && owner != kBlockSpare) continue;
      // Acquire and release: the sweep of the old realm comes before this, and this before any look-up (P23).
      if (!a->directory[block].compare_exchange_strong(owner, realm_id, std::memory_order_acq_rel)) continue;
      a->orphans.fetch_sub(1, std::memory_order_relaxed);
      return block;
    }
  }
  uint32_t n = a->blocks_issued.load(std::memory_order_relaxed);
  do {
    if (n >= HAFT_BLOCKS_MAX) return -1;
  } while (!a->blocks_issued.compare_exchange_weak(n, n + 1, std::memory_order_relaxed));
  const uint32_t block = (a->block_base + n) & (kBlocks - 1);  // P7
  Slot *slots = &a->slots[block << kBlockBits];
  if (!arena_commit(slots, kBlockSlots * sizeof(Slot))) return -1;
  for (uint32_t i = 0; i < kBlockSlots; i++) {
    const uint64_t generation = first_generation(a, (block << kBlockBits) + i);
    slots[i].word.store(generation << kWordGenerationShift, std::memory_order_relaxed);
  }
  // Release: the words come before the entry that leads to them.
  a->directory[block].store(realm_id, std::memory_order_release);
  return block;
}

uint32_t block_lives(uint32_t block) {
  Arena *a = arena();
  uint64_t least = kGenerationMask;
  for (uint32_t i = 0; i < kBlockSlots; i++) {
    const uint32_t index = (block << kBlockBits) + i;
    const uint64_t word = a->slots[index].word.load(std::memory_order_relaxed);
    if (word_state(word) == kRetired) continue;
    const uint64_t used = (word_generation(word) - first_generation(a, index)) & kGenerationMask;
    if (kGenerationMask - used < least) least = kGenerationMask - used;
  }
  return (uint32_t)least;
}

bool block_give(uint64_t realm_id, uint32_t block) {
  Arena *a = arena();
  if (a->directory[block].load(std::memory_order_relaxed) != realm_id) return false;
  for (uint32_t i = 0; i < kBlockSlots; i++) {
    const uint32_t state = word_state(a->slots[(block << kBlockBits) + i].word.load(std::memory_order_relaxed));
    if (state != kFree && state != kRetired) return false;
  }
  // Release: what this realm did with the slots comes before another takes them (P23).
  a->directory[block].store(kBlockSpare, std::memory_order_release);
  a->orphans.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void blocks_abandon(uint64_t realm_id) {
  Arena *a = arena();
  if (realm_number(realm_id) >= kRealms) return;  // P31
  for (uint64_t &chain : taken[realm_number(realm_id)]) chain = 0;
  const uint32_t issued_blocks = blocks_issued(a);
  for (uint32_t n = 0; n < issued_blocks; n++) {
    const uint32_t block = (a->block_base + n) & (kBlocks - 1);
    if (a->directory[block].load(std::memory_order_relaxed) != realm_id) continue;
    for (uint32_t i = 0; i < kBlockSlots; i++) {
      const uint32_t index = (block << kBlockBits) + i;
      std::atomic<uint64_t> &slot = a->slots[index].word;
      uint64_t word = slot.load(std::memory_order_relaxed);
      if (word_state(word) == kMoved) {
        give_back_moved(a->slots[index]);
        forget_link(a->slots[index]);
        word = slot.load(std::memory_order_relaxed);
      }
      // A retain or release that looked before the realm closed may still change the word: hence the loop.
      while (word_state(word) != kFree && word_state(word) != kRetired) {
        if (slot.compare_exchange_weak(word, next_life(a, index, word), std::memory_order_relaxed)) break;
      }
    }
    // Release: the sweep comes before the adoption (P23).
    a->directory[block].store(kBlockOrphan, std::memory_order_release);
    a->orphans.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace haft
