/* Calls whose callers do not wait: completions in functions and queues, each exactly once, and what they own. */
#include "check.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define MOST 4095 /* calls under way at one time */

/* So many objects are live, when JavaScript has dropped those that were released. */
static void live_becomes(double live) {
  for (int i = 0; i < WAIT && ask_number("live") != live; i++) usleep(1000);
  CHECK(ask_number("live") == live);
}

/* ---- A completer that is a function: what it heard, by the number that it was sent with ---- */

typedef struct {
  atomic_int times;
  haft_status status;
  haft_value result;
  pthread_t thread;
} Heard;
static Heard heard[MOST + 1000];
static atomic_int heard_in_all;

static void hear(void *user, haft_status status, haft_value *result) {
  Heard *h = user;
  h->status = status;
  h->result = *result;
  h->thread = pthread_self();
  h->times++;
  heard_in_all++;
}
static haft_completer tell(int i) { return (haft_completer){sizeof(haft_completer), hear, 0, &heard[i]}; }
static haft_status send(Target t, const haft_value *args, size_t count, int64_t timeout, int i) {
  const haft_completer completer = tell(i);
  return haft_call_async(t.handle, t.op, args, count, timeout, &completer);
}
static void wait_until(atomic_int *number, int wanted) {
  for (int i = 0; i < WAIT && *number < wanted; i++) usleep(1000);
  CHECK(*number == wanted);
}
static haft_value number(double x) { return haft_value_f64(x); }
static void forget(void) {
  heard_in_all = 0;
  for (size_t i = 0; i < COUNT(heard); i++) heard[i] = (Heard){.status = 55};
}

static void functions(void) {
  forget();
  const Target echo = function("echo");
  for (int i = 0; i < 500; i++) {
    haft_value n = number(i);
    EXPECT(send(echo, &n, 1, i % 2 ? -1 : WAIT, i), HAFT_OK);
  }
  wait_until(&heard_in_all, 500);
  for (int i = 0; i < 500; i++)
    CHECK(heard[i].times == 1 && heard[i].status == HAFT_OK && heard[i].result.type == HAFT_F64 &&
          heard[i].result.as.f64 == i);
  EXPECT(send(function("nothing"), NULL, 0, -1, 500), HAFT_OK);
  wait_until(&heard_in_all, 501);
  CHECK(heard[500].status == HAFT_OK && heard[500].result.type == HAFT_VOID);
}

/* What is not sent is told at once, and the completer never hears of it. */
static void not_sent(void) {
  forget();
  const Target echo = function("echo");
  haft_value n = number(1), bad = haft_value_str("\xff", 1), foreign = haft_value_handle(make("other"));
  haft_completer completer = tell(0);
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, 0, &completer), HAFT_E_ARGUMENT);
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, -1, NULL), HAFT_E_ARGUMENT);
  completer.size--;
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, -1, &completer), HAFT_E_ARGUMENT);
  completer.size = 0;
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, -1, &completer), HAFT_E_ARGUMENT);
  completer = tell(0);
  completer.size = 1000; /* of a later version */
  EXPECT(haft_call_async(42, echo.op, &n, 1, -1, &completer), HAFT_E_FORGED);
  CHECK(haft_last_error()->handle == 42);
  EXPECT(haft_call_async(ended("deleted"), echo.op, &n, 1, -1, &completer), HAFT_E_STALE);
  EXPECT(haft_call_async(ended("closed"), echo.op, &n, 1, -1, &completer), HAFT_E_CLOSED);
  EXPECT(haft_call_async(make("stranger"), echo.op, &n, 1, -1, &completer), HAFT_E_KIND);
  EXPECT(haft_call_async(echo.handle, echo.op + 1, &n, 1, -1, &completer), HAFT_E_OP);
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 17, -1, &completer), HAFT_E_ARGUMENT);
  EXPECT(haft_call_async(echo.handle, echo.op, &bad, 1, -1, &completer), HAFT_E_UTF8);
  EXPECT(haft_call_async(echo.handle, echo.op, &foreign, 1, -1, &completer), HAFT_E_REALM);
  close_gate();
  while (haft_post(echo.handle, echo.op, &n, 1, HAFT_FAIL) == HAFT_OK) {
  }
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, -1, &completer), HAFT_E_FULL);
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, WAIT, &completer), HAFT_E_FULL);
  open_gate();
  haft_value result;
  EXPECT(call(echo, &n, 1, &result), HAFT_OK);
  CHECK(heard_in_all == 0);
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, -1, &completer), HAFT_OK);
  wait_until(&heard_in_all, 1);
}

