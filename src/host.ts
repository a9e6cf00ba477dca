// Runs a C host: a shared library whose `haft_host_main` runs on a thread of its own and calls the logic by handle.
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { backend } from './backend.js';
import { HaftError } from './errors.js';
import type { Registry } from './registry.js';

/** To be called when the listeners of SIGINT and SIGTERM are there: they hear one, and the second ends the process. */
export function exitAtSecondSignal(): void {
  backend().exitAtSecondSignal();
}

/**
 * Loads a shared library and runs its `haft_host_main(api, realm, argc, argv)` on a thread of its own. The event loop
 * stays alive until it returns.
 *
 * @param path The library. `argv[0]` in C.
 * @param args The rest of argv.
 * @returns What `haft_host_main` returned.
 * @throws HaftError `HAFT_E_NOT_FOUND` when there is no such file, `HAFT_E_ARGUMENT` when it does not load or exports no
 * `haft_host_main`, `HAFT_E_CLOSED`.
 */
export async function runHost(
  path: string,
  registry: Registry,
  args: readonly string[] = [],
): Promise<number> {
  const file = libraryFile(path, 'host library');
  registry.ref();
  try {
    return await new Promise<number>((done, failed) => {
      const reason = backend().runHost(file, registry.id, args, done);
      if (reason === undefined) return;
      failed(
        new HaftError('HAFT_E_ARGUMENT', {
          message: `the host library ${path} cannot run: ${reason}`,
          next: 'build it as a shared library that exports haft_host_main',
        }),
      );
    });
  } finally {
    registry.unref();
  }
}

/** The whole path of a library that is to be loaded. @throws HaftError `HAFT_E_NOT_FOUND` */
export function libraryFile(path: string, what: string): string {
  if (typeof path !== 'string') {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: `the path of the ${what} is not a string`,
      next: 'give the path of a file; of a URL fileURLToPath makes one',
    });
  }
  const file = resolve(path);
  if (existsSync(file) && statSync(file).isFile()) return file;
  throw new HaftError('HAFT_E_NOT_FOUND', {
    message: `there is no ${what} ${path}`,
    next: 'check the path: it is taken from the current folder',
  });
}
