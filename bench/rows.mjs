// The rows of the report, one for each subject and each set of parameters: the form of --json.
import { median } from './median.mjs';

const round1 = (x) => Math.round(x * 10) / 10;

// What a bench may give beside `ns`.
const EXTRAS = ['perSecond', 'p99Microseconds', 'bytesPerHandle', 'bytesPerClosure'];

function row(bench, subject, results, contended) {
  const [{ params, impossible }] = results;
  const head = { bench, subject, params };
  if (impossible)
    return { ...head, ns: null, min: null, max: null, rounds: results.length, reason: impossible };
  const ns = results.map((result) => result.ns);
  const made = {
    ...head,
    ns: round1(median(ns)),
    min: round1(Math.min(...ns)),
    max: round1(Math.max(...ns)),
    rounds: ns.length,
  };
  for (const extra of EXTRAS) {
    if (results[0][extra] !== undefined) made[extra] = round1(median(results.map((result) => result[extra])));
  }
  if (contended) made.contended = true;
  return made;
}

// `jobs` as runBench returns them. A row that could not be measured has no figures, and the reason.
export function makeRows(bench, jobs) {
  return jobs.flatMap(({ subject, params, rounds, contended, failed }) => {
    if (failed)
      return [
        { bench, subject, params, ns: null, min: null, max: null, rounds: 0, reason: failed, failed: true },
      ];
    return rounds[0].results.map((_, i) =>
      row(
        bench,
        subject,
        rounds.map((round) => round.results[i]),
        contended,
      ),
    );
  });
}
