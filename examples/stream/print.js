// print.js: reports as a reader likes them.
import Table from 'cli-table3';

const ROWS_SHOWN = 40;

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 4 });

function printTable(head, rows, leftColumns) {
  const colAligns = head.map((_, i) => (i < leftColumns ? 'left' : 'right'));
  const table = new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
  table.push(...rows);
  console.log(table.toString());
}

function cell(value) {
  if (typeof value !== 'number') return String(value ?? '');
  return (Number.isInteger(value) || Math.abs(value) >= 10_000 ? whole : short).format(value);
}

/** Results that are JSON objects fill a column a property; any others have one column. */
function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : { result: text };
  } catch {
    return { result: text };
  }
}

function printResults(results) {
  const rows = Object.entries(results).map(([key, text]) => [key, parseObject(text)]);
  const columns = [...new Set(rows.flatMap(([, object]) => Object.keys(object)))];
  const shown = rows.slice(0, ROWS_SHOWN);
  const cells = shown.map(([key, object]) => [key, ...columns.map((name) => cell(object[name]))]);
  printTable(['key', ...columns], cells, 1);
  if (rows.length > shown.length) console.log(`and ${whole.format(rows.length - shown.length)} more keys`);
}

export function printReport(report) {
  const { table, threads, read, counted, refused, seconds, perSecond, latencyMicroseconds: latency } = report;
  printResults(report.results);
  console.log(`table ${table}, ${threads} source threads`);
  console.log(
    `records ${whole.format(read)} read = ${whole.format(counted)} counted + ${whole.format(refused)} refused`,
  );
  console.log(
    `throughput ${whole.format(perSecond)} records/s, counted at the sink over ${short.format(seconds)} s`,
  );
  const times = Object.entries({
    p50: latency.p50,
    p99: latency.p99,
    'p99.9': latency.p999,
    max: latency.max,
  });
  console.log(
    `latency from read to sink ${times.map(([name, time]) => `${name} ${cell(time)} µs`).join(', ')}`,
  );
  console.log(
    `handles ${whole.format(report.handles.created)} created, ${whole.format(report.handles.live)} live`,
  );
}

export function printComparison(reports) {
  const slowest = Math.min(...reports.map((report) => report.perSecond));
  const rows = reports.map(({ table, perSecond, latencyMicroseconds: { p50, p99, p999, max } }) => [
    table,
    whole.format(perSecond),
    `${(perSecond / slowest).toFixed(2)}x`,
    ...[p50, p99, p999, max].map(cell),
  ]);
  printTable(['table', 'records/s', '', 'p50 µs', 'p99 µs', 'p99.9 µs', 'max µs'], rows, 1);
  const [{ read, counted, refused, threads }] = reports;
  console.log(
    `records ${whole.format(read)} read = ${whole.format(counted)} counted + ${whole.format(refused)} refused, ` +
      `${threads} source threads; the median of several runs`,
  );
}
