// HAFT_LEAKS: what was still alive when a registry closed, or when its thread came to its end, is told, and the process
// ends with a code that a CI sees.
import { closeSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { backend } from '../backend.js';
import { RULES } from '../constants.js';
import { HaftError } from '../errors.js';
import type { Registry } from '../registry.js';
import { leaked } from './channels.js';
import type { Live } from './live.js';
import { openRegistries } from './open-registries.js';
import {
  type HandleReport,
  type KindReport,
  type Origin,
  originOf,
  type Reportable,
  survey,
} from './report.js';
import { formatLeaks } from './report-text.js';

/** What a registry still had alive at its end. `haft inspect` reads it from the file that HAFT_LEAKS names. */
export interface LeakReport extends Origin {
  readonly format: 'haft-leaks-1';
  /** What ended: the registry, or the thread while it was open. */
  readonly at: 'close' | 'exit';
  readonly leaked: number;
  readonly references: number;
  /** Most handles first. */
  readonly kinds: readonly KindReport[];
  /** The 20 oldest, the oldest first. */
  readonly handles: readonly HandleReport[];
  /** In the whole process, results that C has not given back; 0 at level 0. They are told, and are no leak of a registry's. */
  readonly resultsOut: number;
  /** The pointer rule. */
  readonly rule: number;
  readonly next: string;
}

/** As LeakSanitizer ends a process. */
export const LEAK_EXIT_CODE = 23;
const HANDLES = 20;
const RULE = RULES.find(({ code }) => code === 'HAFT_E_OVERFLOW')!.number;

type Setting = { readonly wanted: boolean; readonly file?: string } | { readonly wrong: string };

// A worker has a copy of the environment that it may change; the process keeps what it began with.
const setting = settingOf(process.env.HAFT_LEAKS ?? '');

function settingOf(given: string): Setting {
  if (given === '' || given === '0') return { wanted: false };
  if (given === '1') return { wanted: true };
  if (given.endsWith('.json')) return { wanted: true, file: resolve(given) };
  return { wrong: given };
}

/** @throws HaftError `HAFT_E_ARGUMENT` when HAFT_LEAKS is none of its values. */
export function checkLeakSetting(): void {
  if (!('wrong' in setting)) return;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `HAFT_LEAKS is "${setting.wrong}"`,
    next: 'set it to 1 for text on standard error, to a file whose name ends in .json, or leave it out',
  });
}

/** Which of the handles that are alive count as leaks: for haft/testing too. */
export function leakTest({ names, isKept }: Pick<Reportable, 'names' | 'isKept'>): (live: Live) => boolean {
  const published = new Set(names.values());
  // A weak handle keeps nothing alive. It is C's leak if C holds references beside the creator's one.
  return ({ handle, weak, references }) =>
    !isKept(handle) && !published.has(handle) && (!weak || references > 1);
}

/** What had leaked, if anything has. */
function leaksOf(table: Reportable, at: LeakReport['at']): LeakReport | undefined {
  const { live, references, kinds, handles } = survey(table, HANDLES, leakTest(table));
  if (live === 0) return undefined;
  const ending = 'give every retain its release, delete what was created, or say registry.keep(handle)';
  const next = table.checkLevel === 2 ? ending : `${ending}; HAFTCHECK=2 tells where each handle was created`;
  return {
    format: 'haft-leaks-1',
    ...originOf(table),
    at,
    leaked: live,
    references,
    kinds,
    handles,
    resultsOut: table.resultsOut(),
    rule: RULE,
    next,
  };
}

const told = new WeakSet<Registry>();

/** The registry is about to end: tells what has leaked, once, if anybody wants to know. */
export function tellLeaks(registry: Registry, table: Reportable, at: LeakReport['at']): void {
  const wanted = 'wanted' in setting && setting.wanted;
  if (!(wanted || leaked.isHeard) || told.has(registry)) return;
  told.add(registry);
  const report = leaksOf(table, at);
  if (report === undefined) return;
  if (wanted) {
    backend().noteLeaks(report.leaked);
    write(report, 'file' in setting ? setting.file : undefined);
  }
  if (leaked.isHeard) leaked.tell({ registry, report });
}

function write(report: LeakReport, file: string | undefined): void {
  if (file === undefined) {
    say(formatLeaks(report));
    return;
  }
  try {
    // A line a report, in one write at the end of the file: threads and processes share it.
    const to = openSync(file, 'a');
    try {
      writeAll(to, `${JSON.stringify(report)}\n`);
    } finally {
      closeSync(to);
    }
    say(`haft: ${report.leaked} leaked; "haft inspect ${file}" shows them`);
  } catch (error) {
    say(`haft: ${file} cannot be written (${(error as Error).message})\n${formatLeaks(report)}`);
  }
}

function say(text: string): void {
  try {
    writeAll(2, `${text}\n`);
  } catch {
    // nobody reads
  }
}

// At the end of a process nothing is written later. A pipe may be full for a while.
function writeAll(to: number, text: string): void {
  const bytes = Buffer.from(text);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let at = 0, tries = 0; at < bytes.length && tries < 200; ) {
    try {
      at += writeSync(to, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      tries++;
      Atomics.wait(pause, 0, 0, 10);
    }
  }
}

function atExit(code: number): void {
  for (const { registry, table } of openRegistries()) tellLeaks(registry, table, 'exit');
  // A worker's code is for its parent: what leaked in it counts for the process.
  if (isMainThread && code === 0 && anyLeaked()) process.exitCode = LEAK_EXIT_CODE;
}

function anyLeaked(): boolean {
  try {
    return backend().noteLeaks(0) > 0;
  } catch {
    return false; // neither addon nor koffi: there was no registry
  }
}

// Before the listener that ends the realms: see src/binding.ts.
if ('wanted' in setting && setting.wanted) process.on('exit', atExit);
