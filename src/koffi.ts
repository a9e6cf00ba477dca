// The one file that knows the package koffi: loads it when it is first needed.
import { createRequire } from 'node:module';
import type koffiModule from 'koffi';
import { HaftError } from './errors.js';

/** The package koffi, as its own types say. */
export type Koffi = typeof koffiModule;

let loaded: Koffi | undefined;

/** @throws HaftError `HAFT_E_UNSUPPORTED` when the package koffi cannot be loaded. */
export function koffi(): Koffi {
  if (loaded !== undefined) return loaded;
  try {
    loaded = createRequire(import.meta.url)('koffi') as Koffi;
    return loaded;
  } catch (error) {
    throw new HaftError('HAFT_E_UNSUPPORTED', {
      message: `the package koffi could not be loaded: ${(error as Error).message}`,
      next: 'run npm install: koffi brings its binary as an optional dependency of its own',
    });
  }
}

/** Whether the package can be loaded; who does without need not have it. */
export function isKoffiThere(): boolean {
  try {
    return koffi() !== undefined;
  } catch {
    return false;
  }
}

const HOST_STACK_BYTES = 8 * 1024 * 1024;
const MOST_CALLERS = 4096; // the most that koffi allows
let areRaised: boolean | undefined;

/**
 * Hosts run on stacks of koffi's, and threads that are in callbacks at one time are as many as koffi has places for: one
 * more crashes. Both can be raised before koffi loads its first library. False: somebody had loaded one.
 * @throws HaftError as `koffi`.
 */
export function raiseLimits(): boolean {
  if (areRaised !== undefined) return areRaised;
  const known = koffi();
  try {
    known.config({ async_stack_size: HOST_STACK_BYTES, max_async_calls: MOST_CALLERS });
    areRaised = true;
  } catch {
    areRaised = false;
  }
  return areRaised;
}
