// Reports, comparisons and leaks as text: 100 columns at most.
import type { Difference } from './difference.js';
import type { LeakReport } from './leaks.js';
import { overflowText } from './overflow.js';
import type { HandleReport, HandleUse, KindReport, Origin, RegistryReport, ShardReport } from './report.js';
import {
  type Column,
  countText,
  cut,
  durationText,
  plain,
  TEXT_COLUMNS,
  textTable,
  wholeText,
  wrapped,
} from './text-table.js';

const KIND_WIDTH = 32;
const FRAMES = 8;
const HISTORY_INDENT = '      ';

export function kindText(kind: string): string {
  return kind === '' ? '(no kind)' : kind;
}

function labelsText(labels: Readonly<Record<string, number>>): string {
  return Object.entries(labels)
    .map(([label, count]) => `${label} ${wholeText(count)}`)
    .join(', ');
}

function originLines(origin: Origin, indent: string): string[] {
  const { when, backend, checkLevel } = origin;
  return wrapped(`${whereText(origin)}, ${when}; ${backend}, check level ${checkLevel}`, indent);
}

function whereText({ pid, thread, realm }: Origin): string {
  return `realm ${realm} of process ${pid}, ${thread === 0 ? 'main thread' : `thread ${thread}`}`;
}

/** What `registry.report()` gave, for a person. */
export function formatReport(report: RegistryReport): string {
  const { totals, kinds, handles, shards, overflows } = report;
  const lines = [
    ...originLines(report, ''),
    ...wrapped(
      [
        `${countText(totals.live, 'live handle')} with ${countText(totals.references, 'reference')}`,
        `${wholeText(totals.created)} created`,
        `${countText(totals.slots, 'slot')}, ${wholeText(totals.retired)} retired`,
        `${countText(totals.resultsOut, 'result')} out`,
      ].join('; '),
    ),
    '',
  ];
  if (kinds.length > 0) lines.push(...kindLines(kinds), '');
  if (handles.length > 0) {
    lines.push(
      handles.length < totals.live
        ? `The ${handles.length === 1 ? '' : `${wholeText(handles.length)} `}oldest of ${wholeText(totals.live)} handles:`
        : 'The handles, the oldest first:',
      ...handleLines(handles),
      '',
    );
  }
  lines.push(...shardLines(shards));
  for (const overflow of overflows) lines.push(...wrapped(`${overflow.when} ${overflowText(overflow)}`));
  return lines.join('\n');
}

function kindLines(kinds: readonly KindReport[]): string[] {
  const columns: Column[] = [
    { title: 'kind', most: KIND_WIDTH },
    { title: 'handles', right: true },
    { title: 'references', right: true },
    { title: 'oldest', right: true },
    { title: 'labels' },
  ];
  return textTable(
    columns,
    kinds.map(({ kind, count, references, oldestMilliseconds, labels }) => [
      kindText(kind),
      wholeText(count),
      wholeText(references),
      durationText(oldestMilliseconds),
      labelsText(labels),
    ]),
  );
}

function noteOf({ weak, collected, kept, names, labels }: HandleReport): string {
  return [
    ...names.map((name) => `published as ${name}`),
    ...(kept ? ['kept'] : []),
    ...(weak ? [collected ? 'weak, collected' : 'weak'] : []),
    ...(Object.keys(labels).length > 0 ? [labelsText(labels)] : []),
  ].join('; ');
}

function handleLines(handles: readonly HandleReport[]): string[] {
  const columns: Column[] = [
    { title: 'handle' },
    { title: 'kind', most: KIND_WIDTH },
    { title: 'age', right: true },
    { title: 'references', right: true },
    { title: 'labels and more' },
  ];
  const [titles, ...rows] = textTable(
    columns,
    handles.map((one) => [
      one.handle,
      kindText(one.kind),
      durationText(one.ageMilliseconds),
      wholeText(one.references),
      noteOf(one),
    ]),
  );
  return [
    titles!,
    ...rows.flatMap((row, i) => [
      row,
      ...useLines('created', handles[i]!.created),
      ...useLines('last used', handles[i]!.lastUse),
    ]),
  ];
}

function useLines(what: string, use: HandleUse | undefined): string[] {
  if (use === undefined) return [];
  const left = use.stack.length - FRAMES;
  const where = use.thread === 0 ? 'a thread of C' : `thread ${use.thread}`;
  const ago = `${durationText(use.agoMilliseconds)} ago`;
  return [
    cut(`${HISTORY_INDENT}${what} ${ago}: ${plain(use.what)} on ${where}`, TEXT_COLUMNS),
    ...use.stack.slice(0, FRAMES).map((frame) => frameText(plain(frame).trim())),
    ...(left > 0 ? [`${HISTORY_INDENT}  and ${countText(left, 'more frame')}`] : []),
  ];
}

