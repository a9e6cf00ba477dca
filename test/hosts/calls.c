/* Calls: timeouts, abandoned calls, many at once, many threads, and what comes back when JavaScript throws. */
#include <unistd.h>

#include "check.h"

static haft_value number(double x) { return haft_value_f64(x); }

/* ---- Time ---- */

/* While JavaScript stands at the gate nothing is answered: every timeout ends as one, and no handler runs after it. */
static void timeouts(void) {
  const Target add = target("bystander", "add");
  haft_value n = number(1), result;
  close_gate();
  const int64_t times[] = {0, 1, 5, 120};
  for (size_t i = 0; i < COUNT(times); i++) {
    memset(&result, 0x55, sizeof result);
    EXPECT(haft_call(add.handle, add.op, &n, 1, times[i], &result), HAFT_E_TIMEOUT);
    CHECK(result.type == HAFT_VOID && haft_last_error()->handle == add.handle);
  }
  haft_request requests[5];
  for (int i = 0; i < 5; i++) requests[i] = (haft_request){add.handle, &n, 1, add.op, 55, 0, {0}};
  EXPECT(haft_call_many(requests, 5, 20), HAFT_E_TIMEOUT);
  for (int i = 0; i < 5; i++) CHECK(requests[i].status == HAFT_E_TIMEOUT && requests[i].result.type == HAFT_VOID);
  open_gate();
  CHECK(ask_number("bystander calls") == 0); /* P15: abandoned before they started */
  EXPECT(haft_call(add.handle, add.op, &n, 1, INT64_MAX, &result), HAFT_OK);
  CHECK(result.as.f64 == 1);
  EXPECT(haft_call(add.handle, add.op, &n, 1, INT64_MIN, &result), HAFT_OK);
  CHECK(result.as.f64 == 2);
}

/* P15: abandoned while the handler runs: its late result is discarded, with what it carries; whatever the result. */
static void abandoned(void) {
  static const char *const slow[] = {"slow number", "slow text", "slow bytes", "slow throw", "slow wrong", "slow promise"};
  haft_value result;
  for (int round = 0; round < 30; round++) {
    for (size_t i = 0; i < COUNT(slow); i++) {
      gate_open = 0;
      const Target t = function(slow[i]);
      EXPECT(haft_call(t.handle, t.op, NULL, 0, 2, &result), HAFT_E_TIMEOUT);
      open_gate();
    }
  }
  /* A handle in a discarded result gives its reference back. */
  const double live = ask_number("live");
  for (int round = 0; round < 30; round++) {
    gate_open = 0;
    const Target t = function("slow handle");
    EXPECT(haft_call(t.handle, t.op, NULL, 0, 2, &result), HAFT_E_TIMEOUT);
    open_gate();
  }
  for (int i = 0; i < 20000 && ask_number("live") != live; i++) usleep(100);
  CHECK(ask_number("live") == live);
}

/* Abandoned calls leave no reply slot taken: there are 4095, and more than that are abandoned. */
static void no_leak(void) {
  const Target add = target("bystander", "add");
  haft_value n = number(1), result;
  for (int i = 0; i < 6000; i++) {
    const haft_status status = haft_call(add.handle, add.op, &n, 1, 0, &result);
    CHECK(status == HAFT_E_TIMEOUT || status == HAFT_OK);
    if (i % 100 == 0) EXPECT(call(add, &n, 1, &result), HAFT_OK);
  }
  /* Promises that never settle, too. */
  const Target never = function("never");
  for (int i = 0; i < 50; i++) EXPECT(haft_call(never.handle, never.op, NULL, 0, 1, &result), HAFT_E_TIMEOUT);
  for (int i = 0; i < 5000; i++) {
    const Target echo = function("echo");
    n = number(i);
    EXPECT(call(echo, &n, 1, &result), HAFT_OK);
    CHECK(result.as.f64 == i);
  }
}

/* An answer never reaches another caller: threads give up at random moments while others get their own. */
static void impatient(int thread) {
  const Target echo = function("echo");
  for (int i = 0; i < 3000; i++) {
    haft_value n = number(thread * 100000 + i), result;
    const haft_status status = haft_call(echo.handle, echo.op, &n, 1, thread % 2 ? 0 : WAIT, &result);
    if (status == HAFT_OK)
      CHECK(result.type == HAFT_F64 && result.as.f64 == n.as.f64);
    else
      EXPECT(status, HAFT_E_TIMEOUT);
  }
}
static void answers(void) { on_threads(6, impatient); }

