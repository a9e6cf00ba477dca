// The ratios that haft must reach, and whether the rows of one run reach them.

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

// haft is so many times as fast as the peer.
const times = (bench, what, peer, params, atLeast) => ({
  bench,
  what: `${what}, over ${peer}`,
  atLeast,
  reached: (row) => row(peer, params).ns / row('haft', params).ns,
});

const million = (op, order) => ({ op, live: 1000000, order });

const REQUIRED = [
  times('table', 'get, 1e6 live, sequential', 'map-number', million('get', 'sequential'), 7),
  times('table', 'get, 1e6 live, sequential', 'map-bigint', million('get', 'sequential'), 30),
  times('table', 'churn, 1e6 live, sequential', 'map-number', million('churn', 'sequential'), 4),
  times('table', 'get, 1e6 live, shuffled', 'map-number', million('get', 'shuffled'), 1.8),
  times('table', 'get, 1e6 live, shuffled', 'map-bigint', million('get', 'shuffled'), 6),
  times('table', 'churn, 1e6 live, shuffled', 'map-number', million('churn', 'shuffled'), 1.8),
  {
    bench: 'table',
    what: 'churn, sequential, 1e7 live over 1e3 live',
    atMost: 1.5,
    reached: (row) =>
      row('haft', { op: 'churn', live: 10000000, order: 'sequential' }).ns /
      row('haft', { op: 'churn', live: 1000, order: 'sequential' }).ns,
  },
  {
    bench: 'table',
    what: 'bytes a live handle, 1e6 live',
    atMost: 48,
    reached: (row) => row('haft', million('get', 'sequential')).bytesPerHandle,
  },
  times('publish', 'create + get + delete', 'napi-ref', {}, 2.5),
  times('native-table', '8 threads', 'big-old-map', { threads: 8 }, 5),
  times('native-table', '8 threads', 'sharded-map', { threads: 8 }, 3),
  times('native-table', '1 thread', 'big-old-map', { threads: 1 }, 2),
  times('native-table', '1 thread', 'sharded-map', { threads: 1 }, 2),
  ...[1000, 1].flatMap((handles) =>
    [1, 2, 8].map((producers) =>
      times(
        'post',
        `${handles} handle${handles > 1 ? 's' : ''}, ${producers} producer${producers > 1 ? 's' : ''}`,
        'napi-tsfn',
        { handles, producers },
        handles > 1 ? 9 : 5,
      ),
    ),
  ),
  times('call', 'realm awake', 'koffi', { realm: 'awake' }, 200),
  {
    bench: 'call',
    what: 'realm awake, haft over ping-pong',
    atMost: 2,
    reached: (row) => row('haft', { realm: 'awake' }).ns / row('ping-pong', { realm: 'awake' }).ns,
  },
  times('call', 'realm asleep', 'koffi', { realm: 'asleep' }, 5),
  times('same-thread', 'C on the realm’s thread', 'koffi-registered', {}, 1.3),
  times('stream', 'in total', 'big-old-map', {}, 2),
  {
    bench: 'stream',
    what: 'above the floor (pure-js), over big-old-map',
    atLeast: 5,
    reached: (row) => {
      const floor = row('pure-js').ns;
      return (row('big-old-map').ns - floor) / (row('haft').ns - floor);
    },
  },
  {
    bench: 'stream',
    what: 'p99, haft over big-old-map',
    below: 1,
    reached: (row) => row('haft').p99Microseconds / row('big-old-map').p99Microseconds,
  },
];

function judge({ atLeast, atMost, below }, reached) {
  if (atLeast !== undefined) return { required: `at least ${atLeast}`, met: reached >= atLeast };
  if (atMost !== undefined) return { required: `at most ${atMost}`, met: reached <= atMost };
  return { required: `below ${below}`, met: reached < below };
}

// [{ bench, what, required, reached, met }] of the benches that ran; `reached` is text where there is no number.
export function ratiosOf(rows, names) {
  return REQUIRED.filter(({ bench }) => names.includes(bench)).map((ratio) => {
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
