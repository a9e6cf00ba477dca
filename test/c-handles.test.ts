// Handles as C sees them: each misuse has its own status, changes nothing and never crashes; references; the table of
// functions. The checks are in hosts/handles.c.
import { describe, it } from 'vitest';
import { expectExit, run } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('handles', 'objects.mjs', [name]));
};

describe('a bad handle in C', () => {
  it.each([
    ['that was never issued is HAFT_E_FORGED', 'forged'],
    ['whose object was deleted is HAFT_E_STALE', 'deleted'],
    ['whose slot serves another object is HAFT_E_STALE', 'reused'],
    ['whose last reference was given back is HAFT_E_STALE', 'released'],
    ['P24: of a closed realm is HAFT_E_CLOSED, and HAFT_E_STALE once its slot is used again', 'closed'],
    ['of another realm is HAFT_E_REALM as an argument', 'other realm'],
    ['of another kind is HAFT_E_KIND, an op that the kind does not have HAFT_E_OP', 'wrong kind'],
    ['or NULL where there must be a value is HAFT_E_ARGUMENT', 'null arguments'],
    ['P26: in a forked child, and any other, is HAFT_E_FORKED', 'forked'],
  ])('%s', (_, name) => host(name));
});

describe('references in C', () => {
  it.each([
    ['P4: the last release ends the handle at once, and the idle realm drops the object', 'references'],
    ['P2: retain racing the last release takes a reference or is HAFT_E_STALE', 'race'],
    ['P3: of four releases of one reference one succeeds, and the slot is freed once', 'double release'],
    ['P3: delete racing the release frees the slot once', 'delete race'],
  ])('%s', (_, name) => host(name));
});

// At level 2 four million stacks would be taken.
it.skipIf(process.env.HAFTCHECK?.startsWith('2'))(
  'references in C saturate at 4194303: HAFT_E_OVERFLOW, and nothing has changed',
  () => host('saturation'),
);

describe('haft.h', () => {
  it.each([
    ['every status has its name and message, every other number is unknown', 'status names'],
    ['the last error is the thread’s own, and its texts are never NULL', 'last error'],
    ['a short or absent table is HAFT_E_UNSUPPORTED, another major version HAFT_E_ABI', 'table'],
  ])('%s', (_, name) => host(name));
});
