/* main.c: a web server in C, whose rules are JavaScript. Serves the files of a folder; what becomes of each request, the
** rules say. They are loaded anew whenever their file changes. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "files.h"
#include "rules.h"
#include "server.h"
#include "watch.h"

static int usage(void) {
  fputs("usage: gate [--address IPV4] [--port N] [--threads N] [--open] RULES FOLDER\n"
        "  --address  where to listen; 127.0.0.1 without it, 0.0.0.0 is everywhere\n"
        "  --port     8080 without it; 0: any that is free\n"
        "  --threads  that serve; 4 without it\n"
        "  --open     while the rules are down, serve what is asked for; else answer 503\n",
        stderr);
  return 2;
}

static bool read_number(const char *text, long least, long most, long *number) {
  char *end;
  *number = strtol(text, &end, 10);
  return *text && !*end && *number >= least && *number <= most;
}

/* NULL: not understood. */
static char **read_options(int argc, char **argv, struct server_options *options) {
  static const struct option names[] = {{"address", required_argument, NULL, 'a'},
                                        {"port", required_argument, NULL, 'p'},
                                        {"threads", required_argument, NULL, 't'},
                                        {"open", no_argument, NULL, 'o'},
                                        {NULL, 0, NULL, 0}};
  long number;
  for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    if (name == 'a') options->address = optarg;
    else if (name == 'p' && read_number(optarg, 0, 65535, &number)) options->port = (uint16_t)number;
    else if (name == 't' && read_number(optarg, 1, 256, &number)) options->threads = (unsigned)number;
    else if (name == 'o') options->open = true;
    else return NULL;
  }
  return argc - optind == 2 ? argv + optind : NULL;
}

static int fail(const char *what) {
  fprintf(stderr, "gate: %s: %s\n", what, strerror(errno));
  return 1;
}

/* SIGINT and SIGTERM as a descriptor. Blocked before there are threads, which take it over. */
static int open_signals(void) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  return signalfd(-1, &ends, SFD_CLOEXEC);
}

static void run(const char *rules, int signals, int watch) {
  struct pollfd watched[] = {{signals, POLLIN, 0}, {watch, POLLIN, 0}};
  for (;;) {
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
    if (watched[0].revents) return;
    if (!watched[1].revents || !watch_changed(watch, rules)) continue;
    if (rules_load(rules)) puts("gate: the rules have been replaced");
    else puts("gate: the rules stay as they were");
  }
}

int main(int argc, char **argv) {
  struct server_options options = {"127.0.0.1", 8080, 4, false};
  char **names = read_options(argc, argv, &options);
  if (!names) return usage();
  const char *rules = names[0], *folder = names[1];
  setvbuf(stdout, NULL, _IOLBF, 0);

  if (!files_open(folder)) return fail(folder);
  const int signals = open_signals();
  const int watch = watch_open(rules); /* before they are read: no change is missed */
  if (signals < 0 || watch < 0) return fail(rules);
  if (!rules_load(rules)) return 1;
  const uint16_t port = server_start(&options);
  if (port != 0) {
    printf("gate: http://%s:%u/ serves %s by the rules of %s\n", options.address, port, folder, rules);
    run(rules, signals, watch);
    server_stop();
  }
  rules_stop();
  return port != 0 ? 0 : 1;
}
