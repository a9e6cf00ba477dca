/* See measure.h. */
#include "measure.h"

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECORDS = 64, NUMBERS = 50, RECORD_BYTES = 2048, THREADS_MOST = 64, CALLS_A_LOOK = 16, SINGLES_MOST = 100000 };

static const double WORK_MICROSECONDS = 100;  /* longer than a caller of haft's spins: native/core/wait.cc */
static const double REST_MICROSECONDS = 1000; /* long enough for Node's event loop to go to sleep */

/* Several, so that nobody can keep the last result. */
static struct record {
  char text[RECORD_BYTES + 1];
  double sum;
} records[RECORDS];

static const struct logic *logic;

noreturn void fail(const char *doing, const char *what) {
  fprintf(stderr, "Error: %s: %s\n", doing, what);
  _Exit(1);
}

double now_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A sleep would let the caller's own core go idle, and the next call would pay for that as well. */
static void spin(double microseconds) {
  const double until = now_nanoseconds() + microseconds * 1000;
  while (now_nanoseconds() < until) continue;
}

/* The same numbers in every program. */
static uint32_t next_random(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

/* {"name":"record 12","sensor 0":203.57,...,"note":"....."} */
static void make_record(struct record *record, int number) {
  char *at = record->text, *const end = at + sizeof record->text;
  int hundredths = 0;
  at += snprintf(at, (size_t)(end - at), "{\"name\":\"record %d\"", number);
  for (int i = 0; i < NUMBERS; i++) {
    const int value = (int)(next_random() % 100000);
    hundredths += value;
    at += snprintf(at, (size_t)(end - at), ",\"sensor %d\":%d.%02d", i, value / 100, value % 100);
  }
  at += snprintf(at, (size_t)(end - at), ",\"note\":\"");
  const size_t note = (size_t)(end - at) - sizeof "\"}";
  memset(at, '.', note);
  memcpy(at + note, "\"}", sizeof "\"}");
  record->sum = hundredths / 100.0;
}

static void call_trivial(uint64_t number) {
  (void)number;
  logic->add(1);
}

static void call_json(uint64_t number) {
  const struct record *record = &records[number % RECORDS];
  if (fabs(logic->sum(record->text, RECORD_BYTES) - record->sum) > 1e-6) fail("the sum of a record", "is wrong");
}

/* ---- Calls that follow each other ---------------------------------------------------------------------- */

struct worker {
  pthread_t thread;
  void (*call)(uint64_t number);
  double milliseconds, ended;
  uint64_t calls;
};

static pthread_barrier_t start_line;

static void *work_through(void *argument) {
  struct worker *worker = argument;
  pthread_barrier_wait(&start_line);
  const double until = now_nanoseconds() + worker->milliseconds * 1e6;
  do {
    for (int i = 0; i < CALLS_A_LOOK; i++) worker->call(worker->calls++);
    worker->ended = now_nanoseconds();
  } while (worker->ended < until);
  return NULL;
}

static double call_from_threads(void (*call)(uint64_t number), int threads, double milliseconds, uint64_t *calls) {
  struct worker workers[THREADS_MOST];
  if (threads < 1 || threads > THREADS_MOST) fail("threads", "too many or none");
  if (pthread_barrier_init(&start_line, NULL, (unsigned)threads + 1)) fail("pthread_barrier_init", "refused");
  for (int i = 0; i < threads; i++) {
    workers[i] = (struct worker){.call = call, .milliseconds = milliseconds};
    if (pthread_create(&workers[i].thread, NULL, work_through, &workers[i])) fail("pthread_create", "refused");
  }
  pthread_barrier_wait(&start_line);
  const double began = now_nanoseconds();
  double ended = began;
  uint64_t count = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    count += workers[i].calls;
    if (workers[i].ended > ended) ended = workers[i].ended;
  }
  pthread_barrier_destroy(&start_line);
  *calls += count;
  return (ended - began) / (double)count;
}

/* ---- Single calls -------------------------------------------------------------------------------------- */

static double work_once(void) {
  const double before = now_nanoseconds();
  const double handler = logic->work(WORK_MICROSECONDS) * 1000;
  return now_nanoseconds() - before - handler;
}

static uint64_t rests;

static double call_after_rest(void) {
  spin(REST_MICROSECONDS);
  const double before = now_nanoseconds();
  logic->add(1);
  rests++;
  return now_nanoseconds() - before;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* A mean would tell of a few preemptions. */
static double median_of_singles(double (*once)(void), double milliseconds) {
  static double each[SINGLES_MOST];
  size_t count = 0;
  const double until = now_nanoseconds() + milliseconds * 1e6;
  do each[count++] = once();
  while (count < SINGLES_MOST && now_nanoseconds() < until);
  qsort(each, count, sizeof *each, compare);
  return each[count / 2];
}

/* ---- What the arguments ask for ------------------------------------------------------------------------ */

/* A quarter of the time is spent before, so that what compiles code has done so. */
void measure(const struct logic *of, char **arguments) {
  if (!arguments[0] || !arguments[1] || !arguments[2]) fail("arguments", "METHOD THREADS MILLISECONDS");
  const char *method = arguments[0];
  const int threads = atoi(arguments[1]);
  const double milliseconds = atof(arguments[2]);
  uint64_t calls = 0;
  double ns;
  logic = of;
  for (int i = 0; i < RECORDS; i++) make_record(&records[i], i);

  if (strcmp(method, "json") == 0) {
    call_from_threads(call_json, 1, milliseconds / 4, &calls);
    ns = call_from_threads(call_json, threads, milliseconds, &calls);
  } else {
    call_from_threads(call_trivial, 1, milliseconds / 4, &calls);
    if (strcmp(method, "trivial") == 0) {
      ns = call_from_threads(call_trivial, threads, milliseconds, &calls);
    } else if (strcmp(method, "rest") == 0) {
      ns = median_of_singles(call_after_rest, milliseconds);
    } else if (strcmp(method, "work") == 0 && logic->work) {
      median_of_singles(work_once, milliseconds / 4);
      ns = median_of_singles(work_once, milliseconds);
    } else {
      fail(method, "no such method");
    }
    if (logic->add(0) != (double)(calls + rests)) fail("the total", "is wrong: calls were lost");
  }
  printf("%.1f\n", ns);
}
