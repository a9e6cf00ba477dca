// The JavaScript of the addon before: it hands over the objects themselves.
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)('./build/Release/before.node');

export const { running, scan } = addon;
