/* haft_wait and haft_signal on native threads: each event, masks, many waiters, cancellation, the end. */
#include "check.h"

#define USER HAFT_EVENT_USER
#define SHORT 60 /* milliseconds in which nothing may come */

/* ---- A wait on a thread of its own ---- */

typedef struct {
  uint32_t events, happened;
  int64_t timeout;
  haft_status status;
  pthread_t thread;
  atomic_int began, ended;
} Waiter;

static void *wait_there(void *data) {
  Waiter *w = data;
  w->began = 1;
  w->status = haft_wait(realm, w->events, w->timeout, &w->happened);
  w->ended = 1;
  return NULL;
}
static void begin(Waiter *w, uint32_t events, int64_t timeout) {
  *w = (Waiter){.events = events, .timeout = timeout, .status = 55};
  CHECK(pthread_create(&w->thread, NULL, wait_there, w) == 0);
}
/* Whether it has begun to wait cannot be seen from outside: so what it waits for is done again until it has ended. */
static void until_ended(Waiter *w, void (*act)(void)) {
  for (int i = 0; i < WAIT && !w->ended; i++) act(), usleep(1000);
  CHECK(w->ended);
  pthread_join(w->thread, NULL);
}
static void expect_wait(Waiter *w, haft_status status, uint32_t happened, int line) {
  if (w->status == status && w->happened == happened) return;
  char text[100];
  snprintf(text, sizeof text, "%s, events %x, not %s, %x", haft_status_name(w->status), w->happened,
           haft_status_name(status), happened);
  failed(__FILE__, line, text);
}
#define ENDS(waiter, act, events)                        \
  do {                                                   \
    until_ended(waiter, act);                            \
    expect_wait(waiter, HAFT_OK, events, __LINE__);      \
  } while (0)

