// The diagnosis as text: at most 100 columns, and nothing said by colour.
import type { Diagnosis } from './doctor.js';
import type { Finding, State } from './finding.js';

const COLUMNS = 100;
const MARKS: Readonly<Record<State, string>> = { ok: 'ok', warning: 'warn', failure: 'FAIL', skipped: '-' };
const MARK_COLUMNS = 4;

export function textOf({ haft, sections, failures, warnings }: Diagnosis): string {
  const titles = sections.flatMap(({ findings }) => findings.map(({ title }) => title.length));
  const width = Math.max(...titles);
  const lines = [`haft ${haft}`];
  for (const { title, findings } of sections) {
    lines.push('', title, ...findings.flatMap((finding) => linesOf(finding, width)));
  }
  const said =
    failures === 0 && warnings === 0
      ? 'all is well'
      : `${counted(failures, 'failure')}, ${counted(warnings, 'warning')}`;
  return [...lines, '', said].join('\n');
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function linesOf({ state, title, value, next }: Finding, width: number): string[] {
  const head = `  ${MARKS[state].padEnd(MARK_COLUMNS)}  ${title.padEnd(width)}  `;
  const found = wrapped(value, COLUMNS - head.length);
  const lines = found.map((line, i) => (i === 0 ? head : ' '.repeat(head.length)) + line);
  if (next === undefined) return lines;
  const arrow = `${' '.repeat(head.length)}next: `;
  const steps = wrapped(next, COLUMNS - arrow.length);
  return [...lines, ...steps.map((line, i) => (i === 0 ? arrow : ' '.repeat(arrow.length)) + line)];
}

/** Between words; a word that is longer than a line is cut. */
function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = '';
    }
    for (; word.length > columns; word = word.slice(columns)) lines.push(word.slice(0, columns));
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
