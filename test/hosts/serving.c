/* C on JavaScript's own thread that waits for other threads: it serves them, or says that it cannot. */
#include "act.h"

enum {
  SERVE, JOIN, SERVE_UNTIL_SIGNAL, ON_OTHER_THREAD, BLOCKING, LEAVE_BLOCKED, STOP, WAIT_HERE, START_CALL, CALL_ENDED,
  SIGNAL, USE_REALM, CALL, POST, QUEUE_CALL, QUEUE_NEXT
};

static haft_handle handle;
static haft_op op_called;

/* ---- Threads that call the realm ---- */

static atomic_int threads_left, calls_done;
static void *caller(void *count) {
  haft_value one = haft_value_f64(1), result;
  for (int i = 0; i < (int)(intptr_t)count; i++)
    if (haft_call(handle, op_called, &one, 1, WAIT, &result) == HAFT_OK && result.type == HAFT_F64) calls_done++;
  threads_left--;
  haft_signal(realm, HAFT_EVENT_USER(0)); /* whoever serves need not wait for another message */
  return NULL;
}
static double join_callers(int count) {
  pthread_t threads[8];
  threads_left = count;
  calls_done = 0;
  for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, caller, (void *)50);
  while (threads_left > 0) {
    const haft_status status = haft_serve(realm, WAIT);
    if (status != HAFT_OK && status != HAFT_E_TIMEOUT) return status;
    if (status == HAFT_E_TIMEOUT) return -1000; /* with callers that wait */
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  return calls_done;
}

/* ---- One that signals ---- */

static atomic_int serving_now;
static void *signaller(void *unused) {
  while (!serving_now) usleep(1000);
  usleep(5000); /* it sleeps, mostly */
  haft_signal(realm, HAFT_EVENT_USER(2));
  return unused;
}

/* ---- One that has another thread's point of view ---- */

static double seen;
static void *other_thread(void *what) {
  uint32_t happened;
  haft_value one = haft_value_f64(1), result;
  switch ((int)(intptr_t)what) {
    case 0: seen = haft_serve(realm, 20); break;
    case 1: seen = haft_blocking(realm, true); break;
    case 2: seen = haft_call(handle, op_called, &one, 1, WAIT, &result); break;
    case 3: seen = haft_wait(realm, HAFT_EVENT_USER(1), 1, &happened); break;
    case 4: { /* a mailbox that is full */
      while ((seen = haft_post(handle, op_called, &one, 1, HAFT_FAIL)) == HAFT_OK) {
      }
      if (seen == HAFT_E_FULL) seen = haft_post(handle, op_called, &one, 1, HAFT_BLOCK(WAIT));
      break;
    }
    default: { /* calls at one time, each with its own answer */
      haft_request requests[5];
      for (int i = 0; i < 5; i++) requests[i] = (haft_request){handle, &one, 1, op_called, 55, 0, {0}};
      seen = haft_call_many(requests, 5, WAIT);
      for (int i = 0; i < 5; i++)
        if (requests[i].status != seen) seen = -1000;
    }
  }
  return NULL;
}
static double from_other_thread(int what) {
  pthread_t thread;
  pthread_create(&thread, NULL, other_thread, (void *)(intptr_t)what);
  pthread_join(thread, NULL);
  return seen;
}

/* A library whose stop function joins a thread that calls the realm, and knows nothing of haft_serve. */
static atomic_int call_began, call_ended;
static atomic_int call_status;
static pthread_t call_thread;
static void *one_call(void *timeout) {
  haft_value one = haft_value_f64(1), result;
  call_began = 1;
  call_status = haft_call(handle, op_called, &one, 1, (intptr_t)timeout, &result);
  call_ended = 1;
  return NULL;
}
static void start_call(int timeout) {
  call_began = call_ended = 0;
  pthread_create(&call_thread, NULL, one_call, (void *)(intptr_t)timeout);
}
static double stop(bool waits_already) {
  if (waits_already) {
    start_call(WAIT);
    while (!call_began) usleep(1000);
    usleep(20 * 1000); /* it sleeps, mostly; else it is told before it does */
    if (call_ended) return -1000;
  }
  const haft_status status = haft_blocking(realm, true);
  if (status != HAFT_OK) return status;
  if (!waits_already) start_call(WAIT);
  pthread_join(call_thread, NULL);
  haft_blocking(realm, false);
  return call_status;
}

/* A call whose completion comes to a queue. */
static haft_queue queue;
static haft_status queue_call(void) {
  const haft_value one = haft_value_f64(1);
  int descriptor;
  if (queue == 0) haft_queue_open(&queue, &descriptor);
  const haft_completer completer = {sizeof completer, NULL, queue, NULL};
  return haft_call_async(handle, op_called, &one, 1, -1, &completer);
}
static haft_status queue_next(int64_t timeout) {
  haft_completion completion;
  const haft_status status = haft_queue_next(queue, timeout, &completion);
  return status == HAFT_OK ? completion.status : status;
}

double act(int32_t what, uint64_t h, uint32_t op, double n) {
  haft_value one = haft_value_f64(1), result;
  uint32_t happened = 0;
  haft_status status;
  if (h != 0) handle = h, op_called = op;
  switch (what) {
    case SERVE: return haft_serve(realm, (int64_t)n);
    case JOIN: return join_callers((int)n);
    case SERVE_UNTIL_SIGNAL: {
      pthread_t thread;
      serving_now = 0;
      pthread_create(&thread, NULL, signaller, NULL);
      serving_now = 1;
      status = haft_serve(realm, -1);
      pthread_join(thread, NULL);
      return status;
    }
    case ON_OTHER_THREAD: return from_other_thread((int)n);
    case BLOCKING: return haft_blocking(realm, n != 0);
    case LEAVE_BLOCKED:
      status = haft_blocking(realm, true);
      return status == HAFT_OK ? from_other_thread((int)n) : status;
    case STOP: return stop(n != 0);
    case WAIT_HERE:
      status = haft_wait(realm, (uint32_t)n, WAIT, &happened);
      return status == HAFT_OK ? (double)happened : (double)status;
    case START_CALL:
      start_call((int)n);
      while (!call_began) usleep(1000);
      return 0;
    case CALL_ENDED:
      if (!call_ended) return 1;
      pthread_join(call_thread, NULL);
      return call_status;
    case SIGNAL: return haft_signal(realm, (uint32_t)n);
    case USE_REALM:
      realm = (haft_realm)n;
      return 0;
    case CALL: return haft_call(handle, op_called, &one, 1, WAIT, &result);
    case POST: return haft_post(handle, op_called, &one, 1, HAFT_FAIL);
    case QUEUE_CALL: return queue_call();
    case QUEUE_NEXT: return queue_next((int64_t)n);
    default: return -1000;
  }
}
