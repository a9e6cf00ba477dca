// What must hold of a realm and its slots whatever other threads do meanwhile; walked after each drain at level 2. The
// mirror's side of it is src/debugging/invariants.ts.
#pragma once

#include <string>

#include "haft.h"

namespace haft {

// What is wrong first, in words; empty while all holds. On the realm's own thread, with no drain under way.
std::string broken_invariant(haft_realm realm);

}  // namespace haft
