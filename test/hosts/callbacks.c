/* A C library that knows nothing of haft: it calls function pointers with the user data that it was given, on
** JavaScript's thread or on others, for as long as it likes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "act.h"

#include <dlfcn.h>

typedef int32_t (*Add)(int32_t n, void *user_data);

#define ON_ERROR (-77)
#define THREADS_MOST 600

/* ---- On the thread that asks ---- */

HAFT_EXPORT int32_t cb_call(Add function, void *user_data, int32_t n) { return function(n, user_data); }
HAFT_EXPORT int32_t cb_call_u64(int32_t (*function)(int32_t, uint64_t), uint64_t user_data, int32_t n) {
  return function(n, user_data);
}
/* Calls so many times, whatever comes back; tells the sum. */
HAFT_EXPORT int64_t cb_sum(Add function, void *user_data, int32_t count) {
  int64_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += function(i, user_data);
  return sum;
}
/* user_data and the next ones behind it. */
HAFT_EXPORT int64_t cb_each(Add function, const double *user_data, int32_t count) {
  int64_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += function(i, (void *)(uintptr_t)user_data[i]);
  return sum;
}
HAFT_EXPORT uint64_t cb_echo(uint64_t (*function)(uint64_t, void *), uint64_t x, void *user_data) {
  return function(x, user_data);
}
HAFT_EXPORT void cb_destroy(void (*destroy)(void *), void *user_data) { destroy(user_data); }

/* A result as its bits, of a function without other arguments. */
HAFT_EXPORT uint64_t cb_result(const char *type, void *function, void *user_data) {
  uint64_t bits = 0;
#define RESULT(name, T)                                \
  if (strcmp(type, name) == 0) {                       \
    const T got = ((T (*)(void *))function)(user_data); \
    memcpy(&bits, &got, sizeof got);                   \
  }
  RESULT("bool", _Bool)
  RESULT("int8_t", int8_t) RESULT("uint8_t", uint8_t) RESULT("int16_t", int16_t) RESULT("uint16_t", uint16_t)
  RESULT("int", int32_t) RESULT("uint32_t", uint32_t) RESULT("int64_t", int64_t) RESULT("uint64_t", uint64_t)
  RESULT("void *", void *) RESULT("float", float) RESULT("double", double)
#undef RESULT
  if (strcmp(type, "void") == 0) ((void (*)(void *))function)(user_data);
  return bits;
}

/* Texts of all sorts: what the closure says of each. */
HAFT_EXPORT int32_t cb_text(int32_t (*function)(const char *, void *, const char *), void *user_data, int32_t which) {
  static char *big;
  switch (which) {
    case 0: return function(NULL, user_data, NULL);
    case 1: return function("", user_data, "");
    case 2: return function("ab\xff\xfe\xc3(", user_data, "\xed\xa0\x80"); /* not UTF-8 */
    case 3: return function("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x80", user_data, "second");
    default:
      if (!big) {
        big = malloc((2 << 20) + 1);
        if (!big) return -1;
        memset(big, 'b', 2 << 20);
        big[2 << 20] = 0;
      }
      return function(big, user_data, which == 4 ? NULL : big);
  }
}
/* More than a message may hold: 16 MiB and a byte. */
HAFT_EXPORT int32_t cb_text_too_long(int32_t (*function)(const char *, void *, const char *), void *user_data) {
  char *big = malloc(HAFT_PAYLOAD_MAX + 2u);
  if (!big) return -1;
  memset(big, 'b', HAFT_PAYLOAD_MAX + 1u);
  big[HAFT_PAYLOAD_MAX + 1u] = 0;
  const int32_t got = function(big, user_data, NULL);
  free(big);
  return got;
}

/* A struct by value, which only koffi can pass. */
typedef struct {
  double x, y;
} Point;
HAFT_EXPORT double cb_point(double (*function)(Point, void *), void *user_data, double x, double y) {
  return function((Point){x, y}, user_data);
}

