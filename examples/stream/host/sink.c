/* sink.c: where a record's way ends. It is counted here, in one place, as computed or as refused. */
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>

static void show_progress(struct sink *sink) {
  atomic_store_explicit(&sink->done, sink->counted + sink->refused, memory_order_relaxed);
}

void sink_count(struct sink *sink, uint64_t records, uint64_t nanoseconds) {
  sink->counted += records;
  latency_record(&sink->latency, nanoseconds, records);
  show_progress(sink);
}

void sink_refuse(struct sink *sink) {
  sink->refused++;
  show_progress(sink);
}

void sink_show_refusal(struct sink *sink, const struct refusal *refusal) {
  uint32_t at = sink->shown;
  if (at < REFUSALS_SHOWN) {
    sink->shown++;
  } else if (sink->refusals[--at].line <= refusal->line) {
    return;
  }
  for (; at > 0 && sink->refusals[at - 1].line > refusal->line; at--) sink->refusals[at] = sink->refusals[at - 1];
  sink->refusals[at] = *refusal;
}

void sink_merge(struct sink *into, const struct sink *from) {
  into->read += from->read;
  into->counted += from->counted;
  into->refused += from->refused;
  latency_merge(&into->latency, &from->latency);
  for (uint32_t i = 0; i < from->shown; i++) sink_show_refusal(into, &from->refusals[i]);
}

void sink_print_refusals(const struct sink *sink) {
  for (uint32_t i = 0; i < sink->shown; i++) {
    fprintf(stderr, "line %" PRIu32 " refused by %s\n", sink->refusals[i].line, sink->refusals[i].reason);
  }
  if (sink->refused > sink->shown) fprintf(stderr, "and %" PRIu64 " more refused\n", sink->refused - sink->shown);
}
