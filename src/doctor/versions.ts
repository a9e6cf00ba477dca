// What haft runs on: versions, and whether the platform is one that it is built for.
import { readFileSync } from 'node:fs';
import { isKoffiThere, koffi } from '../koffi.js';
import { PACKAGE } from '../place.js';
import { type Finding, failure, ok, warning } from './finding.js';

const OLDEST_NODE = 20;
const PLATFORMS = ['linux-x64', 'linux-arm64'];

/** The version of haft. */
export function haftVersion(): string {
  return (JSON.parse(readFileSync(`${PACKAGE}package.json`, 'utf8')) as { version: string }).version;
}

export function versions(): Finding[] {
  const { node, v8, napi } = process.versions;
  return [
    ok('version.haft', 'haft', haftVersion()),
    Number.parseInt(node, 10) >= OLDEST_NODE
      ? ok('version.node', 'node', node)
      : failure('version.node', 'node', node, `install Node ${OLDEST_NODE} or newer`),
    ok('version.v8', 'V8', v8),
    ok('version.napi', 'Node-API', napi ?? 'none'),
    koffiVersion(),
    platform(),
  ];
}

function koffiVersion(): Finding {
  if (isKoffiThere()) return ok('version.koffi', 'koffi', koffi().version);
  const next = 'run npm install; without koffi nothing can stand in for the addon';
  return warning('version.koffi', 'koffi', 'cannot be loaded', next);
}

function platform(): Finding {
  const name = `${process.platform}-${process.arch}`;
  const libc = process.platform === 'linux' ? `, ${libcVersion()}` : '';
  if (PLATFORMS.includes(name)) return ok('platform', 'platform', `${name}${libc}`);
  const next = `the addon is built for ${PLATFORMS.join(' and ')}; elsewhere koffi stands in, see docs/backends.md`;
  return warning('platform', 'platform', `${name}${libc}`, next);
}

function libcVersion(): string {
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined
    ? 'another libc than glibc'
    : `glibc ${header.glibcVersionRuntime}`;
}
