// Each pointer rule is broken on purpose, in C and in JavaScript, at every level of HAFTCHECK and over both backends: the
// breach is the status that docs/pointer-rules.md says, its error prints the rule's number, and nothing crashes. The
// breaches are in hosts/pointer_rules.c and logic/pointer-rules-script.mjs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { RULES, STATUSES } from '../src/constants.js';
import { child, type Ended, expectExit, logicFile, root, run } from './support/child.js';

const LEVELS = [0, 1, 2] as const;
type Level = (typeof LEVELS)[number];

interface Breach {
  name: string;
  rule: number;
  code: string;
  /** From this level on; below, nothing is said at once. */
  level: Level;
}
const breach = (name: string, rule: number, code: string, level: Level = 0): Breach => ({
  name,
  rule,
  code: `HAFT_E_${code}`,
  level,
});

const IN_C = [
  breach('cut to 32 bits', 1, 'FORGED'),
  breach('never issued', 1, 'FORGED'),
  breach('used after the release', 2, 'STALE'),
  breach('kept without a retain', 2, 'STALE'),
  breach('released twice', 2, 'STALE'),
  breach('released for JavaScript', 3, 'OWNER', 2),
  breach('another label', 3, 'OWNER'),
  breach('own memory freed', 4, 'OWNER', 1),
  breach('freed twice', 4, 'OWNER', 1),
  breach('an object of another kind', 5, 'KIND'),
  breach('an op that is none', 6, 'OP'),
  breach('an op by a wrong name', 6, 'OP'),
  breach('too few arguments', 7, 'ARGUMENT', 1),
  breach('another type, posted', 7, 'ARGUMENT', 2),
  breach('another type, called', 7, 'ARGUMENT'),
  breach('not UTF-8', 8, 'UTF8'),
  breach('an argument of another realm', 9, 'REALM', 1),
  breach('blocked on another thread', 9, 'REALM'),
  breach('another result', 10, 'RESULT'),
  breach('memory that was unpinned', 2, 'STALE'),
  breach('memory that was never pinned', 5, 'KIND'),
  breach('a collected object', 12, 'COLLECTED'),
  breach('a moved object', 13, 'MOVED'),
  breach('other signatures', 14, 'ABI'),
  breach('a wait for oneself', 15, 'DEADLOCK'),
  breach('a closed realm', 16, 'CLOSED'),
  breach('a forked child', 17, 'FORKED'),
  breach('never released', 18, 'OVERFLOW'),
];

const IN_JAVASCRIPT = [
  breach('a number of one’s own', 1, 'FORGED'),
  breach('a handle cut to 32 bits', 1, 'FORGED'),
  breach('used after the delete', 2, 'STALE'),
  breach('released twice', 2, 'STALE'),
  breach('an object of another kind', 5, 'KIND'),
  breach('a handle of another registry', 9, 'REALM'),
  breach('a transferred buffer pinned', 11, 'DETACHED'),
  breach('a resizable buffer pinned', 11, 'DETACHED'),
  breach('a collected object', 12, 'COLLECTED'),
  breach('a moved object', 13, 'MOVED'),
  breach('a closed registry', 16, 'CLOSED'),
  breach('never released', 18, 'OVERFLOW'),
];

/** Breaches at which the process ends with `HAFTCHECK=2,abort`; the others are answers that a right program meets too. */
const ABORTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15];

const lineOf = (ended: Ended, name: string) =>
  ended.stdout.split('\n').find((line) => line.startsWith(`${name}: `));

/** What must be said of a breach. */
function lineFor({ name, rule, code, level }: Breach, at: Level): string {
  if (at < level) return `${name}: HAFT_OK 0`;
  return `${name}: ${code} ${rule} ${STATUSES[code as keyof typeof STATUSES].next} (pointer rule ${rule})`;
}

const inC = (env: Record<string, string>, ...name: string[]) =>
  run('pointer_rules', 'pointer-rules.mjs', ['breaks', ...name], { env });
const inJavaScript = (env: Record<string, string>) =>
  child(['--expose-gc', logicFile('pointer-rules-script.mjs')], { env });