static Target target_echo;
static haft_value one = {HAFT_F64, 0, {1}};
static void nothing(void) {}
static void post_echo(void) {
  EXPECT(haft_post(target_echo.handle, target_echo.op, &one, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
}
static void release_one(void) { EXPECT(haft_release(make("live")), HAFT_OK); }
static void collect(void) { EXPECT(call(function("collect"), NULL, 0, NULL), HAFT_OK); }
static void echo_returns(void) { EXPECT(haft_call(target_echo.handle, target_echo.op, &one, 1, WAIT, NULL), HAFT_OK); }

static uint32_t happens(uint32_t events, int64_t timeout, haft_status status, int line) {
  uint32_t happened = 0x55;
  expect_status(__FILE__, line, "haft_wait", haft_wait(realm, events, timeout, &happened), status);
  if (status != HAFT_OK) CHECK(happened == 0);
  return happened;
}
#define TIMES_OUT(events) happens(events, SHORT, HAFT_E_TIMEOUT, __LINE__)
#define HAPPENS(events) happens(events, WAIT, HAFT_OK, __LINE__)

/* Returns when nothing waits and nothing is under way. */
static void settle(void) {
  echo_returns();
  CHECK(HAPPENS(HAFT_EVENT_EMPTY) == HAFT_EVENT_EMPTY);
  usleep(20 * 1000);
}

/* ---- Events that are counted ---- */

static void counted(void) {
  Waiter w;
  target_echo = function("echo");
  settle();
  TIMES_OUT(HAFT_EVENT_DRAINED | HAFT_EVENT_RECLAIMED | HAFT_EVENT_COLLECTED); /* nothing comes by itself */
  begin(&w, HAFT_EVENT_DRAINED, WAIT);
  ENDS(&w, post_echo, HAFT_EVENT_DRAINED);
  begin(&w, HAFT_EVENT_RECLAIMED, -1);
  ENDS(&w, release_one, HAFT_EVENT_RECLAIMED);
  begin(&w, HAFT_EVENT_COLLECTED, INT64_MAX);
  ENDS(&w, collect, HAFT_EVENT_COLLECTED);
}

/* What came before the wait began does not end it. */
static void not_before(void) {
  target_echo = function("echo");
  release_one();
  collect();
  EXPECT(haft_signal(realm, USER(0)), HAFT_OK);
  settle();
  TIMES_OUT(HAFT_EVENT_DRAINED | HAFT_EVENT_COLLECTED | USER(0));
  TIMES_OUT(HAFT_EVENT_RECLAIMED);
}
static void *keep_posting(void *stop) {
  while (!*(atomic_int *)stop) post_echo(), usleep(2000);
  return NULL;
}
/* Drains come, and nothing is released in them: the object of long ago is no news. */
static void not_long_ago(void) {
  pthread_t poster;
  atomic_int stop = 0;
  target_echo = function("echo");
  release_one();
  settle();
  CHECK(pthread_create(&poster, NULL, keep_posting, &stop) == 0);
  TIMES_OUT(HAFT_EVENT_RECLAIMED);
  stop = 1;
  pthread_join(poster, NULL);
}

/* ---- Levels ---- */

static void levels(void) {
  Waiter w;
  target_echo = function("echo");
  settle();
  CHECK(HAPPENS(HAFT_EVENT_EMPTY) == HAFT_EVENT_EMPTY);
  CHECK(happens(HAFT_EVENT_EMPTY, 0, HAFT_OK, __LINE__) == HAFT_EVENT_EMPTY);
  happens(HAFT_EVENT_FULL, 0, HAFT_E_TIMEOUT, __LINE__);
  TIMES_OUT(HAFT_EVENT_FULL | HAFT_EVENT_CLOSING);
  close_gate();
  post_echo();
  TIMES_OUT(HAFT_EVENT_EMPTY | HAFT_EVENT_FULL);
  begin(&w, HAFT_EVENT_EMPTY, WAIT);
  usleep(5000);
  open_gate();
  ENDS(&w, nothing, HAFT_EVENT_EMPTY);
  close_gate();
  begin(&w, HAFT_EVENT_FULL, WAIT);
  while (haft_post(target_echo.handle, target_echo.op, &one, 1, HAFT_FAIL) == HAFT_OK) {
  }
  ENDS(&w, nothing, HAFT_EVENT_FULL);
  CHECK(HAPPENS(HAFT_EVENT_FULL) == HAFT_EVENT_FULL); /* it holds already */
  begin(&w, HAFT_EVENT_EMPTY, WAIT);
  open_gate();
  ENDS(&w, nothing, HAFT_EVENT_EMPTY);
  TIMES_OUT(HAFT_EVENT_FULL);
}

/* ---- The user's, and masks ---- */

static atomic_int which;
static void signal_it(void) { EXPECT(haft_signal(realm, USER(which)), HAFT_OK); }
static void users(void) {
  Waiter w[8];
  for (which = 0; which < 8; which++) {
    begin(&w[0], USER(which), WAIT);
    ENDS(&w[0], signal_it, USER(which));
  }
  /* Eight waiters, each for its own: one signal ends one of them. */
  for (int i = 0; i < 8; i++) begin(&w[i], USER(i), -1);
  for (which = 7; which >= 0; which--) {
    until_ended(&w[which], signal_it);
    expect_wait(&w[which], HAFT_OK, USER(which), __LINE__);
    for (int other = 0; other < which; other++) CHECK(!w[other].ended);
  }
  /* One signal, several waiters: those whose masks have it. */
  const uint32_t masks[] = {USER(0) | USER(1), USER(1) | USER(2), USER(2) | USER(3), USER(1) | HAFT_EVENT_COLLECTED,
                            0xffu * USER(0), USER(4), USER(1), USER(7) | USER(5)};
  for (int i = 0; i < 8; i++) begin(&w[i], masks[i], -1);
  which = 1;
  for (int i = 0; i < 8; i++) {
    if (!(masks[i] & USER(1))) continue;
    until_ended(&w[i], signal_it);
    expect_wait(&w[i], HAFT_OK, USER(1), __LINE__); /* and nothing that others wait for */
  }
  for (int i = 0; i < 8; i++)
    if (!(masks[i] & USER(1))) CHECK(!w[i].ended);
  for (int i = 0; i < WAIT && !(w[2].ended && w[5].ended && w[7].ended); i++)
    EXPECT(haft_signal(realm, USER(3) | USER(4) | USER(5) | USER(7)), HAFT_OK), usleep(1000);
  const uint32_t wanted[8] = {[2] = USER(3), [5] = USER(4), [7] = USER(5) | USER(7)};
  for (int i = 2; i < 8; i++) {
    if (!wanted[i]) continue;
    pthread_join(w[i].thread, NULL);
    expect_wait(&w[i], HAFT_OK, wanted[i], __LINE__);
  }
}

/* A wait for something else is cancelled by an event of the user's, which no other wait has. */
static void cancelled(void) {
  Waiter w[3];
  for (int i = 0; i < 3; i++) begin(&w[i], HAFT_EVENT_COLLECTED | USER(i), -1);
  which = 1;
  ENDS(&w[1], signal_it, USER(1));
  CHECK(!w[0].ended && !w[2].ended);
  which = 2;
  ENDS(&w[2], signal_it, USER(2));
  CHECK(!w[0].ended);
  ENDS(&w[0], collect, HAFT_EVENT_COLLECTED);
}

/* One thread waits again and again, another signals whenever it has seen the last: none is lost. */
static atomic_int signals_seen;
static void *wait_often(void *unused) {
  uint32_t happened;
  for (int i = 0; i < 300; i++) {
    EXPECT(haft_wait(realm, USER(4), WAIT, &happened), HAFT_OK);
    signals_seen++;
  }
  return unused;
}
static void again_and_again(void) {
  pthread_t waiter;
  CHECK(pthread_create(&waiter, NULL, wait_often, NULL) == 0);
  for (int i = 0; i < WAIT && signals_seen < 300; i++) {
    const int before = signals_seen;
    EXPECT(haft_signal(realm, USER(4)), HAFT_OK);
    for (int look = 0; look < 50 && signals_seen == before; look++) usleep(20);
  }
  CHECK(signals_seen == 300);
  pthread_join(waiter, NULL);
}

/* ---- What is no event ---- */

static void arguments_of(void) {
  const uint32_t bad[] = {0, 0x40, 0x80, 0x100, 0x8000, 0x1000000, 0x80000000u, UINT32_MAX, HAFT_EVENT_EMPTY | 0x40};
  for (size_t i = 0; i < COUNT(bad); i++) {
    happens(bad[i], -1, HAFT_E_ARGUMENT, __LINE__);
    EXPECT(haft_signal(realm, bad[i]), HAFT_E_ARGUMENT);
  }
  const uint32_t not_the_users[] = {HAFT_EVENT_DRAINED, HAFT_EVENT_EMPTY, HAFT_EVENT_CLOSING, USER(0) | HAFT_EVENT_FULL};
  for (size_t i = 0; i < COUNT(not_the_users); i++) EXPECT(haft_signal(realm, not_the_users[i]), HAFT_E_ARGUMENT);
  EXPECT(haft_wait(realm, HAFT_EVENT_EMPTY, WAIT, NULL), HAFT_OK);
  const haft_realm realms[] = {0, 1, 5, realm + 1, realm + 256, UINT64_MAX, realm | 1ull << 58};
  for (size_t i = 0; i < COUNT(realms); i++) {
    uint32_t happened = 0x55;
    EXPECT(haft_wait(realms[i], USER(0), -1, &happened), HAFT_E_CLOSED);
    CHECK(happened == 0);
    EXPECT(haft_wait(realms[i], USER(0) | HAFT_EVENT_CLOSING, -1, &happened), HAFT_OK);
    CHECK(happened == HAFT_EVENT_CLOSING);
    EXPECT(haft_signal(realms[i], USER(0)), HAFT_E_CLOSED);
  }
}

/* ---- The end ---- */

static void closed(void) {
  enum { MANY = 40 };
  static Waiter w[MANY];
  static const uint32_t masks[] = {HAFT_EVENT_RECLAIMED, HAFT_EVENT_COLLECTED, HAFT_EVENT_FULL, USER(3)};
  for (int i = 0; i < MANY; i++) begin(&w[i], masks[i % 4] | (i % 8 < 4 ? 0 : HAFT_EVENT_CLOSING), i % 3 ? -1 : WAIT);
  for (int i = 0; i < MANY; i++)
    while (!w[i].began) usleep(1000);
  usleep(10 * 1000); /* so that they sleep, in most runs */
  EXPECT(call(function("close"), NULL, 0, NULL), HAFT_E_CLOSED);
  for (int i = 0; i < MANY; i++) {
    pthread_join(w[i].thread, NULL);
    expect_wait(&w[i], i % 8 < 4 ? HAFT_E_CLOSED : HAFT_OK, i % 8 < 4 ? 0 : HAFT_EVENT_CLOSING, __LINE__);
  }
  happens(USER(0), -1, HAFT_E_CLOSED, __LINE__);
  CHECK(HAPPENS(USER(0) | HAFT_EVENT_CLOSING) == HAFT_EVENT_CLOSING);
  EXPECT(haft_signal(realm, USER(0)), HAFT_E_CLOSED);
}

/* ---- For programs in JavaScript ---- */

HAFT_EXPORT int32_t use_api(const haft_api *api, double of);
HAFT_EXPORT int32_t use_api(const haft_api *api, double of) {
  realm = (haft_realm)of;
  return HAFT_PLUGIN(api);
}
HAFT_EXPORT int32_t signal_event(uint32_t events);
HAFT_EXPORT int32_t signal_event(uint32_t events) { return haft_signal(realm, events); }
HAFT_EXPORT int32_t post_number(uint64_t handle, uint32_t op, double n);
HAFT_EXPORT int32_t post_number(uint64_t handle, uint32_t op, double n) {
  const haft_value value = haft_value_f64(n);
  return haft_post(handle, op, &value, 1, HAFT_FAIL);
}
HAFT_EXPORT int32_t release_handle(uint64_t handle);
HAFT_EXPORT int32_t release_handle(uint64_t handle) { return haft_release(handle); }

CASES({"counted", counted}, {"not before", not_before}, {"not long ago", not_long_ago}, {"levels", levels},
      {"users", users}, {"cancelled", cancelled}, {"again and again", again_and_again}, {"arguments", arguments_of},
      {"closed", closed})
