// What a trace has to be, as "Trace Event Format" says it, which viewers go by (Google, 2016:
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU). Of the phases those that haft writes:
// X complete, i instant, C counter, b and e nestable async, M metadata.

export interface TraceEvent {
  ph: string;
  cat: string;
  name: string;
  pid: number;
  tid: number;
  /** Microseconds. */
  ts: number;
  dur?: number;
  id?: string;
  s?: string;
  args: Record<string, unknown>;
}

/** The file as viewers read it: its closing bracket is optional ("JSON Array Format"), and so is the last comma. */
export function parseTrace(text: string): TraceEvent[] {
  if (!text.startsWith('[\n')) throw new Error('it does not begin as an array');
  const lines = text.slice(2).split('\n');
  if (lines.pop() !== '') throw new Error('the last line is not whole');
  return lines.map((line) => {
    if (!line.endsWith('},')) throw new Error(`no whole event: ${line}`);
    return JSON.parse(line.slice(0, -1)) as TraceEvent;
  });
}

const FIELDS: Record<string, readonly string[]> = {
  X: ['dur'],
  i: ['s'],
  C: [],
  b: ['id'],
  e: ['id'],
  M: [],
};
const COMMON = ['ph', 'cat', 'name', 'pid', 'tid', 'ts', 'args'];
const METADATA = ['thread_name', 'process_name'];

/** Everything that is wrong, as sentences. */
export function faultsOf(events: readonly TraceEvent[]): string[] {
  return [...events.flatMap(faultsOfEvent), ...faultsOfNesting(events), ...faultsOfAsync(events)];
}

function faultsOfEvent(event: TraceEvent): string[] {
  const faults: string[] = [];
  const require = (holds: boolean, what: string) => {
    if (!holds) faults.push(`${what}: ${JSON.stringify(event)}`);
  };
  const own = FIELDS[event.ph];
  require(own !== undefined, 'no phase of ours');
  for (const field of [...COMMON, ...(own ?? [])]) require(field in event, `no ${field}`);
  for (const field of Object.keys(event))
    require(COMMON.includes(field) || own?.includes(field) === true, `${field} is not of its phase`);
  require(typeof event.name === 'string' && event.name !== '', 'no name');
  require(typeof event.cat === 'string' && event.cat !== '', 'no category');
  require(Number.isInteger(event.pid) && event.pid > 0, 'no pid');
  require(Number.isInteger(event.tid) && event.tid > 0, 'no tid');
  require(Number.isFinite(event.ts) && event.ts >= 0, 'no time');
  require(typeof event.args === 'object' && event.args !== null && !Array.isArray(event.args), 'no args');
  if (event.ph === 'X') require(Number.isFinite(event.dur) && event.dur! >= 0, 'a negative duration');
  if (event.ph === 'i') require(['g', 'p', 't'].includes(event.s!), 'no scope of an instant');
  if (event.ph === 'C') {
    const values = Object.values(event.args);
    require(values.length > 0 && values.every(Number.isFinite), 'a counter of no numbers');
  }
  if (event.ph === 'M') {
    require(METADATA.includes(event.name), 'no metadata that there is');
    require(typeof event.args.name === 'string' && event.args.name !== '', 'metadata without a name');
  }
  return faults;
}

const nanoseconds = (microseconds: number) => Math.round(microseconds * 1000);

function place(threads: Map<number, TraceEvent[]>, tid: number): TraceEvent[] {
  const found = threads.get(tid) ?? [];
  threads.set(tid, found);
  return found;
}

// Complete events of one thread lie apart, or one inside the other.
function faultsOfNesting(events: readonly TraceEvent[]): string[] {
  const faults: string[] = [];
  const threads = new Map<number, TraceEvent[]>();
  for (const event of events) {
    if (event.ph === 'X') place(threads, event.tid).push(event);
  }
  for (const of of threads.values()) {
    const spans = of
      .map((event) => ({ event, from: nanoseconds(event.ts), to: nanoseconds(event.ts + event.dur!) }))
      .sort((a, b) => a.from - b.from || b.to - a.to);
    const open: typeof spans = [];
    for (const span of spans) {
      while (open.length > 0 && open.at(-1)!.to <= span.from) open.pop();
      const outer = open.at(-1);
      // One nanosecond is what a time of a number with a fraction is not sure of.
      if (outer !== undefined && span.to > outer.to + 1) {
        faults.push(`${JSON.stringify(span.event)} reaches beyond ${JSON.stringify(outer.event)}`);
      }
      open.push(span);
    }
  }
  return faults;
}

function faultsOfAsync(events: readonly TraceEvent[]): string[] {
  const open = new Set<string>();
  const faults: string[] = [];
  for (const event of events) {
    const key = `${event.cat} ${event.name} ${event.id}`;
    if (event.ph === 'b') {
      if (open.has(key)) faults.push(`begun twice: ${key}`);
      open.add(key);
    }
    if (event.ph === 'e' && !open.delete(key)) faults.push(`ended before it began: ${key}`);
  }
  return faults.concat([...open].map((key) => `never ended: ${key}`));
}
