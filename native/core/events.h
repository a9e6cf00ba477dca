// Waiting for what happens to a realm: events that are counted while somebody waits, and levels that hold or not.
#pragma once

#include "haft.h"
#include "layout.h"

namespace haft {

// Tells those who wait. Call it counted in flight or on the realm's own thread, and only if there are any.
void happened(uint32_t realm, uint32_t events);

haft_status wait_for(haft_realm realm, uint32_t events, int64_t timeout_ms, uint32_t *happened);
haft_status signal_events(haft_realm realm, uint32_t events);

}  // namespace haft
