// Turns of the event loop, whatever a test has put in the place of timers.

// P12: as they were when this was loaded, before any test could replace them.
export const { clearImmediate, clearTimeout, setImmediate, setTimeout } = globalThis;

/** One turn: what is due meanwhile runs. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
