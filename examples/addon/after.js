// The JavaScript of the addon after: it hands over handles.
import { createRequire } from 'node:module';
import { kind, Registry } from 'haft';
import { Visitor } from './visitor.js';

const addon = createRequire(import.meta.url)('./build/Release/after.node');
const registry = new Registry();
const VisitorKind = kind(Visitor, { line: { args: ['str'] }, end: { args: ['u32', 'str'] } });

addon.setUp(registry.api);
registry.on('error', (error, { handle }) => registry.tryGet(handle)?.failed(error));

export const { running } = addon;

export function scan(text, threads, visitor, keep) {
  registry.ref(); // as a thread-safe function does, until its threads have ended
  visitor.ended.then(() => registry.unref());
  const accepts = registry.fn({ args: ['str'], returns: 'bool' }, keep);
  addon.scan(text, threads, registry.create(visitor, VisitorKind), accepts);
}
