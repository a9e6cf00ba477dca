// npm run rounds: realms that end while native threads work with them, again and again.
//
//     npm run rounds -- [NAME...] [--rounds N] [--json FILE] [--node PATH]
//
//   NAME      how the realm ends: terminate (its worker is), exit (the process does), close; of a program that embeds:
//             embed-kill (its logic is killed), embed-host-kill (it is killed itself), embed-exit (process.exit in a
//             handler), embed-starter (the thread that started the logic ends), embed-fork (the program forks); without
//             one, all of them
//   --rounds  of each, 200 without this
//   --json    the closing line of each name, in a file as well
//   --node    the node that runs the rounds, instead of the one that runs this
//
// A round is a process of its own (test/ends/round.mjs, test/embed/rounds.c). It has crashed if a signal or an unexpected
// exit code ended it, or if one of its threads ended otherwise than with HAFT_E_CLOSED; it hung if it had to be killed; an
// orphan is a process that it left behind. For each name the closing line is JSON: {"what","rounds","crashed","hung"},
// with "orphans" for a program that embeds. The exit code is 0 if all of these are 0.
import fs from 'node:fs';
import path from 'node:path';
import { SingleBar } from 'cli-progress';
import { jsonLines, numberOf, readArguments, wordOf } from './command-line.mjs';
import { execute, Plain, pool, root, run, which } from './tools.mjs';

const EXIT_CODES = { terminate: 0, exit: 7, close: 0 };
const EMBED = ['embed-kill', 'embed-host-kill', 'embed-exit', 'embed-starter', 'embed-fork'];
const names = [...Object.keys(EXIT_CODES), ...EMBED];
const AT_ONCE = 2;
const BOUND_MILLISECONDS = 20_000;
const TOLD = 5; // rounds that failed, in full
const THREADS_ENDED = /^ended:( HAFT_E_CLOSED){4}$/m;
const GONE = /^gone: (\d+) (\d+)$/m; // processes that must have ended

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

/** Whether a process runs: one that has ended and that nobody has waited for yet does not. */
function runs(pid) {
  try {
    return !/\) [ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** What was wrong with a round that has ended: which count it adds to, and why. */
function fault(what, { status, signal, timedOut, output }) {
  const crashed = (why) => ({ count: 'crashed', why });
  const wanted = EXIT_CODES[what] ?? 0;
  if (timedOut) return { count: 'hung', why: `no end after ${BOUND_MILLISECONDS / 1000} s` };
  if (signal) return crashed(`ended by ${signal}`);
  if (status !== wanted) return crashed(`exit code ${status}, not ${wanted}`);
  if (!EMBED.includes(what))
    return THREADS_ENDED.test(output) ? undefined : crashed('a thread did not end with HAFT_E_CLOSED');
  const gone = GONE.exec(output)?.slice(1);
  if (gone === undefined) return crashed('it did not say which processes must have ended');
  const left = gone.filter(runs);
  return left.length > 0 ? { count: 'orphans', why: `left behind ${left.join(' and ')}` } : undefined;
}

const commandOf = (what, round, node) =>
  EMBED.includes(what)
    ? [path.join('build', 'programs', 'rounds'), what, String(round)]
    : [node, path.join('test', 'ends', 'round.mjs'), what, String(round)];

async function runRounds(what, rounds, node) {
  const counts = { what, rounds, crashed: 0, hung: 0, ...(EMBED.includes(what) ? { orphans: 0 } : {}) };
  const bar = new SingleBar({
    format: `${what} {bar} {value} of {total} rounds`,
    stream: process.stderr,
    clearOnComplete: true,
  });
  const told = [];
  bar.start(rounds, 0);
  await pool(
    Array.from({ length: rounds }, (_, round) => round),
    async (round) => {
      const [program, ...args] = commandOf(what, round, node);
      const env = { ...process.env, HAFT_NODE: node };
      const ended = await execute(program, args, { timeout: BOUND_MILLISECONDS, cwd: root, env });
      const wrong = fault(what, ended);
      if (wrong) {
        counts[wrong.count]++;
        const again = [program === node ? 'node' : program, ...args].join(' ');
        told.push(`round ${round}: ${wrong.why} (${again})\n${ended.output}`);
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
    failed ||= counts.crashed + counts.hung + (counts.orphans ?? 0) > 0;
  }
  return failed ? 1 : 0;
});
