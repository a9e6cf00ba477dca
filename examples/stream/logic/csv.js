// csv.js: one line of a CSV file as an object, for logic modules whose columns are known.
import { parse } from 'csv-parse/sync';

/** The number that a field holds. */
export function numberOf(field, column) {
  const number = field.trim() === '' ? Number.NaN : Number(field);
  if (!Number.isFinite(number)) throw new TypeError(`the ${column} '${field}' is not a number`);
  return number;
}

/**
 * A decoder for lines with these columns. It refuses the header, which reaches it like any other line and is no
 * record, and lines with fields too few or too many. What it does depends on the line alone: lines arrive in any order.
 */
export function csvDecoder(columns) {
  const header = columns.join(',');
  return (line) => {
    if (line === header) throw new Error('header line, not a record');
    const [fields] = parse(line);
    if (fields?.length !== columns.length) {
      throw new Error(`${fields?.length ?? 0} fields where there should be ${columns.length}`);
    }
    return Object.fromEntries(columns.map((column, i) => [column, fields[i]]));
  };
}
