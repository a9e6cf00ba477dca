/* Section 7: calls without a waiting thread, and queues of completions. */
#include "suite.h"

#include <poll.h>

/* ---- A completer that keeps what it heard ---- */

typedef struct {
  atomic_int times;
  haft_status status;
  haft_value result;
  void *user;
} Heard;

static void hear(void *user, haft_status status, haft_value *result) {
  Heard *h = user;
  h->status = status;
  h->result = *result; /* ours from now on */
  h->user = user;
  h->times++;
}

static haft_status send(Target t, const haft_value *args, size_t count, int64_t timeout, Heard *heard) {
  const haft_completer completer = {sizeof completer, hear, 0, heard};
  return haft_call_async(t.handle, t.op, args, count, timeout, &completer);
}

static const haft_value one = {HAFT_F64, 0, {1}};

/* The result of one call to `op` of `name`. */
#define COMPLETES(heard, name, op, args, count, timeout)                              \
  do {                                                                                \
    if (first_turn()) {                                                               \
      heard = (Heard){0};                                                             \
      EXPECT(send(target(name, op), args, count, timeout, &heard), HAFT_OK);          \
    }                                                                                 \
    AWAIT(heard.times > 0);                                                           \
  } while (0)

/* A function hears one more thing: so nothing came twice before. */
static bool nothing_more(const Heard *heard) { return heard->times == 1; }

CASE(7, 1, BOTH, "haft_call_async: the result comes to the function, with its `user`.") {
  static Heard heard;
  COMPLETES(heard, "echo", "f64", &one, 1, WAIT);
  EQUAL(heard.status, HAFT_OK);
  EQUAL(heard.result.type, HAFT_F64);
  EQUAL(heard.result.as.f64, 1);
  CHECK(heard.user == &heard && nothing_more(&heard));
}

