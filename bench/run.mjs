// The command line of the benches: node bench/run.mjs [NAME...] [options], as --help says.
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { addonPath } from './addon.mjs';
import { buildCommit } from './against.mjs';
import { benches } from './catalogue.mjs';
import { ratiosOf } from './ratios.mjs';
import { Refusal } from './refusal.mjs';
import { machineLine, ratiosTable, rowsTable } from './report.mjs';
import { runBench } from './rounds.mjs';
import { makeRows } from './rows.mjs';

const againstNames = Object.keys(benches).filter((name) => benches[name].againstCommits);

const USAGE = `npm run bench -- [NAME...] [options]

  NAME              a bench: ${Object.keys(benches).join(', ')}; default: all
  --json FILE       write the rows as JSON Lines
  --rounds N        fresh processes for each row, default 5 (with --quick: 1)
  --against COMMIT  build that commit as well, and measure it in ${againstNames.join(', ')}
  --quick           small sizes and short times: to see that all works, not for figures
  --list            name the benches and their subjects
  --help            this
`;

function readCommandLine() {
  const options = {
    json: { type: 'string' },
    rounds: { type: 'string' },
    against: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  };
  let parsed;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new Refusal(`${error.message.split('. ')[0]}.`);
  }
  const { values, positionals } = parsed;
  for (const name of positionals) {
    if (Object.hasOwn(benches, name)) continue;
    throw new Refusal(`There is no bench '${name}'; there are ${Object.keys(benches).join(', ')}.`);
  }
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
    throw new Refusal(`--rounds takes a number from 1 to 1000, not '${values.rounds}'.`);
  }
  const names = Object.keys(benches).filter((name) => positionals.length === 0 || positionals.includes(name));
  if (values.against !== undefined && !names.some((name) => againstNames.includes(name))) {
    throw new Refusal(`--against measures ${againstNames.join(', ')}, none of which is asked for.`);
  }
  return { ...values, rounds, names };
}

// Opened before anything is measured: an hour's rows must not meet a folder that does not exist.
function openJson(file) {
  try {
    return fs.openSync(file, 'w');
  } catch (error) {
    throw new Refusal(`Cannot write '${file}': ${error.code}.`);
  }
}

function showProgress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function main() {
  const { json, rounds, quick, list, help, names, against: commit } = readCommandLine();
  if (help) return process.stdout.write(USAGE);
  if (list) {
    for (const name of names) console.log(`${name}: ${benches[name].subjects.join(', ')}`);
    return;
  }
  if (!fs.existsSync(addonPath)) throw new Refusal('The addon is not built: run npm run build first.');

  const against = commit === undefined ? undefined : buildCommit(commit);
  const out = json === undefined ? undefined : openJson(json);
  console.log(`Machine: ${machineLine()}\n`);
  console.log(`Nanoseconds an operation: median, least and most of the rounds, each a fresh process.`);

  const all = [];
  for (const name of names) {
    const jobs = await runBench(name, benches[name], { rounds, quick, against, onProgress: showProgress });
    showProgress('');
    const rows = makeRows(name, jobs);
    console.log(`\n## ${name}\n\n${rowsTable(rows)}`);
    if (out !== undefined) {
      for (const { failed, ...row } of rows) fs.writeSync(out, `${JSON.stringify(row)}\n`);
    }
    all.push(...rows);
  }

  console.log(
    `\n## Required ratios, of the medians above\n\n${ratiosTable(ratiosOf(all, names, against?.subject))}`,
  );
  console.log(`\nMachine at the end: ${machineLine()}`);
  const failed = all.filter((row) => row.failed);
  if (failed.length === 0) return;
  console.error(`\n${failed.length} of ${all.length} rows failed.`);
  process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
