// What a registry holds, as a plain object: for a person, for a file, for a comparison with a later one.
import { performance } from 'node:perf_hooks';
import { threadId } from 'node:worker_threads';
import type { CheckLevel } from '../checks.js';
import { HaftError } from '../errors.js';
import { formatHandle } from '../handle.js';
import type { Counters } from '../messages/counters.js';
import type { Mirror } from '../mirror.js';
import { eachLive, type Live } from './live.js';
import type { Overflow } from './overflow.js';

/** Something that was done with a handle, and by whom. Known at level 2. */
export interface HandleUse {
  /** Such as `create`, `haft_retain`. */
  readonly what: string;
  /** The system's number of the thread; 0: one of C, which koffi does not tell apart. */
  readonly thread: number;
  /** Milliseconds since the process, or the worker, began. */
  readonly at: number;
  /** How long before the report. */
  readonly agoMilliseconds: number;
  /** Innermost first. */
  readonly stack: readonly string[];
}

export interface HandleReport {
  /** `block:slot@generation`, as errors print it. */
  readonly handle: string;
  /** The same as the number it is. */
  readonly number: number;
  /** `''` for an object without one. */
  readonly kind: string;
  /** To within 10 ms; in one turn of JavaScript all have about the same. */
  readonly ageMilliseconds: number;
  /** The creator's among them. */
  readonly references: number;
  /** Of references made by `haft_retain_as`: label, and how many have it. */
  readonly labels: Readonly<Record<string, number>>;
  /** Under which it is published. */
  readonly names: readonly string[];
  readonly weak: boolean;
  /** A weak one whose object is gone. */
  readonly collected: boolean;
  /** `registry.keep` was said of it. */
  readonly kept: boolean;
  /** Level 2 only. */
  readonly created?: HandleUse;
  /** Level 2 only. */
  readonly lastUse?: HandleUse;
}

export interface KindReport {
  /** `''`: objects without one. */
  readonly kind: string;
  readonly count: number;
  readonly references: number;
  readonly oldestMilliseconds: number;
  readonly labels: Readonly<Record<string, number>>;
}

export interface ShardReport extends Counters {
  readonly shard: number;
  /** Posts that wait to be delivered. */
  readonly waiting: number;
}

/** Who made a report, and when. */
export interface Origin {
  /** ISO 8601. */
  readonly when: string;
  readonly pid: number;
  /** `threadId` of node:worker_threads: 0 is the main thread. */
  readonly thread: number;
  readonly realm: number;
  readonly backend: 'addon' | 'koffi';
  readonly checkLevel: CheckLevel;
}

/** What `registry.report()` tells. Fields may be added; those that are here keep name and meaning. */
export interface RegistryReport extends Origin {
  readonly format: 'haft-report-1';
  readonly totals: {
    /** Handles that are alive; haft's own are not counted anywhere. */
    readonly live: number;
    readonly references: number;
    /** Since the registry opened. */
    readonly created: number;
    readonly retired: number;
    /** Of the blocks in use, free ones included. */
    readonly slots: number;
    /** In the whole process, results that C has not given back by `haft_value_free`; 0 at level 0. */
    readonly resultsOut: number;
  };
  /** Most handles first. */
  readonly kinds: readonly KindReport[];
  /** The oldest ones, the oldest first. */
  readonly handles: readonly HandleReport[];
  /** All 16: a handle's shard is its lowest four bits. */
  readonly shards: readonly ShardReport[];
  /** The last 16, the oldest first. */
  readonly overflows: readonly Overflow[];
}

export interface ReportOptions {
  /** So many of the oldest handles are told, 20 unless given; `Infinity`: all. */
  readonly handles?: number;
}

type KnownUse = Omit<HandleUse, 'agoMilliseconds'>;

/** What level 2 knows of a handle. */
export interface KnownHistory {
  readonly created?: KnownUse | undefined;
  readonly lastUse?: KnownUse | undefined;
  /** Retains and releases, of C and of JavaScript. */
  readonly references?: readonly KnownUse[];
}

/** What a report asks of a registry. */
export interface Reportable {
  readonly id: number;
  readonly backend: 'addon' | 'koffi';
  readonly checkLevel: number;
  readonly mirror: Mirror;
  readonly overflows: readonly Overflow[];
  readonly names: ReadonlyMap<string, number>;
  kindName(number: number): string;
  isOwn(handle: number): boolean;
  isKept(handle: number): boolean;
  numbers(): { created: number; retired: number; slots: number; shards: readonly Counters[] };
  labels(): readonly (number | string)[];
  resultsOut(): number;
  historyOf(handle: number): KnownHistory | undefined;
}

const HANDLES = 20;
// As it was when this was loaded, whatever tests put in its place.
const milliseconds = performance.now.bind(performance);

type Labels = Record<string, number>;

interface Tally {
  count: number;
  references: number;
  born: number;
  readonly labels: Labels;
}

/** Handles by kind, and the oldest of them. */
export interface Survey {
  readonly live: number;
  readonly references: number;
  readonly kinds: readonly KindReport[];
  readonly handles: readonly HandleReport[];
}

export function originOf({ id, backend, checkLevel }: Reportable): Origin {
  return {
    when: new Date().toISOString(),
    pid: process.pid,
    thread: threadId,
    realm: id,
    backend,
    checkLevel: checkLevel as CheckLevel,
  };
}

