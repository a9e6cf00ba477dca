// Where a callback of koffi's comes from: JavaScript that called C lies below it on the stack, or nothing does, and the
// event loop has run it for another thread.

/** To be asked by the callback itself, or by what it calls. Costs microseconds. */
export function hasScriptBelow(callback: unknown): boolean {
  const { stackTraceLimit, prepareStackTrace } = Error;
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_, sites) => sites.length;
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, callback as () => void);
    return holder.stack !== 0;
  } catch {
    return false; // the program has frozen Error
  } finally {
    restore(stackTraceLimit, prepareStackTrace);
  }
}

function restore(stackTraceLimit: number, prepareStackTrace: typeof Error.prepareStackTrace): void {
  try {
    Error.stackTraceLimit = stackTraceLimit;
    if (prepareStackTrace === undefined) Reflect.deleteProperty(Error, 'prepareStackTrace');
    else Error.prepareStackTrace = prepareStackTrace;
  } catch {
    // Nothing was changed.
  }
}
