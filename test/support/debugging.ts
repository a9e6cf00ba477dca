// What tests of reports have in common: programs that use hosts/debugging.c, and the width of what is printed.
import { expect } from 'vitest';
import { built } from './child.js';

/** The beginning of a program: a registry that C can use, three kinds of things, and the host's functions. */
export const prelude = `
  import { channel } from 'node:diagnostics_channel';
  import { formatReport, kind, Registry } from 'haft';
  import koffi from 'koffi';
  class Row { add(n) {} name() { return 'a row, whose name is longer than what fits into a reply'.repeat(9); } }
  const RowKind = kind(Row, { add: { args: ['f64'] }, name: { returns: 'str' } });
  class Session {}
  const SessionKind = kind(Session, {});
  const registry = new Registry();
  const library = koffi.load(${JSON.stringify(built('debugging.so'))});
  library.func('int32_t use_api(void *api)')(registry.apiAddress);
  registry.useKoffi(koffi);
  const retainAs = library.func('int32_t retain_as(uint64_t h, str label)');
  const releaseAs = library.func('int32_t release_as(uint64_t h, str label)');
  const release = library.func('int32_t release(uint64_t h)');
  const postMany = library.func('int32_t post_many(uint64_t h, uint32_t op, int32_t count, int32_t drops)');
  const takeResult = library.func('int32_t take_result(uint64_t h, uint32_t op)');
  const giveResult = library.func('void give_result()');
  const opOf = (of, name) => of.number * 65536 + of.position(name);
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
`;

/** Nothing in it is wider than 100 columns, and nothing needs or makes colour. */
export function expectNarrow(text: string): void {
  for (const line of text.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(100);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape is what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
}
