// Native code of others: plugins, which a registry loads, and the table of functions that an addon takes.
import { realpathSync } from 'node:fs';
import { backend } from './backend.js';
import type { NativeApi } from './binding.js';
import { STATUSES, VERSION_MAJOR, VERSION_MINOR } from './constants.js';
import { type ErrorCode, HaftError, statusName } from './errors.js';
import { libraryFile } from './host.js';

/** A shared library that `registry.loadPlugin` has loaded. */
export interface Plugin {
  /** The file, without symbolic links. */
  readonly path: string;
  /** Of the header that it was built with, as '1.2'; `undefined` where that was before 1.2. */
  readonly version: string | undefined;
}

/**
 * `const haft_api *` as a tagged external, for a set-up function of an addon of yours: what `registry.api` is, also before
 * there is a registry. Loads haft's addon.
 * @throws HaftError `HAFT_E_BACKEND` when koffi serves in its place, which cannot make one.
 */
export function api(): NativeApi {
  return backend().api;
}

/** The plugins of one registry. */
export class Plugins {
  /** By the address of their haft_plugin_init: two paths may lead to one library. */
  readonly #loaded = new Map<bigint, Plugin>();

  load(path: string, realm: number): Plugin {
    const file = realpathSync(libraryFile(path, 'plugin'));
    const native = backend().pluginOpen(file);
    if (typeof native === 'string') {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: `${path} is no plugin that can be loaded: ${native}`,
        next: 'build it as a shared library that exports haft_plugin_init',
      });
    }
    const { init } = native;
    const known = this.#loaded.get(init);
    if (known) return known;
    checkMajor(path, native.version);
    const plugin = Object.freeze({ path: file, version: versionText(native.version) });
    // Before it runs: a handler that its init calls may ask for it again.
    this.#loaded.set(init, plugin);
    const [status, text] = backend().pluginInit(init, realm);
    if (status === STATUSES.HAFT_OK.status) return plugin;
    this.#loaded.delete(init);
    throw refusal(path, status, text);
  }
}

function checkMajor(path: string, version: number | undefined): void {
  if (version === undefined || version >>> 16 === VERSION_MAJOR) return;
  const own = `${VERSION_MAJOR}.${VERSION_MINOR}`;
  throw new HaftError('HAFT_E_ABI', {
    message: `the plugin ${path} asks for haft ${versionText(version)}, this is ${own}`,
    next: `build the plugin with the header of haft ${VERSION_MAJOR}, or use a haft of its major version`,
  });
}

function versionText(version: number | undefined): string | undefined {
  return version === undefined ? undefined : `${version >>> 16}.${version & 0xffff}`;
}

function refusal(path: string, status: number, text: string): HaftError {
  const code = statusName(status);
  if (STATUSES[code].status !== status) {
    return new HaftError('HAFT_E_ARGUMENT', {
      message: `haft_plugin_init of ${path} returned ${status}, which is no status`,
      next: 'return HAFT_OK or one of HAFT_E_*',
    });
  }
  return new HaftError(code as ErrorCode, {
    message: `haft_plugin_init of ${path} failed: ${text || STATUSES[code].message}`,
  });
}
