// npm run rounds: realms that end while native threads work with them, again and again.
//
//     npm run rounds -- [NAME...] [--rounds N] [--json FILE] [--node PATH]
//
//   NAME      how the realm ends: terminate (its worker is), exit (the process does), close; without one, all three
//   --rounds  of each, 200 without this
//   --json    the closing line of each name, in a file as well
//   --node    the node that runs the rounds, instead of the one that runs this
//
// A round is a process of its own (test/ends/round.mjs). It has crashed if a signal or an unexpected exit code ended it,
// or if one of its threads ended otherwise than with HAFT_E_CLOSED; it hung if it had to be killed. For each name
// the closing line is JSON: {"what","rounds","crashed","hung"}. The exit code is 0 if none crashed and none hung.
import path from 'node:path';
import { SingleBar } from 'cli-progress';
import { jsonLines, numberOf, readArguments, wordOf } from './command-line.mjs';
import { execute, Plain, pool, root, run, which } from './tools.mjs';

const EXIT_CODES = { terminate: 0, exit: 7, close: 0 };
const names = Object.keys(EXIT_CODES);
const AT_ONCE = 2;
const BOUND_MILLISECONDS = 20_000;
const TOLD = 5; // rounds that failed, in full
const THREADS_ENDED = /^ended:( HAFT_E_CLOSED){4}$/m;

function readCommandLine() {
  const options = {
    rounds: { type: 'string', default: '200' },
    json: { type: 'string' },
    node: { type: 'string' },
  };
  const { values, positionals } = readArguments(options, { allowPositionals: true });
  for (const name of positionals) wordOf(name, names, 'way to end');
  const rounds = numberOf(values, 'rounds', { least: 1, most: 1_000_000 });
  const node = values.node === undefined ? process.execPath : which(values.node);
  if (!node) throw new Plain(`There is no program '${values.node}' to run the rounds.`);
  const chosen = names.filter((name) => positionals.length === 0 || positionals.includes(name));
  return { chosen, rounds, node, writeJson: jsonLines(values.json) };
}

/** What was wrong with a round that has ended, or undefined. */
function fault(what, { status, signal, timedOut, output }) {
  if (timedOut) return `no end after ${BOUND_MILLISECONDS / 1000} s`;
  if (signal) return `ended by ${signal}`;
  if (status !== EXIT_CODES[what]) return `exit code ${status}, not ${EXIT_CODES[what]}`;
  if (!THREADS_ENDED.test(output)) return 'a thread did not end with HAFT_E_CLOSED';
  return undefined;
}

async function runRounds(what, rounds, node) {
  const counts = { what, rounds, crashed: 0, hung: 0 };
  const bar = new SingleBar({
    format: `${what} {bar} {value} of {total} rounds`,
    stream: process.stderr,
    clearOnComplete: true,
  });
  const program = path.join(root, 'test/ends/round.mjs');
  const told = [];
  bar.start(rounds, 0);
  await pool(
    Array.from({ length: rounds }, (_, round) => round),
    async (round) => {
      const ended = await execute(node, [program, what, String(round)], { timeout: BOUND_MILLISECONDS });
      const wrong = fault(what, ended);
      if (wrong) {
        counts[ended.timedOut ? 'hung' : 'crashed']++;
        told.push(`round ${round}: ${wrong} (node test/ends/round.mjs ${what} ${round})\n${ended.output}`);
      }
      bar.increment();
    },
    AT_ONCE,
  );
  bar.stop();
  for (const text of told.slice(0, TOLD)) process.stderr.write(`${text.trimEnd()}\n`);
  return counts;
}

await run(async () => {
  const { chosen, rounds, node, writeJson } = readCommandLine();
  let failed = false;
  for (const what of chosen) {
    const counts = await runRounds(what, rounds, node);
    console.log(JSON.stringify(counts));
    writeJson(counts);
    failed ||= counts.crashed + counts.hung > 0;
  }
  return failed ? 1 : 0;
});
