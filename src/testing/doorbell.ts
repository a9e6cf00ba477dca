// Who answers a registry's doorbell in its place. Drains that somebody asks for (`registry.drain()`, `haft_serve`) are
// nobody's business here.
import type { Insides } from '../insides.js';
import { layersOf, overlay } from './overlay.js';

/**
 * From now on `rang` is called when messages have come, with what passes the doorbell on to whoever answers it
 * otherwise. Until that has happened, no more messages ring. The result ends it, and tells whether others still answer.
 */
export function answerDoorbell(insides: Insides, rang: (pass: () => void) => void): () => boolean {
  const { mailboxes } = insides;
  const end = overlay<() => void>(mailboxes, 'drain', (pass) => () => rang(pass));
  return () => {
    end();
    // P10: the realm counts as awake since the doorbell that was not passed on: it has to be rung once more.
    if (!insides.isClosed()) insides.native.ring();
    return layersOf(mailboxes, 'drain') > 0;
  };
}

/** Delivers what waits, now. */
export function deliver(insides: Insides): void {
  const { mailboxes } = insides;
  // A drain has a budget; who posts without end is not waited for.
  for (let i = 0; i < 8 && !insides.isClosed(); i++) if (mailboxes.drainNow() === 0) return;
}
