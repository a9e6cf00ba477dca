// The variables that haft reads, and those that look as if it did.
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { checkSetting } from '../checks.js';
import { checkLeakSetting } from '../debugging/leaks.js';
import { checkTraceLimit } from '../debugging/trace.js';
import { HaftError } from '../errors.js';
import { checkInspectSetting } from '../inspect/server.js';
import { type Finding, failure, ok, warning, withoutNext } from './finding.js';

/** As docs/environment.md lists them. */
export const KNOWN = [
  'HAFTCHECK',
  'HAFT_ADDON',
  'HAFT_BACKEND',
  'HAFT_INSPECT',
  'HAFT_LEAKS',
  'HAFT_NODE',
  'HAFT_PACKAGE',
  'HAFT_TRACE',
  'HAFT_TRACE_MEGABYTES',
];
const FARTHEST = 3;
/** What a registry checks when it opens. */
const CHECKS: Readonly<Record<string, () => void>> = {
  HAFT_LEAKS: checkLeakSetting,
  HAFT_INSPECT: checkInspectSetting,
  HAFT_TRACE_MEGABYTES: checkTraceLimit,
};

/** @param given The environment of the process as it began. */
export function environment(given: NodeJS.ProcessEnv): Finding[] {
  const names = Object.keys(given)
    .filter((name) => /^HAFT/i.test(name) && given[name] !== '')
    .sort();
  const others = names.filter((name) => name !== 'HAFTCHECK');
  return [level(), ...others.map((name) => variable(name, given[name]!))];
}

function level(): Finding {
  const id = 'environment.HAFTCHECK';
  return checked(id, 'checks', () => {
    const { level, abort } = checkSetting();
    const from = process.env.HAFTCHECK ? 'HAFTCHECK' : 'unless HAFTCHECK is set';
    return `level ${level}${abort ? ', ends at the first breach' : ''} (${from})`;
  });
}

function variable(name: string, value: string): Finding {
  const id = `environment.${name}`;
  if (!KNOWN.includes(name)) {
    const near = nearest(name);
    const next = near === undefined ? `haft reads ${KNOWN.join(', ')}` : `did you mean ${near}?`;
    return warning(id, name, `"${value}", which haft does not read`, next);
  }
  if (name === 'HAFT_TRACE') {
    return file(
      id,
      name,
      value.replaceAll('%p', String(process.pid)),
      `${value} (the doctor itself writes none)`,
    );
  }
  if (name === 'HAFT_LEAKS' && value.endsWith('.json')) return file(id, name, value, value);
  const check = CHECKS[name];
  if (check !== undefined) {
    return checked(id, name, () => {
      check();
      return value;
    });
  }
  return ok(id, name, value);
}

/** By the check that a registry makes when it opens. */
function checked(id: string, title: string, check: () => string): Finding {
  try {
    return ok(id, title, check());
  } catch (error) {
    return failure(id, title, withoutNext(error), error instanceof HaftError ? error.next : '');
  }
}

// Without touching it: it may hold what somebody still wants to read.
function file(id: string, name: string, given: string, value: string): Finding {
  const path = resolve(given);
  const there = statSync(path, { throwIfNoEntry: false });
  const next = 'give the path of a file in a folder that is there and can be written';
  if (there?.isDirectory()) return failure(id, name, `${given} is a folder`, next);
  try {
    accessSync(there === undefined ? dirname(path) : path, constants.W_OK);
    return ok(id, name, value);
  } catch {
    const wrong = there === undefined ? `no file can be made in ${dirname(path)}` : 'it cannot be written';
    return failure(id, name, `${given}: ${wrong}`, next);
  }
}

function nearest(name: string): string | undefined {
  const near = KNOWN.map((known) => [distance(name.toUpperCase(), known), known] as const).sort(
    ([a], [b]) => a - b,
  )[0]!;
  return near[0] <= FARTHEST ? near[1] : undefined;
}

/** How many letters have to be put in, taken out or changed (Levenshtein). */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
