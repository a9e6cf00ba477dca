// What the scripts that take options share: reading them, and saying in one sentence what is wrong with them.
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { Plain } from './tools.mjs';

/** As parseArgs of Node: { values, positionals }. @throws Plain */
export function readArguments(options, { allowPositionals = false } = {}) {
  try {
    return parseArgs({ options, allowPositionals });
  } catch (error) {
    throw new Plain(`${error.message.split(/\.\s/)[0]}.`);
  }
}

/** The number that stands under `--name`. @throws Plain */
export function numberOf(values, name, { least, most, whole = true }) {
  const number = Number(values[name]);
  if (number >= least && number <= most && (!whole || Number.isInteger(number))) return number;
  throw new Plain(
    `--${name} takes a ${whole ? 'whole ' : ''}number from ${least} to ${most}, not '${values[name]}'.`,
  );
}

/** One of a few words, or undefined where there is none. @throws Plain */
export function wordOf(word, words, what) {
  if (word === undefined || words.includes(word)) return word;
  throw new Plain(`There is no ${what} '${word}'; there are ${words.join(', ')}.`);
}

/**
 * A function that writes lines of JSON to a file, if one was named. Opened at once: what takes minutes must not meet a
 * folder that does not exist. @throws Plain
 */
export function jsonLines(file) {
  if (file === undefined) return () => {};
  try {
    const opened = fs.openSync(file, 'w');
    return (value) => fs.writeSync(opened, `${JSON.stringify(value)}\n`);
  } catch (error) {
    throw new Plain(`Cannot write '${file}': ${error.code}.`);
  }
}
