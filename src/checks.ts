// HAFTCHECK: how much is looked at, one level a process, read when a backend begins to serve. What the levels mean stands in
// haft.h, CHECKS; the addon reads the variable (native/core/checks.cc), once for all threads.
import { HaftError } from './errors.js';

export type CheckLevel = 0 | 1 | 2;

export interface CheckSetting {
  readonly level: CheckLevel;
  /** The process ends at the first breach. */
  readonly abort: boolean;
}

const SETTINGS: Readonly<Record<string, CheckSetting>> = {
  '0': { level: 0, abort: false },
  '1': { level: 1, abort: false },
  '2': { level: 2, abort: false },
  '2,abort': { level: 2, abort: true },
};

let settled: CheckSetting | undefined;

/** The level, once a backend serves. */
export let checkLevel: CheckLevel = 1;

/**
 * Fixes the level for good: what the program or a worker makes of its environment later changes nothing.
 * @param given HAFTCHECK as the process has it, which in a worker is not `process.env`.
 * @throws HaftError `HAFT_E_ARGUMENT` when it is none of its values.
 */
export function settleChecks(given: string | undefined): void {
  settled = settingOf(given);
  checkLevel = settled.level;
}

/** @throws HaftError `HAFT_E_ARGUMENT` when HAFTCHECK is none of its values. */
export function checkSetting(): CheckSetting {
  return settled ?? settingOf(process.env.HAFTCHECK);
}

function settingOf(given: string | undefined): CheckSetting {
  const setting = SETTINGS[given || '1'];
  if (setting !== undefined) return setting;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `HAFTCHECK is "${given}"`,
    next: 'set it to 0, 1, 2 or 2,abort, or leave it out, which is 1',
  });
}