export function makeReport(table: Reportable, options?: ReportOptions): RegistryReport {
  const most = options?.handles ?? HANDLES;
  if (!(most >= 0)) {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: `handles is ${String(most)}`,
      next: 'give how many handles the report is to show, 0 or more',
    });
  }
  const { live, references, kinds, handles } = survey(table, most);
  const { created, retired, slots, shards } = table.numbers();
  return {
    format: 'haft-report-1',
    ...originOf(table),
    totals: { live, references, created, retired, slots, resultsOut: table.resultsOut() },
    kinds,
    handles,
    shards: shards.map((counters, shard) => ({ shard, ...counters, waiting: waitingOf(counters) })),
    overflows: [...table.overflows],
  };
}

function waitingOf({ sent, delivered, refused, dropped, expired }: Counters): number {
  return Math.max(0, sent - delivered - refused - dropped - expired);
}

/** Looks at every handle that is alive, haft's own left out, and those that `counts` says no to. */
export function survey(
  table: Reportable,
  most: number,
  counts: (live: Live) => boolean = () => true,
): Survey {
  const { mirror } = table;
  mirror.clock.read(); // all ages are as of now
  const labels = labelsByHandle(table.labels());
  const tallies = new Map<number, Tally>();
  const oldest = new Oldest(most);
  let live = 0;
  let references = 0;
  eachLive(mirror, (one) => {
    if (table.isOwn(one.handle) || !counts(one)) return;
    live++;
    references += one.references;
    oldest.add(one);
    let tally = tallies.get(one.kind);
    if (tally === undefined) {
      tally = { count: 0, references: 0, born: one.born, labels: emptyLabels() };
      tallies.set(one.kind, tally);
    }
    tally.count++;
    tally.references += one.references;
    tally.born = Math.min(tally.born, one.born);
    const known = labels.get(one.handle);
    if (known !== undefined) addLabels(tally.labels, known);
  });
  const nameOf = (kind: number) => (kind === 0 ? '' : table.kindName(kind));
  const kinds = [...tallies]
    .map(([kind, tally]) => ({
      kind: nameOf(kind),
      count: tally.count,
      references: tally.references,
      oldestMilliseconds: mirror.clock.since(tally.born),
      labels: tally.labels,
    }))
    .sort((a, b) => b.count - a.count || (a.kind < b.kind ? -1 : 1));
  const names = namesByHandle(table.names);
  const handles = oldest.take().map((one) => {
    const history = table.historyOf(one.handle);
    const lastUse = latestOfNative(history);
    return {
      handle: formatHandle(one.handle),
      number: one.handle,
      kind: nameOf(one.kind),
      ageMilliseconds: mirror.clock.since(one.born),
      references: one.references,
      labels: labels.get(one.handle) ?? {},
      names: names.get(one.handle) ?? [],
      weak: one.weak,
      collected: one.collected,
      kept: table.isKept(one.handle),
      ...(history?.created && { created: useOf(history.created) }),
      ...(lastUse && { lastUse: useOf(lastUse) }),
    };
  });
  return { live, references, kinds, handles };
}

/** What native code did last with a handle: it sent to it, retained or released it. A leak is most often of a retain. */
function latestOfNative(history: KnownHistory | undefined): KnownUse | undefined {
  const retained = history?.references?.findLast(({ what }) => what.startsWith('haft_'));
  const sent = history?.lastUse;
  return retained === undefined || (sent !== undefined && sent.at >= retained.at) ? sent : retained;
}

function useOf({ what, thread, at, stack }: KnownUse): HandleUse {
  const agoMilliseconds = Math.max(0, Math.round(milliseconds() - at));
  return { what, thread, at, agoMilliseconds, stack: [...stack] };
}

function addLabels(to: Labels, more: Labels): void {
  for (const [label, count] of Object.entries(more)) to[label] = (to[label] ?? 0) + count;
}

function labelsByHandle(flat: readonly (number | string)[]): Map<number, Labels> {
  const labels = new Map<number, Labels>();
  for (let i = 0; i < flat.length; i += 3) {
    const handle = flat[i] as number;
    const known = labels.get(handle) ?? emptyLabels();
    known[flat[i + 1] as string] = flat[i + 2] as number;
    labels.set(handle, known);
  }
  return labels;
}

// A label may be `__proto__`.
const emptyLabels = (): Labels => Object.create(null) as Labels;

function namesByHandle(names: ReadonlyMap<string, number>): Map<number, string[]> {
  const byHandle = new Map<number, string[]>();
  for (const [name, handle] of names) byHandle.set(handle, [...(byHandle.get(handle) ?? []), name]);
  return byHandle;
}

/** The oldest so many of any number. */
class Oldest {
  #kept: Live[] = [];
  /** Who is not older than this is not among them. */
  #youngest = Number.POSITIVE_INFINITY;

  constructor(readonly most: number) {}

  add(one: Live): void {
    if (this.most === 0 || one.born >= this.#youngest) return;
    this.#kept.push(one);
    if (this.#kept.length < 2 * this.most + 1024) return;
    this.#kept = this.take();
    this.#youngest = this.#kept.at(-1)!.born;
  }

  take(): Live[] {
    return this.#kept.sort((a, b) => a.born - b.born).slice(0, this.most);
  }
}
