/* The producers of the soak: eight threads that post and call at random, in three realms, and count how each message
** ended, as far as a sender can know. JavaScript drives them through koffi (scripts/soak.mjs, test/soak). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REALMS = 3, OBJECTS = 40, MORTALS = 8, PRODUCERS = 8, LONGEST_TEXT = 20000, BURST = 400 };
#define PATIENCE 5000 /* milliseconds, of calls that expect an answer */

/* What a sender knows. A post that is HAFT_OK with HAFT_DROP_NEWEST may have been dropped. */
enum { POSTED, ANSWERED, EXPIRED, REFUSED, COUNTS };

static struct {
  haft_handle objects[OBJECTS];
  _Atomic haft_handle mortals[MORTALS]; /* JavaScript deletes them, and gives others in their place */
  haft_op add, fail, slow, text, later, never, wrong;
  atomic_llong counts[COUNTS];
} realms[REALMS];

static atomic_bool stopping;
static atomic_int left;
static _Atomic haft_status unexpected;
static char letters[LONGEST_TEXT];

static uint32_t below(uint64_t *random, uint32_t most) { /* xorshift */
  *random ^= *random << 13;
  *random ^= *random >> 7;
  *random ^= *random << 17;
  return (uint32_t)(*random >> 33) % most;
}

/* The sender's part of the count. A handle that was stale before anything was sent is no message. */
static void count(int realm, haft_status status, int when_ok) {
  int what = when_ok;
  switch (status) {
    case HAFT_OK: break;
    case HAFT_E_STALE: return;
    case HAFT_E_EXCEPTION: case HAFT_E_RESULT: what = ANSWERED; break;
    case HAFT_E_TIMEOUT: what = EXPIRED; break;
    case HAFT_E_FULL: case HAFT_E_NO_MEMORY: case HAFT_E_BUSY: case HAFT_E_CLOSED: what = REFUSED; break;
    default: unexpected = status; what = REFUSED;
  }
  const long long so_many = realms[realm].counts[what]++;
  if (what == REFUSED && so_many % 16 == 0) usleep(20); /* and let JavaScript have the core */
}

static void post_something(uint64_t *random, int realm) {
  const haft_full when_full[] = {HAFT_FAIL, HAFT_DROP_NEWEST, HAFT_BLOCK(1 + below(random, 5))};
  const haft_full full = when_full[below(random, 3)];
  haft_handle h = realms[realm].objects[below(random, OBJECTS)];
  haft_value args[2] = {haft_value_bool(true), haft_value_f64(below(random, 100))};
  haft_op op = realms[realm].add;
  size_t count_of_args = 2;
  const uint32_t dice = below(random, 256);
  if (dice < 16) {
    h = realms[realm].mortals[below(random, MORTALS)];
  } else if (dice < 48) {
    op = realms[realm].fail, count_of_args = 1;
  } else if (dice < 50) {
    op = realms[realm].slow;
  } else if (dice < 80) {
    op = realms[realm].text;
    args[1] = haft_value_str(letters, below(random, dice == 79 ? LONGEST_TEXT : 400));
  }
  count(realm, haft_post(h, op, args, count_of_args, full), POSTED);
}

/* To one object, as fast as it goes: its mailbox fills. */
static void post_burst(uint64_t *random, int realm) {
  const haft_full when_full[] = {HAFT_FAIL, HAFT_DROP_NEWEST, HAFT_BLOCK(1 + below(random, 5))};
  const haft_full full = when_full[below(random, 3)];
  haft_value args[2] = {haft_value_bool(true), haft_value_f64(1)};
  for (int i = 0; i < BURST && !stopping; i++)
    count(realm, haft_post(realms[realm].objects[0], realms[realm].add, args, 2, full), POSTED);
}

static void call_something(uint64_t *random, int realm) {
  const haft_handle h = realms[realm].objects[below(random, OBJECTS)];
  haft_value args[2] = {haft_value_bool(false), haft_value_f64(below(random, 100))}, result;
  haft_op op = realms[realm].add;
  int64_t timeout = PATIENCE;
  switch (below(random, 16)) {
    case 0: op = realms[realm].fail; break;
    case 1: op = realms[realm].slow, timeout = below(random, 3); break;
    case 2: op = realms[realm].later, timeout = below(random, 5); break;
    case 3: op = realms[realm].never, timeout = below(random, 3); break;
    case 4: op = realms[realm].wrong; break;
    case 5: timeout = 0; break;
    default: break;
  }
  const size_t count_of_args = op == realms[realm].add || op == realms[realm].slow ? 2 : 1;
  count(realm, haft_call(h, op, args, count_of_args, timeout, &result), ANSWERED);
}

static void call_many(uint64_t *random, int realm) {
  haft_request requests[20];
  haft_value args[2] = {haft_value_bool(false), haft_value_f64(1)};
  for (int i = 0; i < 20; i++)
    requests[i] = (haft_request){realms[realm].objects[below(random, OBJECTS)], args, 2, realms[realm].add, 0, 0, {0}};
  haft_call_many(requests, 20, PATIENCE);
  for (int i = 0; i < 20; i++) {
    haft_value_free(&requests[i].result);
    count(realm, requests[i].status, ANSWERED);
  }
}