// The end of a path says more than its beginning.
function frameText(frame: string): string {
  const room = TEXT_COLUMNS - HISTORY_INDENT.length - 2;
  const kept = frame.length <= room ? frame : `…${frame.slice(1 - room)}`;
  return cut(`${HISTORY_INDENT}  ${kept}`, TEXT_COLUMNS);
}

function hadTrouble(shard: ShardReport): boolean {
  const { refused, dropped, expired, waiting, longestWaitMilliseconds } = shard;
  return refused + dropped + expired + waiting + longestWaitMilliseconds > 0;
}

function shardLines(shards: readonly ShardReport[]): string[] {
  const busy = shards.filter(hadTrouble);
  const sent = shards.reduce((sum, shard) => sum + shard.sent, 0);
  const fullest = Math.max(0, ...shards.map(({ highestFill }) => highestFill));
  if (sent === 0) return ['Mailboxes: no message was sent.'];
  // A drain that finds few messages does not count cells.
  const fill = fullest === 0 ? 'never more than a few' : `at most ${wholeText(fullest)}`;
  const summary = `${countText(sent, 'message')} sent; ${fill} of 1,024 cells in use`;
  if (busy.length === 0) return [`Mailboxes: ${summary}; none waits, was refused or came late.`];
  const columns: Column[] = [
    'shard',
    'waiting',
    'refused',
    'dropped',
    'expired',
    'longest wait',
    'highest fill',
  ].map((title) => ({ title, right: true }));
  const rows = busy.map((one) => [
    String(one.shard),
    wholeText(one.waiting),
    wholeText(one.refused),
    wholeText(one.dropped),
    wholeText(one.expired),
    durationText(one.longestWaitMilliseconds),
    wholeText(one.highestFill),
  ]);
  return [
    `Mailboxes: ${summary}.`,
    'Where any waits, was refused or came late:',
    ...textTable(columns, rows),
  ];
}

/** What was still alive at the end, for a person. */
export function formatLeaks(report: LeakReport): string {
  const { leaked, references, kinds, handles, resultsOut } = report;
  const when = report.at === 'close' ? 'when it closed' : 'at the end';
  const were = `${countText(leaked, 'handle')} with ${countText(references, 'reference')} still alive`;
  const lines = [
    `haft: ${were} ${when}`,
    ...originLines(report, '  '),
    '',
    ...kindLines(kinds),
    '',
    handles.length < leaked ? `The ${wholeText(handles.length)} oldest:` : 'The oldest first:',
    ...handleLines(handles),
    '',
  ];
  if (resultsOut > 0) {
    const out = `${countText(resultsOut, 'result')} of the process ${resultsOut === 1 ? 'was' : 'were'}`;
    lines.push(...wrapped(`${out} not given back by haft_value_free (pointer rule 4).`, ''));
  }
  lines.push(...wrapped(`${report.next} (pointer rule ${report.rule})`, ''));
  return lines.join('\n');
}

const changeText = (change: number): string => (change > 0 ? `+${wholeText(change)}` : wholeText(change));

/** What `diffReports` gave, for a person. */
export function formatDifference(difference: Difference): string {
  const { before, after, live, references, kinds, stayed, arrived, unknown } = difference;
  const changed = kinds.filter((one) => one.change !== 0 || one.references !== 0 || hasLabels(one.labels));
  const same = before.pid === after.pid && before.realm === after.realm;
  const lines = [
    ...wrapped(same ? whereText(after) : `${whereText(before)} and ${whereText(after)}`, ''),
    ...wrapped(
      `from ${before.when} to ${after.when} (${durationText(difference.milliseconds)}): ${changeText(live)} handles, ${changeText(references)} references`,
    ),
    '',
  ];
  if (changed.length === 0) lines.push('No kind has more or fewer handles.', '');
  else {
    const columns: Column[] = [
      { title: 'kind', most: KIND_WIDTH },
      { title: 'before', right: true },
      { title: 'after', right: true },
      { title: 'change', right: true },
      { title: 'references', right: true },
      { title: 'labels' },
    ];
    const rows = changed.map((one) => [
      kindText(one.kind),
      wholeText(one.before),
      wholeText(one.after),
      changeText(one.change),
      changeText(one.references),
      Object.entries(one.labels)
        .map(([label, change]) => `${label} ${changeText(change)}`)
        .join(', '),
    ]);
    lines.push(...textTable(columns, rows), '');
  }
  if (stayed.length > 0) lines.push('Alive in both, the oldest first:', ...handleLines(stayed), '');
  if (arrived.length > 0) lines.push('New:', ...handleLines(arrived), '');
  if (unknown > 0) {
    const told =
      'A report tells of its oldest handles only: ask for more with --handles, or report({ handles }).';
    lines.push(...wrapped(`${countText(unknown, 'handle')} cannot be compared. ${told}`, ''));
  }
  while (lines.at(-1) === '') lines.pop();
  return lines.join('\n');
}

function hasLabels(labels: Readonly<Record<string, number>>): boolean {
  return Object.keys(labels).length > 0;
}
