// See invariants.h. Each check looks only at what one load can tell, or at what nobody but the realm's own thread changes.
#include "invariants.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "arena.h"
#include "kinds.h"
#include "slots.h"

namespace haft {
namespace {

__attribute__((format(printf, 1, 2))) std::string broken(const char *format, ...) {
  char text[256];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

const char *state_name(uint32_t state) {
  static const char *const names[] = {"FREE", "LIVE", "ZOMBIE", "RETIRED", "MOVED", "COLLECTED"};
  return state < sizeof names / sizeof *names ? names[state] : "none";
}

// One word: generation, state, kind and references belong together (P2).
std::string slot_broken(const Arena *a, uint32_t index, uint64_t word) {
  const uint32_t block = index >> kBlockBits, slot = index & (kBlockSlots - 1);
  const uint32_t state = word_state(word), references = word_references(word);
  if (word_generation(word) > kGenerationMask)
    return broken("slot %u:%u has generation %" PRIu64 ", which is beyond the last", block, slot, word_generation(word));
  switch (state) {
    case kFree:
    case kMoved:
      return "";
    case kLive:
    case kCollected:
      if (references == 0) return broken("slot %u:%u is %s without a reference", block, slot, state_name(state));
      break;
    case kZombie:
      if (references != 0) return broken("slot %u:%u is ZOMBIE with %u references", block, slot, references);
      break;
    case kRetired:
      if (word_generation(word) != first_generation(a, index))
        return broken("slot %u:%u is RETIRED before its generation has come round", block, slot);
      return "";
    default:
      return broken("slot %u:%u is in state %u, which is none", block, slot, state);
  }
  const haft_kind kind = word_kind(word);
  if (kind != 0 && (a->kinds[kind].ready.load(std::memory_order_acquire) & kReady) == 0)
    return broken("slot %u:%u is of kind %u, which nobody has defined", block, slot, kind);
  return "";
}

std::string slots_broken(const Arena *a, haft_realm realm, uint64_t *slots) {
  const uint32_t issued = a->blocks_issued.load(std::memory_order_relaxed);
  for (uint32_t n = 0; n < issued && n < HAFT_BLOCKS_MAX; n++) {
    const uint32_t block = (a->block_base + n) & (kBlocks - 1);
    const uint64_t owner = a->directory[block].load(std::memory_order_acquire);
    if (owner == 0 || owner == kBlockOrphan || owner == kBlockSpare) continue;  // 0: its taker is not done yet
    if (realm_number(owner) >= kRealms)
      return broken("block %u is owned by %" PRIu64 ", which is no realm", block, owner);
    if (owner != realm) continue;
    *slots += kBlockSlots;
    for (uint32_t i = 0; i < kBlockSlots; i++) {
      const uint32_t index = (block << kBlockBits) + i;
      std::string text = slot_broken(a, index, a->slots[index].word.load(std::memory_order_acquire));
      if (!text.empty()) return text;
    }
  }
  return "";
}

// A list only grows at its head while we look (P3): what is behind a head that was read stays as it is.
std::string chain_broken(const Arena *a, haft_realm realm, uint32_t shard, uint64_t chain, uint64_t slots) {
  for (uint64_t walked = 0; chain != 0; walked++) {
    if (chain - 1 > kIndexMask) return broken("the reclaim list of shard %u leads to no slot", shard);
    const uint32_t index = (uint32_t)(chain - 1);
    const uint32_t block = index >> kBlockBits, slot = index & (kBlockSlots - 1);
    if (a->directory[block].load(std::memory_order_relaxed) != realm)
      return broken("the reclaim list of shard %u has slot %u:%u, which is not the realm's", shard, block, slot);
    if ((index & (kShards - 1)) != shard)
      return broken("the reclaim list of shard %u has slot %u:%u, which is another shard's", shard, block, slot);
    if (walked == slots) return broken("the reclaim list of shard %u goes in a circle", shard);
    const uint32_t state = word_state(a->slots[index].word.load(std::memory_order_acquire));
    if (state != kZombie)
      return broken("the reclaim list of shard %u has slot %u:%u, which is %s", shard, block, slot, state_name(state));
    chain = a->slots[index].link.load(std::memory_order_acquire);
  }
  return "";
}

// P13: the head is ours; a tail that is read after it is not behind it, and never further ahead than there is room.
std::string ring_broken(const Ring &ring, uint32_t shard) {
  const uint32_t head = ring.head.load(std::memory_order_relaxed);
  const uint32_t ahead = (uint32_t)ring.tail.load(std::memory_order_acquire) - head;
  if (ahead <= kRingCells) return "";
  if (ahead > UINT32_MAX / 2) return broken("the head of ring %u is %u cells ahead of its tail", shard, 0 - ahead);
  return broken("the tail of ring %u is %u cells ahead of its head, of %u that there are", shard, ahead, kRingCells);
}

// Others take and give meanwhile. The word of the head counts what is taken, and changes with what is given: what it is
// before the walk and after it, it was all the time.
std::string replies_broken(const Realm &r) {
  for (int tries = 0; tries < 8; tries++) {
    const uint64_t head = r.free_replies.load(std::memory_order_acquire);
    std::string text;
    uint32_t next = (uint32_t)head;
    for (uint32_t walked = 0; next != 0 && text.empty(); walked++) {
      if (walked == kReplies)
        text = "the list of free replies goes in a circle";
      else if (next > r.replies_issued.load(std::memory_order_acquire) || next > kReplies)
        text = broken("the list of free replies has number %u, which nobody ever took", next - 1);
      else
        next = r.next_reply[next - 1].load(std::memory_order_acquire);
    }
    if (text.empty() || r.free_replies.load(std::memory_order_seq_cst) == head) return text;
  }
  return "";
}

}  // namespace

std::string broken_invariant(haft_realm realm) {
  const Arena *a = arena();
  const uint32_t number = realm_number(realm);
  if (number >= kRealms) return broken("there is no realm %" PRIu64, realm);
  const Realm &r = a->realms[number];
  uint64_t slots = 0;
  std::string text = slots_broken(a, realm, &slots);
  for (uint32_t shard = 0; text.empty() && shard < kShards; shard++) {
    // Acquire: with the head come the links and words behind it (P5).
    text = chain_broken(a, realm, shard, r.reclaim[shard].first.load(std::memory_order_acquire), slots);
    if (text.empty()) text = chain_broken(a, realm, shard, reclaim_taken(number, shard), slots);
    if (text.empty()) text = ring_broken(r.rings[shard], shard);
  }
  return text.empty() ? replies_broken(r) : text;
}

}  // namespace haft