/* ---- Threads ---- */

static atomic_llong total;
static void adder(int thread) {
  const Target add = target("bystander", "add");
  for (int i = 0; i < 2000; i++) {
    haft_value n = number(1), result;
    if ((thread + i) % 2) {
      EXPECT(haft_post(add.handle, add.op, &n, 1, HAFT_BLOCK(-1)), HAFT_OK);
    } else {
      EXPECT(call(add, &n, 1, &result), HAFT_OK);
      CHECK(result.as.f64 >= 1);
    }
    total++;
  }
}
static void threads(void) {
  on_threads(8, adder);
  CHECK(total == 16000);
  /* Posts of one object may be overtaken by a call of another. */
  for (int i = 0; i < 2000 && ask_number("bystander calls") < 16000; i++) usleep(5000);
  CHECK(ask_number("bystander calls") == 16000);
}

/* P16: the second handler waits for the thread whose answer, the first one's, has not been sent. Without the wake-up
** that thread would notice at the end of its slice of sleep, 40 ms later; so the shortest of many waits tells. */
static atomic_int answered;
#define LONGEST 10000            /* in sleeps of 0.1 ms, which take a little longer: less than the caller's time */
static int shortest = LONGEST;
HAFT_EXPORT int32_t join_answered(void);
HAFT_EXPORT int32_t join_answered(void) {
  int waited = 0;
  while (waited < LONGEST && !answered) waited++, usleep(100);
  if (waited < shortest) shortest = waited;
  return answered;
}
static void *call_first(void *unused) {
  const Target first = target("pair", "answer");
  haft_value n = number(1), result;
  EXPECT(call(first, &n, 1, &result), HAFT_OK);
  answered = 1;
  return unused;
}
static void flushed(void) {
  double joined = 0;
  for (int round = 0; round < 20; round++) {
    pthread_t first;
    const Target join = target("pair", "join");
    haft_value result;
    answered = 0;
    close_gate();
    CHECK(pthread_create(&first, NULL, call_first, NULL) == 0);
    usleep(10 * 1000); /* so that it sleeps, in most rounds */
    EXPECT(haft_post(join.handle, join.op, NULL, 0, HAFT_BLOCK(-1)), HAFT_OK);
    open_gate();
    pthread_join(first, NULL);
    EXPECT(call(function("joined"), NULL, 0, &result), HAFT_OK);
    /* On a busy machine the post may overtake the call; then nobody is there to be waited for. */
    CHECK(result.type == HAFT_F64 && result.as.f64 <= round + 1);
    joined = result.as.f64;
  }
  CHECK(joined > 0);
  CHECK(shortest < 60); /* mostly under 2 ms */
}

/* ---- Many at once ---- */

static void many(void) {
  static haft_request requests[2000];
  static haft_value args[2000];
  const Target echo = function("echo"), add = target("bystander", "add");
  const size_t counts[] = {1, 2, 255, 256, 257, 2000};
  for (size_t c = 0; c < COUNT(counts); c++) {
    for (size_t i = 0; i < counts[c]; i++) {
      args[i] = number((double)i);
      requests[i] = (haft_request){echo.handle, &args[i], 1, echo.op, 55, 0, {0}};
    }
    EXPECT(haft_call_many(requests, counts[c], WAIT), HAFT_OK);
    for (size_t i = 0; i < counts[c]; i++)
      CHECK(requests[i].status == HAFT_OK && requests[i].result.type == HAFT_F64 && requests[i].result.as.f64 == (double)i);
  }
  /* Of one handle: in order. */
  for (size_t i = 0; i < 300; i++) args[i] = number(1), requests[i] = (haft_request){add.handle, &args[i], 1, add.op, 0, 0, {0}};
  EXPECT(haft_call_many(requests, 300, WAIT), HAFT_OK);
  for (size_t i = 0; i < 300; i++) CHECK(requests[i].result.as.f64 == (double)i + 1);
}

