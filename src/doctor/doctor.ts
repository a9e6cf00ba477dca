// `haft doctor`: looks at everything that haft needs, tries it, and says what to do about what is wrong.
import { environment } from './environment.js';
import type { Finding, Section } from './finding.js';
import { limits } from './limits.js';
import { type Figures, selfTest } from './self-test.js';
import { serving } from './serving.js';
import { tools } from './tools.js';
import { haftVersion, versions } from './versions.js';

/** What `haft doctor --json` prints; fields are only ever added. */
export interface Diagnosis {
  readonly haft: string;
  /** No failures. */
  readonly ok: boolean;
  readonly failures: number;
  readonly warnings: number;
  readonly backend: 'addon' | 'koffi' | null;
  /** Of the self-test; null where it could not run. */
  readonly figures: Figures | null;
  readonly sections: readonly Section[];
}

export async function diagnose(): Promise<Diagnosis> {
  const given = { ...process.env };
  delete process.env.HAFT_TRACE; // the file may hold an earlier run's
  const [about, serves] = serving();
  const sections: Section[] = [
    { title: 'versions', findings: versions() },
    { title: 'environment', findings: environment(given) },
    { title: 'backend', findings: about },
    { title: 'building', findings: tools() },
    { title: 'limits', findings: limits(serves?.name !== 'koffi') },
  ];
  let figures: Figures | undefined;
  if (serves === undefined) sections.push({ title: 'self-test', findings: [notRun()] });
  else {
    const [findings, told] = await selfTest(serves);
    figures = told;
    sections.push({ title: 'self-test', findings });
  }
  const count = (state: string) =>
    sections.reduce((sum, { findings }) => sum + findings.filter((one) => one.state === state).length, 0);
  return {
    haft: haftVersion(),
    ok: count('failure') === 0,
    failures: count('failure'),
    warnings: count('warning'),
    backend: serves?.name ?? null,
    figures: figures ?? null,
    sections: sections.filter(({ findings }) => findings.length > 0),
  };
}

function notRun(): Finding {
  return {
    id: 'self-test',
    title: 'self-test',
    state: 'skipped',
    value: 'not run: nothing serves native code',
  };
}
