/* How a logic ends: by itself, when it is stuck, when it is stopped; and how it is started again. */
#include "embed.h"

static haft_status call_number(const char *name, double number) {
  const haft_value argument = haft_value_f64(number);
  return haft_call(function(name).handle, function(name).op, &argument, 1, WAIT, NULL);
}

static haft_status call_text(const char *name, const char *what) {
  const haft_value argument = text(what);
  return call(function(name), &argument, 1, NULL);
}

static haft_status call_plain(const char *name) { return call(function(name), NULL, 0, NULL); }

static void expect_end(haft_embed_reason reason, int exit_code, int signal, const char *says) {
  UNTIL(ends == 1);
  if (latest_end.reason != reason || latest_end.exit_code != exit_code || latest_end.signal != signal ||
      !strstr(latest_text, says)) {
    fprintf(stderr, "reason %d, exit code %d, signal %d: %s\n", latest_end.reason, latest_end.exit_code,
            latest_end.signal, latest_text);
    failures++;
  }
  CHECK(latest_end.size == sizeof(haft_embed_end) && latest_end.realm == realm && latest_end.pid > 0);
  CHECK(!is_alive(latest_end.pid));
  ends = 0;
}

static haft_embed_options quiet_options(void) {
  haft_embed_options options = options_for(LOGIC);
  options.output = HAFT_EMBED_DISCARD;
  return options;
}

static void by_itself(void) {
  haft_embed_options options = quiet_options();
  const char *node_args[] = {"--max-old-space-size=40", NULL};
  options.node_args = node_args;
  realm = start_logic(&options);
  EXPECT(call_number("exit", 5), HAFT_E_CLOSED);
  expect_end(HAFT_EMBED_EXITED, 5, 0, "exited with code 5");
  realm = start_logic(&options);
  EXPECT(call_text("failLater", "nobody catches this"), HAFT_OK);
  expect_end(HAFT_EMBED_EXITED, 1, 0, "nobody catches this");
  realm = start_logic(&options);
  EXPECT(call_plain("abort"), HAFT_E_CLOSED);
  expect_end(HAFT_EMBED_KILLED, -1, SIGABRT, "signal 6");
  realm = start_logic(&options);
  EXPECT(call_plain("memory"), HAFT_E_CLOSED);
  expect_end(HAFT_EMBED_KILLED, -1, SIGABRT, "heap");
  realm = start_logic(&options);
  EXPECT(call_plain("close"), HAFT_E_CLOSED);
  expect_end(HAFT_EMBED_EXITED, 0, 0, "exited with code 0");
  UNTIL(haft_embed_stop(realm) == HAFT_E_CLOSED); /* OK while its end is still being told */
}

/* An endless handler under four callers. */
static void find_and_call(int number) {
  haft_value result;
  const haft_value args[2] = {haft_value_f64(number), haft_value_f64(1)};
  haft_status status = HAFT_OK;
  while (status == HAFT_OK) {
    haft_handle add;
    haft_kind kind;
    haft_op op;
    status = haft_find(realm, "add", 0, WAIT, &add);
    if (status == HAFT_OK && haft_kind_of(add, &kind) == HAFT_OK && haft_op_find(kind, "call", &op) == HAFT_OK) {
      status = haft_call(add, op, args, 2, -1, &result);
      haft_release(add);
    }
  }
  CHECK(status == HAFT_E_CLOSED);
}
static void *post_busy(void *data) {
  (void)data;
  usleep(50000);
  const haft_value argument = haft_value_f64(1e9);
  const Target spin = function("busy");
  EXPECT(haft_call(spin.handle, spin.op, &argument, 1, -1, NULL), HAFT_E_CLOSED);
  return NULL;
}
static void stuck(void) {
  haft_embed_options options = quiet_options();
  options.stuck_ms = 300;
  realm = start_logic(&options);
  pthread_t thread;
  pthread_create(&thread, NULL, post_busy, NULL);
  on_threads(4, find_and_call);
  pthread_join(thread, NULL);
  expect_end(HAFT_EMBED_STUCK, -1, 0, "300 ms");
}

