/* Posts: order, full mailboxes, the last release behind a post, drains inside handlers. */
#include "check.h"

#include <time.h>

static haft_value number(double x) { return haft_value_f64(x); }

/* Posts numbers 0 to n - 1 to `note` of the handle. */
static void post_numbers(haft_handle h, haft_op note, int from, int to) {
  for (int i = from; i < to; i++) {
    haft_value n = number(i);
    EXPECT(haft_post(h, note, &n, 1, HAFT_BLOCK(-1)), HAFT_OK);
  }
}
static void in_order(haft_handle h, double count) {
  haft_value args[2] = {haft_value_handle(h), number(count)}, result;
  EXPECT(call(function("in order"), args, 2, &result), HAFT_OK);
  CHECK(result.type == HAFT_STR);
  if (result.length) failed(__FILE__, __LINE__, result.as.str);
  haft_value_free(&result);
}

/* Messages of one thread to one handle, short and long, arrive in order; more than the mailbox holds, several times. */
static haft_handle ordered[8];
static haft_op note, note_text;
static void post_ordered(int thread) {
  static char pad[3000];
  for (int i = 0; i < 6000; i++) {
    haft_value n[2] = {number(i), haft_value_bytes(pad, (size_t)(i % 7 == 3 ? 200 : i % 101 == 5 ? 2500 : 0))};
    if (i % 3 == 1)
      EXPECT(haft_post(ordered[thread], note_text, n, 2, HAFT_BLOCK(-1)), HAFT_OK);
    else
      EXPECT(haft_post(ordered[thread], note, n, 1, HAFT_BLOCK(-1)), HAFT_OK);
  }
}
static void order(void) {
  haft_kind kind;
  EXPECT(haft_kind_find("Notes", 0, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "note", &note), HAFT_OK);
  EXPECT(haft_op_find(kind, "noteText", &note_text), HAFT_OK);
  for (int i = 0; i < 8; i++) ordered[i] = make("notes");
  on_threads(8, post_ordered);
  for (int i = 0; i < 8; i++) in_order(ordered[i], 6000);
}

/* Eight threads to one handle: each one's own messages in order, all of them once. */
static void post_mixed(int thread) {
  for (int i = 0; i < 3000; i++) {
    haft_value n = number(thread * 1e6 + i);
    EXPECT(haft_post(ordered[0], note, &n, 1, HAFT_BLOCK(-1)), HAFT_OK);
  }
}
static void order_one_handle(void) {
  haft_kind kind;
  EXPECT(haft_kind_find("Notes", 0, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "note", &note), HAFT_OK);
  ordered[0] = make("notes");
  on_threads(8, post_mixed);
  haft_value args[3] = {haft_value_handle(ordered[0]), number(8), number(3000)}, result;
  EXPECT(call(function("in order each"), args, 3, &result), HAFT_OK);
  if (result.length) failed(__FILE__, __LINE__, result.as.str);
  haft_value_free(&result);
}

/* A call of a thread comes behind its own posts to the same handle. */
static void call_behind_posts(void) {
  const Target n = target("notes", "note"), count = target("notes", "count");
  haft_value result;
  for (int round = 1; round <= 20; round++) {
    post_numbers(n.handle, n.op, (round - 1) * 50, round * 50);
    EXPECT(call(count, NULL, 0, &result), HAFT_OK);
    CHECK(result.as.f64 == round * 50);
  }
}

/* ---- A full mailbox ---- */

