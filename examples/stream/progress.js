// progress.js: a progress bar on the terminal, moved by the host.
import { SingleBar } from 'cli-progress';
import { kind } from 'haft';

class Progress {
  #bar = new SingleBar({
    format: '{bar} {percentage}% | {value} of {total} records | {eta_formatted} left',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });

  constructor() {
    this.#bar.start(1, 0);
  }

  update(done, expected) {
    this.#bar.setTotal(expected);
    this.#bar.update(done);
  }

  finish() {
    this.#bar.stop();
  }
}

const ProgressKind = kind(Progress, {
  update: { args: ['f64', 'f64'], returns: 'void' },
  finish: { args: [], returns: 'void' },
});

/** Publishes a bar where somebody can see it. Returns its handle, if there is one, and what takes it off the screen. */
export function showProgress(registry) {
  if (!process.stderr.isTTY) return { handles: [], finish() {} };
  const progress = new Progress();
  const handle = registry.create(progress, ProgressKind);
  registry.publish('progress', handle);
  return { handles: [handle], finish: () => progress.finish() };
}
