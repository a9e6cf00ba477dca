// P6: the free marker of the mirrors equals no input. With 0 as the marker, 0 would be a handle wherever a table has
// index 0, once in 65,536 tables: so the tables here begin at block 0.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Handle, HandleTable } from 'haft';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { randomBytes } = crypto;
const inputs = [0, -0, Number.NaN, 2 ** 53, -1, 1];

beforeAll(() => {
  crypto.randomBytes = ((size: number) => Buffer.alloc(size)) as typeof randomBytes;
  syncBuiltinESMExports();
});
afterAll(() => {
  crypto.randomBytes = randomBytes;
  syncBuiltinESMExports();
});

describe('P6', () => {
  it('a handle table that has index 0 takes no input for a handle', () => {
    const table = new HandleTable();
    const none = () => {
      for (const input of inputs) {
        expect(table.has(input)).toBe(false);
        expect(table.tryGet(input as Handle)).toBeUndefined();
        expect(() => table.get(input as Handle)).toThrow(expect.objectContaining({ code: 'HAFT_E_FORGED' }));
        expect(() => table.delete(input)).toThrow(expect.objectContaining({ code: 'HAFT_E_FORGED' }));
      }
    };
    none();
    const handle = table.create('first');
    expect(handle % 2 ** 26).toBe(0); // the table does begin at block 0
    none();
    table.delete(handle);
    none();
    expect(table.stats().live).toBe(0);
  });

  it('the mirror of a registry that has index 0 takes no input for a handle', async () => {
    const file = join(import.meta.dirname, '..', '..', 'dist', 'mirror.js');
    const { Block, Mirror } = await import(pathToFileURL(file).href);
    const mirror = new Mirror(0);
    const block = new Block(new Int32Array(4 * 1024), 4);
    mirror.addBlock(0, block);
    const none = () => {
      for (const input of inputs) {
        expect(mirror.blockOf(input & 0x3ffffff)?.handles[input & 1023] === input).toBe(false);
      }
    };
    none();
    mirror.publish('first', 0);
    none();
    mirror.drop(block, 0);
    none();
  });
});
