#!/usr/bin/env node
// The command `haft`.
import { Command } from 'commander';
import './koffi-backend/backend.js';
import { diagnose } from './doctor/doctor.js';
import { textOf } from './doctor/print.js';
import { haftVersion } from './doctor/versions.js';
import { HaftError } from './errors.js';
import { type FlagsOptions, flags } from './flags.js';
import { type HeaderCommandOptions, headerCommand } from './header/header-command.js';
import { exitAtSecondSignal, runHost } from './host.js';
import { type InspectOptions, inspect } from './inspect/command.js';
import { describe, loadLogic } from './logic.js';
import { INCLUDE } from './place.js';
import { Problem } from './problem.js';
import { Registry } from './registry.js';

const program = new Command('haft')
  .description('JavaScript objects in C and C++, by handle')
  .version(haftVersion())
  .option('--include', 'print the folder of haft.h')
  .option('--cflags', 'print -I and that folder, for a compiler')
  .option('--libs', 'print what links libhaft_embed, which is built the first time')
  .option('--static', 'with --libs: the static library')
  .allowExcessArguments() // they are no command: said below
  .action((options: FlagsOptions & { include?: boolean }, { args }: Command) => {
    if (args.length > 0) program.error(`error: unknown command '${args[0]}'; haft --help lists them`);
    else if (options.include) console.log(INCLUDE);
    else if (options.cflags || options.libs) console.log(flags(options));
    else program.help();
  });

program
  .command('run')
  .description('run a C host (a shared library with haft_host_main) with its JavaScript logic')
  .argument('<host>', 'the shared library')
  .argument('<logic>', 'a module whose default export is (registry, args) => void | Promise<void>')
  .argument('[args...]', 'after --: for the host and the logic')
  .action(run);

program
  .command('inspect')
  .description('show what the registries of a process hold, or compare it with an earlier report')
  .argument('<target>', 'the number of a process that runs with HAFT_INSPECT=1, or a file with a report')
  .option('--json', 'print JSON')
  .option('--diff <file>', 'show what has changed between the report in this file and the target')
  .option('--output <file>', 'write the report there, as JSON')
  .option('--handles <number>', 'tell so many of the oldest handles of each registry', '20')
  .option('--timeout <seconds>', 'wait so long for the process', '5')
  .action((target: string, options: InspectOptions) => inspect(target, options));

program
  .command('header')
  .description('write a header for C and C++ from the kinds that a module exports')
  .argument('<module>', 'the module in JavaScript')
  .option('-o, --output <file>', 'write the header there, not to the standard output')
  .option('--check <file>', 'write nothing: exit with 1 where the file is not the header of the module')
  .option('--prefix <prefix>', 'put this before every name of C, as in app_')
  .action((module: string, options: HeaderCommandOptions) => headerCommand(module, options));

program
  .command('doctor')
  .description(
    'look at versions, backend, compilers and limits, and test for a second; exit code 1 for a failure',
  )
  .option('--json', 'for programs')
  .action(doctor);

async function doctor({ json }: { json?: boolean }): Promise<void> {
  const diagnosis = await diagnose();
  console.log(json ? JSON.stringify(diagnosis, undefined, 2) : textOf(diagnosis));
  process.exitCode = diagnosis.ok ? 0 : 1;
}

async function run(host: string, logicPath: string, args: string[]): Promise<void> {
  const logic = await loadLogic(logicPath);
  const registry = new Registry();
  let interrupted: NodeJS.Signals | undefined;
  let ready = false;
  const interrupt = (signal: NodeJS.Signals) => {
    // In order: every call of the host returns HAFT_E_CLOSED.
    interrupted = signal;
    registry.close();
    if (!ready) process.exit(exitCodeOf(signal));
  };
  const unsettled = () => {
    console.error(
      `haft: the logic ${logicPath} never became ready: nothing is left that could settle its promise`,
    );
    process.exit(1);
  };
  process.once('beforeExit', unsettled);
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  exitAtSecondSignal();
  try {
    await logic(registry, args);
  } catch (error) {
    throw new Problem(`the logic ${logicPath} threw while it started: ${describe(error)}`);
  }
  process.off('beforeExit', unsettled);
  ready = true;
  const code = await runHost(host, registry, args);
  registry.close();
  // The shell sees eight bits: what is not 0 must not become it.
  const seen = code !== 0 && (code & 0xff) === 0 ? 1 : code;
  process.exitCode = interrupted ? exitCodeOf(interrupted) : seen;
  // Timers and sockets of the logic do not outlive the host.
  process.exit();
}

function exitCodeOf(signal: NodeJS.Signals): number {
  return signal === 'SIGINT' ? 130 : 143;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof Problem || error instanceof HaftError)) throw error;
  console.error(`haft: ${error.message}`);
  process.exit(1);
}
