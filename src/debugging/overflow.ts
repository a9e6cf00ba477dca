// What had no room: a table without a free slot, a mailbox whose senders were refused; and what it was full of, by kind.
import { performance } from 'node:perf_hooks';
import { checkSetting } from '../checks.js';
import {
  CELL_BYTES,
  CELL_OP,
  CELL_REPLY,
  CELL_SHAPE,
  RING_BYTES,
  RING_CELLS,
  RING_DECLINED,
  RING_FIRST_CELL,
  RING_TAIL,
  RINGS,
  SHARDS,
} from '../constants.js';
import type { Counters } from '../messages/counters.js';
import { cellsOf } from '../messages/wire.js';
import type { Mirror } from '../mirror.js';
import type { Registry } from '../registry.js';
import { overflowed } from './channels.js';
import { eachLive } from './live.js';
import { wrapped } from './text-table.js';

const KEPT = 16;
const KINDS_TOLD = 5;
const OPS_TOLD = 10;
const BETWEEN = 1000; // milliseconds
const BETWEEN_LOOKS = 10;
// As it was when this was loaded, whatever tests put in its place.
const milliseconds = performance.now.bind(performance);

/** Messages of one op that waited. */
export interface Waiting {
  readonly kind: string;
  readonly op: string;
  readonly posts: number;
  readonly calls: number;
}

/** A mailbox whose senders were refused, as the next drain found it. */
export interface MailboxOverflow {
  readonly what: 'mailbox';
  /** ISO 8601. */
  readonly when: string;
  readonly shard: number;
  /** Messages refused since the overflow that was told before. */
  readonly refused: number;
  /** The same, of posts with `HAFT_DROP_NEWEST`. */
  readonly dropped: number;
  /** What waited, the most first; ten ops at most. */
  readonly waiting: readonly Waiting[];
}

/** A table without a free slot. */
export interface TableOverflow {
  readonly what: 'table';
  /** ISO 8601. */
  readonly when: string;
  /** The registry's own handles; other registries of the process have the rest of the slots. */
  readonly live: number;
  /** The kinds that fill it, the most first; five at most. `''`: objects without a kind. */
  readonly kinds: readonly { readonly kind: string; readonly count: number }[];
}

export type Overflow = MailboxOverflow | TableOverflow;

/** What is asked of the registry. */
export interface Crowded {
  readonly registry: Registry;
  readonly mirror: Mirror;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  kindName(number: number): string;
  opOf(number: number): { readonly kindName: string; readonly name: string };
  counters(): Counters[];
}

/** Of one registry. */
export class Overflows {
  /** The last 16, the oldest first. */
  readonly latest: Overflow[] = [];
  readonly #crowded: Crowded;
  readonly #turnedAway = new Float64Array(SHARDS * 2); // refused, dropped: as told before
  #lookedAt = Number.NEGATIVE_INFINITY;
  #mailboxAt = Number.NEGATIVE_INFINITY;
  #tableAt = Number.NEGATIVE_INFINITY;
  #tableText = '';

  constructor(crowded: Crowded) {
    this.#crowded = crowded;
  }

  /** A drain has found this mailbox full; its messages from `head` on are still in it. */
  mailbox(shard: number, head: number): void {
    const now = milliseconds();
    if (now - this.#lookedAt < BETWEEN_LOOKS || now - this.#mailboxAt < BETWEEN) return;
    this.#lookedAt = now;
    const { counters, f64 } = this.#crowded;
    const { refused, dropped } = counters()[shard]!;
    // Those that were refused at delivery had found room.
    const refusedNow = refused - f64[(RINGS + shard * RING_BYTES + RING_DECLINED) >> 3]!;
    const refusedSince = refusedNow - this.#turnedAway[shard * 2]!;
    const droppedSince = dropped - this.#turnedAway[shard * 2 + 1]!;
    if (refusedSince + droppedSince <= 0) return;
    this.#turnedAway[shard * 2] = refusedNow;
    this.#turnedAway[shard * 2 + 1] = dropped;
    this.#mailboxAt = now;
    this.#tell({
      what: 'mailbox',
      when: new Date().toISOString(),
      shard,
      refused: refusedSince,
      dropped: droppedSince,
      waiting: this.#waitingIn(shard, head),
    });
  }

  /** No slot is free. Tells which kinds fill the table, as a sentence. */
  table(): string {
    const now = milliseconds();
    if (now - this.#tableAt < BETWEEN) return this.#tableText;
    const { mirror, kindName } = this.#crowded;
    const counts = new Map<number, number>();
    let live = 0;
    eachLive(mirror, ({ kind }) => {
      live++;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    });
    const kinds = [...counts]
      .sort(([, a], [, b]) => b - a)
      .slice(0, KINDS_TOLD)
      .map(([kind, count]) => ({ kind: kind === 0 ? '' : kindName(kind), count }));
    const most = kinds
      .map(({ kind, count }) => `${count} ${kind === '' ? 'without a kind' : kind}`)
      .join(', ');
    this.#tableText = `no slot is free; of this registry's ${live} handles most are: ${most || 'none'}`;
    this.#tableAt = now;
    this.#tell({ what: 'table', when: new Date().toISOString(), live, kinds });
    return this.#tableText;
  }

  #tell(overflow: Overflow): void {
    this.latest.push(overflow);
    if (this.latest.length > KEPT) this.latest.shift();
    if (checkSetting().level === 2) console.error(wrapped(`haft: ${overflowText(overflow)}`, '').join('\n'));
    if (overflowed.isHeard) overflowed.tell({ registry: this.#crowded.registry, overflow });
  }

  // P11: from the drain's own head on nobody writes to cells before their messages have been taken out.
  #waitingIn(shard: number, head: number): Waiting[] {
    const { i32, opOf } = this.#crowded;
    const ring = RINGS + shard * RING_BYTES;
    const tail = Atomics.load(i32, (ring + RING_TAIL) >> 2);
    const found = new Map<number, { posts: number; calls: number }>();
    for (let at = head; at !== tail; ) {
      const word = (ring + RING_FIRST_CELL + (at & (RING_CELLS - 1)) * CELL_BYTES) >> 2;
      if (Atomics.load(i32, word) !== ((at + 1) | 0)) break; // claimed, and not published yet
      const op = i32[word + (CELL_OP >> 2)]!;
      if (op !== 0) {
        const counted = found.get(op) ?? { posts: 0, calls: 0 };
        found.set(op, counted);
        if (i32[word + (CELL_REPLY >> 2)] === 0) counted.posts++;
        else counted.calls++;
      }
      at = (at + cellsOf(i32[word + (CELL_SHAPE >> 2)]!)) | 0;
    }
    return [...found]
      .map(([number, counted]) => {
        const { kindName, name } = opOf(number);
        return { kind: kindName, op: name, ...counted };
      })
      .sort((a, b) => b.posts + b.calls - a.posts - a.calls)
      .slice(0, OPS_TOLD);
  }
}

/** On one line. */
export function overflowText(overflow: Overflow): string {
  if (overflow.what === 'table') {
    const kinds = overflow.kinds.map(({ kind, count }) => `${count} ${kind || 'without a kind'}`);
    return `the table had no free slot, with ${overflow.live} handles: ${kinds.join(', ')}`;
  }
  const { shard, refused, dropped, waiting } = overflow;
  const ops = waiting.map(({ kind, op, posts, calls }) => `${posts + calls} ${kind}.${op}`);
  return `the mailbox of shard ${shard} was full: ${refused} refused, ${dropped} dropped; it held ${ops.join(', ')}`;
}
