// Who serves native code: the addon, or koffi alone where the addon cannot be loaded. Chosen once, at the first use.
import { isMainThread } from 'node:worker_threads';
import { type Addon, addon, howToBuild, isAddonThere } from './binding.js';
import { settleChecks } from './checks.js';
import { trace } from './debugging/trace.js';
import { HaftError } from './errors.js';
import { isKoffiThere, raiseLimits } from './koffi.js';

export type BackendName = 'addon' | 'koffi';

export interface Backend extends Omit<Addon, 'layout' | 'checks'> {
  readonly name: BackendName;
  /** Why the addon does not serve, where nobody asked for koffi. */
  readonly reason?: string;
}

// While haft is imported: the program may load a library through koffi before it opens a registry.
const HAFT_BACKEND = process.env.HAFT_BACKEND || undefined; // empty is not set
if (isMainThread && (HAFT_BACKEND === 'koffi' || (HAFT_BACKEND === undefined && !isAddonThere()))) {
  if (isKoffiThere()) raiseLimits();
}

type MakeKoffi = (reason?: string) => Backend;
let makeKoffi: MakeKoffi | undefined;

/** For src/koffi-backend, when an entry brings it along: a child of a program that embeds needs the addon anyway. */
export function offerKoffi(make: MakeKoffi): void {
  makeKoffi = make;
}

let chosen: Backend | undefined;

/** @throws HaftError when neither serves, or the one that was asked for does not; or the trace has no file. */
export function backend(): Backend {
  if (chosen !== undefined) return chosen;
  const made = choose();
  trace?.open(made.trace);
  chosen = made;
  return chosen;
}

function choose(): Backend {
  const wanted = process.env.HAFT_BACKEND || undefined;
  if (wanted === 'koffi') return overKoffi();
  if (wanted !== undefined && wanted !== 'addon') {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: `HAFT_BACKEND is "${wanted}"`,
      next: 'set it to addon or koffi, or leave it out',
    });
  }
  try {
    const made = addon();
    settleChecks(made.checks);
    return Object.assign(Object.create(made) as Addon, { name: 'addon' as const });
  } catch (error) {
    // What was asked for by name is not replaced; nor is an addon that is there and does not fit.
    const missing = error instanceof HaftError && error.code === 'HAFT_E_UNSUPPORTED';
    if (wanted !== undefined || process.env.HAFT_ADDON || !missing) throw error;
    return koffiInstead(error);
  }
}

function koffiInstead(missing: HaftError): Backend {
  try {
    return overKoffi(missing.message);
  } catch (error) {
    const { code, message } = error as HaftError;
    throw new HaftError(code, {
      message: `${missing.message}\nand koffi cannot stand in: ${message}`,
      cause: error,
    });
  }
}

function overKoffi(reason?: string): Backend {
  if (makeKoffi === undefined) {
    throw new HaftError('HAFT_E_BACKEND', {
      message: 'a program that embeds needs the addon',
      next: `${howToBuild()}, and do not set HAFT_BACKEND=koffi for it`,
    });
  }
  settleChecks(process.env.HAFTCHECK);
  return makeKoffi(reason);
}