/* The user data is not passed along: it is found from another argument, as sqlite3_user_data does. */
typedef struct {
  int32_t nothing;
  void *user_data;
} Context;
HAFT_EXPORT void *cb_user_data_of(Context *context);
HAFT_EXPORT void *cb_user_data_of(Context *context) { return context->user_data; }
HAFT_EXPORT int32_t cb_context(int32_t (*function)(Context *, int32_t), void *user_data, int32_t n) {
  Context context = {0, user_data};
  return function(&context, n);
}

/* Through the addon, as act.h has it: the user data, how often, and the function pointer. */
double act(int32_t what, uint64_t user_data, uint32_t count, double pointer) {
  const Add function = (Add)(uintptr_t)pointer;
  return what == 0 ? (double)function((int32_t)count, (void *)(uintptr_t)user_data)
                   : (double)cb_sum(function, (void *)(uintptr_t)user_data, (int32_t)count);
}

/* ---- On threads of its own ---- */

static pthread_t threads[THREADS_MOST];
static int started;
static atomic_int running, ending;
static atomic_llong answered, refused, wrong;
static Add add;
static _Atomic(uint64_t) given; /* the user data; may be changed while they call */
static int32_t times;

/* Each argument is the thread's own, so that an answer that is another's is seen. */
static void *adder(void *data) {
  const int32_t number = (int32_t)(intptr_t)data;
  for (int32_t i = 0; times < 0 ? !ending : i < times; i++) {
    const int32_t n = number * 1000000 + i % 1000000;
    const int32_t got = add(n, (void *)(uintptr_t)given);
    if (got == n + 1) answered++;
    else if (got == ON_ERROR) refused++;
    else wrong++;
    if (got == ON_ERROR && times < 0) usleep(50); /* and goes on */
  }
  running--;
  return NULL;
}

/* Threads that each call so many times; below zero until cb_end. */
HAFT_EXPORT void cb_start(Add function, uint64_t user_data, int32_t count, int32_t each);
HAFT_EXPORT void cb_start(Add function, uint64_t user_data, int32_t count, int32_t each) {
  add = function, given = user_data, times = each;
  answered = refused = wrong = 0;
  ending = 0;
  running = started = count;
  for (int i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, adder, (void *)(intptr_t)i) != 0) _exit(99);
}
HAFT_EXPORT void cb_give(uint64_t user_data) { given = user_data; }
/* 0: how many run, 1: calls that were answered, 2: those that were told on_error, 3: those that were told anything else. */
HAFT_EXPORT int64_t cb_count(int32_t which) {
  return which == 0 ? running : which == 1 ? answered : which == 2 ? refused : wrong;
}
HAFT_EXPORT void cb_end(void) { ending = 1; } /* they may wait for JavaScript: cb_join when none runs */
HAFT_EXPORT void cb_join(void) {
  for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
  started = 0;
}
/* They go on, whatever becomes of the process. koffi unloads a library when its Node ends, and with it what they run:
** this one stays. */
HAFT_EXPORT void cb_leave(void) {
  Dl_info self;
  if (dladdr(adder, &self) == 0 || !dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE)) _exit(98);
  for (int i = 0; i < started; i++) pthread_detach(threads[i]);
  started = 0;
}

/* destroyNotify on another thread, twice. */
static void *destroyer(void *data) {
  void **both = data;
  for (int i = 0; i < 2; i++) ((void (*)(void *))both[0])(both[1]);
  return NULL;
}
HAFT_EXPORT void cb_destroy_elsewhere(void *destroy, void *user_data) {
  void *both[] = {destroy, user_data};
  pthread_t thread;
  if (pthread_create(&thread, NULL, destroyer, both) != 0) _exit(99);
  pthread_join(thread, NULL);
}

/* One call on another thread, which is joined at once: the closure cannot run meanwhile. */
static int32_t got_elsewhere;
static void *one_call(void *data) {
  (void)data;
  got_elsewhere = add(1, (void *)(uintptr_t)given);
  return NULL;
}
HAFT_EXPORT int32_t cb_call_and_join(Add function, uint64_t user_data) {
  pthread_t thread;
  add = function, given = user_data;
  if (pthread_create(&thread, NULL, one_call, NULL) != 0) _exit(99);
  pthread_join(thread, NULL);
  return got_elsewhere;
}
