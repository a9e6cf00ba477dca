// Writes src/constants.ts from the built addon: layout.h and haft.h are where its numbers and texts are decided.
// Run it after a change there; `--check` only compares. A test runs that, and src/binding.ts checks at load.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)('../build/Release/haft.node');
const file = new URL('../src/constants.ts', import.meta.url);

const quoted = (text) => `'${text.replaceAll("'", "\\'")}'`;
const layout = Object.entries(addon.layout).map(([name, value]) => `export const ${name} = ${value};`);
const statuses = addon.statuses.map(
  ([name, number, message, next]) =>
    `  ${name}: { status: ${number}, message: ${quoted(message)}, next: ${quoted(next)} },`,
);
const rules = addon.rules.map(
  ([number, code, rule]) => `  { number: ${number}, code: '${code}', rule: ${quoted(rule)} },`,
);
const text = `// The numbers and texts that native/core/layout.h and native/include/haft.h decide, made by
// \`node scripts/make-constants.mjs\`. Do not edit.

${layout.join('\n')}

export const STATUSES = {
${statuses.join('\n')}
} as const;

/** The pointer rules, each with the code of its breach: docs/pointer-rules.md. */
export const RULES = [
${rules.join('\n')}
] as const;
`;

if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (readFileSync(file, 'utf8') !== text) {
  console.error('src/constants.ts differs from the built addon: run node scripts/make-constants.mjs');
  process.exitCode = 1;
}
