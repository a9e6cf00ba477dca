// What became of a registry's messages, shard by shard: native code and the drain count, this reads.
import { SHARDS } from '../constants.js';

/**
 * Every message ends in exactly one of delivered, refused, dropped and expired. A message is a post or a call of a
 * valid handle with an op of its kind and values that can be sent; a call counts when it has ended.
 */
export interface Counters {
  /** The sum of the four below, and the posts that wait to be delivered. */
  sent: number;
  /** Messages whose handler ran, whatever it returned or threw. */
  delivered: number;
  /** No room, realm closed, object gone, breaker open, arguments that do not fit the op. */
  refused: number;
  /** Posts with `HAFT_DROP_NEWEST` that found the mailbox full. */
  dropped: number;
  /** Calls whose caller gave up, whether or not the handler ran. */
  expired: number;
  /** The longest time that a native thread waited for room in a mailbox. */
  longestWaitMilliseconds: number;
  /** Most cells of 64 bytes that were seen in use at one time, of 1,024 a shard. */
  highestFill: number;
}

const FIELDS = 7; // as native/functions.cc writes them

/** The counters of each shard, out of what the addon returns. */
export function countersOf(numbers: Float64Array): Counters[] {
  return Array.from({ length: SHARDS }, (_, shard) => {
    const at = shard * FIELDS;
    return {
      sent: numbers[at]!,
      delivered: numbers[at + 1]!,
      refused: numbers[at + 2]!,
      dropped: numbers[at + 3]!,
      expired: numbers[at + 4]!,
      longestWaitMilliseconds: numbers[at + 5]! / 1e6,
      highestFill: numbers[at + 6]!,
    };
  });
}

export function sumOf(shards: readonly Counters[]): Counters {
  const sum = {
    sent: 0,
    delivered: 0,
    refused: 0,
    dropped: 0,
    expired: 0,
    longestWaitMilliseconds: 0,
    highestFill: 0,
  };
  for (const shard of shards) {
    sum.sent += shard.sent;
    sum.delivered += shard.delivered;
    sum.refused += shard.refused;
    sum.dropped += shard.dropped;
    sum.expired += shard.expired;
    sum.longestWaitMilliseconds = Math.max(sum.longestWaitMilliseconds, shard.longestWaitMilliseconds);
    sum.highestFill = Math.max(sum.highestFill, shard.highestFill);
  }
  return sum;
}
