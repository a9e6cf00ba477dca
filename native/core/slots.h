// The slots: what a handle says, what its slot says, and every change of a slot that native code makes.
//
// Check, retain, release and delete are one load or one compare-and-swap on word A. Generation and kind stand in
// that word, so that a stale or doubled release cannot touch the next object, and no reader sees one object's kind
// with another's generation (P2). A slot is never unmapped, so a late compare-and-swap fails and does no harm: only
// what writes elsewhere than in word A is counted in flight (the last release, which pushes on a list).
#pragma once

#include "arena.h"
#include "error.h"

namespace haft {

struct Target {  // where a handle points, if it is one
  haft_handle handle;
  Slot *slot;
  uint64_t realm_id;
  uint32_t index;
  uint32_t realm;  // number
  uint32_t shard;
};

inline uint32_t realm_number(uint64_t id) { return (uint32_t)(id & kRealmNumberMask) - 1; }
inline uint64_t open_life(uint64_t id) { return id << 8 | kRealmOpen; }

// Whether the realm's structures are still its own: open, or closing and waiting for those who are counted in. To be
// asked by one who counted itself in to finish what it began before (P21).
inline bool still_alive(uint64_t life, uint64_t id) {
  return life == open_life(id) || life == (id << 8 | kRealmClosing);
}

// Finds the slot without touching a page that was not given out (P8). HAFT_E_FORGED, HAFT_E_CLOSED, HAFT_E_FORKED.
haft_status locate(haft_handle handle, Target *target);

// Whether the slot's block still belongs to the realm, and the realm is open. After the increment of a count (P21)
// it also means that the realm waits for us (P23).
bool still_open(const Target &target);

// What word A says of the handle: HAFT_OK while it is live, else HAFT_E_STALE, HAFT_E_MOVED, HAFT_E_COLLECTED or
// HAFT_E_FORGED.
haft_status grade(const Target &target, uint64_t word);

inline uint64_t handle_generation(haft_handle handle) { return (handle - kHandleBase) >> kGenerationShift; }
inline uint32_t word_references(uint64_t word) { return (uint32_t)(word & kReferenceMask); }
inline haft_kind word_kind(uint64_t word) { return (haft_kind)(word >> kKindShift) & (kKinds - 1); }
inline uint32_t word_state(uint64_t word) { return (uint32_t)(word >> kStateShift) & ((1u << kStateBits) - 1); }
inline uint64_t word_generation(uint64_t word) { return word >> kWordGenerationShift; }

haft_status slot_retain(haft_handle handle);
haft_status slot_release(haft_handle handle);
haft_status slot_check(haft_handle handle, haft_kind kind, uint64_t *word, Target *target);

// The handle that one which answers HAFT_E_MOVED has become; a live one is its own.
haft_status slot_moved(haft_handle handle, haft_handle *now);

// Whether the handle has not ended: it is live, or its object was collected and its references are out.
bool slot_alive(haft_handle handle);

// Gives back a reference that haft holds for somebody, such as that of a result that nobody takes: the object may have
// moved on since.
void slot_drop(haft_handle handle);

// ---- On the realm's own thread ----

// Ends a live handle at once, whatever its references, or one whose object was collected: the slot is free again
// (`*retired` false) or retired. A ZOMBIE is left to the drain and reported as stale (P3).
haft_status slot_delete(haft_handle handle, uint64_t realm_id, bool *retired);

// The object of a live weak handle was collected: from now on the handle answers HAFT_E_COLLECTED to all but the release of
// its references, of which the last frees the slot as any other's. HAFT_E_STALE where that has come first.
haft_status slot_collect(haft_handle handle, uint64_t realm_id);

// The object lives on under `now`, which carries one reference: gives that as many as the live handle has, and one that
// the moved slot keeps, so that messages on their way to the old handle still find the object. Marks the slot: it is
// neither free nor live until slot_forget. Nothing has changed if it fails.
haft_status slot_move(haft_handle handle, uint64_t realm_id, haft_handle now);

// Gives the reference of a moved slot back: every message to the old handle has been sent on. Once.
void slot_let_go(haft_handle handle, uint64_t realm_id);
haft_status slot_forget(haft_handle handle, uint64_t realm_id, bool *retired);

// Takes every reclaim list. The slots stay ZOMBIE until reclaim_free, which comes when all messages that were posted
// before the last releases have been delivered (P5). False if there was nothing to take.
bool reclaim_take(uint32_t realm);

// Frees up to `most` of the slots taken: writes their indexes, as -1 - index for one that is retired now.
uint32_t reclaim_free(uint32_t realm, int32_t *indexes, uint32_t most);

// The first slot that was taken and is not free yet, as index + 1; on the realm's own thread.
uint64_t reclaim_taken(uint32_t realm, uint32_t shard);

// A block of free slots for this realm: one without a realm, else a new one; -1 when there are none left.
int64_t block_take(uint64_t realm_id);

// How often any one slot of the block may be freed before one of them has come round and must retire: as often may
// JavaScript free slots of it without asking (P1, P7).
uint32_t block_lives(uint32_t block);

// Gives a block back, whose slots are all free or retired: another realm may take it. False if some are not.
bool block_give(uint64_t realm_id, uint32_t block);

// Makes every block of a realm that nobody uses any more an orphan, its slots free or retired. Goes by the slots'
// words, not by lists (P23).
void blocks_abandon(uint64_t realm_id);

}  // namespace haft
