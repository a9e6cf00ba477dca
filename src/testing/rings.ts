// The rings of a realm's mailboxes, looked at from outside of the drain: what waits in them, and how they are filled.
import {
  CELL_BYTES,
  CELL_HANDLE,
  CELL_OP,
  CELL_REPLY,
  CELL_SHAPE,
  DIRTY,
  RING_BYTES,
  RING_CELLS,
  RING_FIRST_CELL,
  RING_TAIL,
  RINGS,
  SHAPE_CELLS_SHIFT,
} from '../constants.js';
import type { Insides } from '../insides.js';
import { cellsOf } from '../messages/wire.js';

/** Most cells of one filler: as many as a shape can say. */
const FILLER_CELLS = 31;

/** What stands at a place of a ring. */
export interface Waiting {
  /** 0: cells that nothing stands in, which the drain skips. */
  readonly op: number;
  readonly handle: number;
  readonly isCall: boolean;
}

function cellAt(shard: number, position: number): number {
  return RINGS + shard * RING_BYTES + RING_FIRST_CELL + (position & (RING_CELLS - 1)) * CELL_BYTES;
}

/** What waits in a shard, in order, fillers among it. */
export function waitingIn({ native, mailboxes }: Insides, shard: number): Waiting[] {
  const i32 = new Int32Array(native.buffer);
  const f64 = new Float64Array(native.buffer);
  const waiting: Waiting[] = [];
  for (let position = mailboxes.positionOf(shard); ; ) {
    const cell = cellAt(shard, position);
    // P10: the message comes before its sequence number. All numbers behind the tail are older (P13).
    if (Atomics.load(i32, cell >> 2) !== ((position + 1) | 0)) return waiting;
    waiting.push({
      op: i32[(cell + CELL_OP) >> 2]!,
      handle: f64[(cell + CELL_HANDLE) >> 3]!,
      isCall: i32[(cell + CELL_REPLY) >> 2] !== 0,
    });
    position = (position + cellsOf(i32[(cell + CELL_SHAPE) >> 2]!)) | 0;
  }
}

/** How many fillers stand before the first message. */
export function fillersFirst(waiting: readonly Waiting[]): number {
  const first = waiting.findIndex(({ op }) => op !== 0);
  return first < 0 ? waiting.length : first;
}

/**
 * Claims all cells that are free, as native producers do beside it, and publishes them with nothing in them.
 * P13: the tail has 64 bits, so a claim is a compare-and-swap of both halves.
 */
export function fill({ native, mailboxes }: Insides, shard: number): void {
  const i32 = new Int32Array(native.buffer);
  const i64 = new BigInt64Array(native.buffer);
  const tailPlace = (RINGS + shard * RING_BYTES + RING_TAIL) >> 3;
  mailboxes.publishHeads();
  const head = mailboxes.positionOf(shard);
  for (;;) {
    const tail = Atomics.load(i64, tailPlace);
    const position = Number(BigInt.asIntN(32, tail));
    const free = RING_CELLS - ((position - head) | 0);
    if (free <= 0) break;
    const toEnd = RING_CELLS - (position & (RING_CELLS - 1));
    const cells = Math.min(free, toEnd, FILLER_CELLS);
    if (Atomics.compareExchange(i64, tailPlace, tail, tail + BigInt(cells)) !== tail) continue;
    const cell = cellAt(shard, position);
    i32[(cell + CELL_OP) >> 2] = 0;
    i32[(cell + CELL_SHAPE) >> 2] = cells << SHAPE_CELLS_SHIFT;
    Atomics.store(i32, cell >> 2, (position + 1) | 0);
  }
  Atomics.or(i32, DIRTY >> 2, 1 << shard); // P12: whoever drains looks here
}
