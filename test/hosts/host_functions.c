/* Functions of the host: JavaScript calls them (logic/host-functions.mjs), on threads that wait in haft_call, haft_find
** and haft_serve. */
#include "check.h"

/* ---- Functions ---- */

static haft_status twice(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  const haft_value answer = haft_value_f64(2 * args[0].as.f64);
  CHECK(count == 1 && args[0].type == HAFT_F64);
  if (user) atomic_fetch_add((atomic_int *)user, 1);
  return haft_reply_value(reply, &answer);
}

/* Answers with its one argument, whatever it is. */
static haft_status echo(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user;
  CHECK(count == 1);
  const bool is_text = args[0].type == HAFT_STR || args[0].type == HAFT_BYTES;
  if (is_text) CHECK(args[0].as.str[args[0].length] == 0);
  if (args[0].type == HAFT_HANDLE && args[0].as.handle != HAFT_NULL) EXPECT(haft_retain(args[0].as.handle), HAFT_OK);
  return haft_reply_value(reply, &args[0]);
}

/* Says in a text of what types its arguments are and what they hold. */
static haft_status say(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  char said[1024] = "";
  size_t at = 0;
  (void)user;
  for (size_t i = 0; i < count; i++) {
    const haft_value *v = &args[i];
    if (v->type == HAFT_F64) at += snprintf(said + at, sizeof said - at, "f64 %g;", v->as.f64);
    if (v->type == HAFT_I32) at += snprintf(said + at, sizeof said - at, "i32 %d;", v->as.i32);
    if (v->type == HAFT_U32) at += snprintf(said + at, sizeof said - at, "u32 %u;", v->as.u32);
    if (v->type == HAFT_I64) at += snprintf(said + at, sizeof said - at, "i64 %lld;", (long long)v->as.i64);
    if (v->type == HAFT_BOOL) at += snprintf(said + at, sizeof said - at, "bool %d;", v->as.b);
    if (v->type == HAFT_HANDLE) at += snprintf(said + at, sizeof said - at, "handle %d;", haft_check(v->as.handle, 0));
    if (v->type == HAFT_STR) at += snprintf(said + at, sizeof said - at, "str %u %.20s;", v->length, v->as.str);
    if (v->type == HAFT_BYTES)
      at += snprintf(said + at, sizeof said - at, "bytes %u %d;", v->length, v->length ? ((const unsigned char *)v->as.bytes)[v->length - 1] : -1);
  }
  const haft_value answer = text(said);
  return haft_reply_value(reply, &answer);
}

static haft_status nothing(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count, (void)reply;
  return HAFT_OK;
}

/* Returns the status that it is told, with a text where it is not 0. */
static haft_status fail(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user;
  CHECK(count == 2);
  if (args[1].length > 0) EXPECT(haft_reply_error(reply, args[1].as.str), HAFT_OK);
  return args[0].as.i32;
}

static haft_status slowly(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  usleep(1000 * (useconds_t)args[0].as.f64);
  return twice(user, args, count, reply);
}

/* Waits until the case says so; its answer carries memory and a reference. */
static atomic_int held_here, let_go, gone_on;
static haft_handle held_result;
static haft_status hold(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count;
  held_here++;
  while (!let_go) usleep(200);
  gone_on++;
  if (held_result) {
    EXPECT(haft_retain(held_result), HAFT_OK);
    const haft_value answer = haft_value_handle(held_result);
    return haft_reply_value(reply, &answer);
  }
  static char large[100000];
  memset(large, 'l', sizeof large);
  const haft_value answer = haft_value_str(large, sizeof large);
  return haft_reply_value(reply, &answer);
}