/* Each request has its own status; the first that failed is the answer. */
static void many_mixed(void) {
  const Target echo = function("echo"), throws = function("throws"), wrong = function("slow wrong"), say = function("say");
  haft_value n = number(5), bad = haft_value_bool(true);
  haft_request requests[] = {
      {echo.handle, &n, 1, echo.op, 0, 0, {0}},     {throws.handle, &n, 0, throws.op, 0, 0, {0}},
      {say.handle, NULL, 0, say.op, 0, 0, {0}},     {ended("deleted"), &n, 1, echo.op, 0, 0, {0}},
      {echo.handle, &bad, 1, echo.op, 0, 0, {0}},   {12345, &n, 1, echo.op, 0, 0, {0}},
      {wrong.handle, NULL, 0, wrong.op, 0, 0, {0}}, {echo.handle, &n, 1, say.op + 1, 0, 0, {0}},
      {echo.handle, &n, 17, echo.op, 0, 0, {0}},    {echo.handle, &n, 1, echo.op, 0, 0, {0}},
  };
  gate_open = 1;
  EXPECT(haft_call_many(requests, COUNT(requests), WAIT), HAFT_E_EXCEPTION);
  CHECK(requests[0].status == HAFT_OK && requests[0].result.as.f64 == 5);
  CHECK(requests[1].status == HAFT_E_EXCEPTION && requests[1].result.type == HAFT_STR);
  CHECK(strcmp(requests[1].result.as.str, "RangeError: out of reach") == 0);
  CHECK(requests[1].result.length == strlen("RangeError: out of reach"));
  CHECK(requests[2].status == HAFT_OK && strcmp(requests[2].result.as.str, "said") == 0);
  CHECK(requests[3].status == HAFT_E_STALE && requests[3].result.type == HAFT_VOID);
  CHECK(requests[4].status == HAFT_E_ARGUMENT && requests[4].result.type == HAFT_STR);
  CHECK(requests[5].status == HAFT_E_FORGED);
  CHECK(requests[6].status == HAFT_E_RESULT && requests[6].result.type == HAFT_STR);
  CHECK(strstr(requests[6].result.as.str, "HAFT_E_RESULT"));
  CHECK(requests[7].status != HAFT_OK);
  CHECK(requests[8].status == HAFT_E_ARGUMENT);
  CHECK(requests[9].status == HAFT_OK);
  for (size_t i = 0; i < COUNT(requests); i++) haft_value_free(&requests[i].result);
}

/* ---- The end of the realm ---- */

static atomic_int waiting;
static void wait_in_call(int thread) {
  const Target t = function(thread % 2 ? "never" : "echo");
  haft_value n = number(1), result;
  haft_request requests[3];
  waiting++;
  if (thread == 4) {
    const Target never = function("never");
    for (int i = 0; i < 3; i++) requests[i] = (haft_request){never.handle, NULL, 0, never.op, 0, 0, {0}};
    EXPECT(haft_call_many(requests, 3, -1), HAFT_E_CLOSED);
    for (int i = 0; i < 3; i++) CHECK(requests[i].status == HAFT_E_CLOSED);
    return;
  }
  for (;;) {
    const haft_status status = haft_call(t.handle, t.op, &n, thread % 2 ? 0 : 1, -1, &result);
    if (status == HAFT_OK) continue;
    EXPECT(status, HAFT_E_CLOSED);
    CHECK(result.type == HAFT_VOID);
    break;
  }
  for (int i = 0; i < 100; i++) EXPECT(haft_call(t.handle, t.op, NULL, 0, -1, &result), HAFT_E_CLOSED);
  EXPECT(haft_post(t.handle, t.op, NULL, 0, HAFT_BLOCK(-1)), HAFT_E_CLOSED);
}
static void *close_it(void *unused) {
  const Target close = function("close");
  while (waiting < 5) usleep(1000);
  usleep(20 * 1000);
  EXPECT(haft_call(close.handle, close.op, NULL, 0, WAIT, NULL), HAFT_E_CLOSED); /* P22: in a drain */
  return unused;
}
static void closes(void) {
  pthread_t closer;
  CHECK(pthread_create(&closer, NULL, close_it, NULL) == 0);
  on_threads(5, wait_in_call);
  pthread_join(closer, NULL);
  EXPECT(haft_realm_check(realm), HAFT_E_CLOSED);
}

/* ---- Exceptions ---- */

