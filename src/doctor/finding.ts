// What a check of the doctor tells.
import { HaftError } from '../errors.js';

/** `skipped`: it could not be looked at, because of a failure that is told elsewhere. */
export type State = 'ok' | 'warning' | 'failure' | 'skipped';

export interface Finding {
  /** Stable, for programs: "compiler.cxx". */
  readonly id: string;
  /** For people. */
  readonly title: string;
  readonly state: State;
  /** What was found. */
  readonly value: string;
  /** What to do about it: for every warning and failure. */
  readonly next?: string;
}

export interface Section {
  readonly title: string;
  readonly findings: readonly Finding[];
}

export const ok = (id: string, title: string, value: string): Finding => ({ id, title, state: 'ok', value });

export const warning = (id: string, title: string, value: string, next: string): Finding => ({
  id,
  title,
  state: 'warning',
  value,
  next,
});

export const failure = (id: string, title: string, value: string, next: string): Finding => ({
  id,
  title,
  state: 'failure',
  value,
  next,
});

/** On one line, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

/** What is wrong, without what is to be done, which is told behind it. */
export function withoutNext(error: unknown): string {
  const text = sentenceOf(error);
  const next = error instanceof HaftError ? text.indexOf(`; ${oneLine(error.next)}`) : -1;
  return next < 0 ? text : text.slice(0, next).trim();
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