CASE(7, 2, OWN, "On the realm's own thread haft_call_async does not run the call at once, but in its turn.") {
  static Heard heard;
  static Target notes;
  if (first_turn()) {
    const haft_value numbers[] = {haft_value_f64(0), haft_value_f64(1)};
    heard = (Heard){0};
    notes = make_notes("note");
    EXPECT(haft_post(notes.handle, notes.op, &numbers[0], 1, HAFT_FAIL), HAFT_OK);
    EXPECT(send(notes, &numbers[1], 1, WAIT, &heard), HAFT_OK);
    EQUAL(heard.times, 0);
    EQUAL(notes_count(notes.handle), 0);
  }
  AWAIT(heard.times > 0);
  EQUAL(heard.status, HAFT_OK);
  EQUAL(wrong_notes(notes.handle, 2), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(7, 3, BOTH, "haft_call_async keeps the order with the posts of its thread to the same handle.") {
  enum { MANY = 60 };
  static Heard heard[MANY];
  static Target notes;
  if (first_turn()) {
    memset(heard, 0, sizeof heard);
    notes = make_notes("note");
    for (int i = 0; i < MANY; i++) {
      const haft_value n = haft_value_f64(i);
      if (i % 3) EXPECT(haft_post(notes.handle, notes.op, &n, 1, HAFT_FAIL), HAFT_OK);
      else EXPECT(send(notes, &n, 1, -1, &heard[i]), HAFT_OK);
    }
  }
  AWAIT(notes_count(notes.handle) >= MANY);
  EQUAL(wrong_notes(notes.handle, MANY), -1);
  for (int i = 0; i < MANY; i += 3) AWAIT(heard[i].times == 1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(7, 4, BOTH, "haft_call_async: for HAFT_E_EXCEPTION the result is a text, \"name: message\", of the function.") {
  static Heard heard;
  COMPLETES(heard, "faults", "throws", NULL, 0, -1);
  EQUAL(heard.status, HAFT_E_EXCEPTION);
  EQUAL(heard.result.type, HAFT_STR);
  TEXT(heard.result.as.str, "RangeError: out of reach");
  haft_value_free(&heard.result);
}

CASE(7, 5, BOTH, "haft_call_async: HAFT_E_RESULT, with a text.") {
  static Heard heard;
  COMPLETES(heard, "faults", "wrong", NULL, 0, -1);
  EQUAL(heard.status, HAFT_E_RESULT);
  EQUAL(heard.result.type, HAFT_STR);
  haft_value_free(&heard.result);
}

CASE(7, 6, BOTH, "haft_call_async: HAFT_E_ARGUMENT, with a text, where the arguments are not the op's.") {
  static Heard heard;
  const haft_value wrong = haft_value_bool(true);
  if (haft_check_level() == 2) { /* then it is found before it is sent */
    EXPECT(send(target("counter", "add"), &wrong, 1, WAIT, &heard), HAFT_E_ARGUMENT);
    return;
  }
  COMPLETES(heard, "counter", "add", &wrong, 1, WAIT);
  EQUAL(heard.status, HAFT_E_ARGUMENT);
  EQUAL(heard.result.type, HAFT_STR);
  haft_value_free(&heard.result);
}

CASE(7, 7, BOTH | MAY_LACK, "haft_call_async: a promise answers when it settles, on the realm's own thread as well.") {
  static Heard heard;
  COMPLETES(heard, "faults", "soon", &one, 1, WAIT);
  TOLD(heard.status, HAFT_OK);
  EQUAL(heard.result.as.f64, 1);
}

CASE(7, 8, BOTH | MAY_LACK, "haft_call_async: HAFT_E_TIMEOUT, once, when the result does not come in time.") {
  static Heard heard;
  COMPLETES(heard, "faults", "never", NULL, 0, MOMENT);
  TOLD(heard.status, HAFT_E_TIMEOUT);
  EQUAL(heard.result.type, HAFT_VOID);
  CHECK(nothing_more(&heard));
}

CASE(7, 9, BOTH, "haft_call_async: the result is the function's: strings and bytes, and a handle with its reference.") {
  static Heard string, handle;
  const haft_value length = haft_value_f64(5000);
  if (first_turn()) {
    string = handle = (Heard){0};
    EXPECT(send(target("echo", "textOf"), &length, 1, -1, &string), HAFT_OK);
    EXPECT(send(target("faults", "counter"), NULL, 0, -1, &handle), HAFT_OK);
  }
  AWAIT(string.times > 0 && handle.times > 0);
  EQUAL(string.result.length, 5000);
  EQUAL(string.result.as.str[4999], 'x');
  haft_value_free(&string.result);
  EXPECT(haft_release(handle.result.as.handle), HAFT_OK);
  EXPECT(haft_release(handle.result.as.handle), HAFT_E_STALE);
}

CASE(7, 10, BOTH, "haft_call_async: a `timeout_ms` of 0 is HAFT_E_ARGUMENT.") {
  Heard heard = {0};
  EXPECT(send(target("echo", "f64"), &one, 1, 0, &heard), HAFT_E_ARGUMENT);
  EQUAL(heard.times, 0);
}

/* ---- What is refused: then the completer hears nothing ---- */

static void refuses(void (*what)(Sender)) {
  const int before = async_heard;
  what(by_async);
  EQUAL(async_heard, before);
}
CASE(7, 11, BOTH, "haft_call_async: HAFT_E_FORGED for what was never issued.") { refuses(refuses_forged); }
CASE(7, 12, BOTH, "haft_call_async: HAFT_E_STALE for a handle whose object is gone.") { refuses(refuses_stale); }
CASE(7, 13, BOTH, "haft_call_async: HAFT_E_KIND for an op of another kind.") { refuses(refuses_kind); }
CASE(7, 14, BOTH, "haft_call_async: HAFT_E_OP where the kind has no such op.") { refuses(refuses_op); }
CASE(7, 15, BOTH, "haft_call_async: HAFT_E_CLOSED when the handle's realm is closed.") { refuses(refuses_closed); }
CASE(7, 16, BOTH, "haft_call_async: HAFT_E_ARGUMENT for too many arguments, and for values that are none.") {
  refuses(refuses_arguments);
}
CASE(7, 17, BOTH, "haft_call_async: HAFT_E_UTF8 for a string that is not valid UTF-8.") { refuses(refuses_utf8); }
CASE(7, 18, BOTH, "haft_call_async: HAFT_E_TOO_LARGE beyond HAFT_PAYLOAD_MAX.") { refuses(refuses_too_large); }
CASE(7, 19, BOTH, "haft_call_async: HAFT_E_REALM when an argument is a handle of another realm.") {
  refuses(refuses_other_realm);
}

CASE(7, 20, OWN, "haft_call_async: HAFT_E_FULL when the mailbox is full, and the completer does not hear of it.") {
  static Target notes;
  static int sent;
  if (first_turn()) {
    Heard heard = {0};
    haft_status status;
    notes = make_notes("note");
    for (sent = 0; sent < 20000; sent++) {
      const haft_value n = haft_value_f64(sent);
      if ((status = haft_post(notes.handle, notes.op, &n, 1, HAFT_FAIL)) != HAFT_OK) break;
    }
    EXPECT(status, HAFT_E_FULL);
    EXPECT(send(notes, &one, 1, WAIT, &heard), HAFT_E_FULL);
    EQUAL(heard.times, 0);
  }
  AWAIT(notes_count(notes.handle) >= sent);
  EQUAL(wrong_notes(notes.handle, sent), -1);
  EXPECT(haft_release(notes.handle), HAFT_OK);
}

CASE(7, 21, BOTH | MAY_LACK, "HAFT_E_BUSY: 4,095 calls of the realm wait already, for any sort of call; posts are none.") {
  enum { MOST = 4095 };
  static Heard heard[MOST + 1];
  static int sent;
  const Target wait = target("faults", "wait"), echo = target("echo", "f64");
  if (first_turn()) {
    memset(heard, 0, sizeof heard);
    sent = 0;
  }
  while (sent < MOST) {
    const haft_status status = send(wait, NULL, 0, -1, &heard[sent]);
    if (status == HAFT_E_FULL) break; /* until the mailbox has been drained */
    EXPECT(status, HAFT_OK);
    sent++;
  }
  AWAIT(sent == MOST);
  static bool tried;
  if (first_turn()) tried = false;
  if (!tried) {
    EXPECT(send(echo, &one, 1, WAIT, &heard[MOST]), HAFT_E_BUSY);
    EXPECT(haft_post(echo.handle, echo.op, &one, 1, HAFT_DROP_NEWEST), HAFT_OK);
    if (!on_own_thread()) { /* there a call is run at once */
      haft_value result;
      EXPECT(call(echo, &one, 1, &result), HAFT_E_BUSY);
      EQUAL(result.type, HAFT_VOID);
    }
    tried = true;
  }
  /* What is answered makes room: by a post, since no call goes. */
  const Target settle = target("faults", "settle");
  EXPECT(haft_post(settle.handle, settle.op, NULL, 0, HAFT_DROP_NEWEST), HAFT_OK);
  for (int i = 0; i < MOST; i++) AWAIT(heard[i].times == 1);
  EQUAL(heard[MOST].times, 0);
}

CASE(7, 22, BOTH, "haft_call_async: HAFT_OK and the end of the realm complete the call with HAFT_E_CLOSED, exactly once.") {
  static Heard heard[3];
  if (first_turn()) {
    memset(heard, 0, sizeof heard);
    brief_realm();
    const haft_handle h = brief_counter();
    const Target never = {h, 0, op_of(h, "never")};
    for (size_t i = 0; i < COUNT(heard); i++) EXPECT(send(never, NULL, 0, i ? -1 : WAIT, &heard[i]), HAFT_OK);
    close_brief();
  }
  for (size_t i = 0; i < COUNT(heard); i++) {
    AWAIT(heard[i].times > 0);
    EQUAL(heard[i].status, HAFT_E_CLOSED);
    EQUAL(heard[i].result.type, HAFT_VOID);
    CHECK(nothing_more(&heard[i]));
  }
}

static Heard chain[20];
static Target chained;
static void send_next(void *user, haft_status status, haft_value *result) {
  Heard *h = user;
  h->status = status;
  h->result = *result;
  h->times++;
  if (h + 1 == chain + COUNT(chain)) return;
  const haft_completer completer = {sizeof completer, send_next, 0, h + 1};
  EXPECT(haft_call_async(chained.handle, chained.op, result, 1, WAIT, &completer), HAFT_OK);
}
CASE(7, 23, BOTH, "The function may send again.") {
  if (first_turn()) {
    memset(chain, 0, sizeof chain);
    chained = make_counter("add");
    const haft_completer completer = {sizeof completer, send_next, 0, chain};
    EXPECT(haft_call_async(chained.handle, chained.op, &one, 1, WAIT, &completer), HAFT_OK);
  }
  AWAIT(chain[COUNT(chain) - 1].times > 0);
  for (size_t i = 0; i < COUNT(chain); i++) EQUAL(chain[i].times, 1);
  EQUAL(chain[COUNT(chain) - 1].result.as.f64, 1 << (COUNT(chain) - 1)); /* each adds what is there */
  EXPECT(haft_release(chained.handle), HAFT_OK);
}

/* ---- Queues ---- */

static haft_status send_to(haft_queue queue, Target t, const haft_value *args, size_t count, void *user) {
  const haft_completer completer = {sizeof completer, NULL, queue, user};
  return haft_call_async(t.handle, t.op, args, count, WAIT, &completer);
}

CASE(7, 24, BOTH | MAY_LACK, "A queue receives completions, each with its user, status and result, the oldest first.") {
  static haft_queue queue;
  static haft_completion taken[10];
  static size_t count;
  int descriptor;
  if (first_turn()) {
    const Target c = make_counter("add");
    count = 0;
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    CHECK(queue != 0 && descriptor >= 0);
    for (size_t i = 0; i < COUNT(taken); i++)
      EXPECT(send_to(queue, c, &one, 1, &taken[i]), HAFT_OK);
    EXPECT(haft_release(c.handle), HAFT_OK);
  }
  while (count < COUNT(taken) && haft_queue_next(queue, 0, &taken[count]) == HAFT_OK) count++;
  AWAIT(count == COUNT(taken));
  for (size_t i = 0; i < count; i++) {
    EQUAL(taken[i].status, HAFT_OK);
    EQUAL(taken[i].result.as.f64, i + 1);
    CHECK(taken[i].user == &taken[i]);
  }
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

static bool readable(int descriptor) {
  struct pollfd p = {descriptor, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}
CASE(7, 25, BOTH | MAY_LACK, "`*descriptor` is readable while the queue has completions.") {
  static haft_queue queue;
  static int descriptor;
  haft_completion completion;
  if (first_turn()) {
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    CHECK(!readable(descriptor));
    EXPECT(send_to(queue, target("echo", "f64"), &one, 1, NULL), HAFT_OK);
  }
  AWAIT(readable(descriptor));
  CHECK(readable(descriptor)); /* until it is taken */
  EXPECT(haft_queue_next(queue, 0, &completion), HAFT_OK);
  CHECK(!readable(descriptor));
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

/* A backend that cannot wait ends the case here: without the queue. */
static haft_status next_or_close(haft_queue queue, int64_t timeout, haft_completion *completion) {
  const haft_status status = haft_queue_next(queue, timeout, completion);
  if (status == HAFT_E_BACKEND) haft_queue_close(queue);
  return status;
}

CASE(7, 26, BOTH | MAY_LACK, "haft_queue_next: HAFT_E_TIMEOUT where there is none; with timeout 0 at once.") {
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  EXPECT(haft_queue_next(queue, 0, &completion), HAFT_E_TIMEOUT);
  TOLD(next_or_close(queue, 1, &completion), HAFT_E_TIMEOUT);
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

CASE(7, 27, FOREIGN | MAY_LACK, "haft_queue_next waits for a completion.") {
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  EXPECT(send_to(queue, target("echo", "f64"), &one, 1, &queue), HAFT_OK);
  TOLD(next_or_close(queue, -1, &completion), HAFT_OK);
  EQUAL(completion.status, HAFT_OK);
  CHECK(completion.user == &queue);
  EXPECT(send_to(queue, target("faults", "soon"), &one, 1, &queue), HAFT_OK);
  TOLD(next_or_close(queue, WAIT, &completion), HAFT_OK);
  TOLD(completion.status, HAFT_OK);
  EQUAL(completion.result.as.f64, 1);
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

CASE(7, 28, OWN | MAY_LACK, "haft_queue_next: HAFT_E_DEADLOCK on the realm's own thread, whose answers the queue waits for.") {
  static haft_queue queue;
  haft_completion completion;
  int descriptor;
  if (first_turn()) {
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    EXPECT(send_to(queue, target("echo", "f64"), &one, 1, NULL), HAFT_OK);
    EXPECT(haft_queue_next(queue, -1, &completion), HAFT_E_DEADLOCK);
    EXPECT(haft_queue_next(queue, WAIT, &completion), HAFT_E_DEADLOCK);
  }
  AWAIT(haft_queue_next(queue, 0, &completion) == HAFT_OK); /* it comes in its turn */
  EQUAL(completion.result.as.f64, 1);
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

CASE(7, 29, BOTH | MAY_LACK, "Any integer may be passed for a queue: HAFT_E_FORGED for one that is not open, 0 among them.") {
  haft_queue queue;
  haft_completion completion;
  int descriptor;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  const haft_queue bad[] = {0, 1, 2, 1023, 1024, queue - 1, queue + 1, ~queue, UINT64_MAX, 1ull << 63, queue ^ 1ull << 62,
                            queue + 2048, (uint32_t)queue + (1ull << 32), target("echo", "f64").handle, realm};
  for (size_t i = 0; i < COUNT(bad); i++) {
    if (bad[i] == queue) continue;
    EXPECT(haft_queue_next(bad[i], -1, &completion), HAFT_E_FORGED);
    EXPECT(haft_queue_close(bad[i]), HAFT_E_FORGED);
    EXPECT(send_to(bad[i], target("echo", "f64"), &one, 1, NULL), HAFT_E_FORGED);
  }
  for (int i = 0; i < 500; i++) {
    const haft_queue random = random64();
    if (random != queue) EXPECT(haft_queue_next(random, 0, &completion), HAFT_E_FORGED);
  }
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

CASE(7, 30, BOTH | MAY_LACK, "A queue that is closed is HAFT_E_FORGED from then on.") {
  haft_queue queue, next;
  haft_completion completion;
  int descriptor;
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  EXPECT(haft_queue_close(queue), HAFT_OK);
  EXPECT(haft_queue_open(&next, &descriptor), HAFT_OK);
  CHECK(next != queue);
  EXPECT(haft_queue_close(queue), HAFT_E_FORGED);
  EXPECT(haft_queue_next(queue, -1, &completion), HAFT_E_FORGED);
  EXPECT(send_to(queue, target("echo", "f64"), &one, 1, NULL), HAFT_E_FORGED);
  EXPECT(haft_queue_close(next), HAFT_OK);
}

CASE(7, 31, BOTH | MAY_LACK, "haft_queue_open and haft_queue_next: HAFT_E_ARGUMENT without a place for what they give.") {
  haft_queue queue;
  int descriptor;
  EXPECT(haft_queue_open(NULL, &descriptor), HAFT_E_ARGUMENT);
  EXPECT(haft_queue_open(&queue, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
  EXPECT(haft_queue_next(queue, 0, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_queue_close(queue), HAFT_OK);
}

CASE(7, 32, BOTH | MAY_LACK, "haft_queue_open: HAFT_E_SLOTS when 1,024 queues are open.") {
  enum { MOST = 1024 };
  static haft_queue queues[MOST + 1];
  int descriptor, opened = 0;
  haft_status status = HAFT_OK;
  while (opened <= MOST && (status = haft_queue_open(&queues[opened], &descriptor)) == HAFT_OK) opened++;
  for (int i = 0; i < opened; i++) EXPECT(haft_queue_close(queues[i]), HAFT_OK);
  if (status == HAFT_E_INTERNAL) return; /* the system has no descriptor left */
  TOLD(status, HAFT_E_SLOTS);
  EQUAL(opened, MOST);
}

CASE(7, 33, BOTH | MAY_LACK, "haft_queue_close frees completions that nobody took, and those to come, with their references.") {
  static haft_queue queue, late;
  static int descriptor;
  static bool closed;
  int other;
  if (first_turn()) {
    closed = false;
    tell("faults", "forget");
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    EXPECT(haft_queue_open(&late, &other), HAFT_OK);
    for (int i = 0; i < 5; i++) {
      EXPECT(send_to(queue, target("faults", "counter"), NULL, 0, NULL), HAFT_OK);
      EXPECT(send_to(late, target("faults", "counter"), NULL, 0, NULL), HAFT_OK);
    }
    EXPECT(haft_queue_close(late), HAFT_OK);
  }
  AWAIT(closed || readable(descriptor));
  if (!closed) EXPECT(haft_queue_close(queue), HAFT_OK);
  closed = true;
  AWAIT(ask("faults", "madeCount") == 10 && ask("faults", "madeLive") == 0);
}

static haft_queue shared;
static atomic_int taken_by_all;
static void take(int thread) {
  haft_completion completion;
  (void)thread;
  const double began = milliseconds();
  while (taken_by_all < 100 && milliseconds() - began < WAIT)
    if (haft_queue_next(shared, 0, &completion) == HAFT_OK) taken_by_all++;
    else usleep(1000);
}
CASE(7, 34, FOREIGN | MAY_LACK, "Any number of threads may take from one queue: each completion is taken once.") {
  int descriptor;
  taken_by_all = 0;
  EXPECT(haft_queue_open(&shared, &descriptor), HAFT_OK);
  for (int i = 0; i < 100; i++) EXPECT(send_to(shared, target("echo", "f64"), &one, 1, NULL), HAFT_OK);
  on_threads(4, take);
  EQUAL(taken_by_all, 100);
  EXPECT(haft_queue_close(shared), HAFT_OK);
}

CASE(7, 35, BOTH | MAY_LACK, "A completion carries a status of its own: HAFT_E_EXCEPTION with a text, HAFT_E_CLOSED at the realm's end.") {
  static haft_queue queue;
  static haft_completion completions[2];
  static int count;
  int descriptor;
  if (first_turn()) {
    count = 0;
    EXPECT(haft_queue_open(&queue, &descriptor), HAFT_OK);
    EXPECT(send_to(queue, target("faults", "throws"), NULL, 0, NULL), HAFT_OK);
  }
  if (count == 0 && haft_queue_next(queue, 0, &completions[0]) == HAFT_OK) {
    count++;
    brief_realm();
    const haft_handle h = brief_counter();
    const Target never = {h, 0, op_of(h, "never")};
    EXPECT(send_to(queue, never, NULL, 0, NULL), HAFT_OK);
    close_brief();
  }
  if (count == 1 && haft_queue_next(queue, 0, &completions[1]) == HAFT_OK) count++;
  AWAIT(count == 2);
  EQUAL(completions[0].status, HAFT_E_EXCEPTION);
  TEXT(completions[0].result.as.str, "RangeError: out of reach");
  haft_value_free(&completions[0].result);
  EQUAL(completions[1].status, HAFT_E_CLOSED);
  EQUAL(completions[1].result.type, HAFT_VOID);
  EXPECT(haft_queue_close(queue), HAFT_OK);
}
