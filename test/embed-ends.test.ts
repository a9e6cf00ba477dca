// The end of a logic and of the program that embeds it, whatever way it comes. Each case is in embed/ends.c; rounds by the
// hundred are `npm run rounds`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { child, expectExit, root } from './support/child.js';
import { casesOf } from './support/embed.js';

const LIVES = '25';

describe.runIf(process.platform === 'linux')('a logic', () => {
  const run = casesOf('ends');

  it.each([
    ['that ends by itself is told with what ended it', 'by itself'],
    ['that is stuck is killed', 'stuck'],
    ['of which a worker is stuck is killed', 'stuck worker'],
    ['that is idle, busy or waits is not stuck', 'not stuck'],
    ['is started again, with a fresh realm', 'started again'],
    ['is started again as the policy says', 'by policy'],
    ['that does not become ready again stays down', 'not ready again'],
    ['may ask the host while it loads, each time', 'asks at load'],
    ['that is dead has no process id', 'pid of dead'],
    ['is stopped in order', 'in order'],
    ['is stopped in order while others call', 'in order under load'],
    ['that does not stop in time is killed', 'with a deadline'],
    ['that is stuck while it is stopped did not stop in order', 'stuck at stop'],
    ['may take as long as its program likes', 'long times'],
    ['is stopped by several threads at once', 'by several threads'],
    ['is not stopped in its own callbacks', 'in callbacks'],
    ['is stopped while it dies or starts again', 'while starting'],
    ['is told from any other integer', 'any integer'],
  ])('%s', async (_, name) => {
    await run(name);
  });

  it.each(['many lives', 'one after the other'])('%s: nothing is left of any', async (name) => {
    await run(name, [LIVES]);
  });

  it.each([
    ['exit', 23],
    ['exec', 24],
  ])('ends when its program does: %s', async (name, code) => {
    const { stdout } = await run(name, [], code);
    const pid = /logic: (\d+)/.exec(stdout)![1];
    const runs = () => {
      try {
        return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
      } catch {
        return false;
      }
    };
    await expect.poll(runs, { timeout: 10_000 }).toBe(false);
  });

  it.each(['embed-kill', 'embed-host-kill', 'embed-exit', 'embed-starter', 'embed-fork'])(
    '%s: no round crashes, hangs or leaves a process',
    async (what) => {
      const rounds = [join(root, 'scripts', 'rounds.mjs'), what, '--rounds', '4'];
      const { stdout } = expectExit(await child(rounds));
      expect(stdout).toBe(`{"what":"${what}","rounds":4,"crashed":0,"hung":0,"orphans":0}\n`);
    },
  );
});
