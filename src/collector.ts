// Background work on a registry's table: drops what native code released, gives back blocks that nobody uses, and counts
// what is there. It is asked for, never done twice at one time, and never takes more than its budget of a turn.
import { performance } from 'node:perf_hooks';
import { HaftError } from './errors.js';
import type { Mirror } from './mirror.js';

/** What a run of `registry.collect()` found. */
export interface Collected {
  /** Counts the runs of this registry, from 1. */
  readonly generation: number;
  /** Objects dropped, since it was asked for, because native code had released their last references. */
  readonly reclaimed: number;
  /** Blocks of 1,024 slots that it gave back, for other registries of the process to use. */
  readonly blocksGivenBack: number;
  /** Handles that were valid when it came to them. */
  readonly live: number;
  /** The same by the name of their kind; `''` for objects without one. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Slots of the blocks in use at its end, free ones included. */
  readonly slots: number;
}

/** What the collector needs of the registry. */
export interface Collectable {
  readonly mirror: Mirror;
  reclaim(): void;
  /** Objects dropped since the registry opened because native code released them. */
  reclaimed(): number;
  kindName(number: number): string;
  /** The weak handle of a slot that the mirror has no object for. */
  weakAt(index: number): number | undefined;
  /** Whether a handle is one of haft's own. */
  isOwn(handle: number): boolean;
  /** Gives a block back whose slots are all free or retired; false if they are not. */
  giveBlock(number: number): boolean;
  /** Brings `step` back after a turn of the event loop. */
  comeBack(): void;
  /** A run began or ended. */
  changed(): void;
  collected(): void;
}

const BUDGET_MILLISECONDS = 1;
const CLOCK_EVERY_BLOCKS = 4;
const CLOCK_EVERY_SLOTS = 4096;
/** Blocks that are free and kept all the same: the next `create` need not take one. */
const KEPT_BLOCKS = 1;

interface Request {
  readonly resolve: (result: Collected) => void;
  readonly reject: (reason: unknown) => void;
}

export class Collector {
  readonly #table: Collectable;
  /** Those who asked before the current run began, and those who asked since: they have the next one. */
  #current = new Set<Request>();
  #next = new Set<Request>();
  #run: Generator<void, Collected> | undefined;
  #generation = 0;
  #reclaimedBefore = 0;
  #latest: Collected | undefined;

  constructor(table: Collectable) {
    this.#table = table;
  }

  /** Whether a run is under way or asked for. */
  get active(): boolean {
    return this.#run !== undefined || this.#next.size > 0;
  }

  get latest(): Collected | undefined {
    return this.#latest;
  }

  collect(signal?: AbortSignal): Promise<Collected> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#current.delete(request);
        this.#next.delete(request);
        signal?.removeEventListener('abort', abort);
      };
      const abort = () => {
        leave();
        if (this.#current.size === 0) {
          this.#run?.return(undefined as never); // nobody wants its result
          this.#run = undefined;
        }
        this.#table.changed();
        reject(signal?.reason);
      };
      const request: Request = {
        resolve: (result) => {
          leave();
          resolve(result);
        },
        reject: (reason) => {
          leave();
          reject(reason);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      if (this.#next.size === 0) this.#reclaimedBefore = this.#table.reclaimed();
      this.#next.add(request);
      this.#table.changed();
      this.#table.comeBack();
    });
  }

  /** One turn's work. */
  step(): void {
    if (this.#run === undefined) {
      if (this.#next.size === 0) return;
      this.#current = this.#next;
      this.#next = new Set();
      this.#run = this.#work(++this.#generation);
    }
    const done = this.#run.next();
    if (done.done) {
      this.#run = undefined;
      this.#finish(done.value);
    }
    if (this.active) this.#table.comeBack();
  }

  close(): void {
    this.#run = undefined;
    for (const request of [...this.#current, ...this.#next]) request.reject(new HaftError('HAFT_E_CLOSED'));
  }

  #finish(result: Collected): void {
    // A result takes the place of an older one only.
    if (this.#latest === undefined || this.#latest.generation < result.generation) this.#latest = result;
    for (const request of [...this.#current]) request.resolve(result);
    this.#table.changed();
    this.#table.collected();
  }

  // Yields when the turn's budget is spent.
  *#work(generation: number): Generator<void, Collected> {
    const { mirror } = this.#table;
    const before = this.#reclaimedBefore;
    this.#table.reclaim();
    let end = performance.now() + BUDGET_MILLISECONDS;
    const counts = new Map<number, number>();
    const unused: number[] = [];
    let live = 0;
    for (let n = 0; n < mirror.blocks.length; n++) {
      if (n % CLOCK_EVERY_BLOCKS === 0 && performance.now() >= end) {
        yield;
        end = performance.now() + BUDGET_MILLISECONDS;
      }
      const block = mirror.blocks[n];
      if (block === undefined) continue;
      let used = 0;
      for (let slot = 0; slot < block.handles.length; slot++) {
        let handle: number | undefined = block.handles[slot]!;
        if (Number.isNaN(handle)) handle = this.#table.weakAt(mirror.indexOf(n, slot));
        if (handle === undefined) continue;
        used++;
        if (this.#table.isOwn(handle)) continue;
        live++;
        const kind = block.kinds[slot]!;
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
      }
      if (used === 0) unused.push(n);
    }
    const blocksGivenBack = yield* this.#shrink(unused.slice(KEPT_BLOCKS));
    const kinds: Record<string, number> = {};
    for (const [kind, count] of counts) kinds[kind === 0 ? '' : this.#table.kindName(kind)] = count;
    const reclaimed = this.#table.reclaimed() - before;
    return { generation, reclaimed, blocksGivenBack, live, kinds, slots: mirror.slots };
  }

  // Takes the slots of these blocks off the stack of free ones, some a turn, then gives back each block that nobody has
  // used meanwhile.
  *#shrink(blocks: readonly number[]): Generator<void, number> {
    if (blocks.length === 0) return 0;
    const { mirror } = this.#table;
    const taken = new Map<number, number[]>(blocks.map((n) => [n, []]));
    let given = 0;
    try {
      yield* this.#takeSlots(taken);
      for (const [n, indexes] of taken) {
        // A slot that is free but not among those we took is one that was used and given back meanwhile.
        if (indexes.length !== mirror.freeSlotsOf(n) || !this.#table.giveBlock(n)) continue;
        taken.delete(n);
        given++;
      }
    } finally {
      // Also where the run is stopped: no slot is lost.
      for (const indexes of taken.values()) for (const index of indexes) mirror.giveBack(index);
    }
    mirror.shrinkStack();
    return given;
  }

  *#takeSlots(taken: ReadonlyMap<number, number[]>): Generator<void, void> {
    const { mirror } = this.#table;
    let end = performance.now() + BUDGET_MILLISECONDS;
    for (let i = 0, looks = 0; i < mirror.freeCount; looks++) {
      if (looks % CLOCK_EVERY_SLOTS === 0 && performance.now() >= end) {
        yield;
        end = performance.now() + BUDGET_MILLISECONDS;
        if (i >= mirror.freeCount) break; // the stack may be shorter by now
      }
      const index = mirror.free[i]!;
      const of = taken.get(mirror.blockNumberOf(index));
      if (of === undefined) i++;
      else {
        of.push(index);
        mirror.free[i] = mirror.free[--mirror.freeCount]!;
      }
    }
  }
}
