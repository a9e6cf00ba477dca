// Columns of text for a person: at most 100 columns wide, readable without colour, and with nothing in them that could
// steer a terminal.

export const TEXT_COLUMNS = 100;

export interface Column {
  readonly title: string;
  /** Numbers stand to the right. */
  readonly right?: boolean;
  /** Wider cells end in "…". The last column has what is left of the line. */
  readonly most?: number;
}

const GAP = '  ';
const INDENT = '  ';
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u;
const NO_WIDTH = /\p{Mark}|\u200b|\u200d/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** A text of somebody else's, on one line. */
export function plain(text: string): string {
  return text.replaceAll(UNSEEN, '?');
}

function widthOf(letter: string): number {
  if (NO_WIDTH.test(letter)) return 0;
  return WIDE.test(letter) ? 2 : 1;
}

/** In columns of a terminal, about. */
export function textWidth(text: string): number {
  let width = 0;
  for (const letter of text) width += widthOf(letter);
  return width;
}

/** At most so many columns; "…" stands for the rest. */
export function cut(text: string, most: number): string {
  if (textWidth(text) <= most) return text;
  let kept = '';
  let width = 0;
  for (const letter of text) {
    width += widthOf(letter);
    if (width > most - 1) break;
    kept += letter;
  }
  return `${kept}…`;
}

function padded(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - textWidth(text)));
  return right ? space + text : text + space;
}

/** Lines: the titles, then the rows, indented by two. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell, i) => cut(plain(cell), columns[i]?.most ?? TEXT_COLUMNS)));
  const widths = columns.map(({ title }, i) =>
    Math.max(textWidth(title), ...cells.map((row) => textWidth(row[i] ?? ''))),
  );
  const line = (row: readonly string[]) =>
    cut(
      INDENT + columns.map(({ right }, i) => padded(row[i] ?? '', widths[i]!, right === true)).join(GAP),
      TEXT_COLUMNS,
    ).trimEnd();
  return [line(columns.map(({ title }) => title)), ...cells.map(line)];
}

/** Words, on as many lines as they need, each with this before it. */
export function wrapped(text: string, indent = INDENT): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of plain(text).split(' ')) {
    if (line !== '' && textWidth(`${indent}${line} ${word}`) > TEXT_COLUMNS) {
      lines.push(indent + line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(indent + line);
  return lines.map((one) => cut(one, TEXT_COLUMNS));
}

/** "1,234" */
export function wholeText(number: number): string {
  return Math.round(number).toLocaleString('en-US');
}

/** "12 handles", "1 handle" */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${wholeText(count)} ${count === 1 ? one : many}`;
}

/** "30 ms", "4.2 s", "12 min", "5.5 h", "3.1 d" */
export function durationText(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  if (seconds < 86_400) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}
