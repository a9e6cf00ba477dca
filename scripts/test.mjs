// npm test: the native tests in their short form, then vitest; closes with the sum of both.
//
//     npm test                      all
//     npm test -- table -t wrap     vitest alone, with these arguments
//
// The sum is also written to build/test-summary.json.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { root, run } from './tools.mjs';

const at = (name) => path.join(root, name);

/** Runs one of the two, which writes its counts to `json`; counts as one failure if it could not even do that. */
function suite(args, json, read) {
  fs.rmSync(at(json), { force: true });
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  try {
    const counts = read(JSON.parse(fs.readFileSync(at(json), 'utf8')));
    if (status !== 0 && counts.failed === 0) counts.failed = 1;
    return counts;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

await run(() => {
  const only = process.argv.slice(2);
  fs.mkdirSync(at('build'), { recursive: true });
  const results = [];
  if (only.length === 0) {
    console.log('native tests');
    const json = 'build/test-native.json';
    results.push(suite([at('scripts/test-native.mjs'), '--json', at(json)], json, (counts) => counts));
  }
  const json = 'build/test-vitest.json';
  const vitest = [at('node_modules/vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json'];
  results.push(
    suite([...vitest, `--outputFile.json=${at(json)}`, ...only], json, (report) => ({
      passed: report.numPassedTests,
      // A file that does not load has no tests to fail.
      failed: report.numFailedTests + report.testResults.filter(unloaded).length,
      skipped: report.numPendingTests + report.numTodoTests,
    })),
  );
  const sum = (name) => results.reduce((total, counts) => total + counts[name], 0);
  const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
  fs.writeFileSync(at('build/test-summary.json'), JSON.stringify(total));
  console.log(
    `${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ''}`,
  );
  return total.failed === 0 ? 0 : 1;
});

function unloaded(file) {
  return file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed');
}
