/* A program whose logic scribbles over the arena that they share (scribble.cc, loaded by hostile.mjs) while threads of the
** program call. The program must come through: every call ends, it hears of the logic's end, and it can start another.
**
**     hostile PLUGIN SEED REGION MANNER
**
** The last line on standard output is JSON: what it came to. */
#include <haft_embed.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALLERS 4
#define NAMES 3
/* Nothing here takes nearly so long, unless somebody waits for ever. */
#define PATIENCE_SECONDS 60

static struct {
  haft_realm realm;
  haft_handle handles[NAMES];
  haft_op ops[NAMES];
  atomic_bool ended;
  atomic_ullong calls, answers;
  atomic_int asked, completed;
  haft_embed_reason reason;
} g;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, haft_last_error()->message);
  _exit(1);
}

static uint64_t next(uint64_t *state) { /* xorshift64* */
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545f4914f6cdd1dull;
}

static void sleep_ms(long milliseconds) {
  const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static void ended(void *user, const haft_embed_end *end) {
  (void)user;
  g.reason = end->reason;
  g.ended = true;
}

static void completed(void *user, haft_status status, haft_value *result) {
  (void)user, (void)status;
  haft_value_free(result);
  g.completed++;
}

/* Reads all of a result: what lies elsewhere would end the program. */
static void use(haft_value *result) {
  volatile unsigned sum = 0;
  if (result->type == HAFT_STR || result->type == HAFT_BYTES)
    for (uint32_t i = 0; i <= result->length; i++) sum += (unsigned char)result->as.str[i];
  haft_value_free(result);
}

static void act(uint64_t *state) {
  static char text[6000];
  const unsigned which = next(state) % NAMES;
  const haft_handle handle = next(state) % 16 ? g.handles[which] : next(state);
  const haft_op op = next(state) % 16 ? g.ops[which] : (haft_op)next(state);
  haft_value argument = haft_value_f64(2), result;
  haft_request requests[8];
  haft_kind kind;
  haft_op found_op;
  haft_handle found;
  haft_completer completer = {sizeof completer, completed, 0, NULL};
  haft_counters counters = {0};
  uint32_t happened;
  counters.size = sizeof counters;
  if (which == 1) argument = haft_value_str(text, next(state) % sizeof text);
  g.calls++;
  switch (next(state) % 12) {
    case 0:
      if (haft_retain(handle) == HAFT_OK) haft_release(handle);
      return;
    case 1:
      if (haft_find(g.realm, "text", 0, next(state) % 5, &found) == HAFT_OK) haft_release(found);
      return;
    case 2:
      if (haft_kind_of(handle, &kind) == HAFT_OK) haft_op_find(kind, "call", &found_op);
      return;
    case 3:
      haft_moved(handle, &found);
      return;
    case 4:
      haft_wait(g.realm, HAFT_EVENT_USER(0) | HAFT_EVENT_FULL, next(state) % 5, &happened);
      return;
    case 5:
      haft_counters_read(g.realm, HAFT_ALL_SHARDS, &counters);
      return;
    case 6:
      if (haft_call_async(handle, op, &argument, 1, next(state) % 2 ? -1 : 5, &completer) == HAFT_OK) g.asked++;
      return;
    case 7:
      haft_post(handle, op, &argument, 1, next(state) % 4 ? HAFT_FAIL : 5);
      return;
    case 8:
      for (int i = 0; i < 8; i++) requests[i] = (haft_request){g.handles[i % NAMES], &argument, 1, g.ops[i % NAMES], 0, 0, {0}};
      haft_call_many(requests, 8, 20);
      for (int i = 0; i < 8; i++) use(&requests[i].result);
      return;
    default:
      if (haft_call(handle, op, &argument, 1, next(state) % 20, &result) == HAFT_OK) {
        g.answers++;
        use(&result);
      }
  }
}

static void *call(void *seed) {
  uint64_t state = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15ull | 1;
  while (!g.ended) act(&state);
  return NULL;
}

/* Waits for as long as it takes: the end of the logic has to end it. */
static void *wait_for_ever(void *data) {
  haft_value result;
  uint32_t happened;
  (void)data;
  while (!g.ended) {
    const bool open = haft_realm_check(g.realm) == HAFT_OK;
    haft_wait(g.realm, HAFT_EVENT_CLOSING, -1, &happened);
    if (haft_call(g.handles[2], g.ops[2], NULL, 0, -1, &result) == HAFT_OK) use(&result);
    if (!open) sleep_ms(1); /* it says so; whether it is true is told by `ended` */
  }
  return NULL;
}

static void find(int i, const char *name) {
  haft_kind kind;
  if (haft_find(g.realm, name, 0, 0, &g.handles[i]) != HAFT_OK || haft_kind_of(g.handles[i], &kind) != HAFT_OK ||
      haft_op_find(kind, "call", &g.ops[i]) != HAFT_OK)
    fail(name);
}

/* Another logic of the same program: the status of its start, and of a call that it answered right. */
static void start_another(haft_status *started, haft_status *called) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_realm realm;
  haft_handle handle;
  haft_kind kind;
  haft_op op;
  haft_value argument = haft_value_f64(20), result;
  options.script = "test/embed/hostile.mjs";
  options.output = HAFT_EMBED_DISCARD;
  *called = HAFT_E_CLOSED;
  *started = haft_embed_start(&options, &realm);
  if (*started != HAFT_OK) return;
  *called = haft_find(realm, "twice", 0, 0, &handle);
  if (*called == HAFT_OK) *called = haft_kind_of(handle, &kind);
  if (*called == HAFT_OK) *called = haft_op_find(kind, "call", &op);
  if (*called == HAFT_OK) *called = haft_call(handle, op, &argument, 1, 10000, &result);
  if (*called == HAFT_OK && (result.type != HAFT_F64 || result.as.f64 != 40)) *called = HAFT_E_RESULT;
  haft_embed_stop(realm);
}

