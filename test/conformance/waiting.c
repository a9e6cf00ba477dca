/* Section 8: serving, waiting, events, objects that move, and counters. */
#include "suite.h"

#define USER HAFT_EVENT_USER

static const haft_value one = {HAFT_F64, 0, {1}};

static const haft_realm *no_realms(size_t *count) {
  static haft_realm none[7];
  none[0] = brief_realm();
  close_brief();
  const haft_realm others[] = {0, 1, (haft_realm)-1, realm + (1ull << 32), 1ull << 52, ~realm};
  memcpy(none + 1, others, sizeof others);
  *count = COUNT(none);
  return none;
}

/* ---- haft_serve, haft_blocking ---- */

CASE(8, 1, OWN | MAY_LACK, "haft_serve handles messages while C waits, and returns HAFT_OK as soon as some were handled.") {
  const Target notes = make_notes("note");
  for (int i = 0; i < 3; i++) {
    const haft_value n = haft_value_f64(i);
    EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_FAIL), HAFT_OK);
  }
  EXPECT(haft_serve(realm, WAIT), HAFT_OK);
  EQUAL(wrong_notes(notes.handle, 3), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(8, 2, OWN | MAY_LACK, "haft_serve: HAFT_E_TIMEOUT when nothing came in time.") {
  while (haft_serve(realm, 0) == HAFT_OK) {
  }
  EXPECT(haft_serve(realm, 0), HAFT_E_TIMEOUT);
  EXPECT(haft_serve(realm, 1), HAFT_E_TIMEOUT);
}

static void signal_once(void *unused) {
  (void)unused;
  usleep(MOMENT * 1000);
  EXPECT(haft_signal(realm, USER(2)), HAFT_OK);
}
CASE(8, 3, OWN | MAY_LACK, "haft_serve returns HAFT_OK as soon as haft_signal was called.") {
  static Thread other;
  while (haft_serve(realm, 0) == HAFT_OK) {
  }
  EXPECT(haft_serve(realm, 0), HAFT_E_TIMEOUT);
  begin_thread(&other, signal_once, NULL);
  EXPECT(haft_serve(realm, WAIT), HAFT_OK);
  end_thread(&other);
}

static Target called;
static atomic_int call_status;
static void call_there(void *unused) {
  (void)unused;
  haft_value result;
  call_status = haft_call(called.handle, called.op, &one, 1, WAIT, &result);
}
CASE(8, 4, OWN | MAY_LACK, "haft_serve: C that waits for a thread which calls JavaScript does not wait for ever.") {
  static Thread caller;
  const haft_status serves = haft_serve(realm, 0);
  if (serves != HAFT_OK) EXPECT(serves, HAFT_E_TIMEOUT);
  called = target("echo", "f64");
  begin_thread(&caller, call_there, NULL);
  const double began = milliseconds();
  while (!caller.ended && milliseconds() - began < WAIT) {
    const haft_status status = haft_serve(realm, MOMENT);
    if (status != HAFT_OK) EXPECT(status, HAFT_E_TIMEOUT);
  }
  CHECK(caller.ended);
  TOLD(call_status, HAFT_OK);
}

CASE(8, 5, FOREIGN, "haft_blocking: HAFT_E_REALM where the calling thread is not the realm's own.") {
  EXPECT(haft_blocking(realm, true), HAFT_E_REALM);
  EXPECT(haft_blocking(realm, false), HAFT_E_REALM);
}

CASE(8, 6, BOTH, "haft_serve and haft_blocking: HAFT_E_CLOSED for a realm that is closed, and for an integer that is none.") {
  size_t count;
  const haft_realm *none = no_realms(&count);
  for (size_t i = 0; i < count; i++) {
    EXPECT(haft_serve(none[i], -1), HAFT_E_CLOSED);
    EXPECT(haft_blocking(none[i], true), HAFT_E_CLOSED);
  }
}

CASE(8, 7, OWN | MAY_LACK, "haft_blocking: calls that would have to wait for the realm end with HAFT_E_DEADLOCK, until it says `false`.") {
  static Thread caller;
  static double sum;
  called = target("counter", "add");
  sum = total_of(called.handle);
  EXPECT(haft_blocking(realm, true), HAFT_OK);
  begin_thread(&caller, call_there, NULL);
  const double began = milliseconds();
  while (!caller.ended && milliseconds() - began < WAIT) usleep(1000);
  const bool ended_in_time = caller.ended;
  EXPECT(haft_blocking(realm, false), HAFT_OK);
  CHECK(ended_in_time);
  TOLD(call_status, HAFT_E_DEADLOCK);
  EQUAL(total_of(called.handle), sum);
}

CASE(8, 8, OWN | MAY_LACK, "haft_blocking: calls that wait already end with HAFT_E_DEADLOCK too.") {
  static Thread caller;
  called = target("counter", "add");
  EXPECT(haft_blocking(realm, false), HAFT_OK);
  begin_thread(&caller, call_there, NULL);
  usleep(MOMENT * 1000); /* it waits, mostly */
  EXPECT(haft_blocking(realm, true), HAFT_OK);
  const double began = milliseconds();
  while (!caller.ended && milliseconds() - began < WAIT) usleep(1000);
  const bool ended_in_time = caller.ended;
  EXPECT(haft_blocking(realm, false), HAFT_OK);
  CHECK(ended_in_time);
  TOLD(call_status, HAFT_E_DEADLOCK);
}

/* ---- haft_wait ---- */

/* Does something again and again until the case has seen it: when a wait has begun cannot be seen from outside. */
static struct {
  void (*act)(void);
  atomic_int stop;
  Thread thread;
} again;
static void act_again(void *unused) {
  (void)unused;
  while (!again.stop && case_goes_on()) {
    again.act();
    usleep(2000);
  }
}
static uint32_t wait_while(void (*act)(void), uint32_t events, int64_t timeout) {
  uint32_t happened = 0;
  again.act = act;
  again.stop = 0;
  begin_thread(&again.thread, act_again, NULL);
  const haft_status status = haft_wait(realm, events, timeout, &happened);
  again.stop = 1;
  end_thread(&again.thread);
  EXPECT(status, HAFT_OK);
  return happened;
}

static void post_nothing(void) {
  const Target t = target("echo", "nothing");
  haft_post(t.handle, t.op, NULL, 0, HAFT_DROP_NEWEST);
}
static void release_one(void) { haft_release(make("counter")); }
static void collect(void) { tell("maker", "collect"); }
static uint32_t signalled;
static void signal_it(void) { EXPECT(haft_signal(realm, signalled), HAFT_OK); }

CASE(8, 9, FOREIGN | MAY_LACK, "haft_wait: HAFT_EVENT_DRAINED, when the mailboxes were drained until nothing was left.") {
  EQUAL(wait_while(post_nothing, HAFT_EVENT_DRAINED, WAIT), HAFT_EVENT_DRAINED);
}
CASE(8, 10, FOREIGN | MAY_LACK, "haft_wait: HAFT_EVENT_RECLAIMED, when objects were dropped whose last reference was released.") {
  EQUAL(wait_while(release_one, HAFT_EVENT_RECLAIMED, -1), HAFT_EVENT_RECLAIMED);
}
CASE(8, 11, FOREIGN | MAY_LACK, "haft_wait: HAFT_EVENT_COLLECTED, when registry.collect() came to its end.") {
  EQUAL(wait_while(collect, HAFT_EVENT_COLLECTED, WAIT), HAFT_EVENT_COLLECTED);
}
CASE(8, 12, FOREIGN | MAY_LACK, "haft_wait: HAFT_EVENT_EMPTY ends the wait at once where no message waits.") {
  uint32_t happened = 0;
  EXPECT(haft_wait(realm, HAFT_EVENT_EMPTY, WAIT, &happened), HAFT_OK);
  EQUAL(happened, HAFT_EVENT_EMPTY);
}
CASE(8, 13, OWN, "HAFT_EVENT_EMPTY is a level: it holds until a message waits, on the realm's own thread as well.") {
  uint32_t happened = 0;
  if (first_turn()) {
    post_nothing();
    EXPECT(haft_wait(realm, HAFT_EVENT_EMPTY, 0, &happened), HAFT_E_TIMEOUT);
    EQUAL(happened, 0);
  }
  AWAIT(haft_wait(realm, HAFT_EVENT_EMPTY, 0, &happened) == HAFT_OK);
  EQUAL(happened, HAFT_EVENT_EMPTY);
}
CASE(8, 14, OWN, "HAFT_EVENT_FULL is a level: it holds while some mailbox has no room for one more message.") {
  static Target notes;
  static int sent;
  uint32_t happened = 55;
  if (first_turn()) {
    notes = make_notes("note");
    EXPECT(haft_wait(realm, HAFT_EVENT_FULL, 0, &happened), HAFT_E_TIMEOUT);
    for (sent = 0; sent < 20000; sent++) {
      const haft_value n = haft_value_f64(sent);
      if (haft_post(notes.handle, notes.op, &n, 1, HAFT_FAIL) != HAFT_OK) break;
    }
    EXPECT(haft_wait(realm, HAFT_EVENT_FULL | HAFT_EVENT_EMPTY, WAIT, &happened), HAFT_OK);
    EQUAL(happened, HAFT_EVENT_FULL);
  }
  AWAIT(notes_count(notes.handle) >= sent);
  EXPECT(haft_wait(realm, HAFT_EVENT_FULL, 0, &happened), HAFT_E_TIMEOUT);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(8, 15, FOREIGN | MAY_LACK, "haft_wait: HAFT_EVENT_USER(0) to (7), when haft_signal causes it.") {
  for (int i = 0; i < 8; i++) {
    signalled = USER(i);
    EQUAL(wait_while(signal_it, USER(i), WAIT), USER(i));
  }
}
CASE(8, 16, FOREIGN | MAY_LACK, "haft_wait: `*happened` says which of the events did, and no other.") {
  signalled = USER(2) | USER(5);
  EQUAL(wait_while(signal_it, USER(1) | USER(2) | HAFT_EVENT_COLLECTED, WAIT), USER(2));
  EQUAL(wait_while(signal_it, USER(2) | USER(5), WAIT), USER(2) | USER(5));
}
CASE(8, 17, FOREIGN | MAY_LACK, "haft_wait: what came before the wait began does not end it; HAFT_E_TIMEOUT.") {
  uint32_t happened = 55;
  signalled = USER(6);
  signal_it();
  EXPECT(haft_wait(realm, USER(6), MOMENT, &happened), HAFT_E_TIMEOUT);
  EQUAL(happened, 0);
}
CASE(8, 18, BOTH, "haft_wait: HAFT_E_ARGUMENT for no event that there is.") {
  const uint32_t none[] = {0, 0x40, 0x8000, USER(8), UINT32_MAX, HAFT_EVENT_EMPTY | 0x80};
  uint32_t happened;
  for (size_t i = 0; i < COUNT(none); i++) EXPECT(haft_wait(realm, none[i], 0, &happened), HAFT_E_ARGUMENT);
}
CASE(8, 19, OWN, "haft_wait: HAFT_E_DEADLOCK on the realm's own thread.") {
  const uint32_t events[] = {HAFT_EVENT_DRAINED, HAFT_EVENT_RECLAIMED, HAFT_EVENT_COLLECTED, USER(0)};
  uint32_t happened;
  for (size_t i = 0; i < COUNT(events); i++) EXPECT(haft_wait(realm, events[i], WAIT, &happened), HAFT_E_DEADLOCK);
}
CASE(8, 20, BOTH, "haft_wait: of a closed realm HAFT_OK where HAFT_EVENT_CLOSING was among the events, else HAFT_E_CLOSED.") {
  uint32_t happened;
  size_t count;
  const haft_realm *none = no_realms(&count);
  for (size_t i = 0; i < count; i++) {
    EXPECT(haft_wait(none[i], HAFT_EVENT_EMPTY | USER(0), -1, &happened), HAFT_E_CLOSED);
    EXPECT(haft_wait(none[i], HAFT_EVENT_CLOSING | USER(0), -1, &happened), HAFT_OK);
    EQUAL(happened, HAFT_EVENT_CLOSING);
  }
}
CASE(8, 21, FOREIGN | MAY_LACK, "haft_wait: when the realm closes all waits end.") {
  uint32_t happened = 0;
  const haft_realm brief = brief_realm();
  tell("maker", "closeBriefSoon");
  EXPECT(haft_wait(brief, USER(0), -1, &happened), HAFT_E_CLOSED);
  const haft_realm next = brief_realm();
  tell("maker", "closeBriefSoon");
  EXPECT(haft_wait(next, HAFT_EVENT_CLOSING | USER(0), -1, &happened), HAFT_OK);
  EQUAL(happened, HAFT_EVENT_CLOSING);
}

/* ---- haft_signal ---- */

CASE(8, 22, BOTH, "haft_signal ends the waits for the event in JavaScript.") {
  if (first_turn()) {
    tell("maker", "listen");
    EXPECT(haft_signal(realm, USER(3) | USER(4)), HAFT_OK);
  }
  AWAIT(ask("maker", "hearing") != 0);
  EQUAL(ask("maker", "hearing"), USER(3));
}
CASE(8, 23, BOTH, "haft_signal: HAFT_E_ARGUMENT for an event that is not the user's, or none.") {
  const uint32_t none[] = {0, HAFT_EVENT_EMPTY, HAFT_EVENT_CLOSING, USER(8), USER(0) | HAFT_EVENT_DRAINED, UINT32_MAX};
  for (size_t i = 0; i < COUNT(none); i++) EXPECT(haft_signal(realm, none[i]), HAFT_E_ARGUMENT);
}
CASE(8, 24, BOTH, "haft_signal: HAFT_E_CLOSED for a realm that is closed, and for an integer that is none.") {
  size_t count;
  const haft_realm *none = no_realms(&count);
  for (size_t i = 0; i < count; i++) EXPECT(haft_signal(none[i], USER(0)), HAFT_E_CLOSED);
}

/* ---- haft_moved ---- */

CASE(8, 25, BOTH, "haft_moved: a handle that is valid gives itself.") {
  const haft_handle h = make("traveller");
  haft_handle at = HAFT_NULL;
  EXPECT(haft_moved(h, &at), HAFT_OK);
  CHECK(at == h);
  EXPECT(haft_release(h), HAFT_OK); /* nothing was added */
  EXPECT(haft_release(h), HAFT_E_STALE);
}
CASE(8, 26, BOTH, "haft_moved: HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_CLOSED, HAFT_E_ARGUMENT.") {
  haft_handle values[FORGED_MOST], at;
  const haft_handle h = target("counter", "add").handle;
  const size_t n = forged_handles(h, values);
  for (size_t i = 0; i < n; i++) EXPECT(haft_moved(values[i], &at), HAFT_E_FORGED);
  EXPECT(haft_moved(ended("deleted"), &at), HAFT_E_STALE);
  EXPECT(haft_moved(ended("released"), &at), HAFT_E_STALE);
  EXPECT(haft_moved(ended("closed"), &at), HAFT_E_CLOSED);
  EXPECT(haft_moved(h, NULL), HAFT_E_ARGUMENT);
}

/* A traveller with two references whose object has gone elsewhere. */
static haft_handle traveller;
static haft_op traveller_add;
static bool move_settled(void) {
  if (first_turn()) {
    haft_value result;
    traveller = make("traveller");
    traveller_add = op_of(traveller, "add");
    EXPECT(haft_retain(traveller), HAFT_OK);
    EXPECT(haft_call(traveller, traveller_add, &one, 1, WAIT, &result), HAFT_OK);
    tell_handle("maker", "move", traveller);
  }
  const haft_status status = (haft_status)ask("maker", "moveStatus"); /* 1: under way */
  if (status != 1) TOLD(status, HAFT_OK);
  return status == HAFT_OK;
}

CASE(8, 27, BOTH | MAY_LACK, "HAFT_E_MOVED: the object was moved; haft_moved tells its new handle, of the other realm.") {
  haft_handle at = HAFT_NULL;
  haft_realm of;
  haft_kind kind;
  haft_value result;
  AWAIT(move_settled());
  EXPECT(haft_check(traveller, 0), HAFT_E_MOVED);
  EXPECT(haft_retain(traveller), HAFT_E_MOVED);
  EXPECT(haft_release(traveller), HAFT_E_MOVED);
  EXPECT(haft_kind_of(traveller, &kind), HAFT_E_MOVED);
  EXPECT(haft_post(traveller, traveller_add, &one, 1, HAFT_FAIL), HAFT_E_MOVED);
  EXPECT(haft_call(traveller, traveller_add, &one, 1, WAIT, &result), HAFT_E_MOVED);
  EXPECT(by_async(traveller, traveller_add, &one, 1), HAFT_E_MOVED);
  EXPECT(haft_moved(traveller, &at), HAFT_OK);
  CHECK(at != traveller);
  EXPECT(haft_realm_of(at, &of), HAFT_OK);
  CHECK(of == (haft_realm)ask_i64("maker", "otherRealm"));
  EXPECT(haft_call(at, traveller_add, &one, 1, WAIT, &result), HAFT_OK); /* an op is the kind's: the same there */
  EQUAL(result.as.f64, 2);
  EXPECT(haft_release(at), HAFT_OK);
  EXPECT(haft_release(at), HAFT_OK);
  EXPECT(haft_release(at), HAFT_E_STALE);
}

CASE(8, 28, BOTH | MAY_LACK, "Each reference to the old handle has become one to the new one.") {
  haft_handle at;
  AWAIT(move_settled());
  EXPECT(haft_moved(traveller, &at), HAFT_OK);
  EXPECT(haft_release(at), HAFT_OK);
  EXPECT(haft_check(at, 0), HAFT_OK);
  EXPECT(haft_release(at), HAFT_OK);
  EXPECT(haft_check(at, 0), HAFT_E_STALE);
}

/* ---- haft_counters_read ---- */

static haft_counters counters_of(uint32_t shard) {
  haft_counters now = {.size = sizeof now};
  EXPECT(haft_counters_read(realm, shard, &now), HAFT_OK);
  return now;
}
static uint32_t shard_of(haft_handle handle) { return (uint32_t)(handle & 15); }

CASE(8, 29, BOTH, "A call is sent and delivered, whatever its handler threw; the shard is the handle's lowest four bits.") {
  const Target c = make_counter("add"), throws = target("faults", "throws");
  haft_counters before = counters_of(shard_of(c.handle)), after;
  EXPECT(call(c, &one, 1, NULL), HAFT_OK);
  after = counters_of(shard_of(c.handle));
  EQUAL(after.sent - before.sent, 1);
  EQUAL(after.delivered - before.delivered, 1);
  before = counters_of(shard_of(throws.handle));
  EXPECT(call(throws, NULL, 0, NULL), HAFT_E_EXCEPTION);
  after = counters_of(shard_of(throws.handle));
  EQUAL(after.sent - before.sent, 1);
  EQUAL(after.delivered - before.delivered, 1);
  EXPECT(haft_release(c.handle), HAFT_OK);
}

CASE(8, 30, OWN, "What finds no room is refused, and with HAFT_DROP_NEWEST dropped; what waits is only sent.") {
  static Target notes;
  static haft_counters before;
  static int sent;
  haft_counters after;
  if (first_turn()) {
    notes = make_notes("note");
    before = counters_of(shard_of(notes.handle));
    for (sent = 0; sent < 20000; sent++) {
      const haft_value n = haft_value_f64(sent);
      if (haft_post(notes.handle, notes.op, &n, 1, HAFT_FAIL) != HAFT_OK) break;
    }
    for (int i = 0; i < 3; i++) EXPECT(haft_post(notes.handle, notes.op, &one, 1, HAFT_DROP_NEWEST), HAFT_OK);
    after = counters_of(shard_of(notes.handle));
    EQUAL(after.sent - before.sent, sent + 4);
    EQUAL(after.refused - before.refused, 1);
    EQUAL(after.dropped - before.dropped, 3);
    EQUAL(after.delivered - before.delivered, 0);
    CHECK(after.highest_fill > 0);
  }
  AWAIT(counters_of(shard_of(notes.handle)).delivered - before.delivered >= (uint64_t)sent);
  after = counters_of(shard_of(notes.handle));
  EQUAL(after.sent, after.delivered + after.refused + after.dropped + after.expired);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(8, 31, FOREIGN | MAY_LACK, "A call whose caller gave up is expired.") {
  const Target never = target("faults", "never");
  const haft_counters before = counters_of(shard_of(never.handle));
  EXPECT(haft_call(never.handle, never.op, NULL, 0, MOMENT, NULL), HAFT_E_TIMEOUT);
  const haft_counters after = counters_of(shard_of(never.handle));
  EQUAL(after.expired - before.expired, 1);
  EQUAL(after.sent - before.sent, 1);
}

CASE(8, 32, BOTH, "What names no valid handle, no op of its kind, or values that cannot be sent, is no message.") {
  const Target t = target("echo", "str");
  const haft_value bad = haft_value_str("\xff", 1);
  const haft_handle stale = ended("deleted");
  const haft_counters before = counters_of(HAFT_ALL_SHARDS);
  EXPECT(by_post(stale, t.op, &one, 1), HAFT_E_STALE);
  EXPECT(by_call(42, t.op, &one, 1), HAFT_E_FORGED);
  EXPECT(by_post(t.handle, HAFT_OP(t.kind, 1000), &one, 1), HAFT_E_OP);
  EXPECT(by_call(t.handle, t.op, &bad, 1), HAFT_E_UTF8);
  const haft_counters after = counters_of(HAFT_ALL_SHARDS);
  EQUAL(after.sent - before.sent, 0);
  EQUAL(after.refused - before.refused, 0);
}

CASE(8, 33, BOTH, "HAFT_ALL_SHARDS: all shards together.") {
  uint64_t sent = 0, delivered = 0;
  for (uint32_t shard = 0; shard < 16; shard++) {
    const haft_counters c = counters_of(shard);
    sent += c.sent;
    delivered += c.delivered;
  }
  const haft_counters all = counters_of(HAFT_ALL_SHARDS);
  CHECK(all.sent >= sent && all.delivered >= delivered && delivered > 0);
}

CASE(8, 34, BOTH, "`size`: so many bytes are written.") {
  unsigned char bytes[128];
  haft_counters *const counters = (haft_counters *)bytes;
  for (uint32_t size = sizeof(uint32_t); size <= 100; size += 4) {
    memset(bytes, 0x55, sizeof bytes);
    memcpy(bytes, &size, sizeof size);
    EXPECT(haft_counters_read(realm, HAFT_ALL_SHARDS, counters), HAFT_OK);
    for (size_t i = size; i < sizeof bytes; i++) EQUAL(bytes[i], 0x55);
    CHECK(counters->size <= size);
  }
}

CASE(8, 35, BOTH, "haft_counters_read: HAFT_E_ARGUMENT for a shard that there is not, no place, or one too small for a size.") {
  haft_counters counters = {.size = sizeof counters};
  const uint32_t shards[] = {16, 17, 1000, INT32_MAX, UINT32_MAX - 1};
  for (size_t i = 0; i < COUNT(shards); i++)
    EXPECT(haft_counters_read(realm, shards[i], &counters), HAFT_E_ARGUMENT);
  EXPECT(haft_counters_read(realm, 0, NULL), HAFT_E_ARGUMENT);
  counters.size = 0;
  EXPECT(haft_counters_read(realm, 0, &counters), HAFT_E_ARGUMENT);
}

CASE(8, 36, BOTH, "haft_counters_read: HAFT_E_CLOSED for a realm that is closed, and for an integer that is none.") {
  haft_counters counters = {.size = sizeof counters};
  size_t count;
  const haft_realm *none = no_realms(&count);
  for (size_t i = 0; i < count; i++) EXPECT(haft_counters_read(none[i], 0, &counters), HAFT_E_CLOSED);
}

/* ---- Functions of the host ---- */

static haft_status function_of_the_host(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count, (void)reply;
  return HAFT_OK;
}

CASE(8, 37, BOTH | MAY_LACK, "haft_expose gives a function, takes its place by a second one, and takes it back by NULL, twice too.") {
  EXPECT(haft_expose(realm, "conformance", function_of_the_host, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "conformance", function_of_the_host, &one), HAFT_OK);
  EXPECT(haft_expose(realm, "conformance", NULL, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "conformance", NULL, NULL), HAFT_OK);
}

CASE(8, 38, BOTH | MAY_LACK, "haft_expose: HAFT_E_ARGUMENT for a name that is not 1 to 112 bytes of UTF-8.") {
  char name[114];
  memset(name, 'n', sizeof name);
  name[113] = 0;
  EXPECT(haft_expose(realm, name, function_of_the_host, NULL), HAFT_E_ARGUMENT);
  name[112] = 0;
  EXPECT(haft_expose(realm, name, function_of_the_host, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, name, NULL, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "", function_of_the_host, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_expose(realm, NULL, function_of_the_host, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_expose(realm, "\xff", function_of_the_host, NULL), HAFT_E_ARGUMENT);
}

CASE(8, 39, BOTH | MAY_LACK, "haft_expose: HAFT_E_CLOSED for a realm that is closed, and for an integer that is none.") {
  size_t count;
  const haft_realm *none = no_realms(&count);
  for (size_t i = 0; i < count; i++)
    EXPECT(haft_expose(none[i], "conformance", function_of_the_host, NULL), HAFT_E_CLOSED);
}

CASE(8, 40, BOTH | MAY_LACK, "haft_reply_value and haft_reply_error: HAFT_E_ARGUMENT where no function of the host runs.") {
  EXPECT(haft_reply_value(NULL, &one), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_error(NULL, "text"), HAFT_E_ARGUMENT);
}

CASE(8, 41, FOREIGN,
     "haft_serve on a foreign thread: HAFT_OK once haft_signal was called, HAFT_E_TIMEOUT when nothing came; HAFT_E_REALM "
     "without the addon.") {
  EXPECT(haft_signal(realm, HAFT_EVENT_USER(5)), HAFT_OK);
  if (haft_expose(realm, "conformance", NULL, NULL) == HAFT_E_BACKEND) {
    EXPECT(haft_serve(realm, MOMENT), HAFT_E_REALM);
    return;
  }
  EXPECT(haft_serve(realm, WAIT), HAFT_OK);
  EXPECT(haft_serve(realm, MOMENT), HAFT_E_TIMEOUT);
}
