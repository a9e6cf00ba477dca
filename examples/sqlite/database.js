// SQLite through koffi, with functions, aggregates and collations in JavaScript. SQLite's "user data" is the handle of a
// closure, and its destructor releases the handle: when SQLite drops a function, the closure goes.
import { kind } from 'haft';
import koffi from 'koffi';
import { load } from '../library.js';

const library = load('libsqlite3.so.0', 'examples/sqlite', 'libsqlite3-0');
const C = Object.fromEntries(
  [
    'int sqlite3_open(const char *file, _Out_ void **db)',
    'int sqlite3_close(void *db)',
    'const char *sqlite3_errmsg(void *db)',
    'int sqlite3_prepare_v2(void *db, const char *sql, int bytes, _Out_ void **statement, void *tail)',
    'int sqlite3_step(void *statement)',
    'int sqlite3_reset(void *statement)',
    'int sqlite3_finalize(void *statement)',
    'int sqlite3_bind_null(void *statement, int place)',
    'int sqlite3_bind_int64(void *statement, int place, int64_t value)',
    'int sqlite3_bind_double(void *statement, int place, double value)',
    'int sqlite3_bind_text(void *statement, int place, const char *text, int bytes, intptr_t destructor)',
    'int sqlite3_column_count(void *statement)',
    'const char *sqlite3_column_name(void *statement, int column)',
    'void *sqlite3_column_value(void *statement, int column)',
    'int sqlite3_value_type(void *value)',
    'int64_t sqlite3_value_int64(void *value)',
    'double sqlite3_value_double(void *value)',
    'const char *sqlite3_value_text(void *value)',
    'void sqlite3_result_null(void *context)',
    'void sqlite3_result_int64(void *context, int64_t value)',
    'void sqlite3_result_double(void *context, double value)',
    'void sqlite3_result_text(void *context, const char *text, int bytes, intptr_t destructor)',
    'void sqlite3_result_error(void *context, const char *message, int bytes)',
    'void *sqlite3_aggregate_context(void *context, int bytes)',
    'int sqlite3_create_function_v2(void *db, const char *name, int args, int encoding, void *userData,' +
      ' void *call, void *step, void *final, void *destroy)',
    'int sqlite3_create_collation_v2(void *db, const char *name, int encoding, void *userData,' +
      ' void *compare, void *destroy)',
    'void sqlite3_progress_handler(void *db, int every, void *handler, void *userData)',
  ].map((prototype) => [/sqlite3_(\w+)/.exec(prototype)[1], library.func(prototype)]),
);

const OK = 0;
const ROW = 100;
const DONE = 101;
const INTEGER = 1;
const FLOAT = 2;
const NULL = 5;
const UTF8 = 1;
const TRANSIENT = -1; // SQLite copies the text

/** What an aggregate has gathered of one group. */
class Group {
  constructor(state) {
    this.state = state;
  }
}
const GroupKind = kind(Group, {});

export class Database {
  #registry;
  #db;
  #scalar;
  #aggregate;
  #collation;
  #progress;
  #failure;

