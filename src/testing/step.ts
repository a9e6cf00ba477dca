// A mailbox that a test steps by hand.
import { SHARDS } from '../constants.js';
import { HaftError } from '../errors.js';
import type { Handle } from '../handle.js';
import type { Insides } from '../insides.js';
import type { Registry } from '../registry.js';
import { answerDoorbell, deliver } from './doorbell.js';
import { Fault, openInsides, positive } from './fault.js';
import { fillersFirst, waitingIn } from './rings.js';
import { turn } from './turns.js';

/** A message that waits in a mailbox. */
export interface WaitingMessage {
  /** The name of the kind. */
  readonly kind: string;
  readonly op: string;
  readonly handle: Handle;
  /** `call`: C waits for the answer, in a thread or by a completion. */
  readonly sort: 'post' | 'call';
  /** 0 to 15: the lowest four bits of the handle. */
  readonly shard: number;
}

/**
 * The mailboxes of one registry, which nobody drains but the test, until this ends. What waits then is delivered.
 *
 * The order is that of a drain which takes one message at a time: shard after shard, the next one begins behind the
 * shard of the latest message; within a shard as they were sent.
 */
export class SteppedMailbox extends Fault {
  readonly #insides: Insides;
  readonly #end: () => boolean;
  #next = 0;

  /** @internal */
  constructor(registry: Registry) {
    const insides = openInsides(registry);
    super(registry);
    this.#insides = insides;
    this.#end = answerDoorbell(insides, () => {}); // a step arms it again (P10)
  }

  /** What waits, in the order in which `step` delivers it, if nothing comes meanwhile. */
  pending(): WaitingMessage[] {
    if (this.#gone) return [];
    const shards = Array.from({ length: SHARDS }, (_, i) => {
      const shard = (this.#next + i) % SHARDS;
      return waitingIn(this.#insides, shard)
        .filter(({ op }) => op !== 0)
        .map((waiting): WaitingMessage => {
          const { kindName, name } = this.#insides.opOf(waiting.op);
          const sort = waiting.isCall ? 'call' : 'post';
          return { kind: kindName, op: name, handle: waiting.handle as Handle, sort, shard };
        });
    });
    const most = Math.max(...shards.map(({ length }) => length));
    return Array.from({ length: most }, (_, i) => shards.flatMap((messages) => messages[i] ?? [])).flat();
  }

  /**
   * Delivers exactly one message: its handler has run when this returns. Tells which; `undefined`: none waits, or a
   * handler asks that is inside of sixteen others which step or drain.
   */
  step(): WaitingMessage | undefined {
    const [message] = this.pending();
    if (message === undefined) return undefined;
    const { shard } = message;
    const places = fillersFirst(waitingIn(this.#insides, shard)) + 1;
    // None: the step is that of a handler inside too many others.
    if (this.#insides.mailboxes.drainFrom(shard, places) === 0) return undefined;
    this.#next = (shard + 1) % SHARDS;
    return message;
  }

  /** Delivers so many messages as wait now; tells which. */
  all(): WaitingMessage[] {
    const messages: WaitingMessage[] = [];
    for (let left = this.pending().length; left > 0; left--) {
      const message = this.step();
      if (message === undefined) break;
      messages.push(message);
    }
    return messages;
  }

  /**
   * Steps until a message was delivered of which this holds, and tells that one; `undefined` when no more wait. What it
   * looks at may also be what handlers have changed.
   */
  until(holds: (message: WaitingMessage) => boolean): WaitingMessage | undefined {
    for (;;) {
      const message = this.step();
      if (message === undefined || holds(message)) return message;
    }
  }

  /** Turns of the event loop until so many messages wait. @throws HaftError `HAFT_E_CLOSED` when this has ended. */
  async arrived(count = 1): Promise<WaitingMessage[]> {
    positive('count', count);
    for (;;) {
      if (this.#gone) throw new HaftError('HAFT_E_CLOSED');
      const waiting = this.pending();
      if (waiting.length >= count) return waiting;
      await turn();
    }
  }

  get #gone(): boolean {
    return this.ended || this.#insides.isClosed();
  }

  protected restore(open: boolean): void {
    const othersAnswer = this.#end();
    if (open && !othersAnswer) deliver(this.#insides);
  }
}

/**
 * Nothing is delivered from now on but by the steps of the test.
 *
 * ```ts
 * import { stepMailbox } from 'haft/testing';
 *
 * using mailbox = stepMailbox(registry);
 * startProducers(); // C, on threads of its own
 * await mailbox.arrived(2);
 * const first = mailbox.step(); // { kind: 'Counter', op: 'add', sort: 'post', ... }
 * ```
 *
 * C on other threads that calls waits meanwhile. C on JavaScript's own thread is served at once as ever (P17), and
 * `registry.drain()` and `haft_serve` deliver all. @throws HaftError `HAFT_E_CLOSED`.
 */
export function stepMailbox(registry: Registry): SteppedMailbox {
  return new SteppedMailbox(registry);
}
