/* Messages one at a time, for tests that are JavaScript: through koffi, on JavaScript's thread, and calls from threads of
** their own. See ../support/messages.ts. */
#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t post_nothing(haft_handle h, haft_op op);
HAFT_EXPORT int32_t post_number(haft_handle h, haft_op op, double n);
HAFT_EXPORT int32_t post_text(haft_handle h, haft_op op, double n, const char *text);
HAFT_EXPORT int32_t post_handle(haft_handle h, haft_op op, haft_handle argument);
HAFT_EXPORT int32_t post_bytes(haft_handle h, haft_op op, uint32_t length, int32_t filler, int32_t copies);
HAFT_EXPORT int32_t call_number(haft_handle h, haft_op op, double n, double *result);
HAFT_EXPORT int32_t call_bytes(haft_handle h, haft_op op, uint32_t length, int32_t filler, double *result);
HAFT_EXPORT int32_t begin_call(haft_handle h, haft_op op, double n, int32_t milliseconds);
HAFT_EXPORT int32_t begin_call_bytes(haft_handle h, haft_op op, uint32_t length, int32_t filler);
HAFT_EXPORT int32_t call_status(int32_t call);
HAFT_EXPORT double call_result(int32_t call);
HAFT_EXPORT int32_t check(haft_handle h);
HAFT_EXPORT int32_t retain(haft_handle h);
HAFT_EXPORT int32_t release(haft_handle h);

int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

int32_t post_nothing(haft_handle h, haft_op op) { return haft_post(h, op, NULL, 0, HAFT_FAIL); }
int32_t post_number(haft_handle h, haft_op op, double n) {
  haft_value value = haft_value_f64(n);
  return haft_post(h, op, &value, 1, HAFT_FAIL);
}
int32_t post_text(haft_handle h, haft_op op, double n, const char *text) {
  haft_value values[2] = {haft_value_f64(n), haft_value_str(text, strlen(text))};
  return haft_post(h, op, values, 2, HAFT_FAIL);
}
int32_t post_handle(haft_handle h, haft_op op, haft_handle argument) {
  haft_value value = haft_value_handle(argument);
  return haft_post(h, op, &value, 1, HAFT_FAIL);
}

/* So many arguments, each of `length` bytes: filler, filler + 1, ... */
int32_t post_bytes(haft_handle h, haft_op op, uint32_t length, int32_t filler, int32_t copies) {
  haft_value values[HAFT_ARGS_MAX];
  for (int32_t i = 0; i < copies; i++) {
    unsigned char *bytes = malloc(length + 1);
    memset(bytes, filler + i, length);
    values[i] = haft_value_bytes(bytes, length);
  }
  const haft_status status = haft_post(h, op, values, (size_t)copies, HAFT_FAIL);
  for (int32_t i = 0; i < copies; i++) free((void *)values[i].as.bytes);
  return status;
}

static haft_status call_for_number(haft_handle h, haft_op op, haft_value *value, int64_t milliseconds, double *result) {
  haft_value returned;
  const haft_status status = haft_call(h, op, value, 1, milliseconds, &returned);
  *result = returned.type == HAFT_F64 ? returned.as.f64 : returned.type == HAFT_VOID ? 0 : -1;
  haft_value_free(&returned);
  return status;
}

int32_t call_number(haft_handle h, haft_op op, double n, double *result) {
  haft_value value = haft_value_f64(n);
  return call_for_number(h, op, &value, 20000, result);
}
int32_t call_bytes(haft_handle h, haft_op op, uint32_t length, int32_t filler, double *result) {
  unsigned char *bytes = malloc(length + 1);
  memset(bytes, filler, length);
  haft_value value = haft_value_bytes(bytes, length);
  const haft_status status = call_for_number(h, op, &value, 20000, result);
  free(bytes);
  return status;
}

/* ---- Calls of other threads ---- */

enum { CALLS = 1024, RUNNING = 1 };
typedef struct {
  haft_handle handle;
  haft_op op;
  haft_value value;
  int32_t milliseconds;
  double result;
  atomic_int status;
} Call;
static Call calls[CALLS];
static atomic_int begun;

static void *run(void *data) {
  Call *call = data;
  const haft_status status = call_for_number(call->handle, call->op, &call->value, call->milliseconds, &call->result);
  call->status = status;
  return NULL;
}

static int32_t begin(haft_handle h, haft_op op, haft_value value, int32_t milliseconds) {
  const int32_t number = begun++;
  if (number >= CALLS) return -1;
  Call *call = &calls[number];
  call->handle = h;
  call->op = op;
  call->value = value;
  call->milliseconds = milliseconds;
  call->status = RUNNING;
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, call) != 0) return -1;
  pthread_detach(thread);
  return number;
}
int32_t begin_call(haft_handle h, haft_op op, double n, int32_t milliseconds) {
  return begin(h, op, haft_value_f64(n), milliseconds);
}
int32_t begin_call_bytes(haft_handle h, haft_op op, uint32_t length, int32_t filler) {
  unsigned char *bytes = malloc(length + 1); /* kept: the thread reads it */
  memset(bytes, filler, length);
  return begin(h, op, haft_value_bytes(bytes, length), 20000);
}
int32_t call_status(int32_t call) { return calls[call].status; }
double call_result(int32_t call) { return calls[call].result; }

int32_t check(haft_handle h) { return haft_check(h, 0); }
int32_t retain(haft_handle h) { return haft_retain(h); }
int32_t release(haft_handle h) { return haft_release(h); }
