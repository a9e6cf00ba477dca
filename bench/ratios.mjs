// Whether the rows of one run reach the ratios that haft must reach.
import { REQUIRED, since } from './required.mjs';

// Rows of the run that can be counted on, by bench, subject and parameters; others make the ratio say why not.
class Missing extends Error {}

function finder(rows, bench) {
  return (subject, params = {}) => {
    const found = rows.find(
      (row) =>
        row.bench === bench &&
        row.subject === subject &&
        Object.entries(params).every(([name, value]) => row.params[name] === value),
    );
    if (!found) throw new Missing('not measured in this run');
    if (found.ns === null) throw new Missing(`no figure for ${subject}`);
    if (found.contended) throw new Missing(`contended: ${subject}`);
    return found;
  };
}

function judge({ atLeast, atMost, below }, reached) {
  if (atLeast !== undefined) return { required: `at least ${atLeast}`, met: reached >= atLeast };
  if (atMost !== undefined) return { required: `at most ${atMost}`, met: reached <= atMost };
  return { required: `below ${below}`, met: reached < below };
}

// [{ bench, what, required, reached, met }] of the benches that ran; `reached` is text where there is no number. `then` is
// the subject of an earlier commit, if there was one.
export function ratiosOf(rows, names, then) {
  const required = [...REQUIRED, ...since(then, rows)].filter(({ bench }) => names.includes(bench));
  return required.map((ratio) => {
    const { bench, what } = ratio;
    try {
      const reached = ratio.reached(finder(rows, bench));
      const { required, met } = judge(ratio, reached);
      return { bench, what, required, reached: reached.toFixed(2), met: met ? 'met' : 'NOT MET' };
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      return { bench, what, required: judge(ratio, 0).required, reached: error.message, met: 'not counted' };
    }
  });
}