/* Calls JavaScript's function of that name with the number less one, which calls us again, until it is 0. */
static haft_status down_by(const char *name, const haft_value *args, haft_reply *reply) {
  haft_value result = haft_value_f64(0);
  if (args[0].as.f64 > 0) {
    const Target next = function(name);
    const haft_value less = haft_value_f64(args[0].as.f64 - 1);
    const haft_status status = haft_call(next.handle, next.op, &less, 1, WAIT, &result);
    if (status != HAFT_OK) {
      EXPECT(haft_reply_error(reply, haft_last_error()->message), HAFT_OK);
      return status;
    }
    result.as.f64 += 1;
  }
  return haft_reply_value(reply, &result);
}
static haft_status down_sync(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)count;
  return down_by("downSync", args, reply);
}
static haft_status down_later(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)count;
  return down_by("downLater", args, reply);
}

/* The status of a call of a handler that answers with a promise. */
static haft_status call_later(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count;
  const Target later = function("later");
  const haft_value status = haft_value_i32(haft_call(later.handle, later.op, NULL, 0, WAIT, NULL));
  return haft_reply_value(reply, &status);
}

static pthread_t last_thread;
static haft_status note_thread(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count, (void)reply;
  last_thread = pthread_self();
  return HAFT_OK;
}

static void expose_all(void) {
  EXPECT(haft_expose(realm, "twice", twice, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "echo", echo, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "say", say, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "nothing", nothing, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "fail", fail, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "slowly", slowly, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "hold", hold, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "downSync", down_sync, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "downLater", down_later, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "callLater", call_later, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "noteThread", note_thread, NULL), HAFT_OK);
}

/* JavaScript does the whole of a case; its text is empty where all was as it should be. */
static void scenario_of(const char *name) {
  haft_value which = text(name), result;
  EXPECT(call(function("scenario"), &which, 1, &result), HAFT_OK);
  CHECK(result.type == HAFT_STR);
  if (result.type == HAFT_STR && result.length > 0) failed(__FILE__, __LINE__, result.as.str);
  haft_value_free(&result);
}

/* ---- Threads that serve ---- */

static atomic_int stop, functions_run;
static void serve_until_stop(int number) {
  (void)number;
  while (!stop) {
    const haft_status status = haft_serve(realm, -1);
    if (status == HAFT_E_CLOSED) return;
    EXPECT(status, HAFT_OK);
  }
}

/* ---- Cases ---- */

/* The caller's own thread runs them, in JavaScript's promises and in its waits. */
static void by_caller(void) {
  expose_all();
  EXPECT(haft_expose(realm, "twice", twice, &functions_run), HAFT_OK);
  scenario_of(arguments[2]);
  last_thread = 0;
  scenario_of("noteThread");
  CHECK(pthread_equal(last_thread, pthread_self()));
}

static pthread_t servers[4];
static void *serve_there(void *unused) {
  (void)unused;
  serve_until_stop(0);
  return NULL;
}
static void begin_servers(int count) {
  for (int i = 0; i < count; i++) CHECK(pthread_create(&servers[i], NULL, serve_there, NULL) == 0);
}
static void end_servers(int count) {
  stop = 1;
  EXPECT(haft_signal(realm, HAFT_EVENT_USER(0)), HAFT_OK);
  for (int i = 0; i < count; i++) pthread_join(servers[i], NULL);
}
static void by_servers(void) {
  const int count = atoi(arguments[3]);
  expose_all();
  begin_servers(count);
  usleep(20 * 1000);
  scenario_of(arguments[2]);
  /* They are there, so it is not the caller's to run. */
  for (int i = 0; i < 200; i++) {
    scenario_of("noteThread");
    if (!pthread_equal(last_thread, pthread_self())) break;
  }
  CHECK(!pthread_equal(last_thread, pthread_self()));
  end_servers(count);
}

