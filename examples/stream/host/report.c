/* report.c: the results of a run, as JSON. */
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_string(FILE *file, const char *text, uint32_t length) {
  putc('"', file);
  for (uint32_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < ' ') {
      fprintf(file, "\\u%04x", c);
    } else {
      if (c == '"' || c == '\\') putc('\\', file);
      putc(c, file);
    }
  }
  putc('"', file);
}

static void write_figures(FILE *file, const struct options *options, const struct sink *total, double seconds) {
  const struct latency *latency = &total->latency;
  fprintf(file, "{\"threads\":%" PRIu32 ",\"read\":%" PRIu64 ",\"counted\":%" PRIu64 ",\"refused\":%" PRIu64,
          options->threads, total->read, total->counted, total->refused);
  fprintf(file, ",\"seconds\":%.9g,\"perSecond\":%.9g", seconds, (double)total->counted / seconds);
  fprintf(file, ",\"latencyMicroseconds\":{\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
          (double)latency_quantile(latency, 0.5) / 1e3, (double)latency_quantile(latency, 0.99) / 1e3,
          (double)latency_quantile(latency, 0.999) / 1e3, (double)latency->max / 1e3);
}

/* Up to WINDOW routes in one round trip. */
static bool write_results(FILE *file, const struct logic *logic, struct route **routes, size_t count, bool first) {
  haft_request requests[WINDOW];
  haft_value args[WINDOW][2];
  bool encoded = true;
  for (size_t i = 0; i < count; i++) {
    args[i][0] = haft_value_str(routes[i]->key, routes[i]->length);
    args[i][1] = haft_value_handle(routes[i]->state);
    requests[i] = (haft_request){.handle = logic->encoder, .op = logic->encode, .args = args[i], .count = 2};
  }
  logic_call(requests, count);
  for (size_t i = 0; i < count; i++) {
    const haft_value *result = &requests[i].result;
    if (requests[i].status == HAFT_OK) {
      if (i > 0 || !first) putc(',', file);
      write_string(file, routes[i]->key, routes[i]->length);
      putc(':', file);
      write_string(file, result->as.str, result->length);
    } else if (encoded) {
      char reason[200];
      logic_reason(&requests[i], reason, sizeof reason);
      encoded = complain("encode failed for the key '%.*s': %s.", (int)routes[i]->length, routes[i]->key, reason);
    }
    haft_value_free(&requests[i].result);
  }
  return encoded;
}

bool report_write(const struct options *options, const struct logic *logic, struct routes *routes,
                  const struct sink *total, double seconds) {
  size_t count;
  struct route **sorted = routes_sorted(routes, &count);
  if (!sorted) return complain("out of memory for the results.");
  FILE *file = fopen(options->report ? options->report : "/dev/null", "wb");
  bool written = file || complain("cannot write %s: %s.", options->report, strerror(errno));
  if (file) {
    write_figures(file, options, total, seconds);
    fputs(",\"results\":{", file);
    for (size_t i = 0; i < count && written; i += WINDOW) {
      written = write_results(file, logic, sorted + i, count - i < WINDOW ? count - i : WINDOW, i == 0);
    }
    fputs("}}\n", file);
    bool failed = ferror(file);
    if ((fclose(file) || failed) && written) {
      written = complain("cannot write %s: %s.", options->report, strerror(errno));
    }
  }
  free(sorted);
  return written;
}
