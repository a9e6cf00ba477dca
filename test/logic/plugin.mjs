// A program of its own that loads plugins. Argument: the case.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import * as haft from 'haft';
import koffi from 'koffi';
import { VERSION_MAJOR, VERSION_MINOR } from '../../dist/constants.js';

const { HaftError, kind, Registry } = haft;
const name = isMainThread ? process.argv[2] : workerData;
/** Of the header that all but some were built with. */
const current = `${VERSION_MAJOR}.${VERSION_MINOR}`;
const built = (file) => resolve('build/Release', `${file}.so`);

class Counter {
  total = 0;
  add(n) {
    this.total += n;
    return this.total;
  }
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });

/** A registry with a counter, and with what it heard from plugin_good. */
function open() {
  const registry = new Registry();
  const counter = new Counter();
  const heard = [];
  registry.publish('counter', registry.create(counter, CounterKind));
  registry.publish(
    'heard',
    registry.fn({ args: ['str'] }, (text) => {
      heard.push(text);
    }),
  );
  return { registry, counter, heard };
}

function errorOf(work) {
  try {
    work();
  } catch (error) {
    assert(error instanceof HaftError, error.stack);
    return error;
  }
  throw new Error('nothing was thrown');
}

async function until(condition) {
  while (!condition()) await new Promise((next) => setTimeout(next, 1));
}

/** What `haft_plugin_init` of plugin_fails becomes when `how` does this. */
function failsAs(how) {
  const registry = new Registry();
  registry.publish('how', registry.fn({ returns: 'i32' }, how));
  const error = errorOf(() => registry.loadPlugin(built('plugin_fails')));
  registry.close();
  return error;
}

// Its thread answers a signal by a post.
async function converse({ registry, heard }) {
  for (let i = 0; i < 3; i++) {
    const before = heard.length;
    while (heard.length === before) {
      signal(registry);
      await new Promise((next) => setTimeout(next, 2));
    }
    assert.equal(heard.at(-1), 'thread');
  }
}

let signalRealm;
/** JavaScript has none of its own: through the table, as any C does it. */
function signal(registry) {
  if (signalRealm === undefined) {
    const library = koffi.load(built('plugin_signal'));
    assert.equal(library.func('int32_t use_api(void *api)')(registry.apiAddress), 0);
    signalRealm = library.func('int32_t signal_realm(uint64_t realm)');
  }
  assert.equal(signalRealm(registry.id), 0);
}

/** How many threads of plugin_good run. */
const threadsRunning = () => koffi.load(built('plugin_good')).func('int threads_running()')();

