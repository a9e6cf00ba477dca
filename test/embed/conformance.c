/* The conformance suite in a program that embeds: this is the process, and the suite's JavaScript is its child. As
** test/conformance/run.mjs, which has the suite inside of node; arguments and output are the same:
**
**     conformance PLUGIN [--from N] [--only 3.7,4.1] [--wrap LIBRARY] [--list]
**
** What runs here are the cases of foreign threads, since no thread of this process is the realm's own, but those that need
** C and JavaScript in one process. */
#include <haft_embed.h>

#include "../conformance/conformance.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MICROSECONDS 200

static const char *const results[] = {"running", "passed", "failed", "refused"};

static struct {
  haft_status (*init)(const haft_api *, haft_realm);
  int (*count)(void);
  const haft_conformance_case *(*at)(int);
  const char *(*section)(int);
  int (*begin)(int, uint32_t);
  int (*poll)(void);
  const char *(*text)(void);
} suite;

static struct {
  const char *plugin, *only, *wrap;
  int from;
  bool list;
} wanted;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found) fail(name, dlerror());
  return found;
}

static void *open_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) fail(path, dlerror());
  return library;
}

static void load_suite(void) {
  void *const library = open_library(wanted.plugin);
  *(void **)&suite.init = symbol(library, "haft_plugin_init");
  *(void **)&suite.count = symbol(library, "haft_conformance_count");
  *(void **)&suite.at = symbol(library, "haft_conformance_at");
  *(void **)&suite.section = symbol(library, "haft_conformance_section");
  *(void **)&suite.begin = symbol(library, "haft_conformance_begin");
  *(void **)&suite.poll = symbol(library, "haft_conformance_poll");
  *(void **)&suite.text = symbol(library, "haft_conformance_text");
}

static void read_arguments(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *const value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--list") == 0) wanted.list = true;
    else if (strcmp(argv[i], "--from") == 0) wanted.from = atoi(value), i++;
    else if (strcmp(argv[i], "--only") == 0) wanted.only = value, i++;
    else if (strcmp(argv[i], "--wrap") == 0) wanted.wrap = value, i++;
    else wanted.plugin = argv[i];
  }
  if (!wanted.plugin) fail("conformance", "which plugin?");
}

/* A text as JSON. */
static void print_text(const char *text) {
  putchar('"');
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\') printf("\\%c", *c);
    else if (*c < ' ') printf("\\u%04x", *c);
    else putchar(*c);
  }
  putchar('"');
}

static void end_line(void) {
  puts("}");
  fflush(stdout); /* before the next case begins */
}

static void print_run(int run, const haft_conformance_case *c) {
  printf("{\"run\":%d,\"case\":\"%s\",\"thread\":\"foreign\"", run, c->number);
}

static bool is_wanted(const haft_conformance_case *c) {
  const size_t length = strlen(c->number);
  if (!wanted.only) return true;
  for (const char *at = wanted.only; *at; at += strcspn(at, ","), at += *at == ',')
    if (strcspn(at, ",") == length && memcmp(at, c->number, length) == 0) return true;
  return false;
}

static bool is_ours(const haft_conformance_case *c) {
  return (c->threads & HAFT_CONFORMANCE_FOREIGN) && c->processes != 1 && is_wanted(c);
}

static void list(void) {
  for (int i = 1; suite.section(i); i++) {
    printf("{\"section\":%d,\"title\":", i);
    print_text(suite.section(i));
    end_line();
  }
  for (int index = 0, run = 0; index < suite.count(); index++) {
    if (!is_ours(suite.at(index))) continue;
    print_run(run++, suite.at(index));
    printf(",\"promise\":");
    print_text(suite.at(index)->promise);
    end_line();
  }
}

static void run_case(int run, int index) {
  const haft_conformance_case *const c = suite.at(index);
  print_run(run, c);
  printf(",\"began\":true");
  end_line();
  if (suite.begin(index, HAFT_CONFORMANCE_FOREIGN) != 1) fail(c->number, "does not begin");
  int result;
  while ((result = suite.poll()) == HAFT_CONFORMANCE_RUNNING) usleep(POLL_MICROSECONDS);
  print_run(run, c);
  printf(",\"result\":\"%s\",\"text\":", results[result]);
  print_text(suite.text());
  end_line();
}

int main(int argc, char **argv) {
  read_arguments(argc, argv);
  load_suite();
  if (wanted.list) return list(), 0;
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_realm realm;
  options.script = "test/conformance/logic.mjs";
  if (haft_embed_start(&options, &realm) != HAFT_OK) fail("haft_embed_start", haft_last_error()->message);
  const haft_api *api = haft_embed_api();
  if (wanted.wrap) {
    uintptr_t (*wrap)(uintptr_t);
    *(void **)&wrap = symbol(open_library(wanted.wrap), "wrap_api");
    api = (const haft_api *)wrap((uintptr_t)api);
  }
  if (suite.init(api, realm) != HAFT_OK) fail("haft_plugin_init", "refuses");
  printf("{\"opened\":\"embed\"");
  end_line();
  for (int index = 0, run = 0; index < suite.count(); index++) {
    if (!is_ours(suite.at(index))) continue;
    if (run >= wanted.from) run_case(run, index);
    run++;
  }
  const haft_status stopped = haft_embed_stop(realm);
  if (stopped != HAFT_OK) fail("haft_embed_stop", haft_status_name(stopped));
  printf("{\"done\":true");
  end_line();
  return 0;
}