/* As many calls as there can be, each to be settled. */
static void all_under_way(void) {
  forget();
  const Target later = function("later");
  for (int i = 0; i < MOST; i++) {
    haft_status status;
    while ((status = send(later, NULL, 0, -1, i)) == HAFT_E_FULL) usleep(500);
    EXPECT(status, HAFT_OK);
  }
}
static void settle_all(void) {
  haft_handle settle;
  const Target nothing = function("nothing"); /* whose signature is the same; a call would find no reply */
  CHECK(heard_in_all == 0);
  EXPECT(haft_find(realm, "settle", nothing.kind, 0, &settle), HAFT_OK);
  for (int i = 0; i < WAIT && heard_in_all < MOST; i++) {
    if (i % 50 == 0) EXPECT(haft_post(settle, nothing.op, NULL, 0, HAFT_BLOCK(WAIT)), HAFT_OK);
    usleep(1000);
  }
  CHECK(heard_in_all == MOST);
  for (int i = 0; i < MOST; i++) CHECK(heard[i].times == 1 && heard[i].status == HAFT_OK && heard[i].result.as.f64 == 5);
  EXPECT(haft_release(settle), HAFT_OK);
}

/* ---- Results ---- */

static void results(void) {
  forget();
  const int sizes[] = {0, 1, 103, 104, 105, 480, 481, 5000, 1 << 20, 8 << 20};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    haft_value n = number(sizes[i]), twice = number(2 * sizes[i]);
    EXPECT(send(function("say"), &n, 1, -1, (int)i), HAFT_OK);
    EXPECT(send(function("bytes"), &twice, 1, -1, 100 + (int)i), HAFT_OK);
    wait_until(&heard_in_all, 2 * (int)i + 2); /* together they have no room */
  }
  for (size_t i = 0; i < COUNT(sizes); i++) {
    const haft_value s = heard[i].result, b = heard[100 + i].result;
    CHECK(heard[i].status == HAFT_OK && s.type == HAFT_STR && s.length == 2u * (unsigned)sizes[i]);
    if (s.type == HAFT_STR) {
      CHECK(s.as.str[s.length] == 0);
      for (unsigned at = 0; at < s.length; at += 2)
        if (memcmp(s.as.str + at, "\xc3\xbc", 2) != 0) failed(__FILE__, __LINE__, "another text"), at = s.length;
    }
    CHECK(heard[100 + i].status == HAFT_OK && b.type == HAFT_BYTES && b.length == 2u * (unsigned)sizes[i]);
    for (unsigned at = 0; b.type == HAFT_BYTES && at < b.length; at++)
      if (((const char *)b.as.bytes)[at] != 7) failed(__FILE__, __LINE__, "other bytes"), at = b.length;
    haft_value_free(&heard[i].result);
    haft_value_free(&heard[100 + i].result);
    CHECK(heard[i].result.type == HAFT_VOID);
  }
  /* A handle: the reference is the receiver's. */
  const double live = ask_number("live");
  for (int i = 0; i < 10; i++) EXPECT(send(function("sample"), NULL, 0, -1, 200 + i), HAFT_OK);
  wait_until(&heard_in_all, 2 * (int)COUNT(sizes) + 10);
  CHECK(ask_number("live") == live + 10);
  for (int i = 0; i < 10; i++) {
    const haft_value h = heard[200 + i].result;
    CHECK(h.type == HAFT_HANDLE && haft_check(h.as.handle, 0) == HAFT_OK);
    haft_value_free(&heard[200 + i].result); /* does not release */
    EXPECT(haft_release(h.as.handle), HAFT_OK);
  }
  live_becomes(live);
}

