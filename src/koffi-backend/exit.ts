// The end of the process, while threads are in calls. koffi crashes where the environment is taken down meanwhile, and
// Node waits for hosts, which run on threads of libuv's and wait for JavaScript. So nothing is taken down: when all
// listeners of 'exit' have run, the process ends at once.
import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { koffi } from '../koffi.js';

/**
 * @param closeAll Ends what is open.
 * @param hostRuns Whether a host runs now.
 */
export function guardExit(closeAll: () => void, hostRuns: () => boolean): void {
  endWithoutDestructors();
  let uncaught: { readonly error: unknown } | undefined;
  process.on('uncaughtExceptionMonitor', (error) => {
    uncaught = { error };
  });
  // For process.exit(), also where somebody has removed every listener.
  Object.assign(process, {
    reallyExit: (code: number | undefined) => {
      closeAll();
      endNow(Number(code ?? 0));
    },
  });
  process.on('exit', function last(this: NodeJS.Process, code: number) {
    closeAll();
    const listeners = this.rawListeners('exit');
    for (const listener of listeners.slice(listeners.indexOf(last) + 1))
      Reflect.apply(listener, this, [code]);
    const isFatal = uncaught !== undefined && code !== 0 && this.listenerCount('uncaughtException') === 0;
    if (isFatal) {
      // Node prints the error after this, and then takes nothing down; but it waits for hosts.
      if (!hostRuns()) return;
      writeSync(2, `Uncaught:\n${inspect(uncaught!.error)}\n\nNode.js ${this.version}\n`);
    }
    endNow(Number(this.exitCode ?? code));
  });
}

// A host that calls exit() does so on a thread of libuv's, whose destructor would wait for that very thread. What is
// registered last runs first: C's output is written, then the process ends.
function endWithoutDestructors(): void {
  if (process.platform !== 'linux') return;
  const library = koffi().load(null);
  try {
    library.func('on_exit', 'int', ['void *', 'void *'])(library.symbol('_exit'), null);
    const stdout: unknown = koffi().decode(library.symbol('stdout'), 'void *');
    const atExit = library.func('__cxa_atexit', 'int', ['void *', 'void *', 'void *']);
    atExit(library.symbol('fflush'), stdout, null);
  } catch {
    // Not glibc: there such an exit() aborts.
  }
}

function endNow(code: number): void {
  const library = koffi().load(process.platform === 'win32' ? 'ucrtbase.dll' : null);
  if (process.platform === 'linux') {
    // What C has printed; the lock of another file may be held for ever.
    const stdout: unknown = koffi().decode(library.symbol('stdout'), 'void *');
    library.func('fflush', 'int', ['void *'])(stdout);
  }
  library.func('_exit', 'void', ['int'])(code);
}
