/* haft.h across two processes: every way to send, to wait and to look; and each of them while the other process dies. */
#include "embed.h"

enum { THREADS = 4 };

static Target at(haft_realm where, const char *name) {
  const haft_realm before = realm;
  realm = where;
  const Target found = function(name);
  realm = before;
  return found;
}

static double sum_at(Target target, double one, double other) {
  const haft_value args[2] = {haft_value_f64(one), haft_value_f64(other)};
  haft_value result = haft_value_f64(0);
  EXPECT(call(target, args, 2, &result), HAFT_OK);
  return result.as.f64;
}

static haft_realm ask_realm(const char *name) {
  haft_value result = haft_value_i64(0);
  EXPECT(call(function(name), NULL, 0, &result), HAFT_OK);
  return (haft_realm)result.as.i64;
}

static void calls(void) {
  start_plain();
  const Target sum = function("add"), later = function("later"), length = function("length"), twice = function("twice");
  for (int i = 0; i < 1000; i++) CHECK(sum_at(sum, i, 1) == i + 1);
  CHECK(sum_at(later, 7, 20) == 7);

  const size_t big = 200000; /* beyond a message: through the heap of the realm, both ways */
  char *many = malloc(big);
  memset(many, 'x', big);
  haft_value argument = haft_value_str(many, big), result;
  EXPECT(call(length, &argument, 1, &result), HAFT_OK);
  CHECK(result.as.f64 == (double)big);
  for (int i = 0; i < 20; i++) {
    EXPECT(call(twice, &argument, 1, &result), HAFT_OK);
    CHECK(result.length == 2 * big && result.as.str[2 * big - 1] == 'x');
    haft_value_free(&result);
  }
  free(many);

  argument = text("of no use");
  EXPECT(call(function("fail"), &argument, 1, &result), HAFT_E_EXCEPTION);
  CHECK(strcmp(haft_last_error()->message, "of no use") == 0 && strcmp(haft_last_error()->name, "TypeError") == 0);
  EXPECT(haft_call(later.handle, later.op, (haft_value[2]){haft_value_f64(1), haft_value_f64(WAIT)}, 2, 30, &result),
         HAFT_E_TIMEOUT);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static void posts_and_handles(void) {
  start_plain();
  const Target count = target("count", "add");
  haft_op total;
  EXPECT(haft_op_find(count.kind, "total", &total), HAFT_OK);
  for (int i = 0; i < 20000; i++)
    EXPECT(haft_post(count.handle, count.op, (haft_value[1]){haft_value_f64(1)}, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
  haft_value result;
  EXPECT(haft_call(count.handle, total, NULL, 0, WAIT, &result), HAFT_OK);
  CHECK(result.as.f64 == 20000);

  /* A handle that comes back is ours; its last reference ends it in the other process. */
  const haft_handle made = make("any");
  EXPECT(haft_retain(made), HAFT_OK);
  EXPECT(haft_release(made), HAFT_OK);
  EXPECT(haft_check(made, count.kind), HAFT_OK);
  EXPECT(haft_release(made), HAFT_OK);
  EXPECT(haft_check(made, count.kind), HAFT_E_STALE);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  EXPECT(haft_check(count.handle, 0), HAFT_E_CLOSED);
}

static void many_at_once(void) {
  start_plain();
  enum { N = 300 };
  static haft_request requests[N];
  static haft_value args[N][2];
  const Target sum = function("add");
  for (int i = 0; i < N; i++) {
    args[i][0] = haft_value_f64(i);
    args[i][1] = haft_value_f64(1);
    requests[i] = (haft_request){.handle = sum.handle, .op = sum.op, .args = args[i], .count = 2};
  }
  EXPECT(haft_call_many(requests, N, WAIT), HAFT_OK);
  for (int i = 0; i < N; i++) CHECK(requests[i].status == HAFT_OK && requests[i].result.as.f64 == i + 1);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static atomic_int completed, completed_closed;

static void complete(void *user, haft_status status, haft_value *result) {
  if (status == HAFT_OK && result->as.f64 == *(double *)user) completed++;
  if (status == HAFT_E_CLOSED) completed_closed++;
  haft_value_free(result);
}

static haft_completer completer_of(double *wanted) {
  haft_completer completer = {0};
  completer.size = sizeof completer;
  completer.done = complete;
  completer.user = wanted;
  return completer;
}

static void async_calls(void) {
  start_plain();
  const Target sum = function("add"), later = function("later");
  double three = 3;
  haft_completer completer = completer_of(&three);
  const haft_value args[2] = {haft_value_f64(1), haft_value_f64(2)};
  for (int i = 0; i < 100; i++) EXPECT(haft_call_async(sum.handle, sum.op, args, 2, WAIT, &completer), HAFT_OK);
  UNTIL(completed == 100);
  const haft_value slow[2] = {haft_value_f64(3), haft_value_f64(50)};
  EXPECT(haft_call_async(later.handle, later.op, slow, 2, -1, &completer), HAFT_OK);
  UNTIL(completed == 101);

  haft_queue queue;
  int descriptor;
  haft_completion completion;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  completer.done = NULL;
  completer.queue = queue;
  EXPECT(haft_call_async(later.handle, later.op, slow, 2, WAIT, &completer), HAFT_OK);
  struct pollfd readable = {descriptor, POLLIN, 0};
  CHECK(poll(&readable, 1, WAIT) == 1);
  EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_OK);
  CHECK(completion.status == HAFT_OK && completion.result.as.f64 == 3);
  EXPECT(haft_queue_close(queue), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static void *signal_soon(void *data) {
  usleep(20000);
  EXPECT(haft_signal(*(haft_realm *)data, HAFT_EVENT_USER(3)), HAFT_OK);
  return NULL;
}

static void names_and_events(void) {
  start_plain();
  haft_handle found;
  EXPECT(haft_find(realm, "not there", 0, 10, &found), HAFT_E_NOT_FOUND);
  const Target publish = function("publishLater");
  EXPECT(call(publish, (haft_value[2]){text("soon"), haft_value_f64(100)}, 2, NULL), HAFT_OK);
  EXPECT(haft_find(realm, "soon", 0, WAIT, &found), HAFT_OK); /* waits for the other process */
  EXPECT(haft_release(found), HAFT_OK);

  uint32_t happened;
  pthread_t thread;
  pthread_create(&thread, NULL, signal_soon, &realm);
  EXPECT(haft_wait(realm, HAFT_EVENT_USER(3), WAIT, &happened), HAFT_OK);
  CHECK(happened == HAFT_EVENT_USER(3));
  pthread_join(thread, NULL);
  const Target count = target("count", "add");
  for (int i = 0; i < 100; i++) haft_post(count.handle, count.op, (haft_value[1]){haft_value_f64(1)}, 1, HAFT_FAIL);
  EXPECT(haft_wait(realm, HAFT_EVENT_EMPTY, WAIT, &happened), HAFT_OK);
  EXPECT(haft_wait(realm, HAFT_EVENT_USER(1), 10, &happened), HAFT_E_TIMEOUT);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* More calls than can wait at one time. */
static atomic_int busy, in_time;
static Target never;
static void fill_replies(int number) {
  (void)number;
  enum { N = 256 };
  haft_request requests[N] = {{0}};
  for (int i = 0; i < N; i++) requests[i] = (haft_request){.handle = never.handle, .op = never.op};
  haft_call_many(requests, N, 3000);
  for (int i = 0; i < N; i++) {
    if (requests[i].status == HAFT_E_BUSY) busy++;
    if (requests[i].status == HAFT_E_TIMEOUT) in_time++;
  }
}
static void too_many_calls(void) {
  start_plain();
  never = function("never");
  on_threads(20, fill_replies);
  CHECK(busy > 0 && in_time > 0 && busy + in_time == 20 * 256);
  CHECK(sum_at(function("add"), 1, 2) == 3); /* they were given back */
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* ---- Its end, under whatever waits for it ---- */

typedef struct {
  const char *what;
  haft_status status;
} Waiting;

static haft_queue waiting_queue;

static void wait_somehow(int number) {
  static const haft_status wanted = HAFT_E_CLOSED;
  haft_value result;
  haft_handle found;
  uint32_t happened;
  switch (number) {
    case 0:
      EXPECT(haft_call(never.handle, never.op, NULL, 0, -1, &result), wanted);
      break;
    case 1: {
      haft_request requests[3] = {{0}};
      for (int i = 0; i < 3; i++) requests[i] = (haft_request){.handle = never.handle, .op = never.op};
      EXPECT(haft_call_many(requests, 3, -1), wanted);
      break;
    }
    case 2:
      EXPECT(haft_find(realm, "not there", 0, -1, &found), wanted);
      break;
    case 3:
      EXPECT(haft_wait(realm, HAFT_EVENT_USER(1), -1, &happened), wanted);
      break;
    case 4:
      EXPECT(haft_wait(realm, HAFT_EVENT_USER(1) | HAFT_EVENT_CLOSING, -1, &happened), HAFT_OK);
      CHECK(happened == HAFT_EVENT_CLOSING);
      break;
    case 5: { /* waits for room in the mailbox */
      const Target count = target("count", "add");
      const haft_value one = haft_value_f64(1);
      haft_status status = HAFT_OK;
      while (status == HAFT_OK) status = haft_post(count.handle, count.op, &one, 1, HAFT_BLOCK(-1));
      EXPECT(status, wanted);
      break;
    }
    case 6: {
      double any = 0;
      haft_completer completer = completer_of(&any);
      EXPECT(haft_call_async(never.handle, never.op, NULL, 0, -1, &completer), HAFT_OK);
      UNTIL(completed_closed == 1);
      break;
    }
    default: {
      haft_completer completer = {0};
      haft_completion completion;
      completer.size = sizeof completer;
      completer.queue = waiting_queue;
      EXPECT(haft_call_async(never.handle, never.op, NULL, 0, -1, &completer), HAFT_OK);
      EXPECT(haft_queue_next(waiting_queue, -1, &completion), HAFT_OK);
      CHECK(completion.status == wanted);
    }
  }
}
enum { WAITS = 8 };

static void *wait_on_thread(void *number) {
  wait_somehow((int)(intptr_t)number);
  return NULL;
}

/* arguments[2]: the function of the logic that ends it, or "kill" or "stop". */
static void death(void) {
  haft_embed_options options = options_for(LOGIC);
  options.stop_ms = 300; /* calls are under way that never end */
  realm = start_logic(&options);
  never = function("never");
  int descriptor;
  EXPECT(haft_queue_open(&waiting_queue, &descriptor), HAFT_OK);
  pthread_t threads[WAITS];
  for (int i = 0; i < WAITS; i++) pthread_create(&threads[i], NULL, wait_on_thread, (void *)(intptr_t)i);
  const Target end = strcmp(arguments[2], "kill") && strcmp(arguments[2], "stop") ? function(arguments[2]) : never;
  const bool stuck = !strcmp(arguments[2], "busy");
  const int32_t pid = pid_of(realm);
  usleep(200000);
  if (stuck) { /* mailboxes fill, and then it is killed */
    haft_post(end.handle, end.op, (haft_value[1]){haft_value_f64(1e9)}, 1, HAFT_FAIL);
    usleep(100000);
  }
  if (!strcmp(arguments[2], "kill") || stuck)
    kill(pid, SIGKILL);
  else if (!strcmp(arguments[2], "stop"))
    EXPECT(haft_embed_stop(realm), HAFT_E_TIMEOUT);
  else {
    const haft_value code = haft_value_f64(3);
    const bool takes_one = !strcmp(arguments[2], "exit");
    /* Its mailbox may be full. */
    haft_call(end.handle, end.op, &code, takes_one, WAIT, NULL);
  }
  for (int i = 0; i < WAITS; i++) pthread_join(threads[i], NULL);
  UNTIL(ends == 1);
  CHECK(!is_alive(pid));
  haft_value result;
  EXPECT(haft_call(never.handle, never.op, NULL, 0, -1, &result), HAFT_E_CLOSED);
  UNTIL(haft_embed_stop(realm) == HAFT_E_CLOSED); /* OK while its end is still being told */
  fprintf(stdout, "%d %d %d\n", latest_end.reason, latest_end.exit_code, latest_end.signal);
}

/* ---- Several ---- */

enum { LOGICS = 8 };
static haft_realm several[LOGICS];
static void cross(int number) {
  for (int i = 0; i < 200; i++) {
    const int other = (number + i) % LOGICS;
    static _Thread_local Target known[LOGICS];
    if (known[other].handle == HAFT_NULL) known[other] = at(several[other], "add");
    CHECK(sum_at(known[other], number, i) == number + i);
  }
}
static void eight_logics(void) {
  const haft_embed_options options = options_for(LOGIC);
  for (int i = 0; i < LOGICS; i++) several[i] = start_logic(&options);
  realm = several[0];
  on_threads(4, cross);
  /* The end of one is no other's. */
  kill(pid_of(several[3]), SIGKILL);
  UNTIL(ends == 1);
  for (int i = 0; i < LOGICS; i++) {
    if (i == 3) continue;
    realm = several[i];
    CHECK(sum_at(function("add"), i, i) == 2 * i);
    EXPECT(haft_embed_stop(several[i]), HAFT_OK);
  }
  CHECK(ends == LOGICS);
}

/* Registries of its own, on its thread and in a worker: each has its own doorbell, and its own end. */
static void realms_of_one_logic(void) {
  start_plain();
  const haft_realm second = ask_realm("open"), third = ask_realm("openWorker");
  CHECK(second != 0 && third != 0 && second != third && second != realm);
  const Target two = at(second, "add"), three = at(third, "add"), hang = at(third, "hang");
  for (int i = 0; i < 200; i++) {
    CHECK(sum_at(two, i, 2) == i + 2);
    CHECK(sum_at(three, i, 3) == i + 3);
  }
  usleep(50000); /* asleep: only its doorbell wakes it */
  CHECK(sum_at(three, 1, 3) == 4);
  usleep(50000);
  CHECK(sum_at(two, 1, 3) == 4);
  int32_t pid = 0;
  EXPECT(haft_embed_pid(third, &pid), HAFT_OK); /* any realm of the logic stands for it */
  CHECK(pid == pid_of(realm));

  EXPECT(haft_post(hang.handle, hang.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  const Target end = function("endOther");
  EXPECT(call(end, (haft_value[1]){haft_value_f64(1)}, 1, NULL), HAFT_OK);
  haft_value result;
  const haft_value args[2] = {haft_value_f64(1), haft_value_f64(2)};
  UNTIL(call(three, args, 2, &result) == HAFT_E_CLOSED);
  EXPECT(call(end, (haft_value[1]){haft_value_f64(0)}, 1, NULL), HAFT_OK);
  EXPECT(call(two, args, 2, &result), HAFT_E_CLOSED);
  CHECK(sum_at(function("add"), 1, 2) == 3);
  EXPECT(haft_embed_stop(second), HAFT_OK);
}

/* Many times one after the other: none of a realm's numbers is used up. */
static void registries_come_and_go(void) {
  start_plain();
  const Target end = function("endOther");
  for (int i = 0; i < 200; i++) {
    const haft_realm other = ask_realm("open");
    CHECK(sum_at(at(other, "add"), i, 1) == i + 1);
    EXPECT(call(end, (haft_value[1]){haft_value_f64(i)}, 1, NULL), HAFT_OK);
  }
  const int before = entries("/proc/self/fd");
  for (int i = 200; i < 300; i++) {
    ask_realm("open");
    EXPECT(call(end, (haft_value[1]){haft_value_f64(i)}, 1, NULL), HAFT_OK);
  }
  UNTIL(entries("/proc/self/fd") <= before);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

EMBED_CASES({"calls", calls}, {"posts and handles", posts_and_handles}, {"many at once", many_at_once},
            {"asynchronous calls", async_calls}, {"names and events", names_and_events},
            {"too many calls", too_many_calls}, {"death", death}, {"eight logics", eight_logics},
            {"realms of one logic", realms_of_one_logic}, {"registries come and go", registries_come_and_go})
