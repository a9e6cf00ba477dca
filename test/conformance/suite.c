/* The table of cases, and how one runs; then what the cases share (suite.h). */
#include "suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

static const char *const sections[] = {
    "the table",         "handles and references", "names",           "posts",
    "calls",             "values",                 "calls without a waiting thread",
    "waiting",           "results and errors",     "threads, realms and their ends",
    "lifetimes",
};

/* ---- The table ---- */

typedef struct {
  haft_conformance_case what;
  void (*run)(void);
  int section, position;
} Entry;

static Entry entries[400];
static int count, sorted;

void add_case(const char *number, unsigned how, const char *promise, void (*run)(void)) {
  Entry *e = &entries[count++];
  if (count == COUNT(entries)) abort();
  const uint32_t processes = how & ONE_PROCESS ? 1 : how & TWO_PROCESSES ? 2 : 0;
  *e = (Entry){{number, promise, how & BOTH, (how & MAY_LACK) != 0, processes}, run, 0, 0};
  sscanf(number, "%d.%d", &e->section, &e->position);
}

static int by_number(const void *left, const void *right) {
  const Entry *a = left, *b = right;
  return a->section != b->section ? a->section - b->section : a->position - b->position;
}

int haft_conformance_count(void) {
  if (!sorted) qsort(entries, (size_t)count, sizeof *entries, by_number); /* files are linked in any order */
  sorted = 1;
  return count;
}

const haft_conformance_case *haft_conformance_at(int index) {
  return index >= 0 && index < haft_conformance_count() ? &entries[index].what : NULL;
}

const char *haft_conformance_section(int section) {
  return section >= 1 && section <= (int)COUNT(sections) ? sections[section - 1] : NULL;
}

/* ---- The plugin ---- */

haft_realm realm;
pthread_t init_thread;

haft_status haft_plugin_init(const haft_api *api, haft_realm of) {
  realm = of;
  init_thread = pthread_self();
  return HAFT_PLUGIN(api);
}

/* ---- The case under way ---- */

static struct {
  const Entry *entry; /* NULL: none */
  uint32_t thread;
  atomic_int result;
  bool waits; /* for a turn of the event loop */
  int turns;
  double began;
  atomic_int serial; /* of the case: a thread that an earlier one left behind has nothing to say */
  uint64_t seed, random;
  pthread_mutex_t lock;
  char text[1000];
} now = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local jmp_buf *way_out; /* of the case's thread, out of the case */
static _Thread_local int own_serial;   /* of the case that this thread works for */

bool on_own_thread(void) { return now.thread == OWN; }
bool first_turn(void) { return now.turns == 0; }

static void note(int result, const char *format, va_list args) {
  pthread_mutex_lock(&now.lock);
  if (now.result == HAFT_CONFORMANCE_RUNNING && own_serial == now.serial) {
    int length = vsnprintf(now.text, sizeof now.text, format, args);
    if (now.seed && result == HAFT_CONFORMANCE_FAILED && length < (int)sizeof now.text)
      snprintf(now.text + length, sizeof now.text - (size_t)length, " (seed %llu)", (unsigned long long)now.seed);
    now.result = result;
  }
  pthread_mutex_unlock(&now.lock);
  if (way_out) longjmp(*way_out, 1);
}

static const char *base(const char *file) {
  const char *slash = strrchr(file, '/');
  return slash ? slash + 1 : file;
}

void failed(const char *file, int line, const char *format, ...) {
  char whole[600];
  va_list args;
  snprintf(whole, sizeof whole, "%s:%d: %s", base(file), line, format);
  va_start(args, format);
  note(HAFT_CONFORMANCE_FAILED, whole, args);
  va_end(args);
}

void refused(const char *format, ...) {
  va_list args;
  va_start(args, format);
  note(HAFT_CONFORMANCE_REFUSED, format, args);
  va_end(args);
}

/* One turn of the case; true when it has ended. */
static bool turn(void) {
  jmp_buf out;
  now.waits = false;
  own_serial = now.serial;
  way_out = &out;
  if (setjmp(out) == 0) now.entry->run();
  way_out = NULL;
  now.turns++;
  if (now.result == HAFT_CONFORMANCE_RUNNING && now.waits) return false;
  int running = HAFT_CONFORMANCE_RUNNING;
  atomic_compare_exchange_strong(&now.result, &running, HAFT_CONFORMANCE_PASSED);
  return true;
}

