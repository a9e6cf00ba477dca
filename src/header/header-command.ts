// The command `haft header`: loads the module, and writes or compares the text of header.ts.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Problem } from '../problem.js';
import { type HeaderOptions, headerOf } from './header.js';

export interface HeaderCommandOptions extends HeaderOptions {
  readonly output?: string;
  readonly check?: string;
}

/** @throws Problem What cannot be loaded, made, read or written, or is out of date. */
export async function headerCommand(path: string, options: HeaderCommandOptions): Promise<void> {
  const { output, check } = options;
  if (output !== undefined && check !== undefined) {
    throw new Problem('--output writes a file and --check leaves it alone: give one of both');
  }
  const text = await made(path, options);
  if (check !== undefined) compare(check, text, path);
  else if (output !== undefined) files(output, () => writeFileSync(output, text));
  else process.stdout.write(text);
  // A module may have opened what would keep the process alive.
  process.stdout.write('', () => process.exit());
}

async function made(path: string, options: HeaderOptions): Promise<string> {
  process.once('exit', unfinished);
  try {
    return textOf(await load(path), path, options);
  } finally {
    process.off('exit', unfinished);
  }
}

// The module ended the process, or waits for what never comes: without this a build would go on without its header.
function unfinished(): void {
  console.error(
    'haft: the module ended before it had loaded: look for process.exit, or an await that never ends',
  );
  process.exitCode = 1;
}

function textOf(module: object, path: string, options: HeaderOptions): string {
  try {
    return headerOf(module, options);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`the exports of ${path} cannot be read: ${reasonOf(error)}`); // by a getter or a proxy of its own
  }
}

const reasonOf = (error: unknown) =>
  String((error as Error | undefined)?.message ?? error).replaceAll(/\s+/g, ' ');

async function load(path: string): Promise<object> {
  if (!existsSync(path)) throw new Problem(`there is no module ${path}`);
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as object;
  } catch (error) {
    throw new Problem(`the module ${path} does not load: ${reasonOf(error)}`);
  }
}

function compare(file: string, text: string, path: string): void {
  const next = `run haft header ${path} --output ${file}`;
  if (!existsSync(file)) throw new Problem(`there is no ${file}: ${next}`);
  const there = files(file, () => readFileSync(file, 'utf8'));
  if (there === text) return;
  const [is, should] = [there.split('\n'), text.split('\n')];
  const line = should.findIndex((one, i) => one !== is[i]);
  const at = line < 0 ? should.length : line;
  const show = (lines: string[]) => (at < lines.length ? `has ${JSON.stringify(lines[at])}` : 'ends');
  throw new Problem(
    `${file} is not what ${path} makes: in line ${at + 1} it ${show(is)}, where a new one ${show(should)}; ${next}`,
  );
}

function files<R>(file: string, work: () => R): R {
  try {
    return work();
  } catch (error) {
    throw new Problem(`${file}: ${(error as Error).message}`);
  }
}