static int fill(Target t) { /* JavaScript stands at the gate */
  int sent = 0;
  haft_value n = number(0);
  haft_status status;
  while ((status = haft_post(t.handle, t.op, &n, 1, HAFT_FAIL)) == HAFT_OK && sent < 5000) n = number(++sent);
  EXPECT(status, HAFT_E_FULL);
  CHECK(haft_last_error()->handle == t.handle);
  return sent;
}
static void *open_later(void *unused) {
  usleep(100 * 1000);
  open_gate();
  return unused;
}
static void full(void) {
  const Target t = target("notes", "note"), add = target("bystander", "add");
  pthread_t opener;
  haft_value n, result;
  close_gate();
  const int sent = fill(t);
  CHECK(sent >= 1000 && sent <= 1024);
  n = number(-1);
  EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_FAIL), HAFT_E_FULL);
  EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_BLOCK(0)), HAFT_E_FULL);
  EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_BLOCK(30)), HAFT_E_FULL);
  for (int i = 0; i < 100; i++) EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_DROP_NEWEST), HAFT_OK); /* dropped */
  EXPECT(haft_call(t.handle, t.op, &n, 1, 30, &result), HAFT_E_TIMEOUT);
  CHECK(result.type == HAFT_VOID);
  /* A neighbour's mailbox is not full. */
  const haft_handle neighbour = add.handle % 16 == t.handle % 16 ? HAFT_NULL : add.handle;
  n = number(1);
  if (neighbour) EXPECT(haft_post(neighbour, add.op, &n, 1, HAFT_FAIL), HAFT_OK);
  /* A post that blocks goes on when there is room. */
  CHECK(pthread_create(&opener, NULL, open_later, NULL) == 0);
  n = number(sent);
  EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_BLOCK(-1)), HAFT_OK);
  pthread_join(opener, NULL);
  in_order(t.handle, sent + 1);
}

/* A call that finds no room waits for it, within its time. */
static void full_call(void) {
  const Target t = target("notes", "note"), count = target("notes", "count");
  pthread_t opener;
  haft_value result;
  close_gate();
  const int sent = fill(t);
  CHECK(pthread_create(&opener, NULL, open_later, NULL) == 0);
  EXPECT(haft_call(count.handle, count.op, NULL, 0, -1, &result), HAFT_OK);
  CHECK(result.as.f64 == sent);
  pthread_join(opener, NULL);
}