static atomic_int thread_ended;
static void *foreign(void *unused) {
  while (!turn()) usleep(1000);
  thread_ended = 1;
  return unused;
}

int haft_conformance_begin(int index, uint32_t thread) {
  if (now.entry || index < 0 || index >= haft_conformance_count()) return 0;
  if ((thread != OWN && thread != FOREIGN) || !(entries[index].what.threads & thread)) return 0;
  now.entry = &entries[index];
  now.thread = thread;
  now.serial++;
  now.result = HAFT_CONFORMANCE_RUNNING;
  now.turns = 0;
  now.began = milliseconds();
  now.seed = 0;
  now.text[0] = 0;
  thread_ended = 0;
  if (thread == FOREIGN) {
    pthread_t started;
    if (pthread_create(&started, NULL, foreign, NULL) != 0) return now.entry = NULL, 0;
    pthread_detach(started);
  }
  return 1;
}

int haft_conformance_poll(void) {
  if (!now.entry) return now.result;
  const bool ended = now.thread == OWN ? turn() : thread_ended != 0;
  if (!ended) return HAFT_CONFORMANCE_RUNNING;
  now.entry = NULL;
  return now.result;
}

const char *haft_conformance_text(void) { return now.text; }

/* ---- Checks ---- */

bool await(bool condition, const char *file, int line, const char *what) {
  if (condition) return true;
  if (milliseconds() - now.began > WAIT) failed(file, line, "did not come true: %s", what);
  now.waits = true;
  return false;
}

void expect_told(const char *file, int line, const char *what, haft_status got, haft_status wanted) {
  if (got == wanted) return;
  if (got == HAFT_E_BACKEND && now.entry && now.entry->what.may_lack) refused("%s", what);
  else failed(file, line, "%s: got %s%s%s, expected %s", what, haft_status_name(got), got == HAFT_E_EXCEPTION ? ": " : "",
              got == HAFT_E_EXCEPTION ? haft_last_error()->message : "", haft_status_name(wanted));
}

void expect_status(const char *file, int line, const char *what, haft_status got, haft_status wanted) {
  expect_told(file, line, what, got, wanted);
  /* Whatever fails says so in the thread's last error as well. */
  if (got != HAFT_OK && haft_last_error()->status != got)
    failed(file, line, "%s: haft_last_error() has %s, not %s", what, haft_status_name(haft_last_error()->status),
           haft_status_name(got));
}

void expect_number(const char *file, int line, const char *what, double got, double wanted) {
  if (got != wanted) failed(file, line, "%s: got %.17g, expected %.17g", what, got, wanted);
}

void expect_text(const char *file, int line, const char *what, const char *got, const char *wanted) {
  if (!got || strcmp(got, wanted) != 0)
    failed(file, line, "%s: got \"%.200s\", expected \"%.200s\"", what, got ? got : "(NULL)", wanted);
}

/* ---- What the logic published ---- */

haft_op op_of(haft_handle handle, const char *op) {
  haft_kind kind;
  haft_op found = 0;
  EXPECT(haft_kind_of(handle, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, op, &found), HAFT_OK);
  return found;
}

Target target(const char *name, const char *op) {
  Target t = {HAFT_NULL, 0, 0};
  EXPECT(haft_find(realm, name, 0, 0, &t.handle), HAFT_OK);
  EXPECT(haft_kind_of(t.handle, &t.kind), HAFT_OK);
  EXPECT(haft_op_find(t.kind, op, &t.op), HAFT_OK);
  EXPECT(haft_release(t.handle), HAFT_OK);
  return t;
}

haft_value text(const char *s) { return haft_value_str(s, strlen(s)); }

haft_status call(Target t, const haft_value *args, size_t count_, haft_value *result) {
  return haft_call(t.handle, t.op, args, count_, WAIT, result);
}

