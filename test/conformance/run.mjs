// One process of the conformance suite: a registry, the logic, the plugin, and some of its cases, one after the other.
//
//     node test/conformance/run.mjs PLUGIN [--from N] [--only 3.7,4.1] [--wrap LIBRARY] [--list]
//
//   --from  leaves out the runs before this one; each case on each of its threads is a run
//   --only  these cases
//   --wrap  the plugin receives what this library's `wrap_api` makes of the table
//   --list  the sections and the runs, and runs none
//
// Writes a line of JSON to stdout for each thing that happens, at once, so that whoever reads knows the case under which
// the process crashed or hung: { opened: backend }, { run, case, thread, began: true }, { run, case, thread, result, text },
// { done: true }.
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { Registry } from 'haft';
import koffi from 'koffi';
import logic from './logic.mjs';

const THREADS = { own: 1, foreign: 2 };
const RESULTS = ['running', 'passed', 'failed', 'refused'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string', default: '0' },
    only: { type: 'string' },
    wrap: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
const only = values.only?.split(',');

// All of it before the next case begins, also where stdout is a pipe that is full.
function say(what) {
  let rest = Buffer.from(`${JSON.stringify(what)}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

const library = koffi.load(positionals[0]);
const Case = koffi.struct('haft_conformance_case', {
  number: 'const char *',
  promise: 'const char *',
  threads: 'uint32_t',
  may_lack: 'uint32_t',
  processes: 'uint32_t',
});
const init = library.func('int32_t haft_plugin_init(uintptr_t api, uint64_t realm)');
const count = library.func('int haft_conformance_count()');
const caseAt = library.func('haft_conformance_case *haft_conformance_at(int index)');
const section = library.func('const char *haft_conformance_section(int section)');
const begin = library.func('int haft_conformance_begin(int index, uint32_t thread)');
const poll = library.func('int haft_conformance_poll()');
const text = library.func('const char *haft_conformance_text()');

/** Every case on each of its threads, in order, but those that need JavaScript in another process. */
function* runs() {
  let run = 0;
  for (let index = 0; index < count(); index++) {
    const { number, promise, threads, processes } = koffi.decode(caseAt(index), Case);
    if (processes === 2 || (only && !only.includes(number))) continue;
    for (const [thread, bit] of Object.entries(THREADS)) {
      if (threads & bit) yield { run: run++, index, bit, case: number, thread, promise };
    }
  }
}

/** Makes a registry ready that a case opens, between two turns: koffi takes no callback inside of one. */
function prepare(other) {
  setImmediate(() => {
    try {
      other.useKoffi(koffi);
    } catch (error) {
      if (error.code !== 'HAFT_E_CLOSED') throw error;
    }
  });
  return other;
}

/** The event loop turns: timers, and what came from other threads. */
async function turn() {
  await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setImmediate(resolve));
}

if (values.list) {
  for (let i = 1; section(i); i++) say({ section: i, title: section(i) });
  for (const { run, case: number, thread, promise } of runs()) say({ run, case: number, thread, promise });
} else {
  const registry = new Registry();
  registry.ref();
  registry.useKoffi(koffi);
  await logic(registry, [], prepare);
  const wrap = values.wrap && koffi.load(values.wrap).func('uintptr_t wrap_api(uintptr_t api)');
  const api = wrap ? wrap(registry.apiAddress) : registry.apiAddress;
  const status = init(api, registry.id);
  if (status !== 0) throw new Error(`haft_plugin_init returned ${status}`);
  say({ opened: registry.backend ?? 'addon' });
  for (const { run, index, bit, case: number, thread } of runs()) {
    if (run < Number(values.from)) continue;
    say({ run, case: number, thread, began: true });
    if (begin(index, bit) !== 1) throw new Error(`case ${number} does not begin`);
    let result = poll();
    while (result === 0) {
      await turn();
      result = poll();
    }
    say({ run, case: number, thread, result: RESULTS[result], text: text() });
  }
  say({ done: true });
  registry.close();
  process.exit(0); // a thread of a case that failed may still be under way
}
