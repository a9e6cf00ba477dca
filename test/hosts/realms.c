/* Several realms in one process: threads that send to objects of each, and C on the own thread of one that waits for
** another. The library is loaded once: all workers share these variables. */
#include "act.h"

enum {
  CALL, POST, CHECK_IT, RETAIN, RELEASE, MOVED_TO, REALM_OF, HANG, POST_FULL, BLOCKING, CALL_THERE, JOIN_THERE, QUEUED
};
enum { IN_CALL, IN_SERVE, IN_WAIT, IN_FIND, IN_POST, IN_QUEUE, IN_CALL_MANY };

#define LONG (10 * 60 * 1000) /* milliseconds: nobody waits for so long in a test */

/* ---- A thread that waits, and how it ended ---- */

static atomic_int hangs, hang_ended, hang_status;
HAFT_EXPORT int32_t hanging(void);
HAFT_EXPORT int32_t hanging(void) { return hangs; }
HAFT_EXPORT int32_t hang_result(void);
HAFT_EXPORT int32_t hang_result(void) { return hang_ended ? hang_status : 1; }

/* A call, and a wait for its completion. */
static haft_status queued(haft_handle handle, haft_op op, double n, int64_t timeout, haft_value *result) {
  const haft_value argument = haft_value_f64(n);
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  const haft_completer completer = {sizeof completer, NULL, queue, NULL};
  EXPECT(haft_call_async(handle, op, &argument, 1, -1, &completer), HAFT_OK);
  haft_status status = haft_queue_next(queue, timeout, &completion);
  if (status == HAFT_OK) status = completion.status, *result = completion.result;
  EXPECT(haft_queue_close(queue), HAFT_OK);
  return status;
}
/* More than can be told one by one, each after a sleep. */
static haft_status call_many(haft_handle handle, haft_op op) {
  enum { MANY = 20000 };
  static haft_request requests[MANY];
  static const haft_value one = {HAFT_F64, 0, {1}};
  for (int i = 0; i < MANY; i++) requests[i] = (haft_request){handle, &one, 1, op, 55, 0, {0}};
  return haft_call_many(requests, MANY, LONG);
}

static haft_status hang(int where, haft_handle handle, haft_op op, haft_realm of) {
  const haft_value one = haft_value_f64(1);
  haft_value result;
  haft_handle found;
  uint32_t happened;
  switch (where) {
    case IN_CALL: return haft_call(handle, op, &one, 1, LONG, &result);
    case IN_SERVE: {
      haft_status status;
      while ((status = haft_serve(of, LONG)) == HAFT_OK) {
      }
      return status;
    }
    case IN_WAIT: return haft_wait(of, HAFT_EVENT_USER(6), LONG, &happened);
    case IN_QUEUE: return queued(handle, op, 1, LONG, &result);
    case IN_CALL_MANY: return call_many(handle, op);
    case IN_FIND: return haft_find(of, "never published", 0, LONG, &found);
    default: return haft_post(handle, op, &one, 1, HAFT_BLOCK(LONG));
  }
}

/* ---- A thread with another point of view ---- */

static struct {
  haft_handle handle;
  haft_op op;
  haft_status status;
  pthread_t thread;
} there;
static void *call_there(void *unused) {
  const haft_value one = haft_value_f64(1);
  haft_value result;
  there.status = haft_call(there.handle, there.op, &one, 1, WAIT, &result);
  return unused;
}

static haft_realm realm_named;
HAFT_EXPORT void name_realm(double id);
HAFT_EXPORT void name_realm(double id) { realm_named = (haft_realm)id; }

double act(int32_t what, uint64_t h, uint32_t op, double n) {
  haft_value arg = haft_value_f64(n), result = {0};
  haft_handle now;
  haft_realm of;
  haft_status status;
  switch (what) {
    case CALL:
      status = haft_call(h, op, &arg, 1, WAIT, &result);
      return status != HAFT_OK ? status : result.type == HAFT_F64 ? result.as.f64 : 0;
    case QUEUED:
      status = queued(h, op, n, WAIT, &result);
      return status != HAFT_OK ? status : result.as.f64;
    case POST: return haft_post(h, op, &arg, 1, HAFT_FAIL);
    case CHECK_IT: return haft_check(h, 0);
    case RETAIN: return haft_retain(h);
    case RELEASE: return haft_release(h);
    case MOVED_TO:
      status = haft_moved(h, &now);
      if (status != HAFT_OK) return now == HAFT_NULL ? status : -1000;
      return (double)now;
    case REALM_OF: return (status = haft_realm_of(h, &of)) == HAFT_OK ? (double)of : status;
    case HANG: {
      const int where = (int)n;
      hang_ended = 0;
      hangs = 1;
      hang_status = hang(where, h, op, realm_named);
      hang_ended = 1;
      hangs = 0;
      return hang_status;
    }
    case POST_FULL: {
      int posts = 0;
      while (haft_post(h, op, &arg, 1, HAFT_FAIL) == HAFT_OK) posts++;
      return posts;
    }
    case BLOCKING: return haft_blocking(realm_named, n != 0);
    case CALL_THERE:
      there.handle = h;
      there.op = op;
      return pthread_create(&there.thread, NULL, call_there, NULL);
    case JOIN_THERE:
      pthread_join(there.thread, NULL);
      return there.status;
    default: return -1000;
  }
}

