// prepare.js: what a run needs before it starts, and the file where its report goes. Each failure is one sentence.
import { closeSync, existsSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadLogic } from './application.js';
import { datasetLines } from './datasets.js';

/** A failure that the user can do something about: one sentence is enough, and no stack. */
export class Problem extends Error {
  constructor(sentence, exitCode = 1) {
    super(sentence);
    this.exitCode = exitCode;
  }
}

/** Loads the logic and finds the input; tries the report's file before the work, not after it. */
export async function prepare({ logic: logicFile, input, json }) {
  try {
    const { logic, input: usual } = await loadLogic(logicFile);
    const path = input ?? (usual ? await usual() : datasetLines('flights-200k.json'));
    checkInput(path);
    if (json !== undefined) checkOutput(json);
    return { logic, input: path };
  } catch (error) {
    throw new Problem(error.message);
  }
}

function checkInput(path) {
  const about = statSync(path, { throwIfNoEntry: false });
  if (about === undefined) throw new Error(`the input ${path} does not exist`);
  if (about.isDirectory()) throw new Error(`the input ${path} is a directory`);
  if (about.isFile() && about.size === 0) throw new Error(`the input ${path} is empty`);
}

function checkOutput(path) {
  const existed = existsSync(path);
  try {
    closeSync(openSync(path, 'a'));
  } catch (error) {
    throw new Error(`cannot write ${path}: ${error.message}`);
  }
  if (!existed) rmSync(path);
}

export function writeReport(path, report) {
  try {
    writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
  } catch (error) {
    throw new Problem(`cannot write ${path}: ${error.message}`);
  }
}

/** Runs a program's main function. A Problem ends it with its sentence. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.message) console.error(`stream: ${error.message}`);
    process.exitCode = error.exitCode;
  }
}