double ask(const char *name, const char *op) {
  haft_value result;
  EXPECT(call(target(name, op), NULL, 0, &result), HAFT_OK);
  EQUAL(result.type, HAFT_F64);
  return result.as.f64;
}
int64_t ask_i64(const char *name, const char *op) {
  haft_value result;
  EXPECT(call(target(name, op), NULL, 0, &result), HAFT_OK);
  EQUAL(result.type, HAFT_I64);
  return result.as.i64;
}
void tell(const char *name, const char *op) { EXPECT(call(target(name, op), NULL, 0, NULL), HAFT_OK); }
void tell_handle(const char *name, const char *op, haft_handle handle) {
  const haft_value h = haft_value_handle(handle);
  EXPECT(call(target(name, op), &h, 1, NULL), HAFT_OK);
}
void tell_number(const char *name, const char *op, double n) {
  const haft_value number = haft_value_f64(n);
  EXPECT(call(target(name, op), &number, 1, NULL), HAFT_OK);
}

haft_handle make(const char *what) {
  const haft_value name = text(what);
  haft_value result;
  EXPECT(call(target("maker", "make"), &name, 1, &result), HAFT_OK);
  EQUAL(result.type, HAFT_HANDLE);
  return result.as.handle;
}
static Target made(const char *what, const char *op) {
  Target t = {make(what), 0, 0};
  EXPECT(haft_kind_of(t.handle, &t.kind), HAFT_OK);
  EXPECT(haft_op_find(t.kind, op, &t.op), HAFT_OK);
  return t;
}
Target make_counter(const char *op) { return made("counter", op); }
Target make_notes(const char *op) { return made("notes", op); }

haft_handle ended(const char *how) {
  const haft_value name = text(how);
  haft_value result;
  EXPECT(call(target("maker", "ended"), &name, 1, &result), HAFT_OK);
  EQUAL(result.type, HAFT_I64);
  return (haft_handle)result.as.i64;
}
bool has(haft_handle handle) {
  const haft_value arg = haft_value_i64((int64_t)handle);
  haft_value result;
  EXPECT(call(target("maker", "has"), &arg, 1, &result), HAFT_OK);
  return result.as.b;
}

static double number_of(haft_handle handle, const char *op) {
  haft_value result;
  EXPECT(haft_call(handle, op_of(handle, op), NULL, 0, WAIT, &result), HAFT_OK);
  return result.as.f64;
}
double total_of(haft_handle counter) { return number_of(counter, "total"); }
int notes_count(haft_handle notes) { return (int)number_of(notes, "count"); }
int wrong_notes(haft_handle notes, int expected) {
  const haft_value n = haft_value_f64(expected);
  haft_value result;
  EXPECT(haft_call(notes, op_of(notes, "wrong"), &n, 1, WAIT, &result), HAFT_OK);
  return (int)result.as.f64;
}

haft_realm brief_realm(void) { return (haft_realm)ask_i64("maker", "openBrief"); }
haft_handle brief_counter(void) { return (haft_handle)ask_i64("maker", "briefCounter"); }
void close_brief(void) { tell("maker", "closeBrief"); }

/* ---- Time ---- */

double milliseconds(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

void require_waiting(void) {
  uint32_t happened;
  EXPECT(haft_wait(realm, HAFT_EVENT_USER(7), 1, &happened), HAFT_E_TIMEOUT);
}

void keep_busy(double for_milliseconds) {
  const haft_value n = haft_value_f64(for_milliseconds);
  const Target t = target("faults", "busy");
  EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_FAIL), HAFT_OK);
}

/* ---- Other threads ---- */

static void *run_thread(void *data) {
  Thread *t = data;
  own_serial = t->serial;
  t->work(t->data);
  t->ended = 1;
  return NULL;
}

void begin_thread(Thread *t, void (*work)(void *), void *data) {
  t->work = work;
  t->data = data;
  t->ended = 0;
  t->serial = now.serial;
  CHECK(pthread_create(&t->thread, NULL, run_thread, t) == 0);
  pthread_detach(t->thread);
}

bool case_goes_on(void) { return own_serial == now.serial && now.result == HAFT_CONFORMANCE_RUNNING; }

void end_thread(Thread *t) {
  const double began = milliseconds();
  while (!t->ended && milliseconds() - began < WAIT) usleep(500);
  CHECK(t->ended);
}

