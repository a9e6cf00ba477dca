// Memory that C may keep: where a pinned or transferred buffer lies (haft_memory). The buffer is an object of
// JavaScript's with a handle, as any other; this is what C learns of it. Addresses are this process's alone (P28).
#pragma once

#include "haft.h"

namespace haft {

haft_status memory_of(haft_handle handle, void **data, uint64_t *size);

// ---- On the realm's own thread ----
void pin_add(haft_handle handle, void *data, uint64_t size);
void pin_remove(haft_handle handle);  // after the handle has ended

// Forgets those of all handles that have ended: a realm has closed.
void pins_sweep();

}  // namespace haft
