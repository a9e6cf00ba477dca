/* Four threads that call, post and hold handles until the realm ends under them, and then say with which status. The
** rounds of scripts/rounds.mjs look at what they say: whoever waits must hear of the end, however it comes. */
#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, OBJECTS = 4, RUNNING = 1 /* no status is positive */ };
enum { LEFT_BEHIND = 71 };
#define BOUND_MILLISECONDS 10000

static haft_realm realm;
static _Atomic haft_status ended_with[THREADS];
static _Atomic(const char *) doing[THREADS];
static atomic_int left;
static atomic_llong steps;
static bool leaves;

typedef struct {
  int number;
  haft_handle objects[OBJECTS];
  haft_op add, note, echo, later, fail;
} Thread;

static char pad[3000];

/* What a thread meets while the realm is open. Whatever else it meets is its last. */
static bool goes_on(haft_status status) {
  return status == HAFT_OK || status == HAFT_E_TIMEOUT || status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY ||
         status == HAFT_E_BUSY || status == HAFT_E_NOT_FOUND || status == HAFT_E_EXCEPTION;
}

#define TRY(expression)                                      \
  do {                                                       \
    doing[t->number] = #expression;                          \
    const haft_status tried = (expression);                  \
    atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed); \
    if (!goes_on(tried)) return tried;                       \
  } while (0)

static haft_status find_all(Thread *t) {
  haft_kind kind = 0;
  char name[20];
  for (int i = 0; i < OBJECTS; i++) {
    snprintf(name, sizeof name, "object %d", i);
    TRY(haft_find(realm, name, 0, -1, &t->objects[i]));
    TRY(haft_kind_of(t->objects[i], &kind));
  }
  TRY(haft_op_find(kind, "add", &t->add));
  TRY(haft_op_find(kind, "note", &t->note));
  TRY(haft_op_find(kind, "echo", &t->echo));
  TRY(haft_op_find(kind, "later", &t->later));
  TRY(haft_op_find(kind, "fail", &t->fail));
  return HAFT_OK;
}

/* ---- One step each ---- */

static haft_status call_and_wait(const Thread *t, int step) {
  haft_value one = haft_value_f64(1), result;
  TRY(haft_call(t->objects[step % OBJECTS], t->add, &one, 1, -1, &result));
  if (step % 16 == 0) {
    haft_request requests[3];
    for (int i = 0; i < 3; i++) requests[i] = (haft_request){t->objects[i], &one, 1, t->add, 0, 0, {0}};
    TRY(haft_call_many(requests, 3, -1));
  }
  return HAFT_OK;
}

static haft_status post_and_block(const Thread *t, int step) {
  haft_value text = haft_value_str(pad, step % 8 == 0 ? sizeof pad : 40), result;
  TRY(haft_post(t->objects[step % OBJECTS], t->note, &text, 1, HAFT_BLOCK(-1)));
  if (step % 256 == 0) {
    haft_value one = haft_value_f64(1);
    TRY(haft_call(t->objects[0], t->add, &one, 1, -1, &result));
  }
  return HAFT_OK;
}

static haft_status hold(const Thread *t, int step) {
  const haft_handle h = t->objects[step % OBJECTS];
  haft_handle found;
  TRY(haft_retain(h));
  TRY(haft_check(h, 0));
  TRY(haft_release(h));
  TRY(haft_realm_check(realm));
  if (step % 32 == 0) TRY(haft_find(realm, "nobody", 0, 1, &found));
  if (step % 4 == 0) {
    const haft_status status = haft_find(realm, "object 1", 0, 0, &found);
    TRY(status);
    if (status == HAFT_OK) TRY(haft_release(found));
  }
  return HAFT_OK;
}

static haft_status hurry(const Thread *t, int step) {
  const haft_handle h = t->objects[step % OBJECTS];
  haft_value one = haft_value_f64(1), text = haft_value_str(pad, step % 2 ? sizeof pad : 40), result;
  if (!leaves) TRY(haft_call(h, t->later, &one, 1, step % 3, &result)); /* a promise keeps the event loop alive */
  doing[t->number] = "haft_call of echo";
  const haft_status status = haft_call(h, t->echo, &text, 1, step % 5, &result);
  if (status == HAFT_OK) haft_value_free(&result);
  TRY(status);
  TRY(haft_post(h, t->fail, NULL, 0, step % 2 ? HAFT_FAIL : HAFT_DROP_NEWEST));
  TRY(haft_call(h, t->fail, NULL, 0, 1, NULL));
  return HAFT_OK;
}

static haft_status step_of(const Thread *t, int step) {
  switch (t->number) {
    case 0: return call_and_wait(t, step);
    case 1: return post_and_block(t, step);
    case 2: return hold(t, step);
    default: return hurry(t, step);
  }
}

/* ---- The threads ---- */

static haft_status work(Thread *t) {
  haft_status status = find_all(t);
  if (status != HAFT_OK) return status;
  for (int step = 0; status == HAFT_OK; step++) status = step_of(t, step);
  /* What is closed stays closed: nothing is heard again, and nothing waits. */
  for (int step = 0; step < 20 && status == HAFT_E_CLOSED; step++) status = step_of(t, step);
  return status;
}

static void *thread_main(void *data) {
  Thread t = {.number = (int)(intptr_t)data};
  ended_with[t.number] = work(&t);
  left--;
  return NULL;
}

/* Returns when all have ended, or with an argument at once. */
int haft_host_main(const haft_api *api, haft_realm of, int argc, char **argv) {
  pthread_t threads[THREADS];
  (void)argv;
  if (HAFT_PLUGIN(api) != HAFT_OK) return 100;
  realm = of;
  for (int i = 0; i < THREADS; i++) {
    ended_with[i] = RUNNING;
    doing[i] = "nothing";
  }
  left = THREADS;
  leaves = argc > 1;
  for (intptr_t i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, thread_main, (void *)i) != 0) return 99;
  }
  for (int i = 0; i < THREADS; i++) {
    if (leaves)
      pthread_detach(threads[i]);
    else
      pthread_join(threads[i], NULL);
  }
  return 0;
}

/* ---- For JavaScript, through koffi ---- */

/* How many have not ended. */
HAFT_EXPORT int32_t ends_left(void);
HAFT_EXPORT int32_t ends_left(void) { return left; }

/* How one ended; 1 as long as it has not. */
HAFT_EXPORT int32_t ends_status(int32_t number);
HAFT_EXPORT int32_t ends_status(int32_t number) { return ended_with[number]; }

/* What all have done together: until then they are not at it. */
HAFT_EXPORT double ends_steps(void);
HAFT_EXPORT double ends_steps(void) { return (double)steps; }

/* Runs behind haft's own function at exit, since it was registered before the addon was loaded: by then the realm has
** ended in every way in which it can. Straight to the file: nothing flushes for us any more. */
static void say(void) {
  char line[1000];
  int length = snprintf(line, sizeof line, "ended:");
  for (int i = 0; i < BOUND_MILLISECONDS && left > 0; i++) usleep(1000);
  for (int i = 0; i < THREADS; i++) {
    const haft_status status = ended_with[i];
    length += snprintf(line + length, sizeof line - (size_t)length, " %s",
                       status == RUNNING ? doing[i] : haft_status_name(status));
  }
  line[length++] = '\n';
  if (write(STDOUT_FILENO, line, (size_t)length) != length || left > 0) _exit(LEFT_BEHIND);
}
HAFT_EXPORT void ends_say_at_exit(void);
HAFT_EXPORT void ends_say_at_exit(void) { atexit(say); }
