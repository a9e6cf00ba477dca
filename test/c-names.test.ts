// How C finds its first handle, its kinds and its ops. The checks are in hosts/names.c.
import { describe, it } from 'vitest';
import { expectExit, run } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('names', 'names.mjs', [name]));
};

describe('haft_find', () => {
  it.each([
    ['finds what is published, of the kind that is asked for; else HAFT_E_NOT_FOUND, HAFT_E_KIND', 'find'],
    ['gives one reference; the name holds none', 'reference'],
    ['waits until it is published', 'waits'],
    ['ends with HAFT_E_CLOSED when the realm closes', 'closes'],
    ['of an unknown realm is HAFT_E_CLOSED; a name belongs to its realm', 'realms'],
  ])('%s', (_, name) => host(name));
});

describe('haft_kind_find and haft_op_find', () => {
  it.each([
    ['find by name and fingerprint; another fingerprint is HAFT_E_ABI', 'kinds'],
    ['tell definitions of one name apart, and mean the latest where no fingerprint is given', 'versions'],
    ['know a kind that has no ops', 'no ops'],
  ])('%s', (_, name) => host(name));
});
