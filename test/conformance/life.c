/* Section 10: threads, realms and their ends, and forked children. */
#include "suite.h"

#include <signal.h>
#include <sys/wait.h>

static const haft_value one = {HAFT_F64, 0, {1}};

/* ---- Threads ---- */

static Target shared;
static void add_ten(int thread) {
  (void)thread;
  for (int i = 0; i < 10; i++) {
    haft_value result;
    EXPECT(haft_post(shared.handle, shared.op, &one, 1, HAFT_FAIL), HAFT_OK);
    EXPECT(call(shared, &one, 1, &result), HAFT_OK);
  }
}
CASE(10, 1, FOREIGN, "Any thread may call any function at any time, without a set-up and without a farewell.") {
  shared = make_counter("add");
  on_threads(32, add_ten);
  EQUAL(total_of(shared.handle), 32 * 20);
  EXPECT(haft_release(shared.handle), HAFT_OK);
}

static void come_and_go(int thread) {
  (void)thread;
  EXPECT(haft_check(shared.handle, 0), HAFT_OK);
}
CASE(10, 2, FOREIGN, "Threads that come and go leave nothing behind.") {
  shared = make_counter("add");
  for (int i = 0; i < 10; i++) on_threads(16, come_and_go);
  EXPECT(haft_release(shared.handle), HAFT_OK);
  EXPECT(haft_release(shared.handle), HAFT_E_STALE);
}

static void retain_there(void *handle) { EXPECT(haft_retain(*(haft_handle *)handle), HAFT_OK); }
CASE(10, 3, FOREIGN, "A reference belongs to no thread: one takes it, another gives it back.") {
  static Thread other;
  static haft_handle h;
  h = make("counter");
  begin_thread(&other, retain_there, &h);
  end_thread(&other);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_E_STALE);
}

/* ---- Realms ---- */

CASE(10, 4, BOTH, "A realm's number is never used again after it closed.") {
  haft_realm seen[20];
  for (size_t i = 0; i < COUNT(seen); i++) {
    seen[i] = brief_realm();
    close_brief();
    for (size_t k = 0; k < i; k++) CHECK(seen[k] != seen[i]);
    CHECK(seen[i] != realm && seen[i] != 0);
  }
}

CASE(10, 5, BOTH, "After the end of the realm its handles are HAFT_E_CLOSED, or HAFT_E_STALE once their slots serve another.") {
  enum { MANY = 20 };
  static haft_handle handles[MANY];
  static haft_op add;
  static int turns;
  haft_value result;
  if (first_turn()) {
    turns = 0;
    brief_realm();
    for (int i = 0; i < MANY; i++) handles[i] = brief_counter();
    add = op_of(handles[0], "add");
  }
  AWAIT(turns++ > 2); /* C is ready to call the new realm */
  EXPECT(haft_call(handles[0], add, &one, 1, WAIT, &result), HAFT_OK);
  close_brief();
  for (int i = 0; i < MANY; i++) EXPECT(haft_check(handles[i], 0), HAFT_E_CLOSED);
  for (int i = 0; i < MANY; i++) EXPECT(haft_release(handles[i]), HAFT_E_CLOSED);
  brief_realm();
  for (int i = 0; i < 2 * MANY; i++) {
    const haft_handle fresh = brief_counter();
    for (int k = 0; k < MANY; k++) CHECK(handles[k] != fresh);
  }
  for (int i = 0; i < MANY; i++) {
    const haft_status status = haft_call(handles[i], add, &one, 1, WAIT, &result);
    CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
    CHECK(haft_retain(handles[i]) != HAFT_OK);
  }
  close_brief();
}

CASE(10, 6, BOTH, "The end of one realm is none of another's.") {
  const Target c = make_counter("add");
  haft_value result;
  brief_realm();
  brief_counter();
  close_brief();
  EXPECT(call(c, &one, 1, &result), HAFT_OK);
  EXPECT(haft_realm_check(realm), HAFT_OK);
  EXPECT(haft_release(c.handle), HAFT_OK);
}

