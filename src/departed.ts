// Objects that have moved away: where each lives now, what is sent after it, and when its old slot is free. How an object
// moves is move.ts.
import type { NativeRealm } from './binding.js';
import {
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_HANDLE,
  EXCHANGE_NUMBER,
  EXCHANGE_STATUS,
  STATUSES,
} from './constants.js';
import { errorOfStatus, type HaftError } from './errors.js';
import { INDEX_MASK, SLOT_MASK } from './handle.js';
import type { Kind, Op } from './kind.js';
import { Forwarder } from './messages/forward.js';
import type { Mailboxes } from './messages/mailbox.js';
import type { Mirror } from './mirror.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const NUMBER_PLACE = (EXCHANGE >> 3) + (EXCHANGE_NUMBER >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const OK = STATUSES.HAFT_OK.status;
/** So many moves are remembered, that native code may learn where an object went. */
const MOST = 65_536;

interface Move {
  readonly now: number;
  readonly kindNumber: number;
}

/** What they need of the registry. */
export interface DepartedTable {
  readonly native: NativeRealm;
  readonly mirror: Mirror;
  readonly mailboxes: Mailboxes;
  kindOfNumber(number: number): Kind;
  /** A handle has ended. */
  forgotten(handle: number, value: unknown): void;
  report(error: HaftError, handle: number, op: Op): void;
  /** A slot has come round. */
  retired(): void;
}

export class Departed {
  readonly #table: DepartedTable;
  readonly #f64: Float64Array;
  readonly #i32: Int32Array;
  /** By old handle, the oldest first: their slots are kept, so that native code learns it too. */
  readonly #moves = new Map<number, Move>();
  readonly #forwarder: Forwarder;

  constructor(table: DepartedTable) {
    this.#table = table;
    this.#f64 = new Float64Array(table.native.buffer);
    this.#i32 = new Int32Array(table.native.buffer);
    this.#forwarder = new Forwarder(
      table.native,
      (handle) => this.whereNow(handle).now,
      (status, { handle, now, op }) => {
        table.mailboxes.countDeclined(handle);
        table.report(errorOfStatus(status, { handle: now }), handle, op);
      },
    );
  }

  close(): void {
    this.#forwarder.close();
  }

  has(handle: number): boolean {
    return this.#moves.has(handle);
  }

  /** The handle that an object has now, and the status; 0 if that is not `HAFT_OK`. */
  whereNow(handle: number): { readonly status: number; readonly now: number } {
    this.#f64[HANDLE_PLACE] = handle;
    this.#table.native.moved();
    const status = this.#i32[STATUS_WORD]!;
    return { status, now: status === OK ? this.#f64[NUMBER_PLACE]! : 0 };
  }

  /** The object lives under another handle now: what was held for it follows. */
  leave(handle: number, now: number): void {
    const { mailboxes, mirror, native } = this.#table;
    const held = mailboxes.takeHeld(handle);
    const index = handle & INDEX_MASK;
    const block = mirror.blockOf(index)!;
    const kindNumber = block.kinds[index & SLOT_MASK]!;
    this.#table.forgotten(handle, block.values[index & SLOT_MASK]);
    mirror.drop(block, index & SLOT_MASK);
    this.#moves.set(handle, { now, kindNumber });
    if (this.#moves.size > MOST) this.forget(this.#moves.size - MOST / 2);
    for (const message of held) {
      if (message.reply !== 0) {
        mailboxes.declineCall(message, STATUSES.HAFT_E_MOVED.status);
        continue;
      }
      mailboxes.declinePost(message, true);
      this.#add(handle, message.op, message.args);
    }
    this.#forwarder.flush();
    // Until then the old slot keeps the object, whoever releases it there.
    mailboxes.whenDrained(() =>
      this.#forwarder.whenSent(handle, () => {
        this.#f64[HANDLE_PLACE] = handle;
        native.letGo();
      }),
    );
  }

  /** Sends a post on to where its object lives now. */
  sendOn(handle: number, op: Op, args: readonly unknown[]): void {
    this.#add(handle, op, args);
    this.#forwarder.flush();
  }

  #add(handle: number, op: Op, args: readonly unknown[]): void {
    const { now, kindNumber } = this.#moves.get(handle)!;
    const number = (kindNumber << 16) | this.#table.kindOfNumber(kindNumber).ops.indexOf(op);
    this.#forwarder.add(handle, now, number, op, args);
  }

  /** Frees the slots of the oldest moves, of all unless a number is given: their handles are stale from now on. */
  forget(count = this.#moves.size): void {
    const { mirror, native } = this.#table;
    for (const handle of [...this.#moves.keys()].slice(0, count)) {
      this.#moves.delete(handle);
      this.#f64[HANDLE_PLACE] = handle;
      native.forget();
      if (this.#i32[STATUS_WORD] !== OK) continue;
      const index = handle & INDEX_MASK;
      const block = mirror.blockOf(index)!;
      if (block.lives > 0) block.lives--; // the slot begins its next life only now
      if (this.#i32[FLAG_WORD] !== 0) this.#table.retired();
      else mirror.giveBack(index);
    }
  }
}
