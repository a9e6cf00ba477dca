/* What the hosts of the tests share: cases by name, checks that say where they failed, and short ways to call what
** the logic published. A host is run as `haft run NAME.so LOGIC -- CASE`; its exit code is the number of failures. */
#ifndef CHECK_H
#define CHECK_H

#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELPER __attribute__((unused)) static
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define WAIT 20000 /* milliseconds: long enough for any machine, and the tests' own limit is longer */

HELPER haft_realm realm;
HELPER int arguments_count;
HELPER char **arguments;
HELPER atomic_int failures;

HELPER void failed(const char *file, int line, const char *what) {
  if (failures++ < 20) fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

#define CHECK(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))

HELPER void expect_status(const char *file, int line, const char *what, haft_status got, haft_status wanted) {
  char text[512];
  if (got == wanted) {
    /* Whatever fails says so in the thread's last error as well. */
    if (got == HAFT_OK || haft_last_error()->status == got) return;
    snprintf(text, sizeof text, "%s: last error is %s, not %s", what, haft_status_name(haft_last_error()->status),
             haft_status_name(got));
  } else {
    snprintf(text, sizeof text, "%s is %s (%s), not %s", what, haft_status_name(got), haft_last_error()->message,
             haft_status_name(wanted));
  }
  failed(file, line, text);
}
#define EXPECT(expression, status) expect_status(__FILE__, __LINE__, #expression, (expression), (status))

/* What the logic published, with the op that is called. */
typedef struct {
  haft_handle handle;
  haft_kind kind;
  haft_op op;
} Target;

HELPER Target target(const char *name, const char *op) {
  Target t = {HAFT_NULL, 0, 0};
  EXPECT(haft_find(realm, name, 0, WAIT, &t.handle), HAFT_OK);
  EXPECT(haft_kind_of(t.handle, &t.kind), HAFT_OK);
  EXPECT(haft_op_find(t.kind, op, &t.op), HAFT_OK);
  EXPECT(haft_release(t.handle), HAFT_OK); /* the creator's reference keeps it */
  return t;
}

/* A published function. */
HELPER Target function(const char *name) { return target(name, "call"); }

HELPER haft_value text(const char *s) { return haft_value_str(s, strlen(s)); }

HELPER haft_status call(Target t, const haft_value *args, size_t count, haft_value *result) {
  return haft_call(t.handle, t.op, args, count, WAIT, result);
}

HELPER double ask_number(const char *name) {
  haft_value result;
  EXPECT(call(function(name), NULL, 0, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64);
  return result.as.f64;
}

/* A handle of the sort that the logic's function `make` knows; the reference is ours. */
HELPER haft_handle make(const char *what) {
  haft_value name = text(what), result;
  EXPECT(call(function("make"), &name, 1, &result), HAFT_OK);
  CHECK(result.type == HAFT_HANDLE);
  return result.as.handle;
}

/* A handle that has ended, of the sort that the logic's function `ended` knows. No handler may return one as a handle. */
HELPER haft_handle ended(const char *what) {
  haft_value name = text(what), result;
  EXPECT(call(function("ended"), &name, 1, &result), HAFT_OK);
  CHECK(result.type == HAFT_I64);
  return (haft_handle)result.as.i64;
}

/* Runs `work(number)` on so many threads at once, and waits for all. */
typedef struct {
  void (*work)(int);
  int number;
} Start;
HELPER void *start(void *data) {
  Start s = *(Start *)data;
  s.work(s.number);
  return NULL;
}
HELPER void on_threads(int count, void (*work)(int)) {
  pthread_t threads[64];
  Start starts[64];
  for (int i = 0; i < count; i++) {
    starts[i] = (Start){work, i};
    if (pthread_create(&threads[i], NULL, start, &starts[i]) != 0) exit(99);
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

/* A gate at which JavaScript's thread waits, inside a handler, until a native thread opens it: the logic calls
** gate_wait through koffi. */
HELPER atomic_int gate_reached, gate_open;
HAFT_EXPORT void gate_wait(void);
HAFT_EXPORT void gate_wait(void) {
  gate_reached++;
  while (!gate_open) usleep(200);
  gate_reached--;
}
HELPER void close_gate(void) { /* returns when JavaScript stands at the gate */
  gate_open = 0;
  Target wait = function("gate");
  EXPECT(haft_post(wait.handle, wait.op, NULL, 0, HAFT_BLOCK(-1)), HAFT_OK);
  while (!gate_reached) usleep(200);
}
HELPER void open_gate(void) { gate_open = 1; }

typedef struct {
  const char *name;
  void (*run)(void);
} Case;

#define CASES(...)                                                                     \
  int haft_host_main(const haft_api *api, haft_realm of, int argc, char **argv) {      \
    static const Case cases[] = {__VA_ARGS__};                                         \
    realm = of;                                                                        \
    arguments_count = argc;                                                            \
    arguments = argv;                                                                  \
    if (HAFT_PLUGIN(api) != HAFT_OK) return 100;                                       \
    for (size_t i = 0; argc > 1 && i < COUNT(cases); i++) {                            \
      if (strcmp(cases[i].name, argv[1]) != 0) continue;                               \
      cases[i].run();                                                                  \
      return failures > 90 ? 90 : failures;                                            \
    }                                                                                  \
    fprintf(stderr, "there is no case %s\n", argc > 1 ? argv[1] : "(none)");           \
    return 101;                                                                        \
  }

#endif
