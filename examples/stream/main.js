// main.js: the example's program. `npm start -- --help` tells its options.
import { compareTables } from './compare.js';
import { parseOptions } from './options.js';
import { prepare, runMain, writeReport } from './prepare.js';
import { printComparison, printReport } from './print.js';
import { runTable } from './run.js';

await runMain(async () => {
  const options = parseOptions(process.argv);
  const prepared = await prepare(options);
  const report = options.compare
    ? await compareTables(options, prepared.input)
    : await runTable(options, prepared);
  if (options.compare) {
    printComparison(report);
  } else {
    printReport(report);
  }
  if (options.json !== undefined) writeReport(options.json, report);
});
