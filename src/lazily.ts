// Modules of Node's own that a start does not need and that take a millisecond or more to load: at their first use.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const crypto = () => require('node:crypto') as typeof import('node:crypto');
export const net = () => require('node:net') as typeof import('node:net');
export const os = () => require('node:os') as typeof import('node:os');
