// Runs a bench: every subject of every case in a fresh process, round by round, so that a drift of the machine hits
// all subjects alike.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { lastWords } from './last-words.mjs';

const child = fileURLToPath(new URL('child.mjs', import.meta.url));

// Above this, nanoseconds of a ping-pong, something else had one of the cores.
const CALM = 250;

// A contended round is repeated while the bench has run no more than so many times its rounds.
const PATIENCE = 3;

const LIMIT_MINUTES = 10; // a subject that hangs must not hang the report

function inChild(task, nodeFlags, environment) {
  const env = { ...process.env, ...environment };
  const options = { env, timeout: LIMIT_MINUTES * 60000, killSignal: 'SIGKILL', maxBuffer: 2 ** 24 };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...nodeFlags, child, JSON.stringify(task)],
      options,
      (error, stdout, stderr) => {
        if (error?.killed) return resolve({ failed: `gave no result in ${LIMIT_MINUTES} minutes` });
        if (error) return resolve({ failed: lastWords(stderr) || `ended by ${error.signal ?? error.code}` });
        resolve(JSON.parse(stdout.trim().split('\n').pop()));
      },
    );
  });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Two versions of haft, one after the other, where an earlier one is asked for.
const versionsOf = (bench, subject, against) =>
  subject === 'haft' && bench.againstCommits && against !== undefined
    ? [{ subject }, { subject: against.subject, folder: against.folder }]
    : [{ subject }];

// `against` as against.mjs has it, or undefined. Returns [{ subject, params, rounds: [{ pingPong?, results }], failed? }],
// one for each subject of each case.
export async function runBench(name, bench, { rounds, quick, against, onProgress }) {
  const jobs = bench.cases({ quick }).flatMap((params) =>
    bench.subjects
      .filter((subject) => !bench.skips?.(subject, params))
      .flatMap((subject) =>
        versionsOf(bench, subject, against).map((version) => ({
          ...version,
          task: { bench: name, subject, params, quick, folder: version.folder },
          params,
          rounds: [],
        })),
      ),
  );
  const isCalm = (round) => round.pingPong === undefined || round.pingPong <= CALM;
  const wants = (job) => !job.failed && job.rounds.filter(isCalm).length < rounds;

  for (let turn = 1; turn <= rounds * PATIENCE && jobs.some(wants); turn++) {
    if (turn > rounds) await pause(quick ? 0 : 1000); // whatever disturbs may end
    for (const job of jobs.filter(wants)) {
      onProgress(`${name}: round ${turn}, ${job.subject} ${JSON.stringify(job.params)}`);
      const round = await inChild(job.task, bench.nodeFlags ?? [], bench.environment?.(job.subject));
      if (round.failed) job.failed = round.failed;
      else job.rounds.push(round);
    }
  }

  for (const job of jobs) {
    const calm = job.rounds.filter(isCalm);
    // A minority of calm rounds says less than it seems: then all count, and the row says that it was contended.
    job.contended = !job.failed && calm.length < rounds / 2;
    if (!job.contended) job.rounds = calm;
  }
  return jobs;
}