static void *produce(void *data) {
  uint64_t random = (uint64_t)(uintptr_t)data;
  while (!stopping) {
    const int realm = (int)below(&random, REALMS);
    const uint32_t dice = below(&random, 64);
    if (dice == 0)
      call_many(&random, realm);
    else if (dice == 1)
      post_burst(&random, realm);
    else if (dice < 16)
      call_something(&random, realm);
    else
      post_something(&random, realm);
  }
  left--;
  return NULL;
}

/* ---- For JavaScript ---- */

/* Gives a realm's object, or one that will be deleted, its place. */
HAFT_EXPORT void soak_object(int32_t realm, int32_t number, uint64_t handle);
HAFT_EXPORT void soak_object(int32_t realm, int32_t number, uint64_t h) { realms[realm].objects[number] = h; }
HAFT_EXPORT void soak_mortal(int32_t realm, int32_t number, uint64_t handle);
HAFT_EXPORT void soak_mortal(int32_t realm, int32_t number, uint64_t h) { realms[realm].mortals[number] = h; }

/* When a realm has given its objects; a status. */
HAFT_EXPORT int32_t soak_ready(const haft_api *api, int32_t realm);
HAFT_EXPORT int32_t soak_ready(const haft_api *api, int32_t realm) {
  haft_kind kind;
  haft_status status = HAFT_PLUGIN(api);
  if (status == HAFT_OK) status = haft_kind_of(realms[realm].objects[0], &kind);
  if (status == HAFT_OK) status = haft_op_find(kind, "add", &realms[realm].add);
  if (status == HAFT_OK) status = haft_op_find(kind, "fail", &realms[realm].fail);
  if (status == HAFT_OK) status = haft_op_find(kind, "slow", &realms[realm].slow);
  if (status == HAFT_OK) status = haft_op_find(kind, "text", &realms[realm].text);
  if (status == HAFT_OK) status = haft_op_find(kind, "later", &realms[realm].later);
  if (status == HAFT_OK) status = haft_op_find(kind, "never", &realms[realm].never);
  if (status == HAFT_OK) status = haft_op_find(kind, "wrong", &realms[realm].wrong);
  return status;
}

HAFT_EXPORT int32_t soak_start(uint32_t seed);
HAFT_EXPORT int32_t soak_start(uint32_t seed) {
  Dl_info here; /* koffi takes its libraries out of memory at the end of their environment */
  if (dladdr((void *)soak_start, &here) != 0) dlopen(here.dli_fname, RTLD_NOW | RTLD_NODELETE);
  memset(letters, 'x', sizeof letters);
  left = PRODUCERS;
  for (uint64_t i = 1; i <= PRODUCERS; i++) {
    pthread_t thread;
    const uint64_t random = (seed + 1) * 0x9e3779b97f4a7c15u ^ i * 0xd1342543de82ef95u;
    if (pthread_create(&thread, NULL, produce, (void *)(uintptr_t)random) != 0) return -1;
    pthread_detach(thread);
  }
  return 0;
}
HAFT_EXPORT void soak_stop(void);
HAFT_EXPORT void soak_stop(void) { stopping = true; }
HAFT_EXPORT int32_t soak_left(void);
HAFT_EXPORT int32_t soak_left(void) { return left; }

/* The latest status that no sender expects, or HAFT_OK. */
HAFT_EXPORT int32_t soak_unexpected(void);
HAFT_EXPORT int32_t soak_unexpected(void) { return unexpected; }

HAFT_EXPORT double soak_count(int32_t realm, int32_t what);
HAFT_EXPORT double soak_count(int32_t realm, int32_t what) { return (double)realms[realm].counts[what]; }

/* One call of each object, when nobody else sends: the first status that is not HAFT_OK. */
HAFT_EXPORT int32_t soak_ask(int32_t realm);
HAFT_EXPORT int32_t soak_ask(int32_t realm) {
  haft_value args[2] = {haft_value_bool(false), haft_value_f64(1)};
  haft_status first = HAFT_OK;
  for (int i = 0; i < OBJECTS; i++) {
    const haft_status status = haft_call(realms[realm].objects[i], realms[realm].add, args, 2, PATIENCE, NULL);
    count(realm, status, ANSWERED);
    if (first == HAFT_OK) first = status;
  }
  return first;
}

/* Posts on the realm's own thread, right before it closes: so many were accepted. */
HAFT_EXPORT int32_t soak_post_last(int32_t realm, int32_t most);
HAFT_EXPORT int32_t soak_post_last(int32_t realm, int32_t most) {
  haft_value args[2] = {haft_value_bool(true), haft_value_f64(1)};
  int32_t accepted = 0;
  for (int32_t i = 0; i < most; i++) {
    const haft_status status =
        haft_post(realms[realm].objects[i % OBJECTS], realms[realm].add, args, 2, HAFT_FAIL);
    count(realm, status, POSTED);
    accepted += status == HAFT_OK;
  }
  return accepted;
}
