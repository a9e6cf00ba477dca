// Waiting for what must come. The bound is for a machine of any speed: nothing here is a measurement.

const BOUND_MILLISECONDS = 30_000;

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Until the condition is true. @throws Error that says what did not come: a text, or a function that makes it. */
export async function until(condition, what) {
  const end = Date.now() + BOUND_MILLISECONDS;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error(`not within ${BOUND_MILLISECONDS} ms: ${typeof what === 'function' ? what() : what}`);
    }
    await pause(1);
  }
}
