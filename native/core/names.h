// The names under which a realm publishes handles, for native code to find.
//
// A hash table in the realm's part of the arena: its own thread writes, any thread reads. An entry whose name was taken
// back serves another name; its version tells a reader that it read halves of two (a sequence lock).
#pragma once

#include <cstddef>

#include "haft.h"

namespace haft {

// On the realm's own thread. HAFT_NULL takes the name back.
// HAFT_E_ARGUMENT: empty or longer than kNameBytes; HAFT_E_SLOTS: kNames names are in use.
haft_status name_publish(uint32_t realm, const char *name, size_t length, haft_handle handle);

haft_status name_find(haft_realm realm, const char *name, haft_kind kind, int64_t timeout_ms, haft_handle *found);

}  // namespace haft