static void failing(void) {
  forget();
  haft_value n = number(7), yes = haft_value_bool(true);
  EXPECT(send(function("throws"), &n, 1, -1, 0), HAFT_OK);
  EXPECT(send(function("wrong"), &n, 1, -1, 1), HAFT_OK);
  /* A wrong type: refused at once where types are looked at, else told by JavaScript. */
  const bool is_refused = haft_check_level() == 2;
  EXPECT(send(function("echo"), &yes, 1, -1, 2), is_refused ? HAFT_E_ARGUMENT : HAFT_OK);
  EXPECT(send(function("rejects"), NULL, 0, -1, 3), HAFT_OK);
  const Target settle = function("settle");
  while (ask_number("waiting") < 1) usleep(1000);
  EXPECT(haft_post(settle.handle, settle.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  wait_until(&heard_in_all, is_refused ? 3 : 4);
  const haft_status statuses[] = {HAFT_E_EXCEPTION, HAFT_E_RESULT, HAFT_E_ARGUMENT, HAFT_E_EXCEPTION};
  const char *const texts[] = {"RangeError: out of reach 7", "HAFT_E_RESULT: ", "HAFT_E_ARGUMENT: ", "TypeError: not yet"};
  for (int i = 0; i < 4; i++) {
    if (i == 2 && is_refused) continue;
    const haft_value *t = &heard[i].result;
    CHECK(heard[i].status == statuses[i] && t->type == HAFT_STR);
    if (t->type != HAFT_STR) continue;
    if (strncmp(t->as.str, texts[i], strlen(texts[i])) != 0 || strlen(t->as.str) != t->length)
      failed(__FILE__, __LINE__, t->as.str);
    haft_value_free(&heard[i].result);
  }
}

/* Settled out of order, answered all the same, and only when they settle. */
static void promises(void) {
  forget();
  const double live = ask_number("live");
  for (int i = 0; i < 30; i++)
    EXPECT(send(function(i % 3 == 0 ? "later" : i % 3 == 1 ? "later sample" : "later text"), NULL, 0, WAIT, i), HAFT_OK);
  while (ask_number("waiting") < 30) usleep(1000);
  CHECK(heard_in_all == 0);
  EXPECT(call(function("settle"), NULL, 0, NULL), HAFT_OK);
  wait_until(&heard_in_all, 30);
  for (int i = 0; i < 30; i++) {
    CHECK(heard[i].times == 1 && heard[i].status == HAFT_OK);
    const haft_value r = heard[i].result;
    if (i % 3 == 0) CHECK(r.type == HAFT_F64 && r.as.f64 == 5);
    if (i % 3 == 1) EXPECT(haft_release(r.as.handle), HAFT_OK);
    if (i % 3 == 2) CHECK(r.type == HAFT_STR && r.length == 100000);
    haft_value_free(&heard[i].result);
  }
  live_becomes(live);
}

/* ---- Time ---- */

static void timeouts(void) {
  forget();
  const Target add = target("bystander", "add");
  haft_value n = number(1);
  close_gate();
  const int64_t times[] = {40, 1, 20, 5, 60};
  for (int i = 0; i < 5; i++) EXPECT(send(add, &n, 1, times[i], i), HAFT_OK);
  EXPECT(send(add, &n, 1, -1, 5), HAFT_OK);
  EXPECT(send(add, &n, 1, INT64_MAX, 6), HAFT_OK);
  EXPECT(send(add, &n, 1, INT64_MIN, 7), HAFT_OK);
  wait_until(&heard_in_all, 5); /* while JavaScript stands at the gate */
  for (int i = 0; i < 5; i++)
    CHECK(heard[i].times == 1 && heard[i].status == HAFT_E_TIMEOUT && heard[i].result.type == HAFT_VOID);
  CHECK(!pthread_equal(heard[0].thread, pthread_self()));
  open_gate();
  wait_until(&heard_in_all, 8);
  for (int i = 5; i < 8; i++) CHECK(heard[i].status == HAFT_OK && heard[i].result.as.f64 == i - 4);
  CHECK(ask_number("bystander calls") == 3); /* P15: those that were given up never ran */
}

/* Late answers go with what they carry, and no reply stays taken. */
static void late(void) {
  static const char *const slow[] = {"slow number", "slow text", "slow sample"};
  forget();
  const double live = ask_number("live");
  int sent = 0;
  for (int round = 0; round < 20; round++) {
    for (size_t i = 0; i < COUNT(slow); i++, sent++) {
      gate_open = 0;
      EXPECT(send(function(slow[i]), NULL, 0, 3, sent), HAFT_OK);
      wait_until(&heard_in_all, sent + 1);
      CHECK(heard[sent].status == HAFT_E_TIMEOUT);
      open_gate();
    }
  }
  /* Promises too. */
  for (int i = 0; i < 30; i++, sent++)
    EXPECT(send(function(i % 2 ? "later sample" : "later text"), NULL, 0, 3, sent), HAFT_OK);
  wait_until(&heard_in_all, sent);
  while (ask_number("waiting") > 0) EXPECT(call(function("settle"), NULL, 0, NULL), HAFT_OK), usleep(1000);
  live_becomes(live);
  CHECK(heard_in_all == sent);
  /* 4,095 replies and 64 MiB are all there. */
  all_under_way();
  settle_all();
  haft_value n = number(8 << 20), result;
  EXPECT(call(function("say"), &n, 1, &result), HAFT_OK);
  CHECK(result.length == 16u << 20);
  haft_value_free(&result);
}

/* ---- Queues ---- */

static haft_status send_to(haft_queue queue, Target t, const haft_value *arg, int64_t timeout, void *user) {
  const haft_completer completer = {sizeof completer, NULL, queue, user};
  return haft_call_async(t.handle, t.op, arg, arg ? 1 : 0, timeout, &completer);
}
static bool readable(int descriptor, int timeout) {
  struct pollfd one = {descriptor, POLLIN, 0};
  return poll(&one, 1, timeout) == 1 && (one.revents & POLLIN);
}

static void queues(void) {
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  const Target echo = function("echo");
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  CHECK(queue != 0 && descriptor >= 0 && !readable(descriptor, 0));
  EXPECT(haft_queue_next(queue, 0, &completion), HAFT_E_TIMEOUT);
  EXPECT(haft_queue_next(queue, 5, &completion), HAFT_E_TIMEOUT);
  /* Polled: readable while there are any, and no longer. */
  for (int i = 0; i < 50; i++) {
    haft_value n = number(i);
    EXPECT(send_to(queue, echo, &n, -1, &heard[i]), HAFT_OK);
  }
  for (int i = 0; i < 50; i++) {
    CHECK(readable(descriptor, WAIT));
    EXPECT(haft_queue_next(queue, 0, &completion), HAFT_OK);
    CHECK(completion.user == &heard[i] && completion.status == HAFT_OK && completion.result.as.f64 == i);
    CHECK(completion.reserved == 0);
  }
  CHECK(!readable(descriptor, 0));
  /* By epoll, with two queues. */
  haft_queue other;
  int other_descriptor;
  EXPECT(haft_queue_open(&other, &other_descriptor), HAFT_OK);
  CHECK(other != queue && other_descriptor != descriptor);
  const int epoll = epoll_create1(0);
  struct epoll_event event = {EPOLLIN, {.u64 = 1}};
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0);
  event.data.u64 = 2;
  event.events = EPOLLIN | EPOLLET;
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, other_descriptor, &event) == 0);
  int taken[3] = {0, 0, 0};
  for (int i = 0; i < 40; i++) {
    haft_value n = number(i);
    EXPECT(send_to(i % 4 == 3 ? other : queue, echo, &n, WAIT, NULL), HAFT_OK);
  }
  while (taken[1] + taken[2] < 40) {
    if (epoll_wait(epoll, &event, 1, WAIT) != 1) break;
    const haft_queue which = event.data.u64 == 1 ? queue : other;
    while (haft_queue_next(which, 0, &completion) == HAFT_OK) taken[event.data.u64]++;
    EXPECT(haft_last_error()->status, HAFT_E_TIMEOUT);
  }
  CHECK(taken[1] == 30 && taken[2] == 10);
  CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
  close(epoll);
  EXPECT(haft_queue_close(other), HAFT_OK);
  /* Waiting inside haft. */
  haft_value n = number(9);
  EXPECT(send_to(queue, echo, &n, -1, NULL), HAFT_OK);
  EXPECT(haft_queue_next(queue, -1, &completion), HAFT_OK);
  CHECK(completion.result.as.f64 == 9);
  EXPECT(send_to(queue, function("throws"), &n, -1, NULL), HAFT_OK);
  EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_OK);
  CHECK(completion.status == HAFT_E_EXCEPTION && completion.result.type == HAFT_STR);
  haft_value_free(&completion.result);
  close_gate();
  EXPECT(send_to(queue, echo, &n, 2, &n), HAFT_OK);
  EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_OK);
  CHECK(completion.status == HAFT_E_TIMEOUT && completion.user == &n && completion.result.type == HAFT_VOID);
  open_gate();
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