static void (*numbered_work)(int);
static void run_numbered(void *number) { numbered_work((int)(intptr_t)number); }
void on_threads(int threads, void (*work)(int)) {
  static Thread all[64];
  numbered_work = work;
  for (int i = 0; i < threads; i++) begin_thread(&all[i], run_numbered, (void *)(intptr_t)i);
  for (int i = 0; i < threads; i++) end_thread(&all[i]);
}

/* ---- Random ---- */

/* xorshift64. HAFT_STRESS_SEED in the environment chooses the seed. */
uint64_t random64(void) {
  if (now.seed == 0) {
    const char *given = getenv("HAFT_STRESS_SEED");
    now.seed = now.random = given && strtoull(given, NULL, 10) ? strtoull(given, NULL, 10) : 88172645463325252ull;
  }
  now.random ^= now.random << 13;
  now.random ^= now.random >> 7;
  now.random ^= now.random << 17;
  return now.random;
}

/* ---- Sending ---- */

atomic_int async_heard;
static void hear(void *user, haft_status status, haft_value *result) {
  (void)user, (void)status;
  haft_value_free(result);
  async_heard++;
}

haft_status by_post(haft_handle handle, haft_op op, const haft_value *args, size_t n) {
  return haft_post(handle, op, args, n, HAFT_FAIL);
}
haft_status by_call(haft_handle handle, haft_op op, const haft_value *args, size_t n) {
  haft_value result;
  memset(&result, 0x55, sizeof result);
  const haft_status status = haft_call(handle, op, args, n, WAIT, &result);
  if (status != HAFT_OK) EQUAL(result.type, HAFT_VOID);
  return status;
}
haft_status by_async(haft_handle handle, haft_op op, const haft_value *args, size_t n) {
  const haft_completer completer = {sizeof completer, hear, 0, NULL};
  return haft_call_async(handle, op, args, n, WAIT, &completer);
}

size_t forged_handles(haft_handle of, haft_handle *values) {
  const haft_handle bit = 1;
  const haft_handle all[] = {
      0, 1, 2, 42, (haft_handle)-1, (haft_handle)-2, INT64_MAX, (haft_handle)INT64_MIN, INT32_MAX, UINT32_MAX,
      (bit << 52) - 1, bit << 53, (bit << 53) + 1, bit << 63,                       /* beside the range */
      (uint32_t)of, (uint16_t)of, (haft_handle)(int64_t)(int32_t)of,                /* truncated, sign-extended */
      of | bit << 63, of | bit << 53, of + (bit << 52), of << 1, of >> 1, ~of, (haft_handle)-(int64_t)of,
      (haft_handle)(uintptr_t)&of, (haft_handle)(uintptr_t)&forged_handles, (haft_handle)(uintptr_t)haft_plugin_api,
      realm,
  };
  size_t n = 0;
  for (size_t i = 0; i < COUNT(all); i++)
    if (all[i] < bit << 52 || all[i] >= bit << 53) values[n++] = all[i];
  return n;
}

static const haft_value *seven(void) {
  static haft_value value;
  value = haft_value_f64(7);
  return &value;
}

void refuses_forged(Sender send) {
  const Target t = make_counter("add");
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(t.handle, values);
  for (size_t i = 0; i < n; i++) {
    EXPECT(send(values[i], t.op, seven(), 1), HAFT_E_FORGED);
    CHECK(haft_last_error()->handle == values[i]);
  }
  EQUAL(total_of(t.handle), 0);
  EXPECT(haft_release(t.handle), HAFT_OK);
}

void refuses_stale(Sender send) {
  const Target t = target("counter", "add");
  const haft_handle values[] = {ended("deleted"), ended("released"), make("counter")};
  EXPECT(haft_release(values[2]), HAFT_OK);
  for (size_t i = 0; i < COUNT(values); i++) {
    EXPECT(send(values[i], t.op, seven(), 1), HAFT_E_STALE);
    CHECK(haft_last_error()->handle == values[i]);
  }
}

