// The printed report: the machine, the rows, the required ratios. Markdown, so that a file in results/ is the report.
import os from 'node:os';

export function machineLine() {
  const cpus = os.cpus();
  const model = cpus[0]?.model.trim() ?? 'unknown processor';
  const load = os.loadavg().map((x) => x.toFixed(2));
  const gigabytes = Math.round(os.totalmem() / 2 ** 30);
  return [
    `${model}, ${cpus.length} cores, ${gigabytes} GB`,
    `${os.type()} ${os.release()} ${process.arch}`,
    `Node ${process.version}`,
    new Date().toISOString().slice(0, 16).replace('T', ' '),
    `load ${load.join(' ')}`,
  ].join('; ');
}

// Columns of numbers stand to the right.
function markdown(head, lines) {
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i].length)));
  const right = head.map((_, i) => lines.every((line) => /^[\d.,]*$/.test(line[i])));
  const show = (line) =>
    `| ${line.map((cell, i) => (right[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => '-'.repeat(width + 1) + (right[i] ? ':' : '-')).join('|')}|`;
  return [show(head), rule, ...lines.map(show)].join('\n');
}

const figure = (x) => (x >= 1000 ? Math.round(x).toLocaleString('en-US') : String(x));

function notes(row) {
  const said = [];
  if (row.reason) said.push(row.reason);
  if (row.perSecond) said.push(`${figure(row.perSecond)} a second`);
  if (row.p99Microseconds) said.push(`p99 ${figure(row.p99Microseconds)} us`);
  if (row.bytesPerHandle) said.push(`${figure(row.bytesPerHandle)} bytes a handle`);
  if (row.bytesPerClosure) said.push(`${figure(row.bytesPerClosure)} bytes a closure`);
  if (row.contended) said.push('contended');
  return said.join(', ');
}

// A column for each parameter, then the figures; haft and its peers of one case stand together.
export function rowsTable(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.params)))];
  const caseOf = (row) => JSON.stringify(row.params);
  const cases = [...new Set(rows.map(caseOf))];
  const sorted = [...rows].sort((a, b) => cases.indexOf(caseOf(a)) - cases.indexOf(caseOf(b)));
  return markdown(
    [...names, 'subject', 'ns', 'min', 'max', 'rounds', ''],
    sorted.map((row) => [
      ...names.map((name) => String(row.params[name] ?? '')),
      row.subject,
      ...[row.ns, row.min, row.max].map((x) => (x === null ? '' : figure(x))),
      String(row.rounds),
      notes(row),
    ]),
  );
}

export const ratiosTable = (ratios) =>
  markdown(
    ['bench', 'ratio', 'required', 'reached', ''],
    ratios.map(({ bench, what, required, reached, met }) => [bench, what, required, reached, met]),
  );
