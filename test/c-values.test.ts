// Arguments and results between C and JavaScript. The checks are in hosts/values.c.
import { describe, it } from 'vitest';
import { expectExit, run } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('values', 'values.mjs', [name]));
};

describe('values', () => {
  it.each([
    ['numbers and booleans of every type go in and come out exact', 'numbers'],
    ['a handle that is returned carries one reference', 'handles'],
    [
      'numbers that fit are converted; anything else is HAFT_E_ARGUMENT and names the argument',
      'conversions',
    ],
    ['0 to 16 arguments; another number is HAFT_E_ARGUMENT', 'counts'],
    ['every type at every one of 16 places', 'mixed'],
    ['a result that is not of the declared type is HAFT_E_RESULT', 'results'],
  ])('%s', (_, name) => host(name));
});

describe('strings and bytes', () => {
  it.each([
    ['empty, with NUL, non-ASCII, of every size round the limits of transport', 'strings'],
    ['invalid UTF-8 is HAFT_E_UTF8, and travels as bytes', 'invalid UTF-8'],
    ['are judged as RFC 3629 says, whatever bytes, wherever they stand', 'any bytes'],
    ['are looked at in each of 16 arguments, which together have 16 MiB', 'one of many'],
    ['a string of JavaScript that is no Unicode arrives with replacement characters', 'surrogates'],
    ['up to 16 MiB; one byte more is HAFT_E_TOO_LARGE', 'large'],
    ['take no room for good when they go one by one', 'room'],
    ['take no room for good when many wait at one time', 'room in pieces'],
    ['without room are HAFT_E_NO_MEMORY, or wait for it', 'waiting for memory'],
    ['P22: that wait for room are told when the realm closes', 'closed while waiting for memory'],
  ])('%s', (_, name) => host(name));
});