/* Posts that block when the realm closes end with HAFT_E_CLOSED. */
static atomic_int blocked;
static void block_until_closed(int thread) {
  const Target t = {ordered[0], 0, note};
  haft_value n = number(1);
  blocked++;
  EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_BLOCK(thread % 2 ? -1 : WAIT)), HAFT_E_CLOSED);
}
static void *close_behind_gate(void *unused) {
  while (blocked < 6) usleep(1000);
  usleep(60 * 1000);
  open_gate();
  return unused;
}
static void full_close(void) {
  const Target t = target("notes", "note"), close = function("gate and close");
  pthread_t opener;
  gate_open = 0;
  EXPECT(haft_post(close.handle, close.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  while (!gate_reached) usleep(200);
  fill(t);
  ordered[0] = t.handle;
  note = t.op;
  CHECK(pthread_create(&opener, NULL, close_behind_gate, NULL) == 0);
  on_threads(6, block_until_closed);
  pthread_join(opener, NULL);
}

/* A message does not go round the end of the ring: where it would, the cells there are skipped. Without room for both, a
** producer sleeps. */
static double thread_milliseconds(void) {
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * 1e3 + used.tv_nsec / 1e6;
}
static void full_at_the_end(void) {
  enum { BEFORE = 12, TO_END = 8, MILLISECONDS = 600 };
  static const char pad[900];
  const Target t = target("notes", "note"), text = target("notes", "noteText"), count = target("notes", "count");
  const haft_value n[2] = {number(0), haft_value_bytes(pad, sizeof pad)}; /* 14 cells or 15 */
  haft_counters counters = {.size = sizeof counters};
  haft_value result;
  EXPECT(haft_counters_read(realm, (uint32_t)(t.handle % 16), &counters), HAFT_OK);
  CHECK(counters.sent == 0); /* so that we know where its ring ends */
  post_numbers(t.handle, t.op, 0, BEFORE - 1);
  EXPECT(call(count, NULL, 0, &result), HAFT_OK);
  close_gate();
  post_numbers(t.handle, t.op, 0, 1024 - TO_END - BEFORE);
  const double before = thread_milliseconds();
  EXPECT(haft_post(text.handle, text.op, n, 2, HAFT_BLOCK(MILLISECONDS)), HAFT_E_FULL);
  CHECK(thread_milliseconds() - before < MILLISECONDS / 10);
  post_numbers(t.handle, t.op, 0, TO_END + BEFORE); /* there was room for shorter ones */
  EXPECT(haft_post(t.handle, t.op, n, 1, HAFT_FAIL), HAFT_E_FULL);
  open_gate();
}

/* ---- P5 ---- */

/* Post, then the last release: the message still finds its object, for thousands of objects, and for handles that are
** arguments. */
static atomic_int posted;
static void post_and_release(int thread) {
  const Target keep = target("notes", "keep");
  haft_op touch;
  EXPECT(haft_op_find(target("bystander", "touch").kind, "touch", &touch), HAFT_OK);
  for (int i = 0; i < 1500; i++) {
    const haft_handle h = make("live"), argument = make("live");
    haft_value a = haft_value_handle(argument);
    if (thread % 2) EXPECT(haft_post(h, touch, NULL, 0, HAFT_BLOCK(-1)), HAFT_OK);
    EXPECT(haft_post(keep.handle, keep.op, &a, 1, HAFT_BLOCK(-1)), HAFT_OK);
    EXPECT(haft_post(h, touch, NULL, 0, HAFT_BLOCK(-1)), HAFT_OK);
    EXPECT(haft_release(h), HAFT_OK);
    EXPECT(haft_release(argument), HAFT_OK);
    EXPECT(haft_check(h, 0), HAFT_E_STALE);
    posted++;
  }
}
static void release_behind_post(void) {
  const double live = ask_number("live");
  on_threads(4, post_and_release);
  haft_value result;
  EXPECT(call(function("kept"), NULL, 0, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64 && result.as.f64 == posted); /* every argument was found */
  CHECK(ask_number("gone") == 0);
  for (int i = 0; i < 20000 && ask_number("live") != live; i++) usleep(100);
  CHECK(ask_number("live") == live);
}

/* The same with JavaScript at the gate meanwhile, so that all of it waits in the mailboxes at one time. */
static void release_behind_gate(void) {
  const Target keep = target("notes", "keep"), touch = target("bystander", "touch");
  haft_handle objects[500];
  const double live = ask_number("live");
  for (size_t i = 0; i < COUNT(objects); i++) objects[i] = make("live");
  close_gate();
  for (size_t i = 0; i < COUNT(objects); i++) {
    haft_value a = haft_value_handle(objects[i]);
    EXPECT(haft_post(keep.handle, keep.op, &a, 1, HAFT_FAIL), HAFT_OK);
    EXPECT(haft_post(objects[i], touch.op, NULL, 0, HAFT_FAIL), HAFT_OK);
    EXPECT(haft_release(objects[i]), HAFT_OK);
    EXPECT(haft_post(objects[i], touch.op, NULL, 0, HAFT_FAIL), HAFT_E_STALE);
  }
  open_gate();
  haft_value result;
  EXPECT(call(function("kept"), NULL, 0, &result), HAFT_OK);
  CHECK(result.as.f64 == COUNT(objects));
  CHECK(ask_number("gone") == 0);
  for (int i = 0; i < 20000 && ask_number("live") != live; i++) usleep(100);
  CHECK(ask_number("live") == live);
}

/* A handler under way keeps the handles that it borrowed, while drains inside it go on. */
static void borrowed(void) {
  const Target hold = function("hold"), drain = function("drain");
  for (int round = 0; round < 50; round++) {
    const haft_handle h = make("live");
    haft_value a = haft_value_handle(h), result;
    gate_open = 0;
    EXPECT(haft_post(hold.handle, hold.op, &a, 1, HAFT_FAIL), HAFT_OK);
    while (!gate_reached) usleep(50);
    EXPECT(haft_release(h), HAFT_OK); /* the last */
    EXPECT(haft_post(drain.handle, drain.op, NULL, 0, HAFT_FAIL), HAFT_OK);
    open_gate();
    /* The drain inside the handler may serve the question before the handler has its answer. */
    for (int i = 0; i < 2000; i++) {
      EXPECT(call(function("held"), NULL, 0, &result), HAFT_OK);
      if (result.as.f64 == round + 1) break;
      usleep(50);
    }
    CHECK(result.as.f64 == round + 1);
    while (gate_reached) usleep(50);
  }
}

/* Deleted with messages behind it: they find it gone, are counted, and harm nobody. */
static void deleted_with_messages(void) {
  const Target touch = target("bystander", "touch"), end = function("end");
  const haft_handle h = make("live");
  haft_value a = haft_value_handle(h);
  close_gate();
  const int behind = 20;
  /* Through the same mailbox, so that the order is known. */
  Target self = {h, touch.kind, touch.op};
  EXPECT(haft_post(self.handle, self.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  open_gate();
  EXPECT(call(end, &a, 1, NULL), HAFT_OK);
  EXPECT(haft_post(h, touch.op, NULL, 0, HAFT_FAIL), HAFT_E_STALE);
  /* An object that ends inside its own handler, with messages behind. */
  const haft_handle suicidal = make("suicidal");
  haft_kind kind;
  haft_op die;
  EXPECT(haft_kind_of(suicidal, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "die", &die), HAFT_OK);
  const double gone = ask_number("gone");
  close_gate();
  for (int i = 0; i < behind; i++) EXPECT(haft_post(suicidal, die, NULL, 0, HAFT_FAIL), HAFT_OK);
  open_gate();
  for (int i = 0; i < 20000 && ask_number("gone") != gone + behind - 1; i++) usleep(100);
  CHECK(ask_number("gone") == gone + behind - 1);
  EXPECT(haft_check(suicidal, 0), HAFT_E_STALE);
  /* And by a call: the result still arrives, the next is stale. */
  const haft_handle other = make("suicidal");
  haft_value result;
  haft_op last_words;
  EXPECT(haft_op_find(kind, "lastWords", &last_words), HAFT_OK);
  EXPECT(haft_call(other, last_words, NULL, 0, WAIT, &result), HAFT_OK);
  CHECK(result.type == HAFT_STR && strcmp(result.as.str, "farewell") == 0);
  haft_value_free(&result);
  EXPECT(haft_call(other, last_words, NULL, 0, WAIT, &result), HAFT_E_STALE);
}

/* ---- P11 ---- */

/* Every fifth message drains inside its handler: all messages once; each handle's in order of their beginnings. */
static void drain_inside(void) {
  const Target n = target("notes", "note"), d = target("notes", "noteAndDrain");
  const int all = 900;
  close_gate();
  for (int i = 0; i < all; i++) {
    haft_value v = number(i);
    EXPECT(haft_post(n.handle, i % 5 == 2 ? d.op : n.op, &v, 1, HAFT_FAIL), HAFT_OK);
  }
  open_gate();
  in_order(n.handle, all);
  haft_value result;
  /* The drain of a handler has handled what was posted before. */
  EXPECT(call(function("waited"), NULL, 0, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64);
  if (result.as.f64 != 0) failed(__FILE__, __LINE__, "registry.drain() inside a handler left messages that waited");
}

/* P12: more than one drain may take; nothing is left, though nobody rings again. */
static void burst(void) {
  const haft_handle h[16] = {make("notes"), make("notes"), make("notes"), make("notes"), make("notes"), make("notes"),
                             make("notes"), make("notes"), make("notes"), make("notes"), make("notes"), make("notes"),
                             make("notes"), make("notes"), make("notes"), make("notes")};
  const Target n = target("notes", "note");
  for (int round = 0; round < 3; round++) {
    close_gate();
    for (int i = 0; i < 1000; i++) {
      for (int k = 0; k < 16; k++) {
        haft_value v = number(round * 1000 + i);
        if (haft_post(h[k], n.op, &v, 1, HAFT_FAIL) != HAFT_OK) { failed(__FILE__, __LINE__, "full"); return; }
      }
    }
    const double delivered = 16000;
    open_gate();
    haft_value result, from = number(round + 1.0);
    (void)delivered;
    /* Asks without sending anything to those mailboxes but one message. */
    for (int k = 0; k < 16; k++) in_order(h[k], from.as.f64 * 1000);
    (void)result;
  }
}

/* Sleeps now and then, so that the realm falls asleep between: every message of 3000 short bursts arrives (P10). */
static void bursts(int thread) {
  const Target add = target("bystander", "add");
  for (int i = 0; i < 750; i++) {
    haft_value one = number(1);
    for (int k = 0; k <= i % 3; k++) EXPECT(haft_post(add.handle, add.op, &one, 1, HAFT_BLOCK(-1)), HAFT_OK);
    if ((i + thread) % 4 == 0) usleep((useconds_t)(i % 7) * 30);
  }
}
static void doorbell(void) {
  haft_value result;
  on_threads(4, bursts);
  /* Waits for what was posted without ringing again: the count stands in a file-like word of ours. */
  EXPECT(call(function("all arrived"), NULL, 0, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64 && result.as.f64 == 4 * 1500);
}

/* More messages than the positions of a small counter: the ring goes round 200 times. */
static void round_and_round(void) {
  const Target t = target("notes", "sum"), total = target("notes", "total");
  haft_value result;
  for (int i = 0; i < 200000; i++) {
    haft_value n = number(1);
    if (haft_post(t.handle, t.op, &n, 1, HAFT_BLOCK(-1)) != HAFT_OK) { failed(__FILE__, __LINE__, "post"); return; }
  }
  EXPECT(call(total, NULL, 0, &result), HAFT_OK);
  CHECK(result.as.f64 == 200000);
}

/* What a post's handler throws or what it cannot take goes to registry.on('error'); the next message is served. */
static void errors(void) {
  static const char *const names[] = {"throws error", "throws null", "throws undefined", "throws what cannot be shown",
                                      "rejects", "throws error"};
  haft_value text_value = text("not a number"), result;
  for (size_t i = 0; i < COUNT(names); i++) {
    const Target t = function(names[i]);
    EXPECT(haft_post(t.handle, t.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  }
  const Target note_target = target("notes", "note");
  /* A wrong type: refused at once where types are looked at, else told by JavaScript. */
  const bool is_refused = haft_check_level() == 2;
  EXPECT(haft_post(note_target.handle, note_target.op, &text_value, 1, HAFT_FAIL), is_refused ? HAFT_E_ARGUMENT : HAFT_OK);
  EXPECT(haft_post(note_target.handle, note_target.op, NULL, 0, HAFT_FAIL), HAFT_E_ARGUMENT); /* too few: not sent */
  const haft_handle suicidal = make("suicidal");
  haft_kind kind;
  haft_op die;
  EXPECT(haft_kind_of(suicidal, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "die", &die), HAFT_OK);
  close_gate();
  EXPECT(haft_post(suicidal, die, NULL, 0, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_post(suicidal, die, NULL, 0, HAFT_FAIL), HAFT_OK); /* finds it gone */
  open_gate();
  EXPECT(call(function("errors"), NULL, 0, &result), HAFT_OK);
  CHECK(result.type == HAFT_STR);
  static const char refused[] = "error Notes.note HAFT_E_ARGUMENT\n";
  static const char wanted[] =
      "error Notes.note HAFT_E_ARGUMENT\n"
      "error Suicidal.die HAFT_E_STALE\n"
      "error fn():void.call Error: rejected\n"
      "error fn():void.call RangeError: mine\n"
      "error fn():void.call RangeError: mine\n"
      "error fn():void.call null\n"
      "error fn():void.call object\n"
      "error fn():void.call undefined\n";
  if (strcmp(result.as.str, is_refused ? wanted + sizeof refused - 1 : wanted) != 0) failed(__FILE__, __LINE__, result.as.str);
  haft_value_free(&result);
}

CASES({"order", order}, {"order of one handle", order_one_handle}, {"call behind posts", call_behind_posts},
      {"full", full}, {"full call", full_call}, {"full close", full_close}, {"full at the end", full_at_the_end},
      {"release behind post", release_behind_post}, {"release behind gate", release_behind_gate}, {"borrowed", borrowed},
      {"deleted", deleted_with_messages}, {"drain inside", drain_inside}, {"burst", burst}, {"doorbell", doorbell},
      {"round", round_and_round}, {"errors", errors})