static struct {
  haft_handle handle;
  haft_op op;
  atomic_int ready, closed;
} brief;
static void send_until_closed(int thread) {
  haft_status status = HAFT_OK;
  haft_value result;
  brief.ready++;
  const double began = milliseconds();
  while (status == HAFT_OK && milliseconds() - began < WAIT) {
    status = thread % 2 ? haft_post(brief.handle, brief.op, &one, 1, HAFT_DROP_NEWEST)
                        : haft_call(brief.handle, brief.op, &one, 1, WAIT, &result);
    if (thread >= 4) {
      status = haft_retain(brief.handle);
      if (status == HAFT_OK) status = haft_release(brief.handle);
    }
  }
  EXPECT(status, HAFT_E_CLOSED);
  brief.closed++;
}
static void close_when_ready(void *unused) {
  (void)unused;
  while (brief.ready < 6 && case_goes_on()) usleep(500);
  close_brief();
}
CASE(10, 7, FOREIGN, "A realm may close while threads work with it: each is told HAFT_E_CLOSED.") {
  static Thread closer;
  for (int round = 0; round < 5; round++) {
    brief.ready = brief.closed = 0;
    brief_realm();
    brief.handle = brief_counter();
    brief.op = op_of(brief.handle, "add");
    begin_thread(&closer, close_when_ready, NULL);
    on_threads(6, send_until_closed);
    end_thread(&closer);
    EQUAL(brief.closed, 6);
  }
}

/* ---- Forked children ---- */

static int child_failures, child_lacks;
static int child_lines[100];
static void forked(haft_status status, int line) {
  if (status == HAFT_E_UNSUPPORTED) child_lacks++;
  else if (status != HAFT_E_FORKED && child_failures < 100) child_lines[child_failures++] = line;
}
#define FORKED(expression) forked(expression, __LINE__)

static void every_function(Target t, haft_queue queue) {
  haft_value result;
  haft_handle found;
  haft_kind kind;
  haft_realm of;
  haft_queue opened;
  haft_completion completion;
  haft_counters counters = {.size = sizeof counters};
  haft_request request = {t.handle, &one, 1, t.op, 0, 0, {0}};
  uint32_t happened;
  int descriptor;
  FORKED(haft_retain(t.handle));
  FORKED(haft_release(t.handle));
  FORKED(haft_check(t.handle, 0));
  FORKED(haft_kind_of(t.handle, &kind));
  FORKED(haft_realm_of(t.handle, &of));
  FORKED(haft_find(realm, "counter", 0, -1, &found));
  FORKED(haft_realm_check(realm));
  FORKED(haft_post(t.handle, t.op, &one, 1, HAFT_BLOCK(-1)));
  FORKED(haft_call(t.handle, t.op, &one, 1, -1, &result));
  FORKED(haft_call_many(&request, 1, -1));
  FORKED(by_async(t.handle, t.op, &one, 1));
  FORKED(haft_queue_open(&opened, &descriptor));
  FORKED(haft_queue_next(queue, -1, &completion));
  FORKED(haft_serve(realm, -1));
  FORKED(haft_blocking(realm, true));
  FORKED(haft_wait(realm, HAFT_EVENT_USER(0), -1, &happened));
  FORKED(haft_signal(realm, HAFT_EVENT_USER(0)));
  FORKED(haft_moved(t.handle, &found));
  FORKED(haft_counters_read(realm, 0, &counters));
}

/* A backend without native code may have the whole table missing in the child: HAFT_E_UNSUPPORTED, which is no crash. */
enum { LACKING = 255 };
CASE(10, 8, BOTH | MAY_LACK, "In a forked child every function is HAFT_E_FORKED, and waits for nothing; the parent notices nothing.") {
  const Target t = make_counter("add");
  haft_value result;
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(10); /* a function that waits is no way to fail */
    child_failures = child_lacks = 0;
    every_function(t, 1);
    _exit(child_failures ? child_lines[0] % LACKING : child_lacks ? LACKING : 0);
  }
  CHECK(child > 0);
  CHECK(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) failed(__FILE__, __LINE__, "a function waited or crashed in the child: signal %d", WTERMSIG(status));
  if (WEXITSTATUS(status) == LACKING) refused("the functions are HAFT_E_UNSUPPORTED in the child");
  else if (WEXITSTATUS(status)) failed(__FILE__, __LINE__, "not HAFT_E_FORKED: line %d, modulo 255", WEXITSTATUS(status));
  EXPECT(call(t, &one, 1, &result), HAFT_OK);
  EQUAL(result.as.f64, 1);
  EXPECT(haft_release(t.handle), HAFT_OK);
}
