/*
** source.c: a thread that sends its part of the records along the route.
**
** It takes a window of lines and brings all of them one step further with each round trip. A record that a step
** refuses leaves the window; the others move up. Whatever a record holds (its handle, its key) goes with it.
*/
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>

struct record {
  struct line line;
  haft_handle handle;
  haft_value key;
  struct route *route;
};

struct source {
  struct run *run;
  pthread_t thread;
  struct part part;
  struct sink sink;
  struct route_map known; /* the routes that this thread has met */
  haft_status status;
  bool first_round;
  size_t count; /* records in the window */
  struct record records[WINDOW];
  haft_request requests[WINDOW];
  haft_value args[WINDOW][2];
};

/* ---- A record that leaves before the end ------------------------------------------------------------- */

static void let_go(struct record *record) {
  if (record->handle != HAFT_NULL) haft_release(record->handle);
  haft_value_free(&record->key);
  *record = (struct record){.line = record->line};
}

/* Later rounds read the same lines, so that the first round's are enough to show. */
static void refuse(struct source *source, const struct record *record, const char *op,
                   const haft_request *request) {
  sink_refuse(&source->sink);
  if (!source->first_round) return;
  char reason[200];
  struct refusal refusal = {.line = record->line.number};
  logic_reason(request, reason, sizeof reason);
  snprintf(refusal.reason, sizeof refusal.reason, "%s: %s", op, reason);
  sink_show_refusal(&source->sink, &refusal);
}

/* Ends the run. That JavaScript closed is for the host to say, once. */
static void stop(struct source *source, const struct record *record, const char *op, haft_status status) {
  bool stopped = atomic_exchange(&source->run->stop, true);
  if (source->status == HAFT_OK) source->status = status;
  if (stopped || status == HAFT_E_CLOSED) return;
  complain("line %u, %s: %s.", (unsigned)record->line.number, op, haft_status_message(status));
}

/* Takes a record out for a request that failed: by the record's own fault, or because something is broken. */
static void drop(struct source *source, struct record *record, const char *op, haft_request *request) {
  switch (request->status) {
    case HAFT_E_EXCEPTION:
    case HAFT_E_RESULT:
    case HAFT_E_UTF8:
    case HAFT_E_TOO_LARGE:
      refuse(source, record, op, request);
      break;
    default:
      stop(source, record, op, request->status);
  }
  haft_value_free(&request->result);
  let_go(record);
}

/* ---- Steps that JavaScript takes --------------------------------------------------------------------- */

static void ask(struct source *source, size_t i, haft_handle handle, haft_op op, uint32_t count) {
  source->requests[i] = (haft_request){.handle = handle, .op = op, .args = source->args[i], .count = count};
}

/* Sends the window's requests. Afterwards only what is HAFT_OK is left, in the window and in its requests. */
static void step(struct source *source, const char *op) {
  size_t kept = 0;
  logic_call(source->requests, source->count);
  for (size_t i = 0; i < source->count; i++) {
    if (source->requests[i].status != HAFT_OK) {
      drop(source, &source->records[i], op, &source->requests[i]);
      continue;
    }
    source->records[kept] = source->records[i];
    source->requests[kept++] = source->requests[i];
  }
  source->count = kept;
}

static void decode(struct source *source) {
  const struct logic *logic = source->run->logic;
  for (size_t i = 0; i < source->count; i++) {
    const struct line *line = &source->records[i].line;
    source->args[i][0] = haft_value_str(line->text, line->length);
    source->args[i][1] = haft_value_u32(line->number);
    ask(source, i, logic->decoder, logic->decode, 2);
  }
  step(source, "decode");
  for (size_t i = 0; i < source->count; i++) source->records[i].handle = source->requests[i].result.as.handle;
}

static void partition(struct source *source) {
  const struct logic *logic = source->run->logic;
  for (size_t i = 0; i < source->count; i++) {
    source->args[i][0] = haft_value_handle(source->records[i].handle);
    ask(source, i, logic->partition, logic->route, 1);
  }
  step(source, "partition");
  for (size_t i = 0; i < source->count; i++) source->records[i].key = source->requests[i].result;
}

static void compute(struct source *source) {
  const struct logic *logic = source->run->logic;
  for (size_t i = 0; i < source->count; i++) {
    source->args[i][0] = haft_value_handle(source->records[i].route->state);
    source->args[i][1] = haft_value_handle(source->records[i].handle);
    ask(source, i, logic->computation, logic->compute, 2);
  }
  step(source, "compute");
}

/* ---- The step that C takes: from key to state -------------------------------------------------------- */

