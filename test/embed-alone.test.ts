// What haft leaves alone of the program that embeds, and who comes to their shared memory. Each case is in embed/alone.c.
import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { casesOf } from './support/embed.js';

describe.runIf(process.platform === 'linux')('a program with a logic', () => {
  const run = casesOf('alone');

  it.each([
    ['waits for its own children only, and hears of no others', 'children'],
    ['may ignore its children', 'ignored children'],
    ['keeps its signal handlers and masks', 'handlers'],
    ['has the interrupt to itself', 'interrupt of its group'],
    ['hands no descriptor to other programs', 'other programs'],
    ['hands the logic nothing but its own', 'of the logic'],
    ['keeps its output as it was', 'its output'],
    ['stops though nobody reads what it writes', 'full output'],
    ['has no SIGPIPE', 'broken pipes'],
    ['has memory that nobody can cut short', 'sealed'],
  ])('%s', async (_, name) => {
    await run(name);
  });

  // Only a superuser can become somebody else, to try.
  it.runIf(process.getuid?.() === 0)('has memory that no other user comes to', async () => {
    await run('another user');
  });

  it('leaves no memory behind in the file system', async () => {
    const shared = () =>
      existsSync('/dev/shm') ? readdirSync('/dev/shm').filter((name) => /haft/.test(name)) : [];
    await run('sealed');
    expect(shared()).toEqual([]);
  });
});
