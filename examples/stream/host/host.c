/* host.c: the host from start to end. Reads the file, runs the source threads, and writes the report. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* How often JavaScript is told how far the run is, if it has published a `progress` object. */
enum { PROGRESS_NS = 100000000 };

bool complain(const char *format, ...) {
  char sentence[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(sentence, sizeof sentence, format, args);
  va_end(args);
  fprintf(stderr, "stream: %s\n", sentence);
  return false;
}

/* ---- Progress ---------------------------------------------------------------------------------------- */

struct progress {
  haft_handle handle; /* HAFT_NULL: nobody asked */
  haft_op update, finish;
  uint64_t expected;
};

static void progress_open(struct progress *progress, haft_realm realm, uint64_t expected) {
  haft_kind kind;
  *progress = (struct progress){.expected = expected};
  if (haft_find(realm, "progress", 0, 0, &progress->handle) != HAFT_OK) {
    progress->handle = HAFT_NULL;
  } else if (haft_kind_of(progress->handle, &kind) != HAFT_OK ||
             haft_op_find(kind, "update", &progress->update) != HAFT_OK ||
             haft_op_find(kind, "finish", &progress->finish) != HAFT_OK) {
    haft_release(progress->handle);
    progress->handle = HAFT_NULL;
  }
}

/* Sent and forgotten: when JavaScript is too busy to look, this update is dropped. */
static void progress_send(const struct progress *progress, uint64_t done) {
  if (progress->handle == HAFT_NULL) return;
  const haft_value args[] = {haft_value_f64((double)done), haft_value_f64((double)progress->expected)};
  haft_post(progress->handle, progress->update, args, 2, HAFT_DROP_NEWEST);
}

/* Waits until the bar is off the screen: the host may have something to say there. */
static void progress_close(const struct progress *progress) {
  if (progress->handle == HAFT_NULL) return;
  haft_call(progress->handle, progress->finish, NULL, 0, -1, NULL);
  haft_release(progress->handle);
}

/* ---- The run ----------------------------------------------------------------------------------------- */

static bool all_finished(struct run *run) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until); /* the clock of pthread_cond_timedwait */
  until.tv_nsec += PROGRESS_NS;
  if (until.tv_nsec >= 1000000000) {
    until.tv_nsec -= 1000000000;
    until.tv_sec++;
  }
  pthread_mutex_lock(&run->lock);
  if (run->running > 0) pthread_cond_timedwait(&run->finished, &run->lock, &until);
  bool finished = run->running == 0;
  pthread_mutex_unlock(&run->lock);
  return finished;
}

/* Runs the source threads to their end. Returns HAFT_OK, or why one of them stopped. */
static haft_status run_sources(struct run *run, const struct part *parts, uint32_t threads,
                               const struct progress *progress, struct sink *total) {
  struct source **sources = calloc(threads, sizeof *sources);
  haft_status status = HAFT_OK;
  uint32_t started = 0;
  if (!sources) return HAFT_E_INTERNAL;
  while (started < threads && (sources[started] = source_start(run, parts[started]))) started++;
  if (started < threads) {
    complain("the system started only %" PRIu32 " of %" PRIu32 " threads.", started, threads);
    atomic_store(&run->stop, true);
    status = HAFT_E_INTERNAL;
  }
  while (!all_finished(run)) {
    uint64_t done = 0;
    for (uint32_t i = 0; i < started; i++) done += source_done(sources[i]);
    progress_send(progress, done);
  }
  for (uint32_t i = 0; i < started; i++) {
    haft_status ended = source_join(sources[i], total);
    if (status == HAFT_OK) status = ended;
  }
  free(sources);
  return status;
}

static bool stream(const struct options *options, const struct logic *logic, haft_realm realm,
                   const struct part *parts, uint64_t expected) {
  struct run run = {.logic = logic, .repeat = options->repeat};
  struct progress progress;
  struct sink *total = calloc(1, sizeof *total);
  if (!total) return complain("out of memory.");
  routes_open(&run.routes);
  pthread_mutex_init(&run.lock, NULL);
  pthread_cond_init(&run.finished, NULL);
  progress_open(&progress, realm, expected * options->repeat);

  uint64_t begin = clock_now();
  haft_status status = run_sources(&run, parts, options->threads, &progress, total);
  double seconds = (double)(clock_now() - begin) / 1e9;
  bool done = status == HAFT_OK;
  progress_close(&progress);

  sink_print_refusals(total);
  if (done) done = report_write(options, logic, &run.routes, total, seconds);
  if (status == HAFT_E_CLOSED) {
    complain("stopped before the end, after %" PRIu64 " records, because JavaScript has closed.", total->counted);
  }
  routes_close(&run.routes);
  pthread_cond_destroy(&run.finished);
  pthread_mutex_destroy(&run.lock);
  free(total);
  return done;
}

int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  struct options options;
  struct logic logic;
  struct input input;
  bool done = false;
  if (HAFT_PLUGIN(api) != HAFT_OK) return !complain("this host was built for another version of haft.");
  if (!options_read(&options, argc, argv) || !input_read(&input, options.input)) return 1;
  struct part *parts = calloc(options.threads, sizeof *parts);
  uint64_t records = parts ? input_split(&input, parts, options.threads) : 0;
  if (!parts) {
    complain("out of memory.");
  } else if (records == 0) {
    complain("%s holds no records.", options.input);
  } else if (logic_find(&logic, realm)) {
    done = stream(&options, &logic, realm, parts, records);
    logic_release(&logic);
  }
  free(parts);
  input_free(&input);
  return done ? 0 : 1;
}
