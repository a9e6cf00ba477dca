// The addon of bench/native, loaded when a bench first needs it: the report and the list do without.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const addonPath = fileURLToPath(new URL('../build/Release/peers.node', import.meta.url));

export const addon = () => createRequire(import.meta.url)(addonPath);