/* A worker that hangs is stuck, however well the rest is. */
static void stuck_worker(void) {
  haft_embed_options options = quiet_options();
  options.stuck_ms = 1000;
  const haft_realm first = realm = start_logic(&options);
  haft_value result;
  EXPECT(call(function("openWorker"), NULL, 0, &result), HAFT_OK);
  realm = (haft_realm)result.as.i64;
  const Target hang = function("hang");
  realm = first;
  const Target sum = function("add");
  EXPECT(haft_post(hang.handle, hang.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  haft_status status = HAFT_OK;
  const haft_value args[2] = {haft_value_f64(1), haft_value_f64(1)};
  while (status == HAFT_OK) {
    status = haft_call(sum.handle, sum.op, args, 2, WAIT, &result);
    usleep(2000);
  }
  EXPECT(status, HAFT_E_CLOSED);
  expect_end(HAFT_EMBED_STUCK, -1, 0, "1000 ms");
}

/* Neither one that sleeps, nor one that is always busy and moves on, nor one that waits for a promise. */
static void not_stuck(void) {
  haft_embed_options options = quiet_options();
  options.stuck_ms = 1500;
  realm = start_logic(&options);
  usleep(2000000);
  const Target later = function("later"), spin = function("busy");
  EXPECT(haft_call(later.handle, later.op, (haft_value[2]){haft_value_f64(1), haft_value_f64(2000)}, 2, WAIT, NULL), HAFT_OK);
  const haft_value slice = haft_value_f64(30);
  for (int i = 0; i < 80; i++) EXPECT(haft_post(spin.handle, spin.op, &slice, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(call(spin, &slice, 1, NULL), HAFT_OK);
  CHECK(ends == 0);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* ---- Started again ---- */

static void crash_until_restarted(int so_often) {
  UNTIL(restarts == so_often || ends == so_often + 1);
}

static void started_again(void) {
  haft_embed_options options = quiet_options();
  options.restart = HAFT_EMBED_ON_FAILURE;
  options.restart_most = 3;
  const haft_realm first = realm = start_logic(&options);
  const Target old = function("add");
  haft_realm before = first, now = 0;
  for (int i = 1; i <= 3; i++) {
    EXPECT(call_number("exit", 3), HAFT_E_CLOSED);
    crash_until_restarted(i);
    CHECK(ends == i && latest_end.restarting && latest_end.restarts == (uint32_t)i - 1 && latest_end.realm == before);
    EXPECT(haft_embed_realm(first, WAIT, &now), HAFT_OK);
    CHECK(now == restarted_realm && now != before && now != first);
    EXPECT(haft_embed_realm(before, 0, &now), HAFT_OK);
    before = realm = now;
    haft_value result;
    EXPECT(call(function("add"), (haft_value[2]){haft_value_f64(i), haft_value_f64(1)}, 2, &result), HAFT_OK);
    CHECK(result.as.f64 == i + 1);
    const haft_status status = haft_check(old.handle, 0);
    CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
  }
  EXPECT(call_number("exit", 3), HAFT_E_CLOSED); /* once too often */
  UNTIL(ends == 4);
  CHECK(!latest_end.restarting);
  UNTIL(haft_embed_realm(first, 0, &now) == HAFT_E_CLOSED);
  EXPECT(haft_embed_stop(first), HAFT_E_CLOSED);
}

static void by_policy(void) {
  haft_embed_options options = quiet_options();
  options.restart = HAFT_EMBED_ON_FAILURE; /* not with exit code 0 */
  realm = start_logic(&options);
  EXPECT(call_number("exit", 0), HAFT_E_CLOSED);
  expect_end(HAFT_EMBED_EXITED, 0, 0, "code 0");
  CHECK(!latest_end.restarting);
  options.restart = HAFT_EMBED_ALWAYS;
  realm = start_logic(&options);
  EXPECT(call_number("exit", 0), HAFT_E_CLOSED);
  UNTIL(restarts == 1);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  CHECK(latest_end.reason == HAFT_EMBED_STOPPED && !latest_end.restarting);
}

/* A function that it calls while it loads is run by whoever waits for it. */
static atomic_int looked_up;
static haft_status look_up(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count;
  looked_up++;
  const haft_value seven = haft_value_f64(7);
  return haft_reply_value(reply, &seven);
}
static void asks_at_load(void) {
  const char *args[] = {"lookup", NULL};
  const haft_embed_function functions[] = {{"lookup", look_up, NULL}, {NULL, NULL, NULL}};
  haft_embed_options options = quiet_options();
  options.args = args;
  options.functions = functions;
  options.restart = HAFT_EMBED_ALWAYS;
  for (options.pool = 0; options.pool < 3; options.pool += 2) {
    looked_up = ends = restarts = 0;
    realm = start_logic(&options);
    kill(pid_of(realm), SIGKILL);
    UNTIL(ends == 1);
    haft_realm now;
    EXPECT(haft_embed_realm(realm, WAIT, &now), HAFT_OK);
    CHECK(now != realm && looked_up == 2);
    EXPECT(haft_embed_stop(realm), HAFT_OK);
  }
}

/* No moment between tells of a child that is dead. */
static void pid_of_dead(void) {
  const haft_embed_options options = quiet_options();
  realm = start_logic(&options);
  kill(pid_of(realm), SIGKILL);
  haft_realm now;
  while (haft_embed_realm(realm, 0, &now) == HAFT_OK) usleep(100);
  int32_t pid;
  CHECK(haft_embed_pid(realm, &pid) != HAFT_OK && pid == 0);
  UNTIL(ends == 1);
}

/* The second time it cannot start: its script is gone. */
static void not_ready_again(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/goes.mjs", arguments[2]);
  FILE *file = fopen(path, "w");
  fputs("export default (registry) => { setTimeout(() => process.exit(1), 300); };\n", file);
  fclose(file);
  haft_embed_options options = options_for(path);
  options.package = ".";
  options.restart = HAFT_EMBED_ALWAYS;
  options.restart_most = 2;
  realm = start_logic(&options);
  unlink(path);
  UNTIL(ends == 3);
  CHECK(latest_end.reason == HAFT_EMBED_NOT_READY && !latest_end.restarting && strstr(latest_text, "goes.mjs"));
  haft_realm now;
  UNTIL(haft_embed_realm(realm, 0, &now) == HAFT_E_CLOSED);
}

/* Handles of many lives, so many as arguments[3] says: none is ever good again; and nothing of a life is left. */
static void many_lives(void) {
  enum { LIVES = 10000, KEPT = 20, SETTLED = 10 };
  const int lives = atoi(arguments[3]);
  haft_embed_options options = quiet_options();
  options.restart = HAFT_EMBED_ALWAYS;
  options.restart_most = 1000000;
  static haft_handle old[LIVES][KEPT];
  realm = start_logic(&options);
  int descriptors = 0, threads = 0;
  for (int life = 0; life < lives; life++) {
    for (int i = 0; i < KEPT; i++) old[life][i] = make("any");
    const haft_realm before = realm;
    kill(pid_of(realm), SIGKILL);
    UNTIL(restarts == life + 1);
    EXPECT(haft_embed_realm(before, WAIT, &realm), HAFT_OK);
    CHECK(realm != before);
    for (int earlier = 0; earlier <= life; earlier++) {
      for (int i = 0; i < KEPT; i++) {
        const haft_status status = haft_retain(old[earlier][i]);
        CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
      }
    }
    if (life == SETTLED) {
      descriptors = entries("/proc/self/fd");
      threads = entries("/proc/self/task");
    }
  }
  UNTIL(entries("/proc/self/fd") <= descriptors && entries("/proc/self/task") <= threads);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  CHECK(ends == lives + 1);
}

/* ---- Stopped ---- */

static void *call_for_ever(void *data) {
  const Target *later = data;
  const haft_value soon[2] = {haft_value_f64(4), haft_value_f64(2)};
  haft_value result;
  haft_status status;
  do status = haft_call(later->handle, later->op, soon, 2, -1, &result);
  while (status == HAFT_OK);
  CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
  return NULL;
}

/* Calls that come while it stops do not put that off, though one always waits for a promise. */
static void in_order_under_load(void) {
  start_plain();
  const Target later = function("later");
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, call_for_ever, (void *)&later);
  usleep(100 * 1000);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  expect_end(HAFT_EMBED_STOPPED, 0, 0, "code 0");
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void in_order(void) {
  char path[4096], written[64] = "";
  snprintf(path, sizeof path, "%s/at-exit", arguments[2]);
  start_plain();
  EXPECT(call_text("atExit", path), HAFT_OK);
  const Target later = function("later"), count = target("count", "add");
  haft_op total;
  EXPECT(haft_op_find(count.kind, "total", &total), HAFT_OK);
  haft_queue queue;
  int descriptor;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  haft_completer completer = {0};
  completer.size = sizeof completer;
  completer.queue = queue;
  const haft_value one = haft_value_f64(1), soon[2] = {haft_value_f64(4), haft_value_f64(100)};
  EXPECT(haft_call_async(later.handle, later.op, soon, 2, -1, &completer), HAFT_OK);
  for (int i = 0; i < 500; i++) EXPECT(haft_post(count.handle, count.op, &one, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
  EXPECT(haft_call_async(count.handle, total, NULL, 0, -1, &completer), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  expect_end(HAFT_EMBED_STOPPED, 0, 0, "code 0");
  double sum = 0;
  for (int i = 0; i < 2; i++) {
    haft_completion completion;
    EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_OK);
    CHECK(completion.status == HAFT_OK);
    sum += completion.result.as.f64;
  }
  CHECK(sum == 504);
  FILE *file = fopen(path, "r");
  CHECK(file && fgets(written, sizeof written, file) && strcmp(written, "exit 0") == 0);
  if (file) fclose(file);
  EXPECT(haft_embed_stop(realm), HAFT_E_CLOSED);
}

static void with_deadline(void) {
  haft_embed_options options = quiet_options();
  options.stop_ms = 200;
  realm = start_logic(&options);
  const Target spin = function("busy");
  EXPECT(haft_post(spin.handle, spin.op, (haft_value[1]){haft_value_f64(1e9)}, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_E_TIMEOUT);
  expect_end(HAFT_EMBED_STOPPED, -1, 0, "signal 9");
}

/* One that hangs is killed as a stuck one, where that is sooner. */
static void stuck_at_stop(void) {
  haft_embed_options options = quiet_options();
  options.stuck_ms = 300;
  realm = start_logic(&options);
  const Target spin = function("busy");
  EXPECT(haft_post(spin.handle, spin.op, (haft_value[1]){haft_value_f64(1e9)}, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_E_TIMEOUT);
  expect_end(HAFT_EMBED_STUCK, -1, 0, "300 ms");
}

/* A time without end, or of many days, is no short one. */
static void long_times(void) {
  const int64_t times[] = {INT64_MAX, 40ll * 24 * 3600 * 1000};
  for (size_t i = 0; i < COUNT(times); i++) {
    ends = 0;
    haft_embed_options options = quiet_options();
    options.ready_ms = options.stop_ms = options.stuck_ms = options.restart_within_ms = times[i];
    realm = start_logic(&options);
    const Target spin = function("busy");
    EXPECT(call(spin, (haft_value[1]){haft_value_f64(200)}, 1, NULL), HAFT_OK);
    EXPECT(haft_embed_stop(realm), HAFT_OK);
    CHECK(ends == 1);
  }
}

static atomic_int stopped, found_stopped;
static void stop_it(int number) {
  (void)number;
  const haft_status status = haft_embed_stop(realm);
  if (status == HAFT_OK) stopped++;
  if (status == HAFT_E_CLOSED) found_stopped++;
}
static void by_several(void) {
  start_plain();
  on_threads(4, stop_it);
  CHECK(stopped >= 1 && stopped + found_stopped == 4 && ends == 1);
}

/* In its callbacks it cannot be waited for. */
static _Atomic haft_status in_line, in_ended, in_restarted, elsewhere_in_ended;
static haft_realm another;
static void stop_in_line(void *user, haft_embed_stream stream, const char *line, size_t length) {
  (void)user, (void)stream, (void)line, (void)length;
  in_line = haft_embed_stop(realm);
}
static void stop_in_ended(void *user, const haft_embed_end *end) {
  note_end(user, end);
  in_ended = haft_embed_stop(end->realm);
  if (another) elsewhere_in_ended = haft_embed_stop(another);
  another = 0;
}
static void stop_in_restarted(void *user, haft_realm fresh) {
  in_restarted = haft_embed_stop(fresh);
  note_restart(user, fresh);
}
static void in_callbacks(void) {
  haft_embed_options options = options_for(LOGIC);
  another = start_logic(&options);
  options.output = HAFT_EMBED_LINES;
  options.line = stop_in_line;
  options.ended = stop_in_ended;
  options.restarted = stop_in_restarted;
  options.restart = HAFT_EMBED_ALWAYS;
  in_line = in_ended = in_restarted = 1;
  realm = start_logic(&options);
  EXPECT(call_text("say", "a line\n"), HAFT_OK);
  UNTIL(in_line != 1);
  EXPECT(call_number("exit", 1), HAFT_E_CLOSED);
  UNTIL(restarts == 1);
  CHECK(in_line == HAFT_E_DEADLOCK && in_ended == HAFT_E_DEADLOCK && in_restarted == HAFT_E_DEADLOCK);
  CHECK(elsewhere_in_ended == HAFT_OK); /* another logic may be stopped there */
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* While it is being started again, and at the moment at which it dies. */
static void while_starting(void) {
  haft_embed_options options = quiet_options();
  options.restart = HAFT_EMBED_ALWAYS;
  options.restart_most = 1000;
  for (int i = 0; i < 12; i++) {
    ends = restarts = 0;
    realm = start_logic(&options);
    const int32_t pid = pid_of(realm);
    kill(pid, SIGKILL);
    usleep((useconds_t)(i * 7000));
    const haft_status status = haft_embed_stop(realm);
    CHECK(status == HAFT_OK);
    haft_realm now;
    EXPECT(haft_embed_realm(realm, -1, &now), HAFT_E_CLOSED);
    CHECK(ends >= 1 && !latest_end.restarting && !is_alive(pid) && !is_alive(latest_end.pid));
  }
}

static void any_integer(void) {
  start_plain();
  static const haft_realm numbers[] = {0, 1, 127, 128, 200, UINT64_MAX, (haft_realm)1 << 52, 0x1234567890abcdef};
  haft_realm now;
  int32_t pid;
  for (size_t i = 0; i < COUNT(numbers); i++) {
    const haft_status status = haft_embed_stop(numbers[i]);
    CHECK(status == HAFT_E_ARGUMENT || status == HAFT_E_CLOSED);
    CHECK(haft_embed_realm(numbers[i], -1, &now) == status && now == 0);
    CHECK(haft_embed_pid(numbers[i], &pid) == status && pid == 0);
  }
  EXPECT(haft_embed_realm(realm, 0, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_embed_pid(realm, NULL), HAFT_E_ARGUMENT);
  CHECK(strcmp(haft_embed_reason_text((haft_embed_reason)77), "unknown reason") == 0);
  CHECK(strcmp(haft_embed_reason_text(HAFT_EMBED_KILLED), "a signal ended it") == 0);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* So many logics as arguments[3] says, one after the other: what was there after the first few is all that is there. */
static long pages(void) {
  long size = 0, resident = 0, shared = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld %ld %ld", &size, &resident, &shared) != 3) exit(95);
  fclose(file);
  return resident - shared;
}
static void one_after_the_other(void) {
  const int count = atoi(arguments[3]);
  haft_embed_options options = quiet_options();
  int descriptors = 0, threads = 0;
  long memory = 0;
  for (int i = 0; i < count; i++) {
    realm = start_logic(&options);
    if (i % 2) EXPECT(haft_embed_stop(realm), HAFT_OK);
    else kill(pid_of(realm), SIGKILL);
    UNTIL(ends == i + 1);
    if (i == 10) {
      UNTIL(haft_embed_stop(realm) == HAFT_E_CLOSED);
      usleep(50000);
      descriptors = entries("/proc/self/fd");
      threads = entries("/proc/self/task");
      memory = pages();
    }
  }
  UNTIL(entries("/proc/self/fd") <= descriptors && entries("/proc/self/task") <= threads);
  CHECK(pages() - memory < 256); /* 1 MiB */
}

/* The program's own end, whatever its threads do: no crash, and the exit code is its own. */
static void call_add_for_ever(int number) {
  const Target sum = function("add");
  const haft_value args[2] = {haft_value_f64(number), haft_value_f64(1)};
  while (haft_call(sum.handle, sum.op, args, 2, -1, NULL) == HAFT_OK) {
  }
}
static void *run_calls(void *data) {
  call_add_for_ever((int)(intptr_t)data);
  return NULL;
}
static void exit_of_program(void) {
  haft_embed_options options = quiet_options();
  options.restart = HAFT_EMBED_ALWAYS;
  for (int i = 0; i < 3; i++) realm = start_logic(&options);
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, run_calls, (void *)(intptr_t)i);
  }
  usleep(50000);
  printf("logic: %d\n", pid_of(realm));
  exit(23);
}
static void exec_of_program(void) {
  start_plain();
  printf("logic: %d\n", pid_of(realm));
  fflush(stdout);
  execl("/bin/sh", "sh", "-c", "exit 24", (char *)NULL);
}

EMBED_CASES({"by itself", by_itself}, {"stuck", stuck}, {"stuck worker", stuck_worker}, {"not stuck", not_stuck},
            {"started again", started_again}, {"by policy", by_policy}, {"not ready again", not_ready_again},
            {"asks at load", asks_at_load}, {"pid of dead", pid_of_dead}, {"stuck at stop", stuck_at_stop},
            {"in order under load", in_order_under_load}, {"long times", long_times}, {"many lives", many_lives}, {"in order", in_order},
            {"with a deadline", with_deadline},
            {"by several threads", by_several}, {"in callbacks", in_callbacks}, {"while starting", while_starting},
            {"any integer", any_integer}, {"one after the other", one_after_the_other}, {"exit", exit_of_program},
            {"exec", exec_of_program})
