// What has changed between two reports of a registry: what grew, and which handles were alive all the time.
import type { HandleReport, KindReport, Origin, RegistryReport } from './report.js';

export interface KindChange {
  /** `''`: objects without one. */
  readonly kind: string;
  readonly before: number;
  readonly after: number;
  readonly change: number;
  /** The change of their references. */
  readonly references: number;
  /** Changes of labels; those that did not change are left out. */
  readonly labels: Readonly<Record<string, number>>;
}

export interface Difference {
  readonly format: 'haft-difference-1';
  /** The reports' origins. */
  readonly before: Origin;
  readonly after: Origin;
  readonly milliseconds: number;
  /** The change of all live handles. */
  readonly live: number;
  readonly references: number;
  /** What grew most first; kinds without a change too. */
  readonly kinds: readonly KindChange[];
  /** Handles that both reports tell of, as they are in the later one, the oldest first: suspects, if they should have ended. */
  readonly stayed: readonly HandleReport[];
  /** Handles that are new in the later one. */
  readonly arrived: readonly HandleReport[];
  /** Live handles of the later report that it does not tell of singly, or of which it is not known whether they are new. */
  readonly unknown: number;
}

const NOTHING: Omit<KindReport, 'kind'> = { count: 0, references: 0, oldestMilliseconds: 0, labels: {} };

/** Compares two reports of one registry, or of the same program's registries in two processes. */
export function diffReports(before: RegistryReport, after: RegistryReport): Difference {
  const earlier = new Map(before.kinds.map((one) => [one.kind, one]));
  const later = new Map(after.kinds.map((one) => [one.kind, one]));
  const kinds = [...new Set([...earlier.keys(), ...later.keys()])]
    .map((kind) => changeOf(kind, earlier.get(kind) ?? NOTHING, later.get(kind) ?? NOTHING))
    .sort((a, b) => b.change - a.change || b.references - a.references || (a.kind < b.kind ? -1 : 1));
  const known = new Set(before.handles.map(({ number }) => number));
  const milliseconds = Date.parse(after.when) - Date.parse(before.when);
  const stayed = after.handles.filter(({ number }) => known.has(number));
  const toldAll = before.handles.length === before.totals.live;
  // Who was made after the first report is new, whatever that one told of. Ages are to within a turn.
  const arrived = after.handles.filter(
    ({ number, ageMilliseconds }) => !known.has(number) && (toldAll || ageMilliseconds < milliseconds),
  );
  return {
    format: 'haft-difference-1',
    before: originOf(before),
    after: originOf(after),
    milliseconds,
    live: after.totals.live - before.totals.live,
    references: after.totals.references - before.totals.references,
    kinds,
    stayed,
    arrived,
    unknown: after.totals.live - stayed.length - arrived.length,
  };
}

function originOf({ when, pid, thread, realm, backend, checkLevel }: RegistryReport): Origin {
  return { when, pid, thread, realm, backend, checkLevel };
}

function changeOf(
  kind: string,
  before: Omit<KindReport, 'kind'>,
  after: Omit<KindReport, 'kind'>,
): KindChange {
  const labels: Record<string, number> = Object.create(null);
  for (const label of new Set([...Object.keys(before.labels), ...Object.keys(after.labels)])) {
    const change = (after.labels[label] ?? 0) - (before.labels[label] ?? 0);
    if (change !== 0) labels[label] = change;
  }
  return {
    kind,
    before: before.count,
    after: after.count,
    change: after.count - before.count,
    references: after.references - before.references,
    labels,
  };
}
