/*
** stream.h: what the files of the stream host say to each other.
**
** The host reads a file of records with several threads, and sends each record along a route:
**
**     line -> decoder -> record -> partition -> key -> state of the key -> computation -> sink
**
** The host owns the threads, the route, the keys and the clock. The boxes in between are JavaScript objects that
** it holds by handle; what a record is, only they know.
*/
#ifndef STREAM_H
#define STREAM_H

#include <haft.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records that a source thread has under way at once, and calls in one round trip. More means fewer trips, and a
** longer wait for each record. */
enum { WINDOW = 32 };

/* Prints "stream: " and one sentence on stderr; returns false, for `return complain(...)`. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- options.c: the command line --------------------------------------------------------------------- */

struct options {
  const char *input;
  const char *report; /* where the results go; NULL: nowhere */
  uint32_t threads;
  uint32_t repeat;
};

bool options_read(struct options *options, int argc, char **argv);

/* ---- input.c: the file and its lines ----------------------------------------------------------------- */

struct input {
  char *bytes;
  size_t size;
};

struct line {
  const char *text; /* without its LF or CRLF */
  uint32_t length;
  uint32_t number; /* from 1; blank lines count */
};

/* A run of whole lines, read from front to back. */
struct part {
  const char *at, *end;
  uint32_t number; /* of the line at `at` */
};

bool input_read(struct input *input, const char *path);
void input_free(struct input *input);

/* Cuts the input into `count` parts of about the same size. Returns the number of lines that are not blank. */
uint64_t input_split(const struct input *input, struct part *parts, uint32_t count);

/* The next line that is not blank; false at the end. */
bool part_next(struct part *part, struct line *line);

/* ---- latency.c: how long each record took ------------------------------------------------------------ */

/* A histogram of nanoseconds: 128 steps for each power of two, so that a value is known to within 0.4 %. */
enum { LATENCY_STEPS = 128, LATENCY_CELLS = LATENCY_STEPS * 58 };

struct latency {
  uint64_t count, max;
  uint64_t cells[LATENCY_CELLS];
};

uint64_t clock_now(void); /* nanoseconds */
void latency_record(struct latency *latency, uint64_t nanoseconds, uint64_t times);
void latency_merge(struct latency *into, const struct latency *from);
uint64_t latency_quantile(const struct latency *latency, double quantile); /* 0.99: 99 of 100 took no longer */

/* ---- logic.c: the application's objects, by handle --------------------------------------------------- */

struct logic {
  haft_handle decoder, partition, states, computation, encoder;
  haft_op decode, route, state, compute, encode;
};

/* Finds the five objects that JavaScript published, and their ops. */
bool logic_find(struct logic *logic, haft_realm realm);
void logic_release(struct logic *logic);

/* One round trip for up to WINDOW calls. A request that met a full mailbox or arena is tried again. */
void logic_call(haft_request *requests, size_t count);

/* What a request that is not HAFT_OK says of itself. */
void logic_reason(const haft_request *request, char *reason, size_t size);

/* ---- routes.c: from key to state --------------------------------------------------------------------- */

typedef enum { ROUTE_ABSENT, ROUTE_CLAIMED, ROUTE_READY } route_status;

/* A key and its state. Made at the key's first record, freed at the end of the run; it never moves. */
struct route {
  uint64_t hash;
  haft_handle state;
  route_status status; /* under the lock of `routes` */
  uint32_t length;
  char key[];
};

/* A hash table of routes, for one thread at a time. */
struct route_map {
  struct route **cells;
  size_t capacity, count;
};

uint64_t route_hash(const char *key, uint32_t length);
struct route *route_map_get(const struct route_map *map, uint64_t hash, const char *key, uint32_t length);
bool route_map_put(struct route_map *map, struct route *route); /* false: out of memory */

/* All the routes of a run. Threads keep a route_map of those that they have met, and come here only for a key
** that is new to them; so the one lock is hardly ever taken. */
struct routes {
  pthread_mutex_t lock;
  pthread_cond_t settled;
  struct route_map map;
};

void routes_open(struct routes *routes);

/* The key's route, or NULL when out of memory. If `*mine`, no thread has made its state yet: the caller makes it
** and settles the route before it waits for any other. */
struct route *routes_claim(struct routes *routes, uint64_t hash, const char *key, uint32_t length, bool *mine);

/* Ends the caller's claim. HAFT_NULL: the state could not be made, and the next record of the key tries again. */
void routes_settle(struct routes *routes, struct route *route, haft_handle state);

/* Waits until nobody has a claim on the route. Returns whether it has a state. */
bool routes_await(struct routes *routes, struct route *route);

/* The routes that have a state, in the order of their keys' bytes. The caller frees the array; NULL: out of
** memory. */
struct route **routes_sorted(struct routes *routes, size_t *count);

/* Gives every state back, and frees every route. */
void routes_close(struct routes *routes);

/* ---- sink.c: where a record's way ends --------------------------------------------------------------- */

/* How many refused lines a report shows. */
enum { REFUSALS_SHOWN = 10 };

struct refusal {
  uint32_t line;
  char reason[240];
};

/* One a source thread, merged at the end. Only `done` is read by others meanwhile. */
struct sink {
  uint64_t read, counted, refused;
  struct latency latency;
  uint32_t shown;
  struct refusal refusals[REFUSALS_SHOWN]; /* those of the lowest lines, in order */
  atomic_uint_fast64_t done;               /* counted and refused, for the progress bar */
};

void sink_count(struct sink *sink, uint64_t records, uint64_t nanoseconds);
void sink_refuse(struct sink *sink);
void sink_show_refusal(struct sink *sink, const struct refusal *refusal);
void sink_merge(struct sink *into, const struct sink *from);
void sink_print_refusals(const struct sink *sink);

/* ---- source.c: a thread that sends its part of the records along the route --------------------------- */

/* What the source threads of a run share. */
struct run {
  const struct logic *logic;
  struct routes routes;
  uint32_t repeat;
  atomic_bool stop; /* one of them met something that ends the run */
  pthread_mutex_t lock;
  pthread_cond_t finished;
  uint32_t running; /* source threads; under `lock` */
};

struct source *source_start(struct run *run, struct part part); /* NULL: no thread, or no memory */
uint64_t source_done(struct source *source);

/* Waits for its thread's end. What it counted is added to `sink`. Returns HAFT_OK, or why it stopped early. */
haft_status source_join(struct source *source, struct sink *sink);

/* ---- report.c: the results, as JSON ------------------------------------------------------------------ */

/* Has each state encoded, and writes the file. */
bool report_write(const struct options *options, const struct logic *logic, struct routes *routes,
                  const struct sink *total, double seconds);

#endif