/* ---- A gate that any realm's thread may stand at ---- */

static atomic_int at_gate, gate_opened;
HAFT_EXPORT void stand_at_gate(void);
HAFT_EXPORT void stand_at_gate(void) {
  at_gate++;
  while (!gate_opened) usleep(200);
  at_gate--;
}
HAFT_EXPORT int32_t gate(int32_t open);
HAFT_EXPORT int32_t gate(int32_t open) {
  gate_opened = open;
  return at_gate;
}

/* ---- Threads that send to objects of two realms ---- */

static struct {
  haft_handle handles[2];
  haft_op adds[2], notes[2];
  int count;
} both;
static void send_to_both(int thread) {
  haft_realm first, second;
  EXPECT(haft_realm_of(both.handles[0], &first), HAFT_OK);
  EXPECT(haft_realm_of(both.handles[1], &second), HAFT_OK);
  CHECK(first != second);
  for (int i = 0; i < both.count; i++) {
    const int which = (i + thread) % 2;
    haft_value n = haft_value_f64(thread * 100000 + i), one = haft_value_f64(1), result;
    EXPECT(haft_post(both.handles[which], both.notes[which], &n, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
    EXPECT(haft_call(both.handles[which], both.adds[which], &one, 1, WAIT, &result), HAFT_OK);
    if (i % 10) continue;
    haft_request requests[4]; /* one portion to both */
    for (int j = 0; j < 4; j++) requests[j] = (haft_request){both.handles[j % 2], &one, 1, both.adds[j % 2], 55, 0, {0}};
    EXPECT(haft_call_many(requests, 4, WAIT), HAFT_OK);
    /* A handle of one is no argument for an object of the other. */
    const haft_value foreign = haft_value_handle(both.handles[1 - which]);
    EXPECT(haft_post(both.handles[which], both.notes[which], &foreign, 1, HAFT_FAIL), HAFT_E_REALM);
  }
}
/* Called through koffi on a thread of its own: tells how many checks failed. */
HAFT_EXPORT int32_t threads_send(uint64_t a, uint32_t add_a, uint32_t note_a, uint64_t b, uint32_t add_b, uint32_t note_b,
                                 int32_t threads, int32_t count);
HAFT_EXPORT int32_t threads_send(uint64_t a, uint32_t add_a, uint32_t note_a, uint64_t b, uint32_t add_b, uint32_t note_b,
                                 int32_t threads, int32_t count) {
  both.handles[0] = a, both.handles[1] = b;
  both.adds[0] = add_a, both.adds[1] = add_b;
  both.notes[0] = note_a, both.notes[1] = note_b;
  both.count = count;
  on_threads(threads, send_to_both);
  return failures;
}

/* ---- Threads that follow an object that moves ---- */

static struct {
  _Atomic haft_handle first;
  haft_op note, add;
  atomic_int stop;
  atomic_llong posted, refused;
} chase;
static void follow(int thread) {
  haft_handle handle = chase.first;
  for (int i = 0; !chase.stop; i++) {
    haft_value n = haft_value_f64(thread * 1000000 + i), result;
    for (;;) {
      haft_status status = haft_post(handle, chase.note, &n, 1, HAFT_BLOCK(WAIT));
      if (status == HAFT_OK) break;
      if (status != HAFT_E_MOVED) {
        EXPECT(status, HAFT_OK);
        return;
      }
      EXPECT(haft_moved(handle, &handle), HAFT_OK);
    }
    chase.posted++;
    if (i % 16) continue;
    const haft_value one = haft_value_f64(1);
    haft_status status;
    while ((status = haft_call(handle, chase.add, &one, 1, WAIT, &result)) == HAFT_E_MOVED) {
      chase.refused++;
      EXPECT(haft_moved(handle, &handle), HAFT_OK);
    }
    EXPECT(status, HAFT_OK);
  }
}
HAFT_EXPORT double threads_follow(uint64_t h, uint32_t note, uint32_t add, int32_t threads);
HAFT_EXPORT double threads_follow(uint64_t h, uint32_t note, uint32_t add, int32_t threads) {
  chase.first = h;
  chase.note = note;
  chase.add = add;
  chase.stop = 0;
  chase.posted = 0;
  on_threads(threads, follow);
  return failures ? -failures : (double)chase.posted;
}
HAFT_EXPORT void stop_following(void);
HAFT_EXPORT void stop_following(void) { chase.stop = 1; }

/* A post with a value of each of several types. */
HAFT_EXPORT int32_t post_all(uint64_t h, uint32_t op, const char *string, int64_t big);
HAFT_EXPORT int32_t post_all(uint64_t h, uint32_t op, const char *string, int64_t big) {
  char with_nul[64];
  const size_t length = strlen(string) + 2;
  memcpy(with_nul, string, length - 1);
  with_nul[length - 1] = '!';
  const haft_value args[] = {haft_value_str(with_nul, length), haft_value_bytes("\1\2\0", 3), haft_value_i64(big),
                             haft_value_bool(true), haft_value_handle(HAFT_NULL)};
  return haft_post(h, op, args, COUNT(args), HAFT_FAIL);
}

/* A call from a thread of koffi's. */
HAFT_EXPORT double call_elsewhere(uint64_t h, uint32_t op, double n);
HAFT_EXPORT double call_elsewhere(uint64_t h, uint32_t op, double n) { return act(CALL, h, op, n); }