int main(int argc, char **argv) {
  const char *logic_args[] = {argv[1], argv[2], argv[3], argv[4], NULL};
  pthread_t callers[CALLERS], waiting[2];
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_status started, called;
  haft_handle left;
  if (argc != 5) return 2;
  alarm(PATIENCE_SECONDS); /* a signal that nobody handles: the test sees it */
  options.script = "test/embed/hostile.mjs";
  options.args = logic_args;
  options.output = HAFT_EMBED_DISCARD;
  options.stuck_ms = 3000;
  options.ended = ended;
  if (haft_embed_start(&options, &g.realm) != HAFT_OK) fail("start");
  find(0, "twice");
  find(1, "text");
  find(2, "never");
  for (uintptr_t i = 0; i < CALLERS; i++)
    if (pthread_create(&callers[i], NULL, call, (void *)(strtoull(argv[2], NULL, 0) + i)) != 0) fail("a thread");
  for (int i = 0; i < 2; i++)
    if (pthread_create(&waiting[i], NULL, wait_for_ever, NULL) != 0) fail("a thread");
  for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
  for (int i = 0; i < 2; i++) pthread_join(waiting[i], NULL);
  while (g.completed != g.asked) sleep_ms(1);
  if (haft_embed_realm(g.realm, 0, &g.realm) != HAFT_E_CLOSED) fail("a realm of a logic that has ended");
  if (haft_find(g.realm, "twice", 0, 0, &left) != HAFT_E_CLOSED) fail("a name of a logic that has ended");
  start_another(&started, &called);
  printf("{\"reason\":\"%s\",\"calls\":%llu,\"answers\":%llu,\"asked\":%d,\"started\":\"%s\",\"called\":\"%s\"}\n",
         haft_embed_reason_text(g.reason), (unsigned long long)g.calls, (unsigned long long)g.answers, (int)g.asked,
         haft_status_name(started), haft_status_name(called));
  return 0;
}
