/* Threads that send without an end, or a while, for ../backends.test.ts: through koffi, begun on JavaScript's thread. */
#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t begin_posts(haft_handle h, haft_op op, int32_t count);
HAFT_EXPORT int32_t begin_calls(haft_handle h, haft_op op, int32_t count);
HAFT_EXPORT int32_t begin_checks(haft_handle h, int32_t count);
HAFT_EXPORT int32_t begin_find(haft_realm realm, const char *name, double milliseconds);
HAFT_EXPORT int32_t begin_wait(haft_realm realm, uint32_t events, double milliseconds);
HAFT_EXPORT int32_t begin_next(void);
HAFT_EXPORT int32_t begin_async(haft_handle h, haft_op op, double n);
HAFT_EXPORT int32_t begin_storm(haft_handle h, haft_op op, int32_t threads);
HAFT_EXPORT haft_op op_of(haft_handle h);
HAFT_EXPORT int32_t status_of(int32_t thread);
HAFT_EXPORT int32_t storm_calls(void);
HAFT_EXPORT int32_t storm_threads(void);
HAFT_EXPORT int32_t serve(haft_realm realm, double milliseconds);
HAFT_EXPORT int32_t check_wide(uint64_t low, uint32_t shift);
HAFT_EXPORT double async_result(void);

enum { THREADS = 1024, RUNNING = 1 };
typedef struct {
  haft_status (*run)(void *self);
  uint64_t subject;
  haft_op op;
  uint32_t count;
  double number;
  const char *name;
  atomic_int status;
} Thread;
static Thread threads[THREADS];
static atomic_int begun, calls, storming;
static double result_of_async;

int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

static void *main_of(void *data) {
  Thread *thread = data;
  thread->status = thread->run(thread);
  return NULL;
}

static int32_t begin(Thread thread) {
  const int32_t number = begun++;
  pthread_t id;
  if (number >= THREADS) return -1;
  threads[number] = thread;
  threads[number].status = RUNNING;
  if (pthread_create(&id, NULL, main_of, &threads[number]) != 0) return -1;
  pthread_detach(id);
  return number;
}

/* 1 while the thread runs. */
int32_t status_of(int32_t thread) { return threads[thread].status; }

static haft_status post_all(void *self) {
  Thread *t = self;
  for (uint32_t i = 1; i <= t->count; i++) {
    haft_value n = haft_value_f64(i);
    const haft_status status = haft_post(t->subject, t->op, &n, 1, HAFT_BLOCK(-1));
    if (status != HAFT_OK) return status;
  }
  return HAFT_OK;
}
int32_t begin_posts(haft_handle h, haft_op op, int32_t count) {
  return begin((Thread){post_all, h, op, (uint32_t)count, 0, NULL, 0});
}

static haft_status call_all(void *self) {
  Thread *t = self;
  haft_status status = HAFT_OK;
  for (uint32_t i = 1; i <= t->count && status == HAFT_OK; i++) {
    haft_value n = haft_value_f64(i), result;
    status = haft_call(t->subject, t->op, &n, 1, 20000, &result);
    haft_value_free(&result);
  }
  return status;
}
int32_t begin_calls(haft_handle h, haft_op op, int32_t count) {
  return begin((Thread){call_all, h, op, (uint32_t)count, 0, NULL, 0});
}

static haft_status check_all(void *self) {
  Thread *t = self;
  haft_status status = HAFT_OK;
  for (uint32_t i = 0; i < t->count && status == HAFT_OK; i++) status = haft_check(t->subject, 0);
  return status;
}
int32_t begin_checks(haft_handle h, int32_t count) {
  return begin((Thread){check_all, h, 0, (uint32_t)count, 0, NULL, 0});
}

static haft_status find(void *self) {
  Thread *t = self;
  haft_handle found;
  const haft_status status = haft_find(t->subject, t->name, 0, (int64_t)t->number, &found);
  return status == HAFT_OK ? haft_release(found) : status;
}
int32_t begin_find(haft_realm realm, const char *name, double milliseconds) {
  char *copy = malloc(64);
  size_t i = 0;
  while (i < 63 && name[i]) copy[i] = name[i], i++;
  copy[i] = 0;
  return begin((Thread){find, realm, 0, 0, milliseconds, copy, 0});
}

