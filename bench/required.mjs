// The ratios that haft must reach, each of rows of one run.
//
//   bench, what                 where, and how the table calls it
//   atLeast | atMost | below    the limit
//   reached(row)                the ratio; row(subject, params) finds the first row that has these parameters
import { BUSY, CALLERS } from './benches/call-loaded.mjs';
import { THREADS } from './benches/embed.mjs';
import { TIMER_MILLISECONDS } from './benches/loop.mjs';

// haft is so many times as fast as the peer.
const times = (bench, what, peer, params, atLeast) => ({
  bench,
  what: `${what}, over ${peer}`,
  atLeast,
  reached: (row) => row(peer, params).ns / row('haft', params).ns,
});

// haft takes no longer than that: so many times its figure fits into the limit.
const within = (bench, what, milliseconds, params) => ({
  bench,
  what: `${milliseconds} ms over ${what}, mailbox full: ${params.full}`,
  atLeast: 1,
  reached: (row) => (milliseconds * 1e6) / row('haft', params).ns,
});

const million = (op, order) => ({ op, live: 1000000, order });

const embedded = (params) => ({ method: 'trivial', threads: 1, asleep: 'nobody', ...params });
const EMBED_CASES = {
  'trivial, 1 thread': embedded({}),
  'the caller asleep': embedded({ asleep: 'caller' }),
  'the realm asleep': embedded({ asleep: 'realm' }),
};
const START_MILLISECONDS = 40;

export const REQUIRED = [
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
  ...[1, 64].map((handles) => ({
    bench: 'call-many',
    what: `64 calls, ${handles} handle${handles > 1 ? 's' : ''}, at once, over singly`,
    atLeast: 4,
    reached: (row) =>
      row('haft', { handles, calls: 64, sent: 'singly' }).ns /
      row('haft', { handles, calls: 64, sent: 'at once' }).ns,
  })),
  ...CALLERS.map((callers) =>
    times(
      'call-loaded',
      `${BUSY} busy threads, ${callers} caller${callers > 1 ? 's' : ''}`,
      'koffi',
      { busy: BUSY, callers },
      1,
    ),
  ),
  ...['post, the sender alone', 'call, one thread'].map((op) => ({
    bench: 'checks',
    what: `${op}, level 1 over level 0`,
    atMost: 1.1,
    reached: (row) => row('level 1', { op }).ns / row('level 0', { op }).ns,
  })),
  ...Object.entries(EMBED_CASES).map(([what, params]) => ({
    bench: 'embed',
    what: `${what}, haft over haft-guest`,
    atMost: 1.3,
    reached: (row) => row('haft', params).ns / row('haft-guest', params).ns,
  })),
  ...THREADS.filter((threads) => threads > 1).map((threads) =>
    times('embed', `trivial, ${threads} threads`, 'quickjs', embedded({ method: 'trivial', threads }), 1),
  ),
  times('embed', 'json, 1 thread', 'quickjs', embedded({ method: 'json', threads: 1 }), 3),
  {
    bench: 'embed',
    what: `${START_MILLISECONDS} ms over the start to the first answer, less node -e 0`,
    atLeast: 1,
    reached: (row) => {
      const start = { method: 'start' };
      return (START_MILLISECONDS * 1e6) / (row('haft', start).ns - row('node', start).ns);
    },
  },
  ...['fail', 'block'].flatMap((full) => [
    within('loop', `a timer of ${TIMER_MILLISECONDS} ms`, 20, { asked: 'timer', full }),
    within('loop', 'an HTTP request', 50, { asked: 'http', full }),
  ]),
  times('same-thread', 'C on the realm’s thread', 'koffi-registered', {}, 1.3),
  {
    bench: 'trampoline',
    what: 'on JavaScript’s thread, haft over koffi',
    atMost: 1.25,
    reached: (row) => {
      const params = { op: 'call', thread: 'same' };
      return row('haft', params).ns / row('koffi', params).ns;
    },
  },
  times('trampoline', 'from another thread', 'koffi', { op: 'call', thread: 'foreign' }, 10),
  times('trampoline', 'bind + unbind', 'koffi', { op: 'bind' }, 5),
  {
    bench: 'trampoline',
    what: 'bytes a bound closure beside itself, 1e6 of them',
    atMost: 200,
    reached: (row) => row('haft', { op: 'hold', live: 1000000 }).bytesPerClosure,
  },
  ...CALLERS.map((callers) =>
    times(
      'trampoline-loaded',
      `${BUSY} busy threads, ${callers} caller${callers > 1 ? 's' : ''}`,
      'koffi',
      { busy: BUSY, callers },
      1,
    ),
  ),
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

const named = (params) =>
  Object.entries(params)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

// What haft has gained must not have cost speed: for each row of the earlier commit, the one of today.
export const since = (then, rows) =>
  rows
    .filter(({ subject }) => subject === then)
    .map(({ bench, params }) => ({
      bench,
      what: `${named(params)}: haft over ${then}`,
      atMost: 1.2,
      reached: (row) => row('haft', params).ns / row(then, params).ns,
    }));
