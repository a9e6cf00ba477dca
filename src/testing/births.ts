// In which order handles were issued, and at level 2 of HAFTCHECK where: for registries that open while haft/testing is
// there.
import { relative } from 'node:path';
import { checkSetting } from '../checks.js';
import { INDEX_MASK } from '../handle.js';
import { watch } from '../insides.js';
import { CODE } from '../place.js';
import type { Registry } from '../registry.js';
import { overlay } from './overlay.js';

export interface Birth {
  readonly handle: number;
  /** Counts all handles of the thread. */
  readonly order: number;
  readonly stack?: string;
}

const STACK_FRAMES = 30;

let issued = 0;
/** By index: a slot's latest handle. */
const births = new WeakMap<Registry, Map<number, Birth>>();

watch({
  opened(registry) {
    const ours = new Map<number, Birth>();
    births.set(registry, ours);
    const keepStack = checkSetting().level === 2;
    overlay<(value: unknown, kind: number) => number>(registry, 'issue', (inner) => (value, kind) => {
      const handle = inner(value, kind);
      ours.set(handle & INDEX_MASK, { handle, order: ++issued, stack: keepStack ? stackHere() : undefined });
      return handle;
    });
  },
  closing() {},
});

function stackHere(): string {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_FRAMES;
  const { stack } = new Error();
  Error.stackTraceLimit = before;
  return stack ?? '';
}

export function birthOf(registry: Registry, handle: number): Birth | undefined {
  const birth = births.get(registry)?.get(handle & INDEX_MASK);
  return birth?.handle === handle ? birth : undefined;
}

/** The first place of a stack that is neither haft's nor Node's: `file:line:column`, relative to the working folder. */
export function placeOf(stack: string): string | undefined {
  for (const line of stack.split('\n').slice(1)) {
    const place = /\(?((?:file:\/\/)?\/[^()]*:\d+:\d+)\)?$/.exec(line)?.[1];
    if (place === undefined) continue;
    const path = place.startsWith('file://') ? place.slice('file://'.length) : place;
    if (path.startsWith(CODE)) continue;
    const short = relative(process.cwd(), path);
    return short.startsWith('..') ? path : short;
  }
  return undefined;
}
