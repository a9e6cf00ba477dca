// The JavaScript side of a program that embeds: attaches this process to the program, runs its logic, and ends with it. The
// program's side is native/embed, which starts this process with a few lines that import this file.
import { writeSync } from 'node:fs';
import { addon } from '../binding.js';
import { STATUSES } from '../constants.js';
import { type ErrorCode, HaftError } from '../errors.js';
import { insidesOf, watch } from '../insides.js';
import { LogicProblem, loadLogic } from '../logic.js';
import { describe } from '../messages/wire.js';
import { Registry } from '../registry.js';

// Captured at load: a logic may replace them (P12).
const { setTimeout, setImmediate } = globalThis;
const { exit } = process;

/** Where the program hears what becomes of us, as native/core/link.h says. */
const LINK = 4;
const READY = 'R';
const FAILED = 'F';
/** Between two looks whether everything has been answered. */
const POLL_MILLISECONDS = 2;
/** What a message to the program has room for, or less. */
const TEXT_LENGTH = 5000;

/** Runs a logic for the program that has started this process. Resolves when it is ready, or has failed. */
export async function serve(script: string, args: string[]): Promise<void> {
  let registry: Registry | undefined;
  let wanted = false;
  try {
    attach((gone) => {
      wanted = true;
      if (gone || registry === undefined) end(registry);
      else void finish(registry);
    });
    registry = new Registry();
    const opened = registry;
    watch({
      opened() {},
      closing(closed) {
        // The logic itself has closed it: there is nothing left that the program could call.
        if (closed === opened && !wanted) setImmediate(exit);
      },
    });
    process.once('beforeExit', unsettled);
    const logic = await loadLogic(script);
    await logic(registry, args);
    process.off('beforeExit', unsettled);
  } catch (error) {
    refuse(error);
    return;
  }
  if (insidesOf(registry)?.isClosed())
    fail('HAFT_E_CLOSED', 'the logic closed its registry before it was ready');
  else becomeReady(registry);
}

function becomeReady(registry: Registry): void {
  registry.ref(); // from now on there are calls to wait for
  writeSync(LINK, READY);
}

// What fails here is the package's fault, and not an exception of the logic's.
function attach(stop: (gone: boolean) => void): void {
  try {
    const status = addon().attach!(stop);
    if (status === STATUSES.HAFT_OK.status) return;
    if (status === STATUSES.HAFT_E_ABI.status) {
      throw new HaftError('HAFT_E_ABI', {
        message: 'the library libhaft_embed and the package haft are of different versions',
        next: 'build the library from the package that the logic imports',
      });
    }
    throw new HaftError('HAFT_E_INTERNAL', { message: `the program cannot be attached to: ${status}` });
  } catch (error) {
    if (!(error instanceof HaftError)) throw error;
    fail(error.code, error.message);
  }
}

// What was sent before is handled, and who waits for a promise is answered, which later calls do not put off; what was
// written gets out; then the end. The program kills us where that takes longer than it likes.
async function finish(registry: Registry): Promise<void> {
  const { mailboxes, isClosed } = insidesOf(registry)!;
  const underWay = mailboxes.underWay();
  while (!isClosed() && (underWay() || mailboxes.holding)) {
    registry.drain();
    await new Promise((again) => setTimeout(again, POLL_MILLISECONDS));
  }
  await Promise.all([process.stdout, process.stderr].map(written));
  end(registry);
}

// Into a pipe Node writes when there is room, and not at all after exit().
const written = (stream: NodeJS.WriteStream) =>
  new Promise<void>((resolve) => stream.write('', () => resolve()));

function end(registry: Registry | undefined): void {
  registry?.close();
  exit();
}

function unsettled(): void {
  fail('HAFT_E_CLOSED', 'the logic never became ready: nothing is left that could settle its promise');
}

function refuse(error: unknown): void {
  const cause = error instanceof LogicProblem ? error.cause : undefined;
  if (cause instanceof SyntaxError) {
    // Only Node itself knows where it is, and writes that when nobody has caught it.
    tell('HAFT_E_EXCEPTION', describe(cause).text);
    process.removeAllListeners('uncaughtException');
    setImmediate(() => {
      throw cause;
    });
    return;
  }
  if (error instanceof LogicProblem && error.code !== 'HAFT_E_EXCEPTION') fail(error.code, error.message);
  else fail('HAFT_E_EXCEPTION', describe(error instanceof LogicProblem ? error.cause : error).text);
}

function fail(code: ErrorCode, text: string): never {
  tell(code, text);
  return exit(1);
}

function tell(code: ErrorCode, text: string): void {
  writeSync(LINK, `${FAILED}${STATUSES[code].status}\n${text.slice(0, TEXT_LENGTH)}`);
}
