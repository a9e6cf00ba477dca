/* latency.c: the clock, and a histogram of how long each record took. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <time.h>

uint64_t clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Values below two rows of steps are exact. Above, a row has LATENCY_STEPS cells and spans a power of two. */
static size_t cell_of(uint64_t value) {
  if (value < 2 * LATENCY_STEPS) return (size_t)value;
  unsigned row = (unsigned)(63 - __builtin_clzll(value)) - 7;
  return (size_t)row * LATENCY_STEPS + (size_t)(value >> row);
}

static uint64_t middle_of(size_t cell) {
  if (cell < 2 * LATENCY_STEPS) return cell;
  unsigned row = (unsigned)(cell / LATENCY_STEPS) - 1;
  uint64_t first = (uint64_t)(cell - (size_t)row * LATENCY_STEPS) << row;
  return first + (((uint64_t)1 << row) - 1) / 2;
}

void latency_record(struct latency *latency, uint64_t nanoseconds, uint64_t times) {
  latency->cells[cell_of(nanoseconds)] += times;
  latency->count += times;
  if (times && nanoseconds > latency->max) latency->max = nanoseconds;
}

void latency_merge(struct latency *into, const struct latency *from) {
  for (size_t i = 0; i < LATENCY_CELLS; i++) into->cells[i] += from->cells[i];
  into->count += from->count;
  if (from->max > into->max) into->max = from->max;
}

uint64_t latency_quantile(const struct latency *latency, double quantile) {
  uint64_t rank = (uint64_t)(quantile * (double)latency->count), seen = 0;
  if ((double)rank < quantile * (double)latency->count) rank++;
  if (rank < 1) rank = 1;
  for (size_t i = 0; i < LATENCY_CELLS; i++) {
    seen += latency->cells[i];
    if (seen >= rank) return middle_of(i) < latency->max ? middle_of(i) : latency->max;
  }
  return latency->max;
}
