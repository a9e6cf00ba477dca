// A breach that no status can tell, since the function has none: as native/core/checks.cc tells it.
import { checkSetting } from '../checks.js';
import { STATUSES } from '../constants.js';
import type { StatusName } from '../errors.js';
import type { Failure } from './last-error.js';
import { nameOf } from './last-error.js';

const MOST_LINES = 32; // a breach in a loop must not fill a disk
let lines = 0;

export function tellBreach(where: string, { status, message, rule }: Failure): void {
  const name = nameOf(status);
  const { next } = STATUSES[name as StatusName];
  const line = lines++;
  if (line < MOST_LINES) console.error(`haft: ${where}: ${name}: ${message}; ${next} (pointer rule ${rule})`);
  if (line === MOST_LINES) console.error('haft: further breaches are not told');
  if (checkSetting().abort) process.abort();
}
