// What went wrong, by code: the same codes as in C.

import { RULES, STATUSES } from './constants.js';
import { breached } from './debugging/channels.js';
import { formatHandle } from './handle.js';

/** `HAFT_OK` and every `HAFT_E_*` of haft.h. */
export type StatusName = keyof typeof STATUSES;
/** The codes that an error can have. */
export type ErrorCode = Exclude<StatusName, 'HAFT_OK'>;

const nameOfStatus = new Map<number, StatusName>(
  Object.entries(STATUSES).map(([name, { status }]) => [status, name as StatusName]),
);

/** The name of a status that came from C; `HAFT_E_INTERNAL` for a number that is none. */
export function statusName(status: number): StatusName {
  return nameOfStatus.get(status) ?? 'HAFT_E_INTERNAL';
}

export interface HaftErrorDetails {
  /** The offending value: mostly a handle. */
  handle?: unknown;
  /** Name of the kind in question. */
  kind?: string | undefined;
  /** Replaces the code's own description. */
  message?: string;
  /** Replaces the code's own next step. */
  next?: string;
  /** The pointer rule that was broken; the code's own unless given. */
  rule?: number | undefined;
  cause?: unknown;
}

/** The pointer rule that a code breaks where nothing else is said: the first of several. As `status_rule` in C. */
export function ruleOf(code: StatusName): number | undefined {
  if (code === 'HAFT_E_ARGUMENT') return undefined; // mostly of a function's own arguments, which no rule is about
  return RULES.find((rule) => rule.code === code)?.number;
}

/**
 * Every misuse of haft. Match on `code`, never on the class or the text: two copies of the package have two classes.
 */
export class HaftError extends Error {
  override readonly name = 'HaftError';
  readonly code: ErrorCode;
  /** The number of the code in C. */
  readonly status: number;
  readonly handle: unknown;
  readonly kind: string | undefined;
  /** What to do about it. */
  readonly next: string;
  /** The number of the pointer rule that was broken, if it is one: docs/pointer-rules.md. */
  readonly rule: number | undefined;

  constructor(code: ErrorCode, details: HaftErrorDetails = {}) {
    const { message, status } = STATUSES[code];
    const next = details.next ?? STATUSES[code].next;
    const where = 'handle' in details ? ` [handle ${formatHandle(details.handle)}` : '';
    const kind = details.kind ? `${where ? ', ' : ' ['}kind ${details.kind}` : '';
    const brackets = where || kind ? `${where}${kind}]` : '';
    const rule = 'rule' in details ? details.rule : ruleOf(code);
    const broken = rule === undefined ? '' : ` (pointer rule ${rule})`;
    super(`${code}: ${details.message ?? message}${brackets}; ${next}${broken}`, { cause: details.cause });
    this.code = code;
    this.status = status;
    this.handle = details.handle;
    this.kind = details.kind;
    this.next = next;
    this.rule = rule;
    if (rule !== undefined && breached.isHeard) breached.tell({ error: this });
  }
}

/** The error for a status that is not `HAFT_OK`. */
export function errorOfStatus(status: number, details?: HaftErrorDetails): HaftError {
  return new HaftError(statusName(status) as ErrorCode, details);
}
