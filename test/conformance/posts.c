/* Section 4: haft_post. */
#include "suite.h"

static haft_status note(Target t, double n) {
  const haft_value number = haft_value_f64(n);
  return haft_post(t.handle, t.op, &number, 1, HAFT_FAIL);
}

/* ---- What arrives, and in which order ---- */

CASE(4, 1, BOTH, "haft_post sends `op` to the object: its handler runs once, with the arguments.") {
  static Target notes;
  if (first_turn()) {
    notes = make_notes("note");
    EXPECT(note(notes, 0), HAFT_OK);
  }
  AWAIT(notes_count(notes.handle) > 0);
  EQUAL(wrong_notes(notes.handle, 1), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 2, OWN, "haft_post goes on: the handler does not run inside it.") {
  static Target notes;
  if (first_turn()) {
    notes = make_notes("note");
    for (int i = 0; i < 3; i++) EXPECT(note(notes, i), HAFT_OK);
    EQUAL(notes_count(notes.handle), 0);
  }
  AWAIT(notes_count(notes.handle) == 3);
  EQUAL(wrong_notes(notes.handle, 3), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 3, BOTH, "Messages of one thread to one handle are delivered in the order in which they were sent.") {
  enum { MANY = 300 };
  static Target notes;
  static char words[4000], bytes[4000];
  if (first_turn()) {
    notes = make_notes("note");
    const haft_op long_op = op_of(notes.handle, "noteText");
    for (size_t i = 0; i < sizeof words; i += 2) memcpy(words + i, "\xc3\xa9", 2);
    memset(bytes, 7, sizeof bytes);
    for (int i = 0; i < MANY; i++) {
      const size_t length = (size_t)(i % 50 == 7 ? 4000 : i % 7 * 20);
      const haft_value args[] = {haft_value_f64(i), haft_value_str(words, length), haft_value_bytes(bytes, length)};
      if (i % 3 == 1) EXPECT(haft_post(notes.handle, long_op, args, 3, HAFT_FAIL), HAFT_OK);
      else EXPECT(note(notes, i), HAFT_OK);
    }
  }
  AWAIT(notes_count(notes.handle) >= MANY);
  EQUAL(wrong_notes(notes.handle, MANY), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

static Target shared;
static void note_hundred(int thread) {
  for (int i = 0; i < 100; i++) EXPECT(note(shared, thread * 1e6 + i), HAFT_OK);
}
CASE(4, 4, FOREIGN, "Messages of several threads to one handle: each one's own in their order, and all of them once.") {
  static haft_value args[2];
  haft_value wrong;
  if (first_turn()) {
    shared = make_notes("note");
    on_threads(4, note_hundred);
    args[0] = haft_value_f64(4);
    args[1] = haft_value_f64(100);
  }
  AWAIT(notes_count(shared.handle) >= 400);
  EXPECT(haft_call(shared.handle, op_of(shared.handle, "wrongEach"), args, 2, WAIT, &wrong), HAFT_OK);
  EQUAL(wrong.as.f64, -1);
  EXPECT(haft_release(shared.handle), HAFT_OK);
}

CASE(4, 5, BOTH, "A message that was posted before the last release of its handle still finds the object.") {
  enum { MANY = 20 };
  static double additions, errors;
  if (first_turn()) {
    errors = ask("faults", "errorCount");
    additions = ask("maker", "additions");
    for (int i = 0; i < MANY; i++) {
      const Target c = make_counter("add");
      const haft_value one = haft_value_f64(1);
      for (int k = 0; k < 3; k++) EXPECT(haft_post(c.handle, c.op, &one, 1, HAFT_FAIL), HAFT_OK);
      EXPECT(haft_release(c.handle), HAFT_OK);
      EXPECT(haft_check(c.handle, 0), HAFT_E_STALE);
    }
  }
  AWAIT(ask("maker", "additions") == additions + 3 * MANY);
  EQUAL(ask("faults", "errorCount"), errors); /* a post that finds its object gone is one */
}

CASE(4, 6, BOTH, "A message that was posted before the last release of a handle among its arguments still finds it.") {
  enum { MANY = 20 };
  static double looked;
  if (first_turn()) {
    looked = ask("maker", "looked");
    const Target look = target("maker", "look");
    for (int i = 0; i < MANY; i++) {
      const haft_value h = haft_value_handle(make("counter"));
      EXPECT(haft_post(look.handle, look.op, &h, 1, HAFT_FAIL), HAFT_OK);
      EXPECT(haft_release(h.as.handle), HAFT_OK);
    }
  }
  AWAIT(ask("maker", "looked") == looked + MANY);
}

CASE(4, 7, BOTH, "Arguments are copied before haft_post goes on.") {
  static Target notes;
  if (first_turn()) {
    char words[6] = "\xc3\xa9\xc3\xa9\xc3\xa9", bytes[300];
    memset(bytes, 7, sizeof bytes);
    notes = make_notes("noteText");
    haft_value args[] = {haft_value_f64(0), haft_value_str(words, sizeof words), haft_value_bytes(bytes, sizeof bytes)};
    EXPECT(haft_post(notes.handle, notes.op, args, 3, HAFT_FAIL), HAFT_OK);
    memset(words, 'x', sizeof words);
    memset(bytes, 0, sizeof bytes);
    memset(args, 0x55, sizeof args);
  }
  AWAIT(notes_count(notes.handle) == 1);
  EQUAL(wrong_notes(notes.handle, 1), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 8, BOTH, "What the handler returns is dropped: a handle gives its reference back.") {
  enum { MANY = 5 };
  if (first_turn()) {
    const Target counter = target("faults", "counter");
    tell("faults", "forget");
    for (int i = 0; i < MANY; i++) EXPECT(haft_post(counter.handle, counter.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  }
  AWAIT(ask("faults", "madeCount") == MANY && ask("faults", "madeLive") == 0);
}

CASE(4, 9, BOTH, "What the handler throws goes to the registry's `error` event.") {
  static double errors;
  if (first_turn()) {
    errors = ask("faults", "errorCount");
    const Target throws = target("faults", "throws");
    EXPECT(haft_post(throws.handle, throws.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  }
  AWAIT(ask("faults", "errorCount") > errors);
  haft_value last;
  EXPECT(call(target("faults", "lastError"), NULL, 0, &last), HAFT_OK);
  TEXT(last.as.str, "Faults.throws RangeError: out of reach");
  haft_value_free(&last);
}

CASE(4, 10, BOTH, "A post without arguments may pass NULL, and one with HAFT_ARGS_MAX arguments is sent.") {
  static Target nothing;
  if (first_turn()) {
    haft_value args[HAFT_ARGS_MAX];
    for (int i = 0; i < HAFT_ARGS_MAX; i++) args[i] = haft_value_f64(i + 1);
    nothing = make_notes("noteNothing");
    EXPECT(haft_post(nothing.handle, nothing.op, NULL, 0, HAFT_FAIL), HAFT_OK);
    EXPECT(haft_post(nothing.handle, op_of(nothing.handle, "noteMany"), args, HAFT_ARGS_MAX, HAFT_FAIL), HAFT_OK);
  }
  AWAIT(notes_count(nothing.handle) == 2);
  EQUAL(wrong_notes(nothing.handle, 2), -1);
  EXPECT(haft_release(nothing.handle), HAFT_OK);
}

CASE(4, 11, BOTH, "HAFT_PAYLOAD_MAX bytes of strings and byte arrays go in one post.") {
  static char big[HAFT_PAYLOAD_MAX];
  static Target notes;
  if (first_turn()) {
    notes = make_notes("noteText");
    memset(big, 7, sizeof big);
    const haft_value args[] = {haft_value_f64(0), haft_value_str("", 0), haft_value_bytes(big, sizeof big)};
    EXPECT(haft_post(notes.handle, notes.op, args, 3, HAFT_FAIL), HAFT_OK);
  }
  AWAIT(notes_count(notes.handle) == 1);
  EQUAL(wrong_notes(notes.handle, 1), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

/* ---- What is refused ---- */

CASE(4, 12, BOTH, "haft_post: HAFT_E_FORGED for what was never issued.") { refuses_forged(by_post); }
CASE(4, 13, BOTH, "haft_post: HAFT_E_STALE for a handle whose object is gone.") { refuses_stale(by_post); }
CASE(4, 14, BOTH, "haft_post: HAFT_E_KIND for an op of another kind.") { refuses_kind(by_post); }
CASE(4, 15, BOTH, "haft_post: HAFT_E_OP where the kind has no such op.") { refuses_op(by_post); }
CASE(4, 16, BOTH, "haft_post: HAFT_E_CLOSED when the handle's realm is closed.") { refuses_closed(by_post); }
CASE(4, 17, BOTH, "haft_post: HAFT_E_ARGUMENT for more than HAFT_ARGS_MAX arguments, and for values that are none.") {
  refuses_arguments(by_post);
}
CASE(4, 18, BOTH, "haft_post: HAFT_E_UTF8 for a string that is not valid UTF-8.") { refuses_utf8(by_post); }
CASE(4, 19, BOTH, "haft_post: HAFT_E_TOO_LARGE beyond HAFT_PAYLOAD_MAX, of all strings and bytes together.") {
  refuses_too_large(by_post);
}
CASE(4, 20, BOTH, "haft_post: HAFT_E_REALM when an argument is a handle of another realm.") {
  refuses_other_realm(by_post);
}

static void refuses_handles_in_arguments(Sender send) {
  const Target t = target("echo", "handle");
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(t.handle, values);
  for (size_t i = 0; i < n; i++) {
    const haft_value arg = haft_value_handle(values[i]);
    if (values[i] == HAFT_NULL) continue; /* no object */
    EXPECT(send(t.handle, t.op, &arg, 1), HAFT_E_FORGED);
    CHECK(haft_last_error()->handle == values[i]);
  }
  const haft_value stale = haft_value_handle(ended("deleted")), closed = haft_value_handle(ended("closed"));
  EXPECT(send(t.handle, t.op, &stale, 1), HAFT_E_STALE);
  CHECK(haft_last_error()->handle == stale.as.handle);
  EXPECT(send(t.handle, t.op, &closed, 1), HAFT_E_CLOSED);
}
CASE(4, 21, BOTH, "haft_post and haft_call refuse a bad handle among the arguments, and tell which.") {
  refuses_handles_in_arguments(by_post);
  refuses_handles_in_arguments(by_call);
}

/* ---- A full mailbox. On the realm's own thread nothing makes room meanwhile ---- */

#define MOST_CELLS 20000

/* The notes 0 to n - 1, until the mailbox is full. */
static int fill(Target notes) {
  int sent = 0;
  haft_status status;
  while ((status = note(notes, sent)) == HAFT_OK && sent < MOST_CELLS) sent++;
  EXPECT(status, HAFT_E_FULL);
  return sent;
}

CASE(4, 22, OWN, "HAFT_FAIL: HAFT_E_FULL when the mailbox is full, and nothing is sent.") {
  static Target notes;
  static int sent;
  if (first_turn()) {
    notes = make_notes("note");
    sent = fill(notes);
    CHECK(sent > 0);
    for (int i = 0; i < 10; i++) EXPECT(note(notes, -1), HAFT_E_FULL);
    CHECK(haft_last_error()->handle == notes.handle);
  }
  AWAIT(notes_count(notes.handle) >= sent);
  EQUAL(wrong_notes(notes.handle, sent), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 23, OWN, "HAFT_DROP_NEWEST: drops the new message when the mailbox is full, and returns HAFT_OK.") {
  static Target notes;
  static int sent;
  if (first_turn()) {
    notes = make_notes("note");
    sent = fill(notes);
    const haft_value n = haft_value_f64(-1);
    for (int i = 0; i < 10; i++) EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_DROP_NEWEST), HAFT_OK);
  }
  AWAIT(notes_count(notes.handle) >= sent);
  EQUAL(wrong_notes(notes.handle, sent), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 24, OWN, "HAFT_BLOCK with the mailbox full is HAFT_E_DEADLOCK on the realm's own thread.") {
  static Target notes;
  static int sent;
  if (first_turn()) {
    const haft_value n = haft_value_f64(-1);
    notes = make_notes("note");
    sent = fill(notes);
    EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_BLOCK(-1)), HAFT_E_DEADLOCK);
    EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_BLOCK(WAIT)), HAFT_E_DEADLOCK);
  }
  AWAIT(notes_count(notes.handle) >= sent);
  EQUAL(wrong_notes(notes.handle, sent), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 25, BOTH, "HAFT_BLOCK and HAFT_DROP_NEWEST send as HAFT_FAIL does while there is room.") {
  static Target notes;
  if (first_turn()) {
    notes = make_notes("note");
    const haft_full fulls[] = {HAFT_BLOCK(-1), HAFT_BLOCK(0), HAFT_BLOCK(WAIT), HAFT_DROP_NEWEST, HAFT_FAIL};
    for (size_t i = 0; i < COUNT(fulls); i++) {
      const haft_value n = haft_value_f64((double)i);
      EXPECT(haft_post(notes.handle, notes.op, &n, 1, fulls[i]), HAFT_OK);
    }
  }
  AWAIT(notes_count(notes.handle) == 5);
  EQUAL(wrong_notes(notes.handle, 5), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

/* While JavaScript is busy: notes whose mailbox is full, with the numbers 0 to `*sent` - 1. On a machine that is held up
** JavaScript may have come back before: then once more. */
static Target fill_while_busy(int *sent) {
  require_waiting();
  for (int tries = 0; tries < 5; tries++) {
    const Target notes = make_notes("note");
    const double began = milliseconds();
    keep_busy(BUSY);
    usleep(MOMENT * 1000); /* until it has begun, mostly */
    *sent = fill(notes);
    if (milliseconds() - began < BUSY / 2) return notes;
    EXPECT(haft_release(notes.handle), HAFT_OK);
  }
  failed(__FILE__, __LINE__, "JavaScript is never busy for as long as it takes to fill a mailbox");
  return (Target){0};
}

CASE(4, 26, FOREIGN | MAY_LACK, "HAFT_BLOCK(ms): waits so long for room, and then returns HAFT_E_FULL.") {
  int sent;
  const Target notes = fill_while_busy(&sent);
  const haft_value n = haft_value_f64(-1);
  EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_BLOCK(0)), HAFT_E_FULL);
  EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_BLOCK(MOMENT)), HAFT_E_FULL);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(4, 27, FOREIGN | MAY_LACK, "HAFT_BLOCK waits until there is room, and keeps the order.") {
  static Target notes;
  static int sent;
  if (first_turn()) {
    notes = fill_while_busy(&sent);
    const haft_value n = haft_value_f64(sent);
    EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_BLOCK(-1)), HAFT_OK);
  }
  AWAIT(notes_count(notes.handle) > sent);
  EQUAL(wrong_notes(notes.handle, sent + 1), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}