const cases = {
  'a good one': async () => {
    const lives = open();
    const plugin = lives.registry.loadPlugin(relative('.', built('plugin_good')));
    assert.deepEqual(plugin, { path: built('plugin_good'), version: current });
    assert(Object.isFrozen(plugin));
    assert.deepEqual(lives.heard, ['init 1']);
    await converse(lives);
    lives.registry.close();
    await until(() => threadsRunning() === 0);
  },

  'again in one registry': () => {
    const { registry, heard } = open();
    const folder = mkdtempSync(join(tmpdir(), 'haft-plugin-'));
    try {
      const plugin = registry.loadPlugin(built('plugin_good'));
      assert.equal(registry.loadPlugin(built('plugin_good')), plugin);
      symlinkSync(built('plugin_good'), join(folder, 'symbolic.so'));
      assert.equal(registry.loadPlugin(join(folder, 'symbolic.so')), plugin);
      try {
        linkSync(built('plugin_good'), join(folder, 'hard.so'));
      } catch {
        return; // another file system
      }
      assert.equal(registry.loadPlugin(join(folder, 'hard.so')), plugin);
      assert.deepEqual(heard, ['init 1']);
    } finally {
      rmSync(folder, { recursive: true });
      registry.close();
    }
  },

  'from a handler of its own init': () => {
    const registry = new Registry();
    let inner;
    const how = () => {
      inner = registry.loadPlugin(built('plugin_fails'));
      return 0;
    };
    registry.publish('how', registry.fn({ returns: 'i32' }, how));
    assert.equal(registry.loadPlugin(built('plugin_fails')), inner);
    registry.close();
  },

  'in several registries': async () => {
    const all = [open(), open(), open()];
    for (const { registry } of all) registry.loadPlugin(built('plugin_good'));
    assert.deepEqual(
      all.map(({ heard }) => heard),
      [['init 1'], ['init 2'], ['init 3']],
    );
    all[1].registry.close();
    await converse(all[0]);
    await converse(all[2]);
    all[0].registry.close();
    all[2].registry.close();
  },

  'in workers': async () => {
    const lives = open();
    lives.registry.loadPlugin(built('plugin_good'));
    const workers = Array.from(
      { length: 4 },
      () => new Worker(new URL(import.meta.url), { workerData: 'as a worker' }),
    );
    const told = workers.map(
      (worker) => new Promise((done, failed) => worker.once('message', done).once('error', failed)),
    );
    const inits = await Promise.all(told);
    assert.deepEqual(inits.sort(), ['init 2', 'init 3', 'init 4', 'init 5']);
    // Two are terminated while their plugin's thread waits, two close.
    const ended = workers.map((worker) => new Promise((done) => worker.once('exit', done)));
    workers.forEach((worker, i) => void (i % 2 ? worker.terminate() : worker.postMessage('close')));
    await Promise.all(ended);
    await until(() => threadsRunning() === 1);
    await converse(lives);
    lives.registry.close();
  },

  'as a worker': async () => {
    const lives = open();
    lives.registry.loadPlugin(built('plugin_good'));
    const [init] = lives.heard;
    await converse(lives);
    parentPort.once('message', () => lives.registry.close());
    parentPort.postMessage(init);
  },

  'terminated inside its init': async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: 'never returns' });
    await new Promise((done) => worker.once('message', done));
    assert.equal(await worker.terminate(), 1);
    const { registry } = open();
    registry.publish(
      'how',
      registry.fn({ returns: 'i32' }, () => 0),
    );
    registry.loadPlugin(built('plugin_fails'));
    registry.close();
  },

  'never returns': () => {
    failsAs(() => {
      parentPort.postMessage('inside');
      for (;;);
    });
  },

  'the process exits while its threads work': () => {
    open().registry.loadPlugin(built('plugin_good'));
    process.exit(7);
  },

  'the event loop ends while its threads work': () => {
    open().registry.loadPlugin(built('plugin_good'));
  },

  'a handler of its init closes the registry': () => {
    const registry = new Registry();
    const how = () => {
      registry.close();
      return 0;
    };
    registry.publish('how', registry.fn({ returns: 'i32' }, how));
    const error = errorOf(() => registry.loadPlugin(built('plugin_fails')));
    assert.equal(error.code, 'HAFT_E_CLOSED');
  },

  'its init fails': () => {
    const thrown = failsAs(() => {
      throw new RangeError('no rules');
    });
    assert.equal(thrown.code, 'HAFT_E_EXCEPTION');
    assert.match(thrown.message, /haft_plugin_init of .*plugin_fails\.so failed: RangeError: no rules;/);

    // A status of its own: the code's text, not that of an error of before.
    const own = failsAs(() => -13);
    assert.equal(own.code, 'HAFT_E_EXCEPTION');
    assert.match(own.message, /failed: the JavaScript handler threw; read haft_last_error/);

    // The text of a function that failed with that status.
    const registry = new Registry();
    const missing = errorOf(() => registry.loadPlugin(built('plugin_fails')));
    assert.equal(missing.code, 'HAFT_E_NOT_FOUND');
    assert.match(missing.message, /plugin_fails\.so failed: /);
    registry.close();

    for (const status of [1, -99, 2 ** 31 - 1]) {
      const odd = failsAs(() => status);
      assert.equal(odd.code, 'HAFT_E_ARGUMENT');
      assert.match(odd.message, new RegExp(`returned ${status}, which is no status; return HAFT_OK`));
    }
  },

  'after a failure': () => {
    const registry = new Registry();
    let status = -9;
    registry.publish(
      'how',
      registry.fn({ returns: 'i32' }, () => status),
    );
    assert.equal(errorOf(() => registry.loadPlugin(built('plugin_fails'))).code, 'HAFT_E_FULL');
    status = 0;
    assert.equal(registry.loadPlugin(built('plugin_fails')).version, current);
    registry.close();
  },

  'another major version': () => {
    const registry = new Registry();
    const error = errorOf(() => registry.loadPlugin(built('plugin_major')));
    assert.equal(error.code, 'HAFT_E_ABI');
    const says = `plugin_major.so asks for haft 2.0, this is ${current}; build the plugin with`;
    assert(error.message.includes(says), error.message);
    registry.close();
  },

  'a later minor version': () => {
    const registry = new Registry();
    assert.equal(registry.loadPlugin(built('plugin_minor')).version, '1.99');
    registry.close();
  },

  'an older header': async () => {
    const { registry, counter } = open();
    assert.equal(registry.loadPlugin(built('plugin_old')).version, undefined);
    await until(() => counter.total === 6);
    registry.close();
  },

  'the version of a library that it needs': () => {
    const { registry } = open();
    const folder = mkdtempSync(join(tmpdir(), 'haft-plugin-'));
    const plugin = join(folder, 'needs.so');
    const [cc, ...flags] = (process.env.CC ?? 'cc').split(' ');
    const sources = ['-Inative/include', 'test/hosts/plugin_old.c', built('plugin_major')];
    try {
      execFileSync(cc, [...flags, '-shared', '-fPIC', '-Wl,--no-as-needed', ...sources, '-o', plugin]);
      assert.equal(registry.loadPlugin(plugin).version, undefined);
    } finally {
      rmSync(folder, { recursive: true });
      registry.close();
    }
  },

  'a shorter table': () => {
    const registry = new Registry();
    registry.loadPlugin(built('plugin_shorter'));
    registry.close();
  },

  'in C++': async () => {
    const { registry, counter } = open();
    registry.publish(
      'double',
      registry.fn({ args: ['f64'], returns: 'f64' }, (x) => 2 * x),
    );
    assert.equal(registry.loadPlugin(built('plugin_cpp')).version, current);
    assert.equal(counter.total, 0);
    await until(() => counter.total !== 0);
    assert.equal(counter.total, 8);
    registry.close();
  },

  'is none': () => {
    const folder = mkdtempSync(join(tmpdir(), 'haft-plugin-'));
    const text = join(folder, 'text.so');
    writeFileSync(text, 'just text');
    const registry = new Registry();
    const load = (path) => {
      const { code, message } = errorOf(() => registry.loadPlugin(path));
      return `${code}${message.slice(message.indexOf(':'))}`;
    };
    try {
      assert.match(load('none.so'), /^HAFT_E_NOT_FOUND: there is no plugin none\.so; check the path/);
      assert.match(load(folder), /^HAFT_E_NOT_FOUND: there is no plugin/);
      assert.match(
        load(built('no_main')),
        /^HAFT_E_ARGUMENT: .*no_main\.so is no plugin .*: it does not export haft_plugin_init;/,
      );
      assert.match(load(text), /^HAFT_E_ARGUMENT: .*text\.so is no plugin.*(invalid ELF header|too short)/);
      assert.match(load(built('plugin_unresolved')), /^HAFT_E_ARGUMENT: .*a_function_that_nobody_has/);
      registry.close();
      assert.match(load(built('plugin_good')), /^HAFT_E_CLOSED/);
      assert.match(load('none.so'), /^HAFT_E_CLOSED/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },

  'haft.api': () => {
    const registry = new Registry();
    assert.equal(haft.api(), registry.api);
    const module = { exports: {} };
    process.dlopen(module, built('same_thread'));
    assert.equal(module.exports.use(haft.api()), 0);
    registry.close();
  },

  'importing haft': () => {
    const addons = () => process.report.getReport().sharedObjects.filter((path) => /haft\.node$/.test(path));
    assert.deepEqual(addons(), []);
    haft.api();
    assert.equal(addons().length, 1);
  },
};

assert(cases[name], `there is no case ${name}`);
await cases[name]();
