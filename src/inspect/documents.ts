// Files that `haft inspect` reads: a report of a registry or of a process, leak reports, or any of them a line each.
import { readFileSync } from 'node:fs';
import type { LeakReport } from '../debugging/leaks.js';
import type { RegistryReport } from '../debugging/report.js';
import { Problem } from '../problem.js';
import type { ProcessReport } from './client.js';

export interface Found {
  readonly reports: readonly RegistryReport[];
  readonly leaks: readonly LeakReport[];
  /** Threads of a process that had not answered. */
  readonly silent: readonly number[];
}

type Document = RegistryReport | ProcessReport | LeakReport;

/** @throws Problem */
export function readDocuments(file: string): Found {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new Problem(`there is no file ${file}; give the number of a process, or a file with a report`);
    }
    throw new Problem(`${file} cannot be read (${code ?? (error as Error).message})`);
  }
  return found(documentsOf(text, file));
}

export function found(documents: readonly Document[]): Found {
  const reports: RegistryReport[] = [];
  const leaks: LeakReport[] = [];
  const silent: number[] = [];
  for (const document of documents) {
    if (document.format === 'haft-report-1') reports.push(document);
    else if (document.format === 'haft-leaks-1') leaks.push(document);
    else {
      reports.push(...document.reports);
      silent.push(...document.silent);
    }
  }
  return { reports, leaks, silent };
}

function documentsOf(text: string, file: string): Document[] {
  const whole = parsed(text);
  if (whole !== undefined)
    return (Array.isArray(whole) ? whole : [whole]).map((one) => checked(one, file, 1));
  const documents: Document[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() !== '') documents.push(checked(parsed(line), file, i + 1));
  }
  if (documents.length === 0) throw new Problem(`${file} is empty: there was nothing to report`);
  return documents;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checked(value: unknown, file: string, line: number): Document {
  if (isDocument(value)) return value;
  throw new Problem(
    `line ${line} of ${file} is no report of haft; give what "haft inspect --output", registry.report() or ` +
      'HAFT_LEAKS=FILE.json wrote',
  );
}

function isDocument(value: unknown): value is Document {
  if (!isRecord(value)) return false;
  if (value.format === 'haft-process-1') {
    return Array.isArray(value.silent) && Array.isArray(value.reports) && value.reports.every(isReport);
  }
  return isReport(value) || (value.format === 'haft-leaks-1' && hasTables(value));
}

function isReport(value: unknown): boolean {
  return (
    isRecord(value) &&
    value.format === 'haft-report-1' &&
    hasTables(value) &&
    isRecord(value.totals) &&
    areRecords(value.shards) &&
    areRecords(value.overflows)
  );
}

function hasTables(value: Record<string, unknown>): boolean {
  const labelled = (one: unknown) => isRecord(one) && isRecord(one.labels) && typeof one.kind === 'string';
  return (
    typeof value.when === 'string' &&
    Array.isArray(value.kinds) &&
    value.kinds.every(labelled) &&
    Array.isArray(value.handles) &&
    value.handles.every((one) => labelled(one) && isHandle(one))
  );
}

function isHandle({ names, created, lastUse }: Record<string, unknown>): boolean {
  const isUse = (use: unknown) =>
    use === undefined ||
    (isRecord(use) && typeof use.what === 'string' && Array.isArray(use.stack) && use.stack.every(isText));
  return Array.isArray(names) && names.every(isText) && isUse(created) && isUse(lastUse);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function areRecords(value: unknown): boolean {
  return Array.isArray(value) && value.every(isRecord);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
