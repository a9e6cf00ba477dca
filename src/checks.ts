// HAFTCHECK: how much is looked at, one level a process, read when haft is loaded. What the levels mean stands in haft.h,
// CHECKS; the addon reads the same variable (native/core/checks.cc).
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

// A worker has a copy of the environment that it may change; the process keeps what it began with.
const given = process.env.HAFTCHECK || '1';

/** The level, of a setting that is one; the addon goes by the same. */
export const checkLevel: CheckLevel = SETTINGS[given]?.level ?? 1;

/** @throws HaftError `HAFT_E_ARGUMENT` when HAFTCHECK is none of its values. */
export function checkSetting(): CheckSetting {
  const setting = SETTINGS[given];
  if (setting !== undefined) return setting;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `HAFTCHECK is "${given}"`,
    next: 'set it to 0, 1, 2 or 2,abort, or leave it out, which is 1',
  });
}