void refuses_kind(Sender send) {
  const Target t = target("counter", "add"), other = target("notes", "note");
  const haft_handle plain = make("plain");
  EXPECT(send(other.handle, t.op, seven(), 1), HAFT_E_KIND);
  EXPECT(send(t.handle, other.op, seven(), 1), HAFT_E_KIND);
  EXPECT(send(plain, t.op, seven(), 1), HAFT_E_KIND); /* an object without a kind has no ops */
  EXPECT(haft_release(plain), HAFT_OK);
}

void refuses_op(Sender send) {
  const Target t = target("counter", "add");
  const uint32_t positions[] = {100, 1000, 65535};
  for (size_t i = 0; i < COUNT(positions); i++)
    EXPECT(send(t.handle, HAFT_OP(t.kind, positions[i]), seven(), 1), HAFT_E_OP);
}

void refuses_closed(Sender send) {
  const Target t = target("counter", "add");
  const haft_handle closed = ended("closed");
  EXPECT(send(closed, t.op, seven(), 1), HAFT_E_CLOSED);
  CHECK(haft_last_error()->handle == closed);
}

void refuses_arguments(Sender send) {
  const Target t = make_counter("add");
  haft_value args[HAFT_ARGS_MAX + 1];
  for (size_t i = 0; i < COUNT(args); i++) args[i] = haft_value_f64(1);
  EXPECT(send(t.handle, t.op, NULL, 1), HAFT_E_ARGUMENT);
  EXPECT(send(t.handle, t.op, args, HAFT_ARGS_MAX + 1), HAFT_E_ARGUMENT);
  EXPECT(send(t.handle, t.op, args, SIZE_MAX), HAFT_E_ARGUMENT);
  const haft_value bad[] = {haft_value_make((haft_type)9, 0), haft_value_make((haft_type)255, 0),
                            haft_value_str(NULL, 1), haft_value_bytes(NULL, 1)};
  for (size_t i = 0; i < COUNT(bad); i++) EXPECT(send(t.handle, t.op, &bad[i], 1), HAFT_E_ARGUMENT);
  EQUAL(total_of(t.handle), 0);
  EXPECT(haft_release(t.handle), HAFT_OK);
}

void refuses_utf8(Sender send) {
#define BYTES(literal) {literal, sizeof literal - 1}
  const struct {
    const char *s;
    size_t n;
  } bad[] = {BYTES("\x80"), BYTES("\xff"), BYTES("abc\xc3"), BYTES("\xc3("), BYTES("\xc0\x80"), BYTES("\xe0\x80\x80"),
             BYTES("\xed\xa0\x80"), BYTES("\xf0\x80\x80\x80"), BYTES("\xf4\x90\x80\x80"), BYTES("\xf5\x80\x80\x80"),
             BYTES("\xe6\x97"), BYTES("\xf0\x9f\x90"), BYTES("12345678\x80"), BYTES("\xc3\xbc\xbc")};
  const Target t = target("echo", "str");
  for (size_t i = 0; i < COUNT(bad); i++) {
    const haft_value value = haft_value_str(bad[i].s, bad[i].n);
    EXPECT(send(t.handle, t.op, &value, 1), HAFT_E_UTF8);
  }
}

void refuses_too_large(Sender send) {
  const Target t = target("echo", "bytes"), both = target("echo", "lengths");
  static char big[HAFT_PAYLOAD_MAX + 1];
  memset(big, 'x', sizeof big);
  haft_value args[2] = {haft_value_bytes(big, sizeof big), haft_value_bytes(big, HAFT_PAYLOAD_MAX / 2)};
  EXPECT(send(t.handle, t.op, args, 1), HAFT_E_TOO_LARGE);
  args[0] = haft_value_str(big, HAFT_PAYLOAD_MAX / 2 + 1); /* together */
  EXPECT(send(both.handle, both.op, args, 2), HAFT_E_TOO_LARGE);
}

void refuses_other_realm(Sender send) {
  if (haft_check_level() == 0) return; /* not looked at there: haft.h, CHECKS */
  const Target t = target("echo", "handle");
  const haft_value foreign_handle = haft_value_handle((haft_handle)ask_i64("maker", "other"));
  EXPECT(send(t.handle, t.op, &foreign_handle, 1), HAFT_E_REALM);
  CHECK(haft_last_error()->handle == foreign_handle.as.handle);
}
