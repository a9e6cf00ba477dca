// What went wrong, by code: the same codes as in C.
import { STATUSES } from './constants.js';
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
  cause?: unknown;
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

  constructor(code: ErrorCode, details: HaftErrorDetails = {}) {
    const { message, status } = STATUSES[code];
    const next = details.next ?? STATUSES[code].next;
    const where = 'handle' in details ? ` [handle ${formatHandle(details.handle)}` : '';
    const kind = details.kind ? `${where ? ', ' : ' ['}kind ${details.kind}` : '';
    const brackets = where || kind ? `${where}${kind}]` : '';
    super(`${code}: ${details.message ?? message}${brackets}; ${next}`, { cause: details.cause });
    this.code = code;
    this.status = status;
    this.handle = details.handle;
    this.kind = details.kind;
    this.next = next;
  }
}

/** The error for a status that is not `HAFT_OK`. */
export function errorOfStatus(status: number, details?: HaftErrorDetails): HaftError {
  return new HaftError(statusName(status) as ErrorCode, details);
}