/* Any integer, and queues that were closed. */
static void bad_queues(void) {
  haft_queue queue, many[1100];
  haft_completion completion;
  int descriptor, opened = 0;
  const Target echo = function("echo");
  haft_value n = number(1);
  EXPECT(haft_queue_open(NULL, &descriptor), HAFT_E_ARGUMENT);
  EXPECT(haft_queue_open(&queue, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  EXPECT(haft_queue_next(queue, 0, NULL), HAFT_E_ARGUMENT);
  const haft_queue bad[] = {0,           1,         2,         1023,       1024,        queue - 1, queue + 1,
                            queue << 1,  ~queue,    UINT64_MAX, 1ull << 63, INT64_MAX,  queue ^ 1ull << 62,
                            queue + 2048, (haft_queue)descriptor, (uint32_t)queue + (1ull << 32), echo.handle, realm};
  for (size_t i = 0; i < COUNT(bad); i++) {
    if (bad[i] == queue) continue;
    EXPECT(haft_queue_next(bad[i], -1, &completion), HAFT_E_FORGED);
    EXPECT(haft_queue_close(bad[i]), HAFT_E_FORGED);
    EXPECT(send_to(bad[i], echo, &n, -1, NULL), HAFT_E_FORGED);
  }
  unsigned seed = 7;
  for (int i = 0; i < 20000; i++) {
    const haft_queue random = (haft_queue)rand_r(&seed) << 40 ^ (haft_queue)rand_r(&seed) << 20 ^ (haft_queue)rand_r(&seed);
    if (random != queue && haft_queue_next(random, 0, &completion) != HAFT_E_FORGED) failed(__FILE__, __LINE__, "a queue");
  }
  EXPECT(haft_queue_close(queue), HAFT_OK);
  EXPECT(haft_queue_close(queue), HAFT_E_FORGED);
  EXPECT(haft_queue_next(queue, -1, &completion), HAFT_E_FORGED);
  EXPECT(send_to(queue, echo, &n, -1, NULL), HAFT_E_FORGED);
  /* 1,024 at one time; their numbers do not come again. */
  while (opened < 1100) {
    const haft_status status = haft_queue_open(&many[opened], &descriptor);
    if (status != HAFT_OK) {
      CHECK(many[opened] == 0 && descriptor == -1);
      EXPECT(haft_queue_open(&queue, &descriptor), HAFT_E_SLOTS);
      break;
    }
    CHECK(many[opened] != queue);
    opened++;
  }
  CHECK(opened == 1024);
  for (int i = 0; i < opened; i++) EXPECT(haft_queue_close(many[i]), HAFT_OK);
  for (int i = 0; i < 3000; i++) {
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    CHECK(queue != many[0]);
    EXPECT(haft_queue_close(queue), HAFT_OK);
  }
  for (int i = 0; i < opened; i++) EXPECT(haft_queue_next(many[i], 0, &completion), HAFT_E_FORGED);
}

/* Closed with completions in it, and with calls under way: nothing that they carry is kept. */
static void closed_queues(void) {
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  const Target sample = function("sample"), text = function("later text"), late = function("later sample");
  const double live = ask_number("live");
  for (int round = 0; round < 5; round++) {
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    for (int i = 0; i < 20; i++) EXPECT(send_to(queue, sample, NULL, -1, NULL), HAFT_OK);
    for (int i = 0; i < 10; i++) EXPECT(send_to(queue, i % 2 ? text : late, NULL, -1, NULL), HAFT_OK);
    EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_OK);
    EXPECT(haft_release(completion.result.as.handle), HAFT_OK);
    while (ask_number("waiting") < 10) usleep(1000);
    live_becomes(live + 19);
    EXPECT(haft_queue_close(queue), HAFT_OK);
    EXPECT(call(function("settle"), NULL, 0, NULL), HAFT_OK);
    live_becomes(live);
  }
  haft_value n = number(8 << 20), result; /* no memory is taken either */
  EXPECT(call(function("say"), &n, 1, &result), HAFT_OK);
  haft_value_free(&result);
}

/* A queue that is closed ends the waits of others. */
static haft_queue shared;
static atomic_int nexts;
static void take_until_closed(int thread) {
  haft_completion completion;
  haft_status status;
  (void)thread;
  nexts++;
  while ((status = haft_queue_next(shared, -1, &completion)) == HAFT_OK) heard_in_all++;
  EXPECT(status, HAFT_E_FORGED);
}
static void *close_shared(void *unused) {
  const Target echo = function("echo");
  haft_value n = number(1);
  while (nexts < 6) usleep(1000);
  for (int i = 0; i < 600; i++) EXPECT(send_to(shared, echo, &n, -1, NULL), HAFT_OK);
  wait_until(&heard_in_all, 600); /* each taken once, by one of them */
  EXPECT(haft_queue_close(shared), HAFT_OK);
  return unused;
}
static void many_takers(void) {
  int descriptor;
  pthread_t closer;
  forget();
  EXPECT(haft_queue_open(&shared, &descriptor), HAFT_OK);
  CHECK(pthread_create(&closer, NULL, close_shared, NULL) == 0);
  on_threads(6, take_until_closed);
  pthread_join(closer, NULL);
}

/* Queues opened and closed by some threads while others send to them and take from them. */
static _Atomic haft_queue open_now;
static atomic_llong sent_to_queues;
static void open_close_send(int thread) {
  unsigned seed = 99u + (unsigned)thread;
  const Target sample = function("sample");
  /* Until a message has met an open queue: on a busy machine one thread may be through before the others begin. */
  for (int i = 0; i < 400 || sent_to_queues == 0; i++) {
    haft_completion completion;
    if (thread == 0) {
      haft_queue queue;
      int descriptor;
      EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
      const haft_queue old = atomic_exchange(&open_now, queue);
      if (old) EXPECT(haft_queue_close(old), HAFT_OK);
    } else if (rand_r(&seed) % 2) {
      const haft_status status = send_to(open_now, sample, NULL, rand_r(&seed) % 2 ? -1 : 1, NULL);
      CHECK(status == HAFT_OK || status == HAFT_E_FORGED || status == HAFT_E_FULL);
      if (status == HAFT_OK) sent_to_queues++;
    } else if (haft_queue_next(open_now, 0, &completion) == HAFT_OK) {
      CHECK(completion.status == HAFT_OK || completion.status == HAFT_E_TIMEOUT);
      if (completion.status == HAFT_OK) EXPECT(haft_release(completion.result.as.handle), HAFT_OK);
    }
  }
}
static void queues_come_and_go(void) {
  const double live = ask_number("live");
  on_threads(5, open_close_send);
  EXPECT(haft_queue_close(open_now), HAFT_OK);
  CHECK(sent_to_queues > 0);
  live_becomes(live);
}

/* ---- 4,095 at one time ---- */

static void busy(void) {
  all_under_way();
  const Target echo = function("echo");
  haft_value n = number(3), result;
  /* One more of each sort is refused, by any thread; posts are not calls. */
  EXPECT(send(echo, &n, 1, -1, MOST), HAFT_E_BUSY);
  EXPECT(haft_call(echo.handle, echo.op, &n, 1, WAIT, &result), HAFT_E_BUSY);
  CHECK(result.type == HAFT_VOID && haft_last_error()->handle == echo.handle);
  EXPECT(haft_call(echo.handle, echo.op, &n, 1, 0, NULL), HAFT_E_BUSY);
  haft_request requests[3];
  for (int i = 0; i < 3; i++) requests[i] = (haft_request){echo.handle, &n, 1, echo.op, 55, 0, {0}};
  EXPECT(haft_call_many(requests, 3, WAIT), HAFT_E_BUSY);
  for (int i = 0; i < 3; i++) CHECK(requests[i].status == HAFT_E_BUSY && requests[i].result.type == HAFT_VOID);
  EXPECT(haft_post(echo.handle, echo.op, &n, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
  settle_all();
  EXPECT(call(echo, &n, 1, &result), HAFT_OK);
  EXPECT(send(echo, &n, 1, -1, MOST), HAFT_OK);
  wait_until(&heard_in_all, MOST + 1);
}

/* ---- On JavaScript's own thread ---- */

HAFT_EXPORT int32_t send_on_own_thread(haft_handle handle, haft_op op, double n);
HAFT_EXPORT int32_t send_on_own_thread(haft_handle handle, haft_op op, double n) {
  haft_value arg = number(n);
  const haft_completer completer = tell((int)n);
  return haft_call_async(handle, op, &arg, 1, WAIT, &completer);
}
static void own_thread(void) {
  forget();
  haft_value op = haft_value_u32(function("noted").op), result;
  EXPECT(call(function("send here"), &op, 1, &result), HAFT_OK);
  haft_value_free(&result);
  wait_until(&heard_in_all, 3);
  EXPECT(call(function("order"), NULL, 0, &result), HAFT_OK);
  const char *const wanted = "sent 1: 0, sent 2: 0, sent 3: 0, returned, 1, 2, 3";
  if (strcmp(result.as.str, wanted) != 0) failed(__FILE__, __LINE__, result.as.str);
  for (int i = 1; i <= 3; i++) CHECK(heard[i].times == 1 && heard[i].status == HAFT_OK && heard[i].result.as.f64 == i);
  haft_value_free(&result);
}

/* A completer may send again: a chain without a thread that waits. */
static atomic_int chained;
static void send_next(void *user, haft_status status, haft_value *result) {
  const Target *echo = user;
  EXPECT(status, HAFT_OK);
  chained = (int)result->as.f64;
  if (chained >= 200) return;
  haft_value n = number(chained + 1);
  const haft_completer completer = {sizeof completer, send_next, 0, user};
  EXPECT(haft_call_async(echo->handle, echo->op, &n, 1, WAIT, &completer), HAFT_OK);
}
static void chain(void) {
  Target echo = function("echo");
  haft_value n = number(1);
  const haft_completer completer = {sizeof completer, send_next, 0, &echo};
  EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, WAIT, &completer), HAFT_OK);
  wait_until(&chained, 200);
}

/* ---- Threads, and the end of the realm ---- */

static atomic_llong told, sent, told_closed;
static void count_told(void *user, haft_status status, haft_value *result) {
  (void)user;
  if (status == HAFT_E_CLOSED) told_closed++;
  if (status != HAFT_OK && status != HAFT_E_CLOSED && status != HAFT_E_TIMEOUT) failed(__FILE__, __LINE__, haft_status_name(status));
  haft_value_free(result);
  told++;
}
static const haft_completer counting = {sizeof counting, count_told, 0, NULL};

static atomic_int ready;
static void flood(int thread) {
  static const char *const names[] = {"echo", "say", "never", "later text"};
  Target targets[4];
  unsigned seed = 4711u + (unsigned)thread;
  haft_value n = number(2000);
  for (int i = 0; i < 4; i++) targets[i] = function(names[i]);
  ready++;
  for (int quiet = 0;;) {
    const int which = rand_r(&seed) % 4;
    const haft_status status = haft_call_async(targets[which].handle, targets[which].op, &n, which < 2 ? 1 : 0,
                                               rand_r(&seed) % 3 ? -1 : 1 + rand_r(&seed) % 3, &counting);
    if (status == HAFT_OK)
      sent++;
    else if (status == HAFT_E_CLOSED) {
      if (++quiet == 50) break;
    } else
      CHECK(status == HAFT_E_FULL || status == HAFT_E_BUSY || status == HAFT_E_NO_MEMORY);
  }
}
static void *end_flood(void *unused) {
  const Target closes = function("closes");
  while (ready < 4 || sent < 3000) usleep(500);
  EXPECT(haft_post(closes.handle, closes.op, NULL, 0, HAFT_BLOCK(WAIT)), HAFT_OK);
  return unused;
}
static void all_told(void) {
  for (int i = 0; i < WAIT && told < sent; i++) usleep(1000);
  usleep(5 * 1000); /* one too many would come now */
  if (told == sent) return;
  char text[100];
  snprintf(text, sizeof text, "%lld were sent, %lld heard", (long long)sent, (long long)told);
  failed(__FILE__, __LINE__, text);
}
static void closed(void) {
  pthread_t closer;
  CHECK(pthread_create(&closer, NULL, end_flood, NULL) == 0);
  on_threads(4, flood);
  pthread_join(closer, NULL);
  all_told();
  CHECK(told_closed > 0);
}

/* Realms that close while threads send: whoever was told that it is sent hears once, and nobody else. */
static haft_handle brief;
static haft_op brief_op;
static void send_to_brief(int thread) {
  haft_value n = number(1);
  haft_status status = HAFT_OK;
  for (int i = 0; status != HAFT_E_CLOSED; i++) {
    status = haft_call_async(brief, brief_op, &n, 1, i % 2 ? WAIT : -1, &counting);
    if (status == HAFT_OK) sent++;
    if (thread == 0 && i == 100) EXPECT(call(function("end brief"), NULL, 0, NULL), HAFT_OK);
  }
}
static void closed_again_and_again(void) {
  haft_value result;
  brief_op = function("echo").op;
  for (int round = 0; round < 150; round++) {
    EXPECT(call(function("brief"), NULL, 0, &result), HAFT_OK);
    brief = result.as.handle;
    on_threads(4, send_to_brief);
    all_told();
    if (failures) return;
  }
}

/* P26: in a forked child every function says so, and waits for nothing. */
static void forked(void) {
  haft_queue queue;
  int descriptor;
  const Target echo = function("echo");
  haft_value n = number(1);
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  const pid_t child = fork();
  if (child == 0) {
    haft_completion completion;
    haft_queue other;
    uint32_t happened;
    haft_handle now;
    haft_counters counters = {.size = sizeof counters};
    const haft_completer completer = {sizeof completer, hear, 0, &heard[0]};
    failures = 0;
    EXPECT(haft_call_async(echo.handle, echo.op, &n, 1, -1, &completer), HAFT_E_FORKED);
    EXPECT(send_to(queue, echo, &n, -1, NULL), HAFT_E_FORKED);
    EXPECT(haft_queue_open(&other, &descriptor), HAFT_E_FORKED);
    EXPECT(haft_queue_next(queue, -1, &completion), HAFT_E_FORKED);
    EXPECT(haft_queue_close(queue), HAFT_E_FORKED);
    EXPECT(haft_wait(realm, HAFT_EVENT_USER(0), -1, &happened), HAFT_E_FORKED);
    EXPECT(haft_signal(realm, HAFT_EVENT_USER(0)), HAFT_E_FORKED);
    EXPECT(haft_serve(realm, -1), HAFT_E_FORKED);
    EXPECT(haft_blocking(realm, true), HAFT_E_FORKED);
    EXPECT(haft_moved(echo.handle, &now), HAFT_E_FORKED);
    EXPECT(haft_counters_read(realm, 0, &counters), HAFT_E_FORKED);
    fflush(stderr);
    _exit(failures);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT(send_to(queue, echo, &n, -1, NULL), HAFT_OK);
  haft_completion completion;
  EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_OK);
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

CASES({"functions", functions}, {"not sent", not_sent}, {"results", results}, {"failing", failing},
      {"promises", promises}, {"timeouts", timeouts}, {"late", late}, {"queues", queues}, {"bad queues", bad_queues},
      {"closed queues", closed_queues}, {"many takers", many_takers}, {"queues come and go", queues_come_and_go},
      {"busy", busy}, {"own thread", own_thread}, {"chain", chain}, {"closed", closed}, {"closed again and again", closed_again_and_again}, {"forked", forked})