/* Has the states made of the records whose routes this thread has claimed. Where that fails, the record is out. */
static void make_states(struct source *source, struct record **claimed, size_t count) {
  struct run *run = source->run;
  haft_request requests[WINDOW];
  for (size_t i = 0; i < count; i++) {
    requests[i] = (haft_request){
        .handle = run->logic->states, .op = run->logic->state, .args = &claimed[i]->key, .count = 1};
  }
  logic_call(requests, count);
  for (size_t i = 0; i < count; i++) {
    bool made = requests[i].status == HAFT_OK;
    routes_settle(&run->routes, claimed[i]->route, made ? requests[i].result.as.handle : HAFT_NULL);
    if (!made) drop(source, claimed[i], "state", &requests[i]);
  }
}

static bool claim(struct source *source, struct record *record, uint64_t hash) {
  bool mine;
  record->route = routes_claim(&source->run->routes, hash, record->key.as.str, record->key.length, &mine);
  if (!record->route) {
    stop(source, record, "route", HAFT_E_NO_MEMORY);
    let_go(record);
  }
  return mine;
}

/* Sees to it that the record's route has a state, or that the record is out. Where the thread that had the claim
** failed, this record tries it itself, and is refused by its own reason. */
static void settle(struct source *source, struct record *record) {
  while (record->route && !routes_await(&source->run->routes, record->route)) {
    if (claim(source, record, record->route->hash)) make_states(source, &record, 1);
  }
  struct route *route = record->route;
  if (!route || route_map_get(&source->known, route->hash, route->key, route->length)) return;
  route_map_put(&source->known, route); /* out of memory: it stays unknown, and is looked up again */
}

static void find_states(struct source *source) {
  struct record *fresh[WINDOW], *claimed[WINDOW];
  size_t fresh_count = 0, claimed_count = 0, kept = 0;
  for (size_t i = 0; i < source->count; i++) {
    struct record *record = &source->records[i];
    uint64_t hash = route_hash(record->key.as.str, record->key.length);
    record->route = route_map_get(&source->known, hash, record->key.as.str, record->key.length);
    if (record->route) continue;
    fresh[fresh_count++] = record;
    if (claim(source, record, hash)) claimed[claimed_count++] = record;
  }
  if (claimed_count) make_states(source, claimed, claimed_count);
  for (size_t i = 0; i < fresh_count; i++) settle(source, fresh[i]);
  for (size_t i = 0; i < source->count; i++) {
    if (source->records[i].route) source->records[kept++] = source->records[i];
  }
  source->count = kept;
}

/* ---- The thread -------------------------------------------------------------------------------------- */

static bool fill(struct source *source, struct part *part) {
  struct line line;
  source->count = 0;
  while (source->count < WINDOW && part_next(part, &line)) {
    source->records[source->count++] = (struct record){.line = line};
  }
  source->sink.read += source->count;
  return source->count > 0;
}

static void *work(void *argument) {
  struct source *source = argument;
  struct run *run = source->run;
  for (uint32_t round = 0; round < run->repeat; round++) {
    struct part part = source->part;
    source->first_round = round == 0;
    while (!atomic_load_explicit(&run->stop, memory_order_relaxed)) {
      /* One reading of the clock serves the window: all of it is read now, and all of it is done at once. */
      uint64_t begin = clock_now();
      if (!fill(source, &part)) break;
      decode(source);
      partition(source);
      find_states(source);
      compute(source);
      sink_count(&source->sink, source->count, clock_now() - begin);
      for (size_t i = 0; i < source->count; i++) let_go(&source->records[i]);
    }
  }
  pthread_mutex_lock(&run->lock);
  run->running--;
  pthread_cond_signal(&run->finished);
  pthread_mutex_unlock(&run->lock);
  return NULL;
}

struct source *source_start(struct run *run, struct part part) {
  struct source *source = calloc(1, sizeof *source);
  if (!source) return NULL;
  source->run = run;
  source->part = part;
  pthread_mutex_lock(&run->lock);
  run->running++;
  pthread_mutex_unlock(&run->lock);
  if (!pthread_create(&source->thread, NULL, work, source)) return source;
  pthread_mutex_lock(&run->lock);
  run->running--;
  pthread_mutex_unlock(&run->lock);
  free(source);
  return NULL;
}

uint64_t source_done(struct source *source) {
  return atomic_load_explicit(&source->sink.done, memory_order_relaxed);
}

haft_status source_join(struct source *source, struct sink *sink) {
  pthread_join(source->thread, NULL);
  haft_status status = source->status;
  sink_merge(sink, &source->sink);
  free(source->known.cells);
  free(source);
  return status;
}