/* One that waits for a name. */
static void by_finder(void) {
  haft_handle found;
  expose_all();
  const Target begin = function("publishWhenAnswered");
  EXPECT(haft_post(begin.handle, begin.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_find(realm, "answered", 0, WAIT, &found), HAFT_OK);
  EXPECT(haft_release(found), HAFT_OK);
}

/* Callers that sleep on handlers which never answer: each call of the host wakes one. */
static atomic_int callers_done;
static void call_until_told(int number) {
  (void)number;
  const Target wait = function("waitForAll");
  const haft_value n = haft_value_f64(number);
  haft_value result;
  EXPECT(haft_call(wait.handle, wait.op, &n, 1, WAIT, &result), HAFT_OK);
  callers_done++;
}
static void by_sleeping_callers(void) {
  expose_all();
  on_threads(4, call_until_told);
  CHECK(callers_done == 4);
}

/* Where nobody waits the call waits, and is run when somebody comes. */
static void nobody_waits(void) {
  EXPECT(haft_expose(realm, "twice", twice, &functions_run), HAFT_OK);
  const Target begin = function("beginTwice");
  EXPECT(haft_post(begin.handle, begin.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  uint32_t happened;
  EXPECT(haft_wait(realm, HAFT_EVENT_EMPTY, WAIT, &happened), HAFT_OK);
  usleep(50 * 1000);
  CHECK(functions_run == 0);
  EXPECT(haft_serve(realm, WAIT), HAFT_OK);
  CHECK(functions_run == 1);
  EXPECT(haft_serve(realm, 0), HAFT_E_TIMEOUT);
  EXPECT(haft_serve(realm, 20), HAFT_E_TIMEOUT);
  CHECK(ask_number("endOfTwice") == 42);
}

static void names(void) {
  char longest[114], many[16];
  memset(longest, 'n', sizeof longest);
  longest[113] = 0;
  EXPECT(haft_expose(realm, longest, nothing, NULL), HAFT_E_ARGUMENT);
  longest[112] = 0;
  EXPECT(haft_expose(realm, longest, nothing, NULL), HAFT_OK);
  scenario_of("the longest name");
  EXPECT(haft_expose(realm, longest, NULL, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "", nothing, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_expose(realm, NULL, nothing, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_expose(realm, "\xff", nothing, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_expose(realm + (1ull << 40), "other", nothing, NULL), HAFT_E_CLOSED);
  for (int i = 0; i < 1024; i++) {
    snprintf(many, sizeof many, "f%d", i);
    EXPECT(haft_expose(realm, many, nothing, NULL), HAFT_OK);
  }
  EXPECT(haft_expose(realm, "one more", nothing, NULL), HAFT_E_SLOTS);
  EXPECT(haft_expose(realm, "f0", nothing, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "f1", NULL, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "twice", nothing, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "twice", twice, NULL), HAFT_OK); /* in the place of the first */
  scenario_of("twice is twice");
  EXPECT(haft_expose(realm, "twice", NULL, NULL), HAFT_OK);
  scenario_of("twice is gone");
}

/* What an answer may be. */
static haft_reply *kept;
static haft_status answers_wrongly(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count;
  const haft_value bad_type = {99, 0, {0}}, no_text = {HAFT_STR, 3, {0}}, no_utf8 = haft_value_str("\xc3", 1),
                   forged = haft_value_handle(7), good = haft_value_f64(5);
  haft_value large = haft_value_str("x", HAFT_PAYLOAD_MAX + 1);
  kept = reply;
  EXPECT(haft_reply_value(NULL, &good), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_value(reply, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_value(reply, &bad_type), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_value(reply, &no_text), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_value(reply, &no_utf8), HAFT_E_UTF8);
  EXPECT(haft_reply_value(reply, &forged), HAFT_E_FORGED);
  EXPECT(haft_reply_value(reply, &large), HAFT_E_TOO_LARGE);
  EXPECT(haft_reply_error(reply, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_error(reply, "\xff"), HAFT_E_UTF8);
  /* Of two answers the second counts, and the reference of the first is given back. */
  const haft_value first = haft_value_handle(make("live"));
  EXPECT(haft_retain(first.as.handle), HAFT_OK);
  EXPECT(haft_reply_value(reply, &first), HAFT_OK);
  EXPECT(haft_reply_value(reply, &good), HAFT_OK);
  EXPECT(haft_release(first.as.handle), HAFT_OK);
  EXPECT(haft_check(first.as.handle, 0), HAFT_E_STALE);
  return HAFT_OK;
}
static void answers(void) {
  EXPECT(haft_expose(realm, "wrongly", answers_wrongly, NULL), HAFT_OK);
  scenario_of("wrongly");
  const haft_value good = haft_value_f64(5);
  EXPECT(haft_reply_value(kept, &good), HAFT_E_ARGUMENT);
  EXPECT(haft_reply_error(kept, "late"), HAFT_E_ARGUMENT);
}

/* JavaScript gives up while the function runs: what it answers is dropped. */
static void given_up(void) {
  expose_all();
  pthread_t server;
  CHECK(pthread_create(&server, NULL, serve_there, NULL) == 0);
  for (int round = 0; round < 2; round++) {
    let_go = 0;
    held_here = 0;
    held_result = round == 0 ? HAFT_NULL : make("live");
    const Target begin = function(arguments[2]);
    EXPECT(haft_post(begin.handle, begin.op, NULL, 0, HAFT_FAIL), HAFT_OK);
    while (!held_here) usleep(200);
    /* Not in a wait, which would serve too. */
    haft_handle over = HAFT_NULL;
    for (int i = 0; i < WAIT && haft_find(realm, "gave up", 0, 0, &over) != HAFT_OK; i++) usleep(1000);
    EXPECT(haft_release(over), HAFT_OK);
    EXPECT(haft_release(over), HAFT_OK); /* the creator's: the name is free */
    CHECK(held_here == 1);
    let_go = 1;
    while (gone_on <= round) usleep(200);
    if (held_result) {
      EXPECT(haft_release(held_result), HAFT_OK);
      for (int i = 0; i < WAIT && haft_check(held_result, 0) == HAFT_OK; i++) usleep(1000);
      EXPECT(haft_check(held_result, 0), HAFT_E_STALE);
    }
  }
  stop = 1;
  EXPECT(haft_signal(realm, HAFT_EVENT_USER(0)), HAFT_OK);
  pthread_join(server, NULL);
  scenario_of("plain"); /* it goes on as before */
}

/* The registry closes while a function runs, and while threads wait to serve. */
static void closes(void) {
  expose_all();
  begin_servers(3);
  const Target begin = function(arguments[2]);
  EXPECT(haft_post(begin.handle, begin.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  while (!held_here) usleep(200);
  const Target close = function("close");
  EXPECT(haft_call(close.handle, close.op, NULL, 0, WAIT, NULL), HAFT_E_CLOSED);
  EXPECT(haft_serve(realm, -1), HAFT_E_CLOSED);
  EXPECT(haft_expose(realm, "late", nothing, NULL), HAFT_E_CLOSED);
  let_go = 1;
  for (int i = 0; i < 3; i++) pthread_join(servers[i], NULL);
}

/* haft_signal ends the waits of those that serve, also of one that comes only then. */
static void signals(void) {
  begin_servers(4);
  usleep(20 * 1000);
  end_servers(4);
  stop = 0;
  EXPECT(haft_signal(realm, HAFT_EVENT_USER(3)), HAFT_OK);
  EXPECT(haft_serve(realm, -1), HAFT_OK);
  EXPECT(haft_serve(realm, 20), HAFT_E_TIMEOUT);
}

static void many_threads_call(int number) {
  for (int i = 0; i < 100; i++) {
    const Target sum = function(i % 2 ? "sumSync" : "sumLater");
    const haft_value n = haft_value_f64(1000 * number + i);
    haft_value result;
    EXPECT(haft_call(sum.handle, sum.op, &n, 1, WAIT, &result), HAFT_OK);
    CHECK(result.type == HAFT_F64 && result.as.f64 == 6 * n.as.f64);
  }
}
static void many(void) {
  const int count = atoi(arguments[2]);
  expose_all();
  begin_servers(count);
  on_threads(4, many_threads_call);
  end_servers(count);
}

CASES({"by caller", by_caller}, {"by servers", by_servers}, {"by finder", by_finder},
      {"by sleeping callers", by_sleeping_callers}, {"nobody waits", nobody_waits}, {"names", names},
      {"answers", answers}, {"given up", given_up}, {"closes", closes}, {"signals", signals}, {"many", many})
