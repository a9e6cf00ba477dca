/* Section 5: haft_call and haft_call_many. */
#include "suite.h"

static const haft_value one = {HAFT_F64, 0, {1}};

/* ---- Results ---- */

CASE(5, 1, BOTH, "haft_call sends `op` to the object and waits for its result.") {
  const Target c = make_counter("add");
  haft_value n = haft_value_f64(5), result;
  EXPECT(haft_call(c.handle, c.op, &n, 1, WAIT, &result), HAFT_OK);
  EQUAL(result.type, HAFT_F64);
  EQUAL(result.as.f64, 5);
  EXPECT(haft_call(c.handle, c.op, &n, 1, WAIT, &result), HAFT_OK);
  EQUAL(result.as.f64, 10);
  EXPECT(haft_release(c.handle), HAFT_OK);
}

CASE(5, 2, BOTH, "haft_call: NULL drops the result, and a handle's reference with it.") {
  if (first_turn()) {
    tell("faults", "forget");
    const Target c = target("counter", "add"), make_one = target("faults", "counter");
    EXPECT(haft_call(c.handle, c.op, &one, 1, WAIT, NULL), HAFT_OK);
    EXPECT(haft_call(make_one.handle, make_one.op, NULL, 0, WAIT, NULL), HAFT_OK);
  }
  AWAIT(ask("faults", "madeCount") == 1 && ask("faults", "madeLive") == 0);
}

CASE(5, 3, BOTH, "haft_call: a negative timeout waits until there is a result, and the largest is none too large.") {
  const Target c = make_counter("add");
  const int64_t timeouts[] = {-1, INT64_MIN, INT64_MAX, 1000000};
  haft_value result;
  for (size_t i = 0; i < COUNT(timeouts); i++) {
    EXPECT(haft_call(c.handle, c.op, &one, 1, timeouts[i], &result), HAFT_OK);
    EQUAL(result.as.f64, i + 1);
  }
  EXPECT(haft_release(c.handle), HAFT_OK);
}

CASE(5, 4, FOREIGN | MAY_LACK, "haft_call: a handler that returns a promise answers when it settles.") {
  const Target soon = target("faults", "soon");
  const haft_value n = haft_value_f64(7);
  haft_value result;
  EXPECT(haft_call(soon.handle, soon.op, &n, 1, WAIT, &result), HAFT_OK);
  EQUAL(result.type, HAFT_F64);
  EQUAL(result.as.f64, 7);
}

CASE(5, 5, FOREIGN | MAY_LACK, "haft_call: a promise that rejects is HAFT_E_EXCEPTION.") {
  const Target rejects = target("faults", "rejects");
  haft_value result;
  EXPECT(haft_call(rejects.handle, rejects.op, NULL, 0, WAIT, &result), HAFT_E_EXCEPTION);
  TEXT(haft_last_error()->name, "TypeError");
  TEXT(haft_last_error()->message, "not now");
  EQUAL(result.type, HAFT_VOID);
}

CASE(5, 6, OWN, "haft_call: a promise is HAFT_E_DEADLOCK on the realm's own thread.") {
  const Target soon = target("faults", "soon"), rejects = target("faults", "rejects");
  haft_value result;
  EXPECT(haft_call(soon.handle, soon.op, &one, 1, -1, &result), HAFT_E_DEADLOCK);
  EQUAL(result.type, HAFT_VOID);
  EXPECT(haft_call(rejects.handle, rejects.op, NULL, 0, WAIT, &result), HAFT_E_DEADLOCK);
}

