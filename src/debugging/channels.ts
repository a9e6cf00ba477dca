// What haft tells to `node:diagnostics_channel`: names and payloads. A channel without subscribers costs one look at a
// property, where something happens that seldom does.
import { type Channel, channel } from 'node:diagnostics_channel';
import type { HaftError } from '../errors.js';
import type { Registry } from '../registry.js';
import type { LeakReport } from './leaks.js';
import type { Overflow } from './overflow.js';

/** What the subscribers of each channel are told, on the thread where it happened. They must not throw. */
export interface ChannelMessages {
  /** A registry has opened. */
  'haft:registry.open': { readonly registry: Registry };
  /** A registry is about to close: it can still be asked for its report. */
  'haft:registry.close': { readonly registry: Registry };
  /** A table or a mailbox had no room: once a second and registry at most. */
  'haft:overflow': { readonly registry: Registry; readonly overflow: Overflow };
  /** A registry had live handles when it closed; or at the thread's end, where HAFT_LEAKS is set. */
  'haft:leak': { readonly registry: Registry; readonly report: LeakReport };
  /** A pointer rule was broken: an error with a rule was made, to be thrown or told to an `error` event. */
  'haft:breach': { readonly error: HaftError };
  /** Messages were handled. */
  'haft:drain': {
    readonly registry: Registry;
    /** Taken out of the mailboxes and handled, those of drains inside handlers not counted. */
    readonly messages: number;
    readonly milliseconds: number;
    /** Cells of 64 bytes in the mailboxes that wait for the next drain. */
    readonly left: number;
  };
}

export type ChannelName = keyof ChannelMessages;

/** A channel whose payload is known. */
export class Teller<N extends ChannelName> {
  readonly #channel: Channel;

  constructor(name: N) {
    this.#channel = channel(name);
  }

  get isHeard(): boolean {
    return this.#channel.hasSubscribers;
  }

  tell(message: ChannelMessages[N]): void {
    this.#channel.publish(message);
  }
}

export const opened = new Teller('haft:registry.open');
export const closes = new Teller('haft:registry.close');
export const overflowed = new Teller('haft:overflow');
export const leaked = new Teller('haft:leak');
export const breached = new Teller('haft:breach');
export const drained = new Teller('haft:drain');
