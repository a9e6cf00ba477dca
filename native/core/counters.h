// What became of the messages of each shard: counted where it costs the messages that arrive nothing.
#pragma once

#include "slots.h"

namespace haft {

// Adds one, unless the target's realm is gone and its counters may be another's.
void count_message(const Target &target, std::atomic<uint64_t> Counters::*counter);

// Counts how a send ended that did not succeed.
void count_failure(const Target &target, haft_status status);

void note_longest_wait(const Target &target, int64_t nanoseconds);
void note_fill(Ring &ring, uint32_t cells);

haft_status counters_read(haft_realm realm, uint32_t shard, haft_counters *counters);

// One shard's, of a realm that nobody sends to any more: posts that were never delivered are refused ones.
haft_counters counters_final(Ring &ring);

}  // namespace haft