describe.each(['addon', 'koffi'])('over %s', (backend) => {
  describe.each(LEVELS)('at level %d', (level) => {
    const env = { HAFT_BACKEND: backend, HAFTCHECK: String(level) };
    let c: Ended;
    let javaScript: Ended;
    beforeAll(async () => {
      [c, javaScript] = await Promise.all([inC(env), inJavaScript(env)]);
    });

    it('nothing crashes', () => {
      expectExit(c);
      expectExit(javaScript);
    });

    // A forked child has no JavaScript, in which the koffi backend's table lies (docs/backends.md).
    const isShown = ({ rule }: Breach) =>
      !(rule === 17 && backend === 'koffi') && !(rule === 18 && level === 2); // four million retains, each with a stack
    it.each(IN_C.filter(isShown))('rule $rule in C: $name', (which) => {
      expect(lineOf(c, which.name)).toBe(lineFor(which, level));
    });

    it.each(IN_JAVASCRIPT.filter(isShown))('rule $rule in JavaScript: $name', (which) => {
      const { name, code, rule } = which;
      // The next step may be the case's own.
      const line = lineOf(javaScript, name);
      expect(line?.startsWith(`${name}: ${code} ${rule} `), line).toBe(true);
      expect(line).toMatch(new RegExp(`\\w \\(pointer rule ${rule}\\)$`));
    });
  });

  it('a forked child of a process on koffi finds no table', async () => {
    const env = { HAFT_BACKEND: backend };
    const [, code] = /^a forked child: (\S+)/m.exec(expectExit(await inC(env, 'a forked child')).stdout)!;
    expect(code).toBe(backend === 'addon' ? 'HAFT_E_FORKED' : 'HAFT_E_UNSUPPORTED');
  });

  const fatal = IN_C.filter(
    ({ rule, name }) => ABORTS.includes(rule) && !/^memory|by a wrong name/.test(name),
  );
  it.each(fatal)('HAFTCHECK=2,abort ends the process: rule $rule, $name', async ({ name, rule, code }) => {
    const { signal, stdout, stderr } = await inC({ HAFT_BACKEND: backend, HAFTCHECK: '2,abort' }, name);
    expect(signal).toBe('SIGABRT');
    const report = stderr.split('\n').find((line) => line.includes(`pointer rule ${rule}`));
    expect(report, stderr).toContain(code);
    expect(stdout).not.toContain(`${name}: `);
  });
});

describe('docs/pointer-rules.md', () => {
  const page = readFileSync(join(root, 'docs', 'pointer-rules.md'), 'utf8');
  const sections = page.split(/^(?=## )/m);

  it('has the rules of the header, with their numbers, words and statuses', () => {
    const headings = [...page.matchAll(/^## Rule (\d+): (.*)$/gm)].map(([, number, rule]) => ({
      number: Number(number),
      rule,
    }));
    const rows = [...page.matchAll(/^\| \[(\d+)\]\(#(\S+)\) \| (.*?) \| `(HAFT_E_\w+)`/gm)].map(
      ([, number, , rule, code]) => ({ number: Number(number), rule, code }),
    );
    const header = readFileSync(join(root, 'native', 'include', 'haft.h'), 'utf8');
    const map = header.slice(header.indexOf('#define HAFT_RULE_MAP(X)'));
    const compiled = [...map.slice(0, map.indexOf('\n\n')).matchAll(/X\((\d+), (E_\w+), "(.*?)"\)/g)].map(
      ([, number, code, rule]) => ({ number: Number(number), code: `HAFT_${code}`, rule }),
    );
    const typed = RULES.map(({ number, code, rule }) => ({ number, code, rule }));
    expect(typed.length).toBeGreaterThan(17);
    expect(typed).toEqual(compiled);
    expect(rows).toEqual(typed.map(({ number, code, rule }) => ({ number, rule, code })));
    expect(headings).toEqual(typed.map(({ number, rule }) => ({ number, rule })));
  });

  it.each(RULES)('rule $number: right and wrong, in C and in JavaScript, and how a breach shows', (rule) => {
    const section = sections.find((text) => text.startsWith(`## Rule ${rule.number}: `))!;
    expect(section).toContain(`\`${rule.code}\``);
    for (const language of ['c', 'ts']) {
      const examples = [...section.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
        ([, code]) => code!,
      );
      expect(
        examples.some((code) => /^(\/\/|\/\*) right/m.test(code)),
        `right in ${language}`,
      ).toBe(true);
      expect(
        examples.some((code) => /^(\/\/|\/\*) wrong/m.test(code)),
        `wrong in ${language}`,
      ).toBe(true);
    }
    expect(section).toMatch(/^\*\*Shows as\*\*/m);
    expect(section).toMatch(/^\*\*Next\*\*/m);
  });

  it('each rule is broken by a test above', () => {
    const broken = new Set([...IN_C, ...IN_JAVASCRIPT].map(({ rule, code }) => `${rule} ${code}`));
    expect(RULES.filter(({ number, code }) => !broken.has(`${number} ${code}`))).toEqual([]);
  });
});
