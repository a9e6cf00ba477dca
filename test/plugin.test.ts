// registry.loadPlugin, and the table for addons of others. Each case is a process of its own, in logic/plugin.mjs.
import { describe, expect, it } from 'vitest';
import { child, expectExit, logicFile } from './support/child.js';

const main = async (name: string, code = 0) => {
  const { stderr } = expectExit(await child([logicFile('plugin.mjs'), name]), code);
  // Some pass what is no handle, to see the status: level 2 of HAFTCHECK tells that.
  expect(stderr.replace(/^haft: pointer rule 1 broken.*\n(?: {2}.*\n)*/gm, '')).toBe('');
};

describe('a plugin', () => {
  it.each([
    ['runs on JavaScript’s thread, calls it, and has threads that post later', 'a good one'],
    ['runs once in a registry, by whatever path it is loaded', 'again in one registry'],
    ['is known while its init runs', 'from a handler of its own init'],
    ['runs once for each registry', 'in several registries'],
    ['runs in workers, whose ends its threads are told', 'in workers'],
    ['is left when a worker is terminated inside its init', 'terminated inside its init'],
    ['fails with the status of its init, and the text that belongs to it', 'its init fails'],
    [
      'fails as closed when its init’s handler closes the registry',
      'a handler of its init closes the registry',
    ],
    ['may be loaded after a failure', 'after a failure'],
    ['that asks for another major version is refused before it runs', 'another major version'],
    ['that was built for a later minor version is loaded', 'a later minor version'],
    ['that was built with the header of 1.0 works', 'an older header'],
    ['has its own version, not that of a library that it needs', 'the version of a library that it needs'],
    ['that is handed the table of 1.0 does without the rest', 'a shorter table'],
    ['may be C++', 'in C++'],
    ['that is none is refused', 'is none'],
  ])('%s', (_, name) => main(name));

  it('does not keep the process from its exit', () => main('the process exits while its threads work', 7));
  it('does not keep the event loop alive', () => main('the event loop ends while its threads work'));
});

describe('haft.api()', () => {
  it('is the table that registry.api is', () => main('haft.api'));
  it('is what loads the addon, not the import', () => main('importing haft'));
});