  constructor(registry, file = ':memory:') {
    this.#registry = registry;
    // SQLite does not pass the user data of a function along, but says it when asked.
    const userData = { argument: 0, through: library.symbol('sqlite3_user_data') };
    const args = ['void *', 'int', 'void *'];
    this.#scalar = registry.trampoline({ args, userData });
    this.#aggregate = registry.trampolines({
      step: { args, userData },
      final: { args: ['void *'], userData },
    });
    this.#collation = registry.trampoline({
      args: ['void *', 'int', 'const void *', 'int', 'const void *'],
      returns: 'int',
      userData: 0,
      onError: 0,
    });
    this.#progress = registry.trampoline({ args: ['void *'], returns: 'int', userData: 0, onError: 1 });

    const db = [null];
    C.open(file, db);
    this.#db = db[0];
  }

  /** A function of SQL. What it throws is thrown where JavaScript asked for the row. */
  function(name, compute) {
    const bound = this.#scalar.bind((context, count, values) => {
      try {
        setResult(context, compute(...valuesAt(values, count)));
      } catch (error) {
        C.result_error(context, String(error), -1); // SQLite is to stop
        throw error;
      }
    });
    this.#create(name, compute.length, bound, { call: bound.pointer });
  }

  /** `start()` makes the state of a group, `step(state, ...values)` sees each row, `result(state)` ends it. */
  aggregate(name, { start, step, result }) {
    const bound = this.#aggregate.bind({
      step: (context, count, values) =>
        this.#guard(context, () => {
          // SQLite keeps 8 bytes for each group, which are zero at first: the group's handle.
          const slot = C.aggregate_context(context, 8);
          let handle = koffi.decode(slot, 'uint64_t');
          if (handle === 0) {
            handle = this.#registry.create(new Group(start()), GroupKind);
            koffi.encode(slot, 'uint64_t', handle);
          }
          step(this.#registry.get(handle, GroupKind).state, ...valuesAt(values, count));
        }),
      // SQLite calls it once for each group, of a query that failed too.
      final: (context) =>
        this.#guard(context, () => {
          const slot = C.aggregate_context(context, 0);
          const handle = slot === null ? 0 : koffi.decode(slot, 'uint64_t');
          if (handle === 0) return setResult(context, result(start())); // a group without rows
          const { state } = this.#registry.get(handle, GroupKind);
          this.#registry.delete(handle);
          setResult(context, result(state));
        }),
    });
    this.#create(name, step.length - 1, bound, bound.pointer);
  }

  #create(name, args, bound, { call = null, step = null, final = null }) {
    const { destroyNotify } = this.#registry;
    this.#check(
      C.create_function_v2(this.#db, name, args, UTF8, bound.userData, call, step, final, destroyNotify),
    );
  }

  /** An order of texts, for `COLLATE` and for indexes. */
  collation(name, compare) {
    const bound = this.#collation.bind((aBytes, a, bBytes, b) =>
      compare(koffi.decode.string(a, aBytes), koffi.decode.string(b, bBytes)),
    );
    const { destroyNotify } = this.#registry;
    const status = C.create_collation_v2(this.#db, name, UTF8, bound.userData, bound.pointer, destroyNotify);
    if (status !== OK) bound.unbind(); // of a function that it refuses SQLite is rid itself, of a collation it is not
    this.#check(status);
  }

  /** Runs `work`; meanwhile SQLite asks every so many of its instructions whether to go on. */
  whileAsked(every, goOn, work) {
    const scope = this.#registry.scope(); // SQLite has no destructor for this one
    try {
      const { pointer, userData } = this.#progress.bind(() => (goOn() ? 0 : 1), { scope });
      C.progress_handler(this.#db, every, pointer, userData);
      return work();
    } finally {
      C.progress_handler(this.#db, 0, null, null);
      scope.end();
    }
  }

  /** Runs a statement once for each set of values; all rows that it gives. */
  run(sql, sets = [[]]) {
    const out = [null];
    this.#check(C.prepare_v2(this.#db, sql, -1, out, null));
    const [statement] = out;
    const rows = [];
    try {
      for (const values of sets) {
        for (const [i, value] of values.entries()) this.#check(bindValue(statement, i + 1, value));
        for (let status = C.step(statement); status !== DONE; status = C.step(statement)) {
          if (status !== ROW) this.#fail();
          rows.push(rowOf(statement));
        }
        C.reset(statement);
      }
    } finally {
      C.finalize(statement);
      this.#failure = undefined;
    }
    return rows;
  }

  close() {
    this.#check(C.close(this.#db));
  }

  // An aggregate does not let an exception pass: SQLite has still to call `final`, for each group.
  #guard(context, work) {
    try {
      work();
    } catch (error) {
      this.#failure ??= error;
      C.result_error(context, String(error), -1);
    }
  }

  #check(status) {
    if (status !== OK) this.#fail();
  }

  #fail() {
    const cause = this.#failure;
    this.#failure = undefined;
    throw new Error(`SQLite: ${C.errmsg(this.#db)}`, { cause });
  }
}

function valuesAt(address, count) {
  return count === 0 ? [] : koffi.decode(address, 'void *', count).map(fromSql);
}

function fromSql(value) {
  const type = C.value_type(value);
  if (type === NULL) return null;
  if (type === INTEGER) return C.value_int64(value);
  return type === FLOAT ? C.value_double(value) : C.value_text(value);
}

function rowOf(statement) {
  const columns = Array.from({ length: C.column_count(statement) }, (_, i) => [
    C.column_name(statement, i),
    fromSql(C.column_value(statement, i)),
  ]);
  return Object.fromEntries(columns);
}

function bindValue(statement, place, value) {
  if (value === null) return C.bind_null(statement, place);
  if (typeof value === 'string') return C.bind_text(statement, place, value, -1, TRANSIENT);
  return Number.isInteger(value)
    ? C.bind_int64(statement, place, value)
    : C.bind_double(statement, place, value);
}

function setResult(context, value) {
  if (value === null) C.result_null(context);
  else if (typeof value === 'string') C.result_text(context, value, -1, TRANSIENT);
  else if (typeof value !== 'number' || Number.isInteger(value)) C.result_int64(context, BigInt(value));
  else C.result_double(context, value);
}
