// `haft inspect PID|FILE`: what the registries of a process hold, or what a file says that they held, and what has changed.
import { writeFileSync } from 'node:fs';
import { type Difference, diffReports } from '../debugging/difference.js';
import type { RegistryReport } from '../debugging/report.js';
import { formatDifference, formatLeaks, formatReport } from '../debugging/report-text.js';
import { countText } from '../debugging/text-table.js';
import { Problem } from '../problem.js';
import { askProcess } from './client.js';
import { type Found, found, readDocuments } from './documents.js';

export interface InspectOptions {
  readonly json?: boolean;
  readonly diff?: string;
  readonly output?: string;
  readonly handles: string;
  readonly timeout: string;
}

interface Compared {
  readonly format: 'haft-differences-1';
  readonly differences: readonly Difference[];
  /** Registries that only the later side has, and those that only the earlier one has. */
  readonly opened: readonly RegistryReport[];
  readonly closed: readonly RegistryReport[];
}

/** Prints to standard output. @throws Problem */
export async function inspect(target: string, options: InspectOptions): Promise<void> {
  const handles = numberOf('--handles', options.handles, 0);
  const seconds = numberOf('--timeout', options.timeout, 0.001);
  const earlier = options.diff === undefined ? undefined : readDocuments(options.diff);
  const isProcess = /^\d+$/.test(target);
  const document = isProcess
    ? await askProcess(Number(target), { handles, timeoutMilliseconds: seconds * 1000 })
    : undefined;
  const now = document === undefined ? readDocuments(target) : found([document]);
  if (options.output !== undefined) write(options.output, document ?? [...now.reports, ...now.leaks]);
  if (earlier !== undefined) printDifferences(compare(earlier.reports, now.reports), options);
  else if (options.json) print(JSON.stringify(document ?? [...now.reports, ...now.leaks], undefined, 2));
  else if (options.output === undefined) print(textOf(now));
  else print(`${options.output}: ${countText(now.reports.length, 'registry', 'registries')}`);
}

// A reader that has seen enough goes (`| head`): that is no failure.
function readerGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

function print(text: string): void {
  process.stdout.once('error', readerGone);
  process.stdout.write(`${text}\n`);
}

function numberOf(option: string, given: string, least: number): number {
  const number = Number(given);
  if (given.trim() !== '' && Number.isFinite(number) && number >= least) return number;
  throw new Problem(`${option} is "${given}"; give a number`);
}

function write(file: string, document: unknown): void {
  try {
    writeFileSync(file, `${JSON.stringify(document, undefined, 2)}\n`);
  } catch (error) {
    throw new Problem(`${file} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

function textOf({ reports, leaks, silent }: Found): string {
  const texts = [...reports.map(formatReport), ...leaks.map(formatLeaks)];
  if (silent.length > 0) {
    const threads = silent.map((thread) => (thread === 0 ? 'the main thread' : `thread ${thread}`));
    texts.push(`No answer from ${threads.join(', ')}: busy, or stopped. Try again, or allow more time.`);
  }
  return texts.length === 0 ? 'No registry is open.' : texts.join('\n\n');
}

// ---- Comparisons ----

// Whichever side was made first is the earlier one.
function compare(one: readonly RegistryReport[], other: readonly RegistryReport[]): Compared {
  if (one.length === 0 || other.length === 0) {
    throw new Problem(
      'there is no report on both sides to compare; leak reports are of an end, and have no before',
    );
  }
  const [before, after] = latestOf(one) <= latestOf(other) ? [one, other] : [other, one];
  const left = [...before];
  const differences: Difference[] = [];
  const opened: RegistryReport[] = [];
  for (const later of after) {
    const at = placeOf(later, left);
    if (at < 0) opened.push(later);
    else differences.push(diffReports(left.splice(at, 1)[0]!, later));
  }
  return { format: 'haft-differences-1', differences, opened, closed: left };
}

function latestOf(reports: readonly RegistryReport[]): string {
  return reports
    .map(({ when }) => when)
    .sort()
    .at(-1)!;
}

// The same registry, or in another run of the program the next one in the order of opening.
function placeOf(later: RegistryReport, left: readonly RegistryReport[]): number {
  const same = left.findIndex(({ pid, realm }) => pid === later.pid && realm === later.realm);
  if (same >= 0) return same;
  return left.findIndex(({ pid }) => pid !== later.pid);
}

function printDifferences(compared: Compared, { json }: InspectOptions): void {
  if (json) {
    print(JSON.stringify(compared, undefined, 2));
    return;
  }
  const { differences, opened, closed } = compared;
  const texts = differences.map(formatDifference);
  for (const report of opened) texts.push(`Opened meanwhile:\n${formatReport(report)}`);
  for (const { realm, thread, totals } of closed) {
    const where = thread === 0 ? 'the main thread' : `thread ${thread}`;
    texts.push(
      `Closed meanwhile: realm ${realm} of ${where}, with ${countText(totals.live, 'live handle')}.`,
    );
  }
  print(texts.join('\n\n'));
}