CASE(5, 7, OWN, "On the realm's own thread the handler runs at once, ahead of messages that the thread posted before.") {
  static Target notes;
  if (first_turn()) {
    const haft_value numbers[] = {haft_value_f64(1), haft_value_f64(2), haft_value_f64(0)};
    notes = make_notes("note");
    EXPECT(haft_post(notes.handle, notes.op, &numbers[0], 1, HAFT_FAIL), HAFT_OK);
    EXPECT(haft_post(notes.handle, notes.op, &numbers[1], 1, HAFT_FAIL), HAFT_OK);
    EXPECT(haft_call(notes.handle, notes.op, &numbers[2], 1, WAIT, NULL), HAFT_OK);
    EQUAL(notes_count(notes.handle), 1);
  }
  AWAIT(notes_count(notes.handle) == 3);
  EQUAL(wrong_notes(notes.handle, 3), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(5, 8, FOREIGN, "A call comes after what its thread posted to the same handle before.") {
  const Target notes = make_notes("note");
  for (int i = 0; i < 200; i++) {
    const haft_value n = haft_value_f64(i);
    EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_FAIL), HAFT_OK);
    if (i % 50 == 49) EQUAL(wrong_notes(notes.handle, i + 1), -1);
  }
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

static void own_answers(int thread) {
  const Target echo = target("echo", "f64");
  for (int i = 0; i < 100; i++) {
    const haft_value n = haft_value_f64(thread * 1000 + i);
    haft_value result;
    EXPECT(call(echo, &n, 1, &result), HAFT_OK);
    EQUAL(result.as.f64, n.as.f64);
  }
}
CASE(5, 9, FOREIGN, "Calls of many threads at a time: each receives its own answer.") { on_threads(8, own_answers); }

CASE(5, 10, BOTH, "A handler that deletes its own object still answers.") {
  const haft_handle h = make("suicide");
  const haft_op last_words = op_of(h, "lastWords");
  haft_value result;
  EXPECT(haft_call(h, last_words, NULL, 0, WAIT, &result), HAFT_OK);
  TEXT(result.as.str, "farewell");
  haft_value_free(&result);
  EXPECT(haft_call(h, last_words, NULL, 0, WAIT, &result), HAFT_E_STALE);
}

/* ---- Errors ---- */

static void fails(const char *name, const char *op, haft_status status) {
  const Target t = target(name, op);
  haft_value result;
  memset(&result, 0x55, sizeof result);
  EXPECT(call(t, NULL, 0, &result), status);
  EQUAL(result.type, HAFT_VOID);
  CHECK(haft_last_error()->handle == t.handle);
}

CASE(5, 11, BOTH, "haft_call: HAFT_E_EXCEPTION when the handler threw, and `*result` is HAFT_VOID.") {
  fails("faults", "throws", HAFT_E_EXCEPTION);
  fails("faults", "throwsNull", HAFT_E_EXCEPTION);
  fails("faults", "throwsLong", HAFT_E_EXCEPTION);
}

CASE(5, 12, BOTH, "haft_call: HAFT_E_RESULT when the handler returned what is not of the declared type.") {
  fails("faults", "wrong", HAFT_E_RESULT);
}

CASE(5, 13, BOTH, "haft_call: HAFT_E_ARGUMENT for too few or too many arguments, or one that does not fit its type.") {
  const Target add = make_counter("add");
  const haft_value two[] = {one, one}, misfits[] = {text("1"), haft_value_bool(true), haft_value_make(HAFT_VOID, 0)};
  haft_value result;
  EXPECT(call(add, NULL, 0, &result), HAFT_E_ARGUMENT);
  EXPECT(call(add, two, 2, &result), HAFT_E_ARGUMENT);
  for (size_t i = 0; i < COUNT(misfits); i++) EXPECT(call(add, &misfits[i], 1, &result), HAFT_E_ARGUMENT);
  EQUAL(result.type, HAFT_VOID);
  EQUAL(total_of(add.handle), 0);
  EXPECT(haft_release(add.handle), HAFT_OK);
}

CASE(5, 14, BOTH, "haft_call: HAFT_E_FORGED for what was never issued.") { refuses_forged(by_call); }
CASE(5, 15, BOTH, "haft_call: HAFT_E_STALE for a handle whose object is gone.") { refuses_stale(by_call); }
CASE(5, 16, BOTH, "haft_call: HAFT_E_KIND for an op of another kind.") { refuses_kind(by_call); }
CASE(5, 17, BOTH, "haft_call: HAFT_E_OP where the kind has no such op.") { refuses_op(by_call); }
CASE(5, 18, BOTH, "haft_call: HAFT_E_CLOSED when the handle's realm is closed.") { refuses_closed(by_call); }
CASE(5, 19, BOTH, "haft_call: HAFT_E_ARGUMENT for more than HAFT_ARGS_MAX arguments, and for values that are none.") {
  refuses_arguments(by_call);
}
CASE(5, 20, BOTH, "haft_call: HAFT_E_UTF8 for a string that is not valid UTF-8.") { refuses_utf8(by_call); }
CASE(5, 21, BOTH, "haft_call: HAFT_E_TOO_LARGE beyond HAFT_PAYLOAD_MAX, of all strings and bytes together.") {
  refuses_too_large(by_call);
}
CASE(5, 22, BOTH, "haft_call: HAFT_E_REALM when an argument is a handle of another realm.") {
  refuses_other_realm(by_call);
}

/* ---- Time ---- */

CASE(5, 23, FOREIGN | MAY_LACK, "haft_call: HAFT_E_TIMEOUT when a promise does not settle in time.") {
  const Target never = target("faults", "never");
  haft_value result;
  memset(&result, 0x55, sizeof result);
  EXPECT(haft_call(never.handle, never.op, NULL, 0, MOMENT, &result), HAFT_E_TIMEOUT);
  EQUAL(result.type, HAFT_VOID);
  CHECK(haft_last_error()->handle == never.handle);
}

CASE(5, 24, FOREIGN | MAY_LACK, "No call waits longer than its timeout, whatever JavaScript does.") {
  const Target busy = target("faults", "busy");
  const haft_value n = haft_value_f64(BUSY);
  haft_value result;
  require_waiting();
  const double began = milliseconds();
  EXPECT(haft_call(busy.handle, busy.op, &n, 1, MOMENT, &result), HAFT_E_TIMEOUT);
  CHECK(milliseconds() - began < BUSY);
  EQUAL(result.type, HAFT_VOID);
}

CASE(5, 25, FOREIGN | MAY_LACK, "HAFT_E_TIMEOUT: the handler of a call that had not begun does not run.") {
  const Target c = make_counter("add");
  haft_value result;
  require_waiting();
  keep_busy(BUSY);
  usleep(MOMENT * 1000);
  EXPECT(haft_call(c.handle, c.op, &one, 1, MOMENT, &result), HAFT_E_TIMEOUT);
  EQUAL(total_of(c.handle), 0);
  EXPECT(haft_release(c.handle), HAFT_OK);
}

CASE(5, 26, FOREIGN | MAY_LACK, "HAFT_E_TIMEOUT: a late result is discarded, with the reference that it carries.") {
  if (first_turn()) {
    const Target late = target("faults", "busyCounter");
    const haft_value n = haft_value_f64(BUSY / 5);
    require_waiting();
    tell("faults", "forget");
    EXPECT(haft_call(late.handle, late.op, &n, 1, MOMENT, NULL), HAFT_E_TIMEOUT);
  }
  AWAIT(ask("faults", "madeCount") == 1 && ask("faults", "madeLive") == 0);
}

CASE(5, 27, FOREIGN | MAY_LACK, "haft_call: with timeout 0 a foreign thread does not wait.") {
  const Target c = make_counter("add");
  haft_value result;
  require_waiting();
  keep_busy(BUSY);
  usleep(MOMENT * 1000);
  EXPECT(haft_call(c.handle, c.op, &one, 1, 0, &result), HAFT_E_TIMEOUT);
  EQUAL(total_of(c.handle), 0);
  EXPECT(haft_release(c.handle), HAFT_OK);
}

CASE(5, 28, OWN, "haft_call: on the realm's own thread the handler runs inside the call, whatever the timeout.") {
  const Target c = make_counter("add"), busy = target("faults", "busy");
  const haft_value n = haft_value_f64(MOMENT);
  haft_value result;
  EXPECT(haft_call(c.handle, c.op, &one, 1, 0, &result), HAFT_OK);
  EQUAL(result.as.f64, 1);
  EXPECT(haft_call(busy.handle, busy.op, &n, 1, 1, &result), HAFT_OK);
  EXPECT(haft_release(c.handle), HAFT_OK);
}

/* ---- haft_call_many ---- */

enum { MANY = 600 }; /* more than two portions of 256 */
static haft_request requests[MANY];
static haft_value numbers[MANY];

static void ask_many(Target t, int count) {
  for (int i = 0; i < count; i++) {
    numbers[i] = haft_value_f64(i);
    requests[i] = (haft_request){t.handle, &numbers[i], 1, t.op, 55, 0, {0}};
  }
}

CASE(5, 29, BOTH, "haft_call_many sends n calls and waits for all: each request receives its own status and result.") {
  const Target echo = target("echo", "f64");
  const int counts[] = {1, 2, 255, 256, 257, MANY};
  for (size_t c = 0; c < COUNT(counts); c++) {
    ask_many(echo, counts[c]);
    EXPECT(haft_call_many(requests, (size_t)counts[c], WAIT), HAFT_OK);
    for (int i = 0; i < counts[c]; i++) {
      EQUAL(requests[i].status, HAFT_OK);
      EQUAL(requests[i].result.as.f64, i);
    }
  }
}

CASE(5, 30, BOTH, "haft_call_many: calls of one handle are handled in their order.") {
  const Target notes = make_notes("note");
  ask_many(notes, 300);
  EXPECT(haft_call_many(requests, 300, WAIT), HAFT_OK);
  EQUAL(wrong_notes(notes.handle, 300), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(5, 31, BOTH, "haft_call_many returns HAFT_OK, or the first request's status that is not; the others go on.") {
  const Target echo = target("echo", "f64"), throws = target("faults", "throws"), other = target("notes", "note");
  haft_request mixed[] = {
      {echo.handle, &one, 1, echo.op, 55, 0, {0}},     {echo.handle, &one, 1, other.op, 55, 0, {0}},
      {42, &one, 1, echo.op, 55, 0, {0}},              {throws.handle, NULL, 0, throws.op, 55, 0, {0}},
      {ended("deleted"), &one, 1, echo.op, 55, 0, {0}}, {echo.handle, &one, 17, echo.op, 55, 0, {0}},
      {echo.handle, &one, 1, echo.op, 55, 0, {0}},
  };
  const haft_status statuses[] = {HAFT_OK,      HAFT_E_KIND,     HAFT_E_FORGED, HAFT_E_EXCEPTION,
                                  HAFT_E_STALE, HAFT_E_ARGUMENT, HAFT_OK};
  EQUAL(haft_call_many(mixed, COUNT(mixed), WAIT), HAFT_E_KIND);
  for (size_t i = 0; i < COUNT(mixed); i++) {
    EQUAL(mixed[i].status, statuses[i]);
    haft_value_free(&mixed[i].result);
  }
}

CASE(5, 32, BOTH, "A request's result is, for HAFT_E_EXCEPTION, HAFT_E_RESULT and HAFT_E_ARGUMENT, a text that says why.") {
  const Target throws = target("faults", "throws"), wrong = target("faults", "wrong"), add = target("counter", "add");
  haft_request three[] = {{throws.handle, NULL, 0, throws.op, 55, 0, {0}},
                          {wrong.handle, NULL, 0, wrong.op, 55, 0, {0}},
                          {add.handle, NULL, 0, add.op, 55, 0, {0}}};
  EQUAL(haft_call_many(three, 3, WAIT), HAFT_E_EXCEPTION);
  EQUAL(three[0].status, HAFT_E_EXCEPTION);
  EQUAL(three[1].status, HAFT_E_RESULT);
  EQUAL(three[2].status, HAFT_E_ARGUMENT);
  for (int i = 0; i < 3; i++) {
    EQUAL(three[i].result.type, HAFT_STR);
    EQUAL(strlen(three[i].result.as.str), three[i].result.length);
    CHECK(strstr(three[i].result.as.str, ": ") != NULL);
  }
  TEXT(three[0].result.as.str, "RangeError: out of reach");
  for (int i = 0; i < 3; i++) haft_value_free(&three[i].result);
}

CASE(5, 33, BOTH, "haft_call_many of no requests is HAFT_OK.") { EXPECT(haft_call_many(NULL, 0, WAIT), HAFT_OK); }

CASE(5, 34, FOREIGN | MAY_LACK, "haft_call_many: the timeout is for all together.") {
  const Target never = target("faults", "never"), echo = target("echo", "f64");
  haft_request three[] = {{never.handle, NULL, 0, never.op, 55, 0, {0}},
                          {echo.handle, &one, 1, echo.op, 55, 0, {0}},
                          {never.handle, NULL, 0, never.op, 55, 0, {0}}};
  require_waiting();
  EXPECT(haft_call_many(three, 3, 10 * MOMENT), HAFT_E_TIMEOUT);
  EQUAL(three[0].status, HAFT_E_TIMEOUT);
  EQUAL(three[0].result.type, HAFT_VOID);
  EQUAL(three[2].status, HAFT_E_TIMEOUT);
}

CASE(5, 35, OWN, "haft_call_many: a promise is HAFT_E_DEADLOCK on the realm's own thread, of its request alone.") {
  const Target soon = target("faults", "soon"), echo = target("echo", "f64");
  haft_request two[] = {{soon.handle, &one, 1, soon.op, 55, 0, {0}}, {echo.handle, &one, 1, echo.op, 55, 0, {0}}};
  EQUAL(haft_call_many(two, 2, WAIT), HAFT_E_DEADLOCK);
  EQUAL(two[0].status, HAFT_E_DEADLOCK);
  EQUAL(two[1].status, HAFT_OK);
  EQUAL(two[1].result.as.f64, 1);
}

/* ---- The end of the realm ---- */

CASE(5, 36, FOREIGN | MAY_LACK, "haft_call: who waits when the realm closes is told HAFT_E_CLOSED.") {
  haft_value result;
  brief_realm();
  const haft_handle h = brief_counter();
  const haft_op never = op_of(h, "never");
  memset(&result, 0x55, sizeof result);
  tell("maker", "closeBriefSoon");
  EXPECT(haft_call(h, never, NULL, 0, -1, &result), HAFT_E_CLOSED);
  EQUAL(result.type, HAFT_VOID);
}
