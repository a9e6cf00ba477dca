/* Functions of the host where the host is a program and JavaScript another process (host_functions.mjs): who runs them,
** and what becomes of them at the end of either. Run as `host_functions CASE [ARGS]`; the exit code is the number of
** failures. What one process has with them is in test/hosts/host_functions.c. */
#include <haft_embed.h>

#include "../hosts/check.h"

#include <signal.h>

#define PATIENCE_SECONDS 60 /* longer than any case takes, unless somebody waits for ever */

/* ---- Functions ---- */

static atomic_int twice_run;
static haft_status twice(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  const haft_value answer = haft_value_f64(2 * args[0].as.f64);
  (void)user;
  CHECK(count == 1 && args[0].type == HAFT_F64);
  twice_run++;
  return haft_reply_value(reply, &answer);
}

/* Calls JavaScript's function of that name with the number less one, which calls us again, until it is 0. */
static haft_status down_by(const char *name, const haft_value *args, haft_reply *reply) {
  haft_value result = haft_value_f64(0);
  if (args[0].as.f64 > 0) {
    const haft_value less = haft_value_f64(args[0].as.f64 - 1);
    const haft_status status = call(function(name), &less, 1, &result);
    if (status != HAFT_OK) return status;
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

static haft_status fail(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user;
  CHECK(count == 2);
  if (args[1].length > 0) EXPECT(haft_reply_error(reply, args[1].as.str), HAFT_OK);
  return args[0].as.i32;
}

/* Runs until the case lets it go. */
static atomic_int held, let_go, gone_on;
static haft_status hold(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count, (void)reply;
  held++;
  while (!let_go) usleep(200);
  gone_on++;
  return HAFT_OK;
}

static haft_status pid(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  const haft_value answer = haft_value_i32(getpid());
  (void)user, (void)args, (void)count;
  return haft_reply_value(reply, &answer);
}

/* ---- The logic ---- */

static const haft_embed_function all[] = {
    {"twice", twice, NULL}, {"downSync", down_sync, NULL},   {"downLater", down_later, NULL},
    {"fail", fail, NULL},   {"callLater", call_later, NULL}, {"hold", hold, NULL},
    {"pid", pid, NULL},     {NULL, NULL, NULL}};

static atomic_int ends, restarts;
static void ended_by(void *user, const haft_embed_end *end) {
  (void)user, (void)end;
  ends++;
}
static void restarted(void *user, haft_realm now) {
  (void)user;
  realm = now;
  restarts++;
}

static haft_status start_logic(haft_embed_options *options, const char *argument) {
  const char *const args[] = {argument, NULL};
  options->script = "test/embed/host_functions.mjs";
  options->functions = all;
  if (argument) options->args = args;
  options->ended = ended_by;
  options->restarted = restarted;
  return haft_embed_start(options, &realm);
}
static void start_with_pool(uint32_t threads) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  options.pool = threads;
  EXPECT(start_logic(&options, NULL), HAFT_OK);
}
static void stop(void) { EXPECT(haft_embed_stop(realm), HAFT_OK); }

static double ask_with(const char *name, double n) {
  const haft_value argument = haft_value_f64(n);
  haft_value result;
  EXPECT(call(function(name), &argument, 1, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64);
  return result.type == HAFT_F64 ? result.as.f64 : -1;
}
static int32_t ask_i32(const char *name) {
  haft_value result;
  EXPECT(call(function(name), NULL, 0, &result), HAFT_OK);
  CHECK(result.type == HAFT_I32);
  return result.type == HAFT_I32 ? result.as.i32 : 1;
}
static void post(const char *name) {
  const Target t = function(name);
  EXPECT(haft_post(t.handle, t.op, NULL, 0, HAFT_FAIL), HAFT_OK);
}

/* What a call of `name` tells begins so. */
static void expect_told(const char *name, const haft_value *args, size_t count, const char *begin) {
  haft_value result;
  EXPECT(call(function(name), args, count, &result), HAFT_OK);
  if (result.type != HAFT_STR || strncmp(result.as.str, begin, strlen(begin)) != 0)
    failed(__FILE__, __LINE__, result.type == HAFT_STR ? result.as.str : name);
  haft_value_free(&result);
}

/* ---- Threads of the program that serve ---- */

static atomic_int stop_serving;
static void *serve(void *unused) {
  (void)unused;
  while (!stop_serving) {
    const haft_status status = haft_serve(realm, -1);
    if (status == HAFT_E_CLOSED) return NULL;
    EXPECT(status, HAFT_OK);
  }
  return NULL;
}
static pthread_t servers[4];
static void begin_servers(int count) {
  for (int i = 0; i < count; i++) CHECK(pthread_create(&servers[i], NULL, serve, NULL) == 0);
}
static void end_servers(int count) {
  stop_serving = 1;
  if (count > 0) EXPECT(haft_signal(realm, HAFT_EVENT_USER(0)), HAFT_OK);
  for (int i = 0; i < count; i++) pthread_join(servers[i], NULL);
}

/* ---- Cases ---- */

static void use_all(void) {
  const haft_value refused[] = {haft_value_i32(HAFT_E_FULL), text("no room: ä")}, plain[] = {haft_value_i32(HAFT_E_BUSY), text("")};
  CHECK(ask_i32("hostsPid") == getpid());
  for (int i = 0; i < 200; i++) {
    CHECK(ask_with("twiceSync", i) == 2 * i);
    CHECK(ask_with("twiceLater", i) == 2 * i);
  }
  for (int depth = 0; depth <= 30; depth += 10) {
    CHECK(ask_with("downSync", depth) == depth);
    CHECK(ask_with("downLater", depth) == depth);
  }
  expect_told("failSync", refused, 2, "HAFT_E_FULL: HAFT_E_FULL: no room: ä;");
  expect_told("failLater", refused, 2, "HAFT_E_FULL: HAFT_E_FULL: no room: ä;");
  expect_told("failSync", plain, 2, "HAFT_E_BUSY: ");
  expect_told("absentSync", NULL, 0, "HAFT_E_NOT_FOUND: HAFT_E_NOT_FOUND: the host has no function of the name absent");
  expect_told("absentLater", NULL, 0, "HAFT_E_NOT_FOUND: ");
  CHECK(ask_i32("callLaterSync") == HAFT_E_DEADLOCK); /* the promise waits for the handler, and that for us */
  CHECK(ask_i32("callLaterLater") == HAFT_OK);
}

/* Who runs them: "caller", "servers N" or "pool N". */
static void all_by(void) {
  const int count = arguments_count > 3 ? atoi(arguments[3]) : 0;
  const bool pool = strcmp(arguments[2], "pool") == 0;
  start_with_pool(pool ? (uint32_t)count : 0);
  if (!pool) begin_servers(count);
  use_all();
  if (!pool) end_servers(count);
  stop();
}

static void many_call(int number) {
  for (int i = 0; i < 100; i++) CHECK(ask_with(i % 2 ? "twiceSync" : "twiceLater", number * 1000 + i) == 2 * (number * 1000 + i));
}
static void many_callers(void) {
  start_with_pool((uint32_t)atoi(arguments[2]));
  on_threads(4, many_call);
  stop();
}

/* options.functions while the logic loads, without anybody but haft_embed_start, and with a pool. */
static void loading(void) {
  static const struct {
    const char *start;
    double early;
  } ways[] = {{"sync", 8}, {"await", 8}, {"both", 8}};
  for (uint32_t pool = 0; pool < 3; pool += 2) {
    for (size_t i = 0; i < COUNT(ways); i++) {
      haft_embed_options options = HAFT_EMBED_OPTIONS;
      options.pool = pool;
      EXPECT(start_logic(&options, ways[i].start), HAFT_OK);
      CHECK(ask_number("early") == ways[i].early);
      stop();
    }
    haft_embed_options options = HAFT_EMBED_OPTIONS;
    options.pool = pool;
    options.output = HAFT_EMBED_DISCARD;
    EXPECT(start_logic(&options, "absent"), HAFT_E_EXCEPTION);
    CHECK(strstr(haft_last_error()->message, "no function of the name absent"));
  }
}

/* Two logics, each with functions of its own under one name. */
static haft_status which(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  const haft_value answer = haft_value_f64(*(const double *)user);
  (void)args, (void)count;
  return haft_reply_value(reply, &answer);
}
static void two_logics(void) {
  static double numbers[2] = {1, 2};
  haft_realm realms[2];
  for (int i = 0; i < 2; i++) {
    start_with_pool(0);
    realms[i] = realm;
    EXPECT(haft_expose(realm, "twice", which, &numbers[i]), HAFT_OK);
  }
  for (int i = 0; i < 2; i++) {
    realm = realms[i];
    CHECK(ask_with("twiceSync", 5) == numbers[i]);
    CHECK(ask_with("twiceLater", 5) == numbers[i]);
  }
  EXPECT(haft_embed_stop(realms[0]), HAFT_OK);
  EXPECT(haft_expose(realms[0], "twice", twice, NULL), HAFT_E_CLOSED);
  realm = realms[1];
  CHECK(ask_with("twiceSync", 5) == 2);
  stop();
}

static void kill_logic(void) {
  int32_t child;
  EXPECT(haft_embed_pid(realm, &child), HAFT_OK);
  CHECK(kill(child, SIGKILL) == 0);
}
static haft_status hold_status;
static void *call_hold(void *name) {
  const Target t = function(name);
  hold_status = haft_call(t.handle, t.op, NULL, 0, WAIT, NULL);
  return NULL;
}

/* The child is killed while a thread of the program runs its function, and JavaScript waits: "holdSync" or "holdLater".
** Who calls, and is not the one that runs it, is told at once; the function itself runs to its end. */
static void killed(void) {
  pthread_t caller;
  start_with_pool(1);
  CHECK(pthread_create(&caller, NULL, call_hold, arguments[2]) == 0);
  while (!held) usleep(200);
  kill_logic();
  pthread_join(caller, NULL);
  CHECK(hold_status == HAFT_E_CLOSED);
  CHECK(gone_on == 0);
  while (!ends) usleep(200);
  EXPECT(haft_expose(realm, "twice", twice, NULL), HAFT_E_CLOSED);
  EXPECT(haft_serve(realm, WAIT), HAFT_E_CLOSED);
  let_go = 1;
  while (!gone_on) usleep(200);
  EXPECT(haft_embed_stop(realm), HAFT_E_CLOSED);
}

/* As before, and it is the caller itself that runs the function. */
static void killed_in_caller(void) {
  pthread_t caller;
  start_with_pool(0);
  CHECK(pthread_create(&caller, NULL, call_hold, arguments[2]) == 0);
  while (!held) usleep(200);
  kill_logic();
  while (!ends) usleep(200);
  let_go = 1;
  pthread_join(caller, NULL);
  CHECK(hold_status == HAFT_E_CLOSED && gone_on == 1);
}

/* A logic that was started again has options.functions, and not what was given to the one before; a function that still
** runs for that one answers nobody. */
static void started_again(void) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  options.pool = (uint32_t)atoi(arguments[2]);
  options.restart = HAFT_EMBED_ALWAYS;
  /* While it is started again only a pool runs functions. */
  EXPECT(start_logic(&options, options.pool ? "both" : NULL), HAFT_OK);
  for (int round = 1; round <= 3; round++) {
    const haft_realm before = realm;
    EXPECT(haft_expose(realm, "absent", fail, NULL), HAFT_OK);
    held = gone_on = let_go = 0;
    if (options.pool > 1) {
      post("holdLater");
      while (!held) usleep(200);
    }
    kill_logic();
    while (restarts < round) usleep(200);
    CHECK(realm != before);
    CHECK(ask_number("early") == (options.pool ? 8 : 0));
    CHECK(ask_with("twiceSync", round) == 2 * round);
    CHECK(ask_with("twiceLater", round) == 2 * round);
    expect_told("absentSync", NULL, 0, "HAFT_E_NOT_FOUND");
    let_go = 1;
    while (gone_on < held) usleep(200);
    CHECK(ask_with("twiceLater", round) == 2 * round);
  }
  stop();
}

/* A function that is slow keeps nobody but the thread that runs it. */
static void slow_function(void) {
  start_with_pool(1);
  post("holdLater");
  while (!held) usleep(200);
  const Target never = function("never");
  EXPECT(haft_call(never.handle, never.op, NULL, 0, 50, NULL), HAFT_E_TIMEOUT);
  CHECK(ask_with("echo", 3) == 3);
  CHECK(gone_on == 0);
  let_go = 1;
  stop();
}

/* One that JavaScript waits for by host.sync: its thread handles calls meanwhile. */
static void slow_function_waited_for(void) {
  start_with_pool(1);
  post("holdSync");
  while (!held) usleep(200);
  for (int i = 0; i < 100; i++) CHECK(ask_with("echo", i) == i);
  const Target never = function("never");
  EXPECT(haft_call(never.handle, never.op, NULL, 0, 50, NULL), HAFT_E_TIMEOUT);
  CHECK(gone_on == 0);
  let_go = 1;
  stop();
}

static void *let_go_soon(void *unused) {
  (void)unused;
  usleep(100 * 1000);
  let_go = 1;
  return NULL;
}

/* Stopped while a thread runs a function: "caller", "server" or "pool". The stop does not hang, and the function ends. */
static void stopped(void) {
  pthread_t caller, helper;
  const bool by_caller = strcmp(arguments[2], "caller") == 0, by_server = strcmp(arguments[2], "server") == 0;
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  options.pool = by_caller || by_server ? 0 : 1;
  options.stop_ms = 2000;
  EXPECT(start_logic(&options, NULL), HAFT_OK);
  if (by_server) begin_servers(1);
  CHECK(pthread_create(&caller, NULL, call_hold, arguments[3]) == 0);
  while (!held) usleep(200);
  CHECK(pthread_create(&helper, NULL, let_go_soon, NULL) == 0);
  const haft_status status = haft_embed_stop(realm);
  CHECK(status == HAFT_OK || status == HAFT_E_TIMEOUT);
  pthread_join(caller, NULL);
  pthread_join(helper, NULL);
  if (by_server) pthread_join(servers[0], NULL);
  CHECK(hold_status == HAFT_OK || hold_status == HAFT_E_CLOSED);
  while (!gone_on) usleep(200);
  CHECK(ends == 1);
}

/* Where the logic is the first to end there is nobody to serve. */
static void served_to_the_end(void) {
  start_with_pool(0);
  begin_servers(3);
  CHECK(ask_with("twiceSync", 4) == 8);
  kill_logic();
  for (int i = 0; i < 3; i++) pthread_join(servers[i], NULL);
  EXPECT(haft_serve(realm, -1), HAFT_E_CLOSED);
}

int main(int argc, char **argv) {
  static const Case cases[] = {{"all", all_by},
                               {"many callers", many_callers},
                               {"loading", loading},
                               {"two logics", two_logics},
                               {"killed", killed},
                               {"killed in caller", killed_in_caller},
                               {"started again", started_again},
                               {"slow", slow_function},
                               {"slow, waited for", slow_function_waited_for},
                               {"stopped", stopped},
                               {"served to the end", served_to_the_end}};
  arguments_count = argc;
  arguments = argv;
  alarm(PATIENCE_SECONDS); /* a signal that nobody handles: the test sees it */
  for (size_t i = 0; argc > 1 && i < COUNT(cases); i++) {
    if (strcmp(cases[i].name, argv[1]) != 0) continue;
    cases[i].run();
    return failures > 90 ? 90 : failures;
  }
  return 101;
}
