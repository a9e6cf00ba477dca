// The life of a realm: FREE -> OPENING -> OPEN -> CLOSING -> CLOSED -> FREE.
//
// The control block is never unmapped, and the id carries an epoch, so that anybody may ask about any realm at any
// time. Closing wakes every waiter and waits, for a bounded time, until no native operation is in flight.
#pragma once

#include "haft.h"
#include "layout.h"

namespace haft {

// Opens a realm whose own thread is the calling one. `ring` wakes its event loop (any thread, must not block), `direct`
// runs Realm::direct on the own thread. Tells the id. HAFT_E_SLOTS: kRealms are open; HAFT_E_NO_MEMORY.
haft_status realm_open(void (*ring)(void *edge), void (*direct)(void *edge), void *edge, haft_realm *id);

// The two halves of it. The process that made the arena reserves a realm; `ring` is how it will wake that, where another
// process opens it. Then the realm's own thread opens it.
haft_status realm_reserve(void (*ring)(void *edge), void *edge, haft_realm *id);
haft_status realm_open_reserved(haft_realm id, void (*ring)(void *edge), void (*direct)(void *edge), void *edge);

// Whether nobody has opened it since, nor ended it.
bool realm_is_reserved(haft_realm id);

// In the process that made the arena, of a realm that another process opened, or was to open, and has closed for good or
// died with: ends every wait for it. Whatever its state says: the other process may have written anything there (P31).
void realm_end(haft_realm id);

// Then: whether no thread of this process is at work in it any more; it is free again, and `edge` may go. To be asked again
// if not. `forget`: who may have died in the midst of a write to its rings leaves them unfinished for ever; then the realm
// is nobody's from now on, as long as the process lives.
bool realm_recycle(haft_realm id, bool forget);

// When a process has ended that may have written anything (P31): who waits for a realm that nobody has is told.
void realms_restore();

// Closes it, on its own thread or at the end of the process; the second time does nothing. A process that is attached
// leaves it to be recycled by the one that made the arena. True if nothing was left in flight after `wait_ms`: only then may `edge` go, and the blocks are up for adoption. `final`: room for the counters of
// kShards shards as they are at the end, or NULL.
bool realm_close(haft_realm id, int64_t wait_ms, haft_counters *final = nullptr);

// Closes all realms of the process, when it ends (P25).
void realms_close_all(int64_t wait_ms);

haft_status realm_check(haft_realm id);  // HAFT_OK, HAFT_E_CLOSED, HAFT_E_FORKED

// Wakes the callers of these replies: their numbers.
void realm_wake(uint32_t realm, const int32_t *numbers, uint32_t count);

// Wakes whoever waits for anything of the realm, to look at its state again.
void realm_wake_everybody(uint32_t realm);

// Wakes the producers that wait for room in a mailbox.
void realm_wake_producers(uint32_t realm, uint32_t shard);

}  // namespace haft
