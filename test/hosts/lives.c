/* Threads of all sorts of lives: that are older than the realm and outlive it, that come a thousand at a time, that
** end the process, that JavaScript's thread waits for. JavaScript drives them through koffi (test/ends/lives.mjs and
** workers.mjs); the cases at the end are hosts. */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <sys/wait.h>

enum { RUNNING = 1, IDLE = 2 /* no status is positive */ };
enum { CALLS, POSTS };

/* koffi takes its libraries out of memory at the end of their environment, and our threads may outlive it. */
__attribute__((constructor)) static void stay(void) {
  Dl_info here;
  if (dladdr((void *)stay, &here) != 0) dlopen(here.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

/* ---- Threads that JavaScript starts, and gives one target after the other ---- */

typedef struct {
  pthread_t id;
  _Atomic haft_status status; /* IDLE, RUNNING, or how the latest target ended it */
  atomic_llong done;
  atomic_bool stopping;
  haft_handle handle;
  haft_op op;
  int what;
} Thread;
static Thread threads[64];

static haft_op find_op(haft_handle h, const char *name) {
  haft_kind kind;
  haft_op op;
  if (haft_kind_of(h, &kind) != HAFT_OK || haft_op_find(kind, name, &op) != HAFT_OK) return 0;
  return op;
}

/* Until it meets a status that is not HAFT_OK: it waits as long as the realm is open. */
static haft_status work(Thread *t) {
  haft_value one = haft_value_f64(1), result;
  for (;;) {
    const haft_status status = t->what == CALLS ? haft_call(t->handle, t->op, &one, 1, -1, &result)
                                                : haft_post(t->handle, t->op, &one, 1, HAFT_BLOCK(-1));
    if (status != HAFT_OK) return status;
    t->done++;
  }
}

static void *thread_main(void *data) {
  Thread *t = data;
  while (!t->stopping) {
    if (t->status == RUNNING) t->status = work(t);
    usleep(200);
  }
  return NULL;
}

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

HAFT_EXPORT int32_t start_thread(int32_t number);
HAFT_EXPORT int32_t start_thread(int32_t number) {
  threads[number].status = IDLE;
  return pthread_create(&threads[number].id, NULL, thread_main, &threads[number]);
}
HAFT_EXPORT void stop_thread(int32_t number);
HAFT_EXPORT void stop_thread(int32_t number) {
  threads[number].stopping = true;
  pthread_join(threads[number].id, NULL);
}

/* A thread that is idle, or has met its end, calls (posts) for ever from now on. */
HAFT_EXPORT int32_t call_for_ever(int32_t number, uint64_t handle, const char *op);
HAFT_EXPORT int32_t post_for_ever(int32_t number, uint64_t handle, const char *op);
static int32_t give(int32_t number, uint64_t handle, const char *op, int what) {
  Thread *t = &threads[number];
  t->handle = handle;
  t->op = find_op(handle, op);
  t->what = what;
  t->done = 0;
  t->status = RUNNING;
  return t->op != 0;
}
HAFT_EXPORT int32_t call_for_ever(int32_t number, uint64_t h, const char *op) { return give(number, h, op, CALLS); }
HAFT_EXPORT int32_t post_for_ever(int32_t number, uint64_t h, const char *op) { return give(number, h, op, POSTS); }

HAFT_EXPORT int32_t status_of(int32_t number);
HAFT_EXPORT int32_t status_of(int32_t number) { return threads[number].status; }
HAFT_EXPORT double done_by(int32_t number);
HAFT_EXPORT double done_by(int32_t number) { return (double)threads[number].done; }

/* ---- On the thread of whoever calls this ---- */

HAFT_EXPORT int32_t check_handle(uint64_t handle);
HAFT_EXPORT int32_t check_handle(uint64_t handle) { return haft_check(handle, 0); }

/* A status, or the number that came back. */
HAFT_EXPORT double call_in_time(uint64_t handle, const char *op, double n, int32_t milliseconds);
HAFT_EXPORT double call_in_time(uint64_t handle, const char *op, double n, int32_t milliseconds) {
  haft_value argument = haft_value_f64(n), result;
  const haft_status status = haft_call(handle, find_op(handle, op), &argument, 1, milliseconds, &result);
  return status == HAFT_OK ? result.as.f64 : status;
}
/* Posts until the mailbox is full. */
HAFT_EXPORT int32_t fill(uint64_t handle, const char *op);
HAFT_EXPORT int32_t fill(uint64_t handle, const char *op) {
  const haft_op number = find_op(handle, op);
  haft_value one = haft_value_f64(1);
  haft_status status;
  while ((status = haft_post(handle, number, &one, 1, HAFT_FAIL)) == HAFT_OK) continue;
  return status;
}

/* ---- JavaScript's thread waits for a thread that wants something of JavaScript ---- */

typedef struct {
  haft_handle handle;
  haft_op op;
  int milliseconds;
  haft_status called, posted;
} Wish;
static void *wish(void *data) {
  Wish *w = data;
  haft_value one = haft_value_f64(1);
  w->called = haft_call(w->handle, w->op, &one, 1, w->milliseconds, NULL);
  w->posted = haft_post(w->handle, w->op, &one, 1, HAFT_BLOCK(w->milliseconds));
  return NULL;
}
/* Its statuses: that of a call * 100 + that of a post. */
HAFT_EXPORT int32_t join_one_who_wants(uint64_t handle, const char *op, int32_t milliseconds);
HAFT_EXPORT int32_t join_one_who_wants(uint64_t handle, const char *op, int32_t milliseconds) {
  Wish w = {handle, find_op(handle, op), milliseconds, RUNNING, RUNNING};
  pthread_t thread;
  if (pthread_create(&thread, NULL, wish, &w) != 0) return RUNNING;
  pthread_join(thread, NULL);
  return w.called * 100 + w.posted;
}

/* ---- P26: a forked child ---- */

/* No JavaScript runs there, nor Node's own clean-up: V8's heap does not come along. */
/* The exit code of the child, or 128 and the signal that ended it. */
HAFT_EXPORT int32_t fork_and_exit(uint64_t handle, uint64_t of);
HAFT_EXPORT int32_t fork_and_exit(uint64_t handle, uint64_t of) {
  const haft_op add = find_op(handle, "add");
  const pid_t child = fork();
  if (child == 0) {
    haft_value one = haft_value_f64(1);
    alarm(30); /* if it hangs */
    EXPECT(haft_realm_check(of), HAFT_E_FORKED);
    EXPECT(haft_call(handle, add, &one, 1, -1, NULL), HAFT_E_FORKED);
    EXPECT(haft_release(handle), HAFT_E_FORKED);
    exit(failures ? 1 : 17);
  }
  int status = -1;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- Hosts ---- */

#define THOUSAND 1000
static pthread_barrier_t all_here;
static void *one_of_thousand(void *unused) {
  haft_value one = haft_value_f64(1), result;
  haft_handle h;
  pthread_barrier_wait(&all_here);
  EXPECT(haft_find(realm, "bystander", 0, WAIT, &h), HAFT_OK);
  const haft_op add = find_op(h, "add");
  EXPECT(haft_call(h, add, &one, 1, WAIT, &result), HAFT_OK);
  EXPECT(haft_post(h, add, &one, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
  EXPECT(haft_call(h, add, &one, 1, WAIT, &result), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  pthread_barrier_wait(&all_here); /* nobody leaves before all are done */
  return unused;
}
static void thousand_threads(void) {
  static pthread_t ids[THOUSAND];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  for (int round = 1; round <= 2; round++) {
    pthread_barrier_init(&all_here, NULL, THOUSAND);
    for (int i = 0; i < THOUSAND; i++) {
      if (pthread_create(&ids[i], &small, one_of_thousand, NULL) != 0) exit(99);
    }
    for (int i = 0; i < THOUSAND; i++) pthread_join(ids[i], NULL);
    CHECK(ask_number("bystander calls") == round * 3 * THOUSAND);
  }
}

/* Ends the process from this thread, while another calls. JavaScript stands in a handler meanwhile (`busy`), or has
** threads of its own at work (`load`). */
static void exit_here(void) {
  const Target add = target("bystander", "add");
  start_thread(0);
  CHECK(call_for_ever(0, add.handle, "add"));
  while (done_by(0) < 50) usleep(200);
  if (arguments_count > 2) {
    const Target what = function(arguments[2]);
    EXPECT(haft_post(what.handle, what.op, NULL, 0, HAFT_FAIL), HAFT_OK);
    if (strcmp(arguments[2], "load") == 0) usleep(100 * 1000);
    else for (double before = -1; before != done_by(0); usleep(20 * 1000)) before = done_by(0);
  }
  exit(23);
}

CASES({"thousand threads", thousand_threads}, {"exit", exit_here})
