// Queries 3,201 films in SQLite, with functions, an aggregate and a collation in JavaScript.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Registry } from 'haft';
import { Database } from './database.js';

const data = join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '../data/movies.json');
const films = JSON.parse(readFileSync(data, 'utf8'));

const registry = new Registry();
const db = new Database(registry);

db.run('CREATE TABLE films (title TEXT, genre TEXT, rating REAL)');
db.run('BEGIN');
db.run(
  'INSERT INTO films VALUES (?, ?, ?)',
  films.map((film) => [String(film.Title), film['Major Genre'], film['IMDB Rating']]),
);
db.run('COMMIT');
console.log(`${db.run('SELECT count(*) AS films FROM films')[0].films} films, ${live()}`);

db.function('regexp', (pattern, text) => new RegExp(pattern).test(text)); // what SQLite's REGEXP calls
db.aggregate('median', {
  start: () => [],
  step: (numbers, number) => {
    if (typeof number === 'string') throw new TypeError(`${number} is no number`);
    if (number !== null) numbers.push(number);
  },
  result: (numbers) => {
    const middle = numbers.sort((a, b) => a - b).length / 2;
    return numbers.length === 0 ? null : (numbers[Math.ceil(middle - 1)] + numbers[Math.floor(middle)]) / 2;
  },
});
const shelf = new Intl.Collator('en', { numeric: true }); // part 9 before part 10
const withoutArticle = (title) => title.replace(/^(The|A|An) /, '');
db.collation('shelf', (a, b) => shelf.compare(withoutArticle(a), withoutArticle(b)));
console.log(`a function, an aggregate, a collation: ${live()}`);

console.log('\nby REGEXP and COLLATE shelf:');
const pattern = '^(The|A) .*[0-9]';
for (const { title } of db.run(
  `SELECT title FROM films WHERE title REGEXP '${pattern}' AND genre IN ('Action', 'Horror')
   ORDER BY title COLLATE shelf`,
)) {
  console.log(`  ${title}`);
}

console.log('\nby median(rating):');
for (const { genre, median, films } of db.run(
  `SELECT genre, median(rating) AS median, count(*) AS films FROM films
   WHERE genre IS NOT NULL GROUP BY genre ORDER BY 2 DESC LIMIT 5`,
)) {
  console.log(`  ${genre.padEnd(18)} ${median.toFixed(2)} of ${films}`);
}

console.log('\nwhat closures throw:');
attempt("SELECT title REGEXP '(' FROM films");
attempt('SELECT median(title) FROM films');
const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
let asked = 0;
db.whileAsked(
  1000,
  () => ++asked < 100,
  () => attempt(endless),
);

const before = live();
db.function('regexp', (pattern, text) => new RegExp(pattern, 'i').test(text)); // SQLite drops the first one
console.log(`\nREGEXP replaced: ${before} before, ${live()} after`);
db.close();
console.log(`closed: ${live()}`);
registry.close();

function attempt(sql) {
  try {
    db.run(sql);
  } catch (error) {
    console.log(`  ${sql.slice(0, 34)}: ${error}`);
  }
}

/** Closures that C can still call, and groups of aggregates. */
function live() {
  registry.drain(); // what C has released
  return `${registry.stats().live} live`;
}
