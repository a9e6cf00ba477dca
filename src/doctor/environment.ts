// The variables that haft reads, and those that look as if it did.
import { accessSync, constants } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { checkSetting } from '../checks.js';
import { HaftError } from '../errors.js';
import { type Finding, failure, ok, warning } from './finding.js';

const KNOWN = [
  'HAFTCHECK',
  'HAFT_ADDON',
  'HAFT_BACKEND',
  'HAFT_INSPECT',
  'HAFT_LEAKS',
  'HAFT_TRACE',
  'HAFT_TRACE_MEGABYTES',
];
const FARTHEST = 3;

/** @param given The environment of the process as it began. */
export function environment(given: NodeJS.ProcessEnv): Finding[] {
  const names = Object.keys(given)
    .filter((name) => /^HAFT/i.test(name) && given[name] !== '')
    .sort();
  const others = names.filter((name) => name !== 'HAFTCHECK');
  return [level(), ...others.map((name) => variable(name, given[name]!))];
}

function level(): Finding {
  try {
    const { level, abort } = checkSetting();
    const from = process.env.HAFTCHECK ? 'HAFTCHECK' : 'unless HAFTCHECK is set';
    return ok(
      'environment.HAFTCHECK',
      'checks',
      `level ${level}${abort ? ', ends at the first breach' : ''} (${from})`,
    );
  } catch (error) {
    const { HAFTCHECK } = process.env;
    const next = error instanceof HaftError ? error.next : '';
    return failure(
      'environment.HAFTCHECK',
      'checks',
      `HAFTCHECK is "${HAFTCHECK}", which is none of its values`,
      next,
    );
  }
}

function variable(name: string, value: string): Finding {
  const id = `environment.${name}`;
  if (!KNOWN.includes(name)) {
    const near = nearest(name);
    const next = near === undefined ? `haft reads ${KNOWN.join(', ')}` : `did you mean ${near}?`;
    return warning(id, name, `"${value}", which haft does not read`, next);
  }
  if (name === 'HAFT_TRACE') return traceFile(id, value);
  return ok(id, name, value);
}

// Without touching it: it may hold what somebody still wants to read.
function traceFile(id: string, value: string): Finding {
  const path = resolve(value.replaceAll('%p', String(process.pid)));
  try {
    accessSync(dirname(path), constants.W_OK);
    return ok(id, 'HAFT_TRACE', `${value} (the doctor itself writes none)`);
  } catch {
    const next = 'give the path of a file in a folder that is there and can be written';
    return failure(id, 'HAFT_TRACE', `${value}: no file can be made in ${dirname(path)}`, next);
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