static void exceptions(void) {
  haft_value result;
  Target t = function("throws");
  EXPECT(haft_call(t.handle, t.op, NULL, 0, WAIT, &result), HAFT_E_EXCEPTION);
  const haft_error *error = haft_last_error();
  CHECK(strcmp(error->name, "RangeError") == 0 && strcmp(error->message, "out of reach") == 0);
  CHECK(strstr(error->stack, "RangeError: out of reach") && strstr(error->stack, "calls.mjs"));
  CHECK(error->handle == t.handle && result.type == HAFT_VOID);
  static const struct {
    const char *name, *error, *message;
  } thrown[] = {
      {"throws undefined", "undefined", "undefined"},
      {"throws null", "null", "null"},
      {"throws a number", "number", "-0.5"},
      {"throws a string", "string", "just text"},
      {"throws a symbol", "symbol", "Symbol(s)"},
      {"throws an object", "object", "[object Object]"},
      {"throws without a prototype", "object", NULL},
      {"throws what cannot be shown", "object", NULL},
      {"throws a liar", NULL, NULL},
      {"throws a proxy", NULL, NULL},
      {"throws a NUL", "Error", "a b"},
      {"throws no message", "Error", ""},
      {"throws a stale handle", "HaftError", NULL},
  };
  for (size_t i = 0; i < COUNT(thrown); i++) {
    t = function(thrown[i].name);
    EXPECT(haft_call(t.handle, t.op, NULL, 0, WAIT, &result), HAFT_E_EXCEPTION);
    error = haft_last_error();
    CHECK(error->name && error->message && error->stack && strlen(error->next) > 10);
    if ((thrown[i].error && strcmp(error->name, thrown[i].error) != 0) ||
        (thrown[i].message && strcmp(error->message, thrown[i].message) != 0)) {
      char what[300];
      snprintf(what, sizeof what, "%s: name \"%s\", message \"%.100s\"", thrown[i].name, error->name, error->message);
      failed(__FILE__, __LINE__, what);
    }
  }
  t = function("throws a long one");
  EXPECT(haft_call(t.handle, t.op, NULL, 0, WAIT, &result), HAFT_E_EXCEPTION);
  error = haft_last_error();
  CHECK(strcmp(error->name, "Error") == 0 && strlen(error->message) > 1000 && strncmp(error->message, "\xc3\xbc", 2) == 0);
  /* A missing method, a stack that is full, and after all that the realm works. */
  t = target("incomplete", "missing");
  EXPECT(haft_call(t.handle, t.op, NULL, 0, WAIT, &result), HAFT_E_EXCEPTION);
  CHECK(strcmp(haft_last_error()->name, "TypeError") == 0);
  t = function("overflows");
  EXPECT(haft_call(t.handle, t.op, NULL, 0, WAIT, &result), HAFT_E_EXCEPTION);
  CHECK(strcmp(haft_last_error()->name, "RangeError") == 0);
  haft_value n = number(4);
  EXPECT(call(function("echo"), &n, 1, &result), HAFT_OK);
  CHECK(result.as.f64 == 4);
}

/* A handler that returns a promise answers when it settles. */
static void promises(void) {
  haft_value n = number(3), result;
  EXPECT(call(function("later"), &n, 1, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64 && result.as.f64 == 6);
  EXPECT(call(function("rejects"), NULL, 0, &result), HAFT_E_EXCEPTION);
  CHECK(strcmp(haft_last_error()->message, "rejected") == 0);
  EXPECT(call(function("later wrong"), NULL, 0, &result), HAFT_E_RESULT);
  /* Thenables that keep to no rule: the first answer counts, and nothing is freed twice. */
  for (int round = 0; round < 50; round++) {
    EXPECT(call(function("settles twice"), NULL, 0, &result), HAFT_OK);
    CHECK(result.as.f64 == 1);
    EXPECT(call(function("then throws"), NULL, 0, &result), HAFT_E_EXCEPTION);
    haft_request requests[6];
    haft_value args[6];
    const Target echo = function("echo");
    for (int i = 0; i < 6; i++) args[i] = number(i), requests[i] = (haft_request){echo.handle, &args[i], 1, echo.op, 0, 0, {0}};
    EXPECT(haft_call_many(requests, 6, 2000), HAFT_OK);
    for (int i = 0; i < 6; i++) CHECK(requests[i].result.as.f64 == i);
    if (failures) return;
  }
}

CASES({"timeouts", timeouts}, {"abandoned", abandoned}, {"no leak", no_leak}, {"answers", answers},
      {"threads", threads}, {"flushed", flushed}, {"many", many}, {"many mixed", many_mixed}, {"closes", closes},
      {"exceptions", exceptions}, {"promises", promises})
