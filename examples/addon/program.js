// One program over either addon. As a process or a worker of its own it scans until it is ended.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Visitor } from './visitor.js';

export const THREADS = 2;

/** So many lines, each `heading`th of them a heading. */
export function textOf(lines, heading) {
  const text = [];
  for (let i = 0; i < lines; i++) {
    text.push(`${i % heading === 0 ? '#' : ''} what stands in line ${String(i).padStart(6, '0')}`);
  }
  return text.join('\n');
}

/** Scans a text to its end, and tells what the visitor saw. */
export async function scanned({ scan }, text, { atLine, keep = (line) => line.endsWith('0') } = {}) {
  const visitor = new Visitor(THREADS, atLine);
  scan(text, THREADS, visitor, keep);
  await visitor.ended;
  const { lines, letters, sum, kept, problem, failures } = visitor;
  return { lines, letters, sum, kept, problem, failures };
}

/** Is called in the midst of a scan: after 5,000 lines of many more. */
async function inTheMidst(side, then) {
  await scanned(await import(`./${side}.js`), textOf(200_000, 10), {
    atLine: ({ lines }) => {
      if (lines === 5000) then();
    },
  });
}

if (!isMainThread) {
  await inTheMidst(workerData, () => parentPort.postMessage('in the midst'));
} else if (process.argv[2] === 'exit') {
  await inTheMidst(process.argv[3], () => process.exit(7));
}
