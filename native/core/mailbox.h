// The mailboxes' native side: claiming cells of a ring, publishing them, and waking a realm that sleeps.
//
// A ring is a bounded queue of many producers and one consumer, with a sequence number a cell that says whether it
// is published (D. Vyukov, "Bounded MPMC queue"). A message takes one to kMessageCells neighbouring cells.
#pragma once

#include "layout.h"

namespace haft {

struct Claim {
  Cell *cell = nullptr;   // the message's first cell; NULL: the ring is full
  uint32_t position = 0;  // its sequence number while unpublished
};

// Claims `cells` neighbouring cells. Never waits.
Claim claim(Ring &ring, uint32_t cells);

// Makes the claimed message visible to the drain. The caller has written all of it but `sequence`.
inline void publish(const Claim &claimed) {
  // Release: the message comes before its sequence number (P10).
  claimed.cell->sequence.store(claimed.position + 1, std::memory_order_release);
}

// Tells the realm that there is work: bit s for mailbox s, bit 16 + s for reclaim list s; rings if it sleeps.
// Call it counted in flight, after the work is published.
void notify(uint32_t realm, uint32_t bit);

// What `notify` does when the work is marked: rings a realm that sleeps.
void ring_if_armed(uint32_t realm);

// The same as `notify` for a caller that is not counted in flight: it is counted only if there is something to do.
void notify_mailbox(uint32_t realm, uint64_t realm_id, uint32_t shard);

// Wakes the realm's own thread, whether it is in its event loop or in haft_serve. Call it counted in flight.
void ring_doorbell(uint32_t realm);

// Wakes it only where it waits in C and serves.
void wake_serving(uint32_t realm);

// Whether every cell that was claimed has been published: nobody writes in the ring (P21). Once the realm is closing.
bool all_published(const Ring &ring);

// Frees every message that is there, unread. When a realm opens where another has been; all are published.
void skip_all(Ring &ring);

// How many posts stand in the ring, calls not counted. For people: the ring moves meanwhile.
uint32_t posts_in(const Ring &ring);

// Whether a message of one cell finds no room; whether none stands in it.
bool is_full(const Ring &ring);
bool is_empty(const Ring &ring);

// Waits for room in a ring for at most `nanoseconds`; may return early.
void sleep_for_space(Ring &ring, uint32_t cells, int64_t nanoseconds);

}  // namespace haft