static haft_status wait_for(void *self) {
  Thread *t = self;
  return haft_wait(t->subject, t->op, (int64_t)t->number, NULL);
}
int32_t begin_wait(haft_realm realm, uint32_t events, double milliseconds) {
  return begin((Thread){wait_for, realm, events, 0, milliseconds, NULL, 0});
}

/* A completion that never comes. */
static haft_status next(void *self) {
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  (void)self;
  if (haft_queue_open(&queue, &descriptor) != HAFT_OK) return HAFT_E_INTERNAL;
  if (haft_queue_next(queue, 0, &completion) != HAFT_E_TIMEOUT) return HAFT_E_INTERNAL;
  const haft_status status = haft_queue_next(queue, 1000, &completion);
  return haft_queue_close(queue) == HAFT_OK ? status : HAFT_E_INTERNAL;
}
int32_t begin_next(void) { return begin((Thread){next, 0, 0, 0, 0, NULL, 0}); }

static void completed(void *user, haft_status status, haft_value *result) {
  Thread *t = user;
  result_of_async = result->type == HAFT_F64 ? result->as.f64 : -1;
  haft_value_free(result);
  t->status = status;
}
static haft_status call_async(void *self) {
  Thread *t = self;
  haft_value n = haft_value_f64(t->number);
  const haft_completer completer = {sizeof completer, completed, 0, t};
  const haft_status status = haft_call_async(t->subject, t->op, &n, 1, 20000, &completer);
  return status == HAFT_OK ? RUNNING : status;
}
int32_t begin_async(haft_handle h, haft_op op, double n) {
  return begin((Thread){call_async, h, op, 0, n, NULL, 0});
}
double async_result(void) { return result_of_async; }

/* Calls and posts until the realm is closed; its status then. */
static haft_status storm(void *self) {
  Thread *t = self;
  haft_status status = HAFT_OK;
  storming++;
  while (status != HAFT_E_CLOSED && status != HAFT_E_STALE && status != HAFT_E_FORGED) {
    haft_value n = haft_value_f64(1), result;
    haft_post(t->subject, t->op, &n, 1, HAFT_DROP_NEWEST);
    status = haft_call(t->subject, t->op, &n, 1, 20000, &result);
    haft_value_free(&result);
    calls++;
  }
  storming--;
  return status;
}
int32_t begin_storm(haft_handle h, haft_op op, int32_t count) {
  int32_t first = -1;
  for (int32_t i = 0; i < count; i++) {
    const int32_t number = begin((Thread){storm, h, op, 0, 0, NULL, 0});
    if (i == 0) first = number;
  }
  return first;
}
int32_t storm_calls(void) { return calls; }
int32_t storm_threads(void) { return storming; }

int32_t serve(haft_realm realm, double milliseconds) { return haft_serve(realm, (int64_t)milliseconds); }

/* `low` with one more bit. */
int32_t check_wide(uint64_t low, uint32_t shift) { return haft_check(low | (uint64_t)1 << shift, 0); }

/* The op of a function. */
haft_op op_of(haft_handle h) {
  haft_kind kind;
  haft_op op = 0;
  return haft_kind_of(h, &kind) == HAFT_OK && haft_op_find(kind, "call", &op) == HAFT_OK ? op : 0;
}

/* Calls what is published as "double", until the realm is closed; or exits at once. */
HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  haft_handle handle;
  if (HAFT_PLUGIN(api) != HAFT_OK || haft_find(realm, "double", 0, 0, &handle) != HAFT_OK) return 1;
  if (argc > 1 && strcmp(argv[1], "exit") == 0) {
    fputs("written by C", stdout);
    exit(3);
  }
  Thread thread = {storm, handle, op_of(handle), 0, 0, NULL, 0};
  return storm(&thread) == HAFT_E_CLOSED ? 0 : 2;
}
