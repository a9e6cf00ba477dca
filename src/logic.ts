// Logic modules: what `haft run` and a program that embeds load, and what is said where one does not load.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ErrorCode } from './errors.js';
import { Problem } from './problem.js';
import type { Registry } from './registry.js';

/** What a logic module exports as its default. When it settles, the realm is ready. */
export type Logic = (registry: Registry, args: string[]) => void | Promise<void>;

/** Why a logic does not load. */
export class LogicProblem extends Problem {
  /** @param cause What was thrown, of `HAFT_E_EXCEPTION`. */
  constructor(
    readonly code: ErrorCode,
    message: string,
    override readonly cause?: unknown,
  ) {
    super(message);
  }
}

/** @throws LogicProblem `HAFT_E_NOT_FOUND`, `HAFT_E_EXCEPTION`, `HAFT_E_ARGUMENT`. */
export async function loadLogic(path: string): Promise<Logic> {
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown };
  } catch (error) {
    const missing =
      (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_MODULE_NOT_FOUND' && isAbout(error, path);
    if (missing) throw new LogicProblem('HAFT_E_NOT_FOUND', `there is no logic module ${path}`);
    const message = `the logic ${path} does not load: ${describe(error)}`;
    throw new LogicProblem('HAFT_E_EXCEPTION', message, error);
  }
  if (typeof module.default !== 'function') {
    const message = `the logic ${path} has no default export that is a function (registry, args) => void`;
    throw new LogicProblem('HAFT_E_ARGUMENT', message);
  }
  return module.default as Logic;
}

function isAbout(error: unknown, path: string): boolean {
  return String((error as Error | undefined)?.message).includes(`'${resolve(path)}'`);
}

/** On one line, whatever was thrown. */
export function describe(error: unknown): string {
  try {
    return (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).replaceAll(
      /\s+/g,
      ' ',
    );
  } catch {
    return 'a value that cannot be shown';
  }
}
