// options.js: the command line of the example.
import { Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_LOGIC } from './application.js';

export const TABLES = ['haft', 'big-old-map', 'sharded-map'];

function wholeNumber(most) {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= 1 && number <= most) return number;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
  };
}

/** The options that the driver and pure.js share. */
export function streamCommand(name, description) {
  return new Command(name)
    .description(description)
    .option('--logic <file>', 'the module with the five functions', DEFAULT_LOGIC)
    .option('--input <file>', 'the records, one a line (default: what the logic names, or flights)')
    .option('--repeat <times>', 'how many times the input is read', wholeNumber(1_000_000), 1)
    .option('--json <file>', 'where to write the report');
}

export function parseOptions(argv) {
  return streamCommand('stream', 'A stream processor in C whose application is JavaScript, held by handle.')
    .option('--threads <count>', 'source threads', wholeNumber(1024), 8)
    .addOption(new Option('--table <name>', 'what holds the handles').choices(TABLES).default('haft'))
    .addOption(new Option('--compare', 'run all tables in turns, side by side').conflicts('table'))
    .parse(argv)
    .opts();
}
