// A breach that no status can tell, since the function has none: as native/core/checks.cc tells it.
import { checkSetting } from '../checks.js';
import { STATUSES } from '../constants.js';
import type { StatusName } from '../errors.js';
import type { Failure } from './last-error.js';
import { nameOf } from './last-error.js';

const MOST_LINES = 32; // a breach in a loop must not fill a disk
const COLUMNS = 100;
const MARGIN = ' '.repeat(11);
let lines = 0;
let reports = 0;

type Told = Pick<Failure, 'status' | 'message' | 'rule'>;

export function tellBreach(where: string, { status, message, rule }: Told): void {
  if (checkSetting().level === 2) {
    reportBreach(where, { status, message, rule }, []);
    return;
  }
  const name = nameOf(status);
  const { next } = STATUSES[name as StatusName];
  const line = lines++;
  if (line < MOST_LINES) console.error(`haft: ${where}: ${name}: ${message}; ${next} (pointer rule ${rule})`);
  if (line === MOST_LINES) console.error('haft: further breaches are not told');
}

/**
 * The report of level 2; with HAFTCHECK=2,abort the process ends here.
 * @param lines What is known of the handle.
 */
export function reportBreach(where: string, failure: Told, lines: readonly string[]): void {
  const { status, message, rule } = failure;
  const line = reports++;
  if (line < MOST_LINES) {
    const name = nameOf(status);
    const all = [
      `haft: pointer rule ${rule} broken: ${name} in ${where}`,
      `  what     ${message}`,
      ...lines,
      `  next     ${STATUSES[name as StatusName].next}`,
      `  see      docs/pointer-rules.md, rule ${rule}`,
    ];
    console.error(all.flatMap(folded).join('\n'));
  }
  if (line === MOST_LINES) console.error('haft: further breaches are not told');
  if (checkSetting().abort) process.abort();
}

// Over as many lines of 100 columns as it needs.
function folded(line: string): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > COLUMNS) {
    const space = rest.lastIndexOf(' ', COLUMNS);
    const at = space > MARGIN.length ? space : COLUMNS;
    lines.push(rest.slice(0, at).trimEnd());
    rest = MARGIN + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** What is wrong with the table itself. */
export function tellBroken(text: string): void {
  console.error(['haft: the table is broken', `  what     ${text}`].flatMap(folded).join('\n'));
  if (checkSetting().abort) process.abort();
}
