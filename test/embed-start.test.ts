// haft_embed_start: what its options do, and how it fails. Each case is in embed/starts.c.
import { describe, expect, it } from 'vitest';
import { root } from './support/child.js';
import { casesOf } from './support/embed.js';

describe.runIf(process.platform === 'linux')('a program starts its logic', () => {
  const run = casesOf('starts');

  it.each([
    ['and is told which option is wrong', 'refused options'],
    ['and is told what is not there', 'not found'],
    ['and is told when node is too old', 'node too old'],
    ['and is told what the logic threw, and where', 'throws'],
    ['that ends before it is ready', 'ends at load'],
    ['that is not ready in time', 'not in time'],
    ['that runs out of memory at load', 'no memory at load'],
    ['with arguments, an environment and a folder', 'what it is given'],
    ['and reads its output line by line', 'output by lines'],
    ['without standard descriptors', 'no standard descriptors'],
    ['with thousands of descriptors open', 'many descriptors'],
    ['with hardly a descriptor left', 'few descriptors'],
    ['and goes to another folder', 'elsewhere'],
    ['from several threads at once', 'by several threads'],
    ['unless as many run as can', 'the most'],
  ])('%s', async (_, name) => {
    await run(name);
  });

  it('whose package haft is found, or named by the environment', async () => {
    await run('no package', [root]);
  });

  it('whose output goes where its own goes', async () => {
    const { stdout, stderr } = await run('output inherited');
    expect({ stdout, stderr }).toEqual({
      stdout: 'to standard output\n',
      stderr: 'to standard error\na last word',
    });
  });

  it.each(['output discarded', 'output to a file'])('%s', async (name) => {
    const { stdout, stderr } = await run(name);
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: '' });
  });
});
