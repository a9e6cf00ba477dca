// The soak, for seconds instead of a minute or an hour (`npm run soak`): every message is accounted for.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { child, expectExit, root } from './support/child.js';

const soak = (...args: string[]) => child([join(root, 'scripts', 'soak.mjs'), ...args]);

describe('a soak', () => {
  it('of three seconds: each message ended in exactly one way, as the senders and the handlers counted', async () => {
    const { stdout } = expectExit(await soak('--seconds', '3'));
    const [seed, line] = stdout.trimEnd().split('\n');
    expect(seed).toMatch(/^Seed: \d+$/);
    const { sent, delivered, refused, dropped, expired, ...rest } = JSON.parse(line!);
    expect(Object.keys(rest)).toEqual(['seconds', 'rssStart', 'rssEnd']);
    expect(delivered + refused + dropped + expired).toBe(sent);
    expect(Math.min(delivered, refused, expired)).toBeGreaterThan(0);
  });

  it.each([
    ['no number of seconds', ['--seconds', 'long'], /--seconds takes a number.*'long'/],
    ['no seed', ['--seed', '-1'], /--seed.*/],
    ['an unknown option', ['--walk'], /Unknown option '--walk'/],
  ])('with %s says so in one sentence', async (_, args, says) => {
    const { code, signal, stdout, stderr } = await soak(...args);
    expect({ code, signal, stdout }).toEqual({ code: 1, signal: null, stdout: '' });
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^[^\n]+\n$/);
  });
});
