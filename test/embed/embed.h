/* What the programs of the tests that embed share: cases by name, as those of the hosts (../hosts/check.h), a way to start a
** logic of this folder, and what the callbacks of a logic were told. A program is run as `NAME CASE [ARGUMENT...]` in the
** root of the project; its exit code is the number of failures. */
#ifndef EMBED_H
#define EMBED_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../hosts/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <haft_embed.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define LOGIC "test/embed/logic.mjs"

/* Waits until the condition holds, for as long as a slow machine may need. */
#define UNTIL(condition)                                                             \
  do {                                                                               \
    int tries = 0;                                                                   \
    while (!(condition) && tries++ < WAIT) usleep(1000);                             \
    if (tries >= WAIT) failed(__FILE__, __LINE__, "never happened: " #condition);    \
  } while (0)

/* The latest end that a logic was told of, and how many there were. */
HELPER haft_embed_end latest_end;
HELPER char latest_text[8192];
HELPER atomic_int ends, restarts;
HELPER _Atomic haft_realm restarted_realm;

HELPER void note_end(void *user, const haft_embed_end *end) {
  (void)user;
  latest_end = *end;
  snprintf(latest_text, sizeof latest_text, "%s", end->text);
  latest_end.text = latest_text;
  ends++;
}

HELPER void note_restart(void *user, haft_realm fresh) {
  (void)user;
  restarted_realm = fresh;
  restarts++;
}

HELPER haft_embed_options options_for(const char *script) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  options.script = script;
  options.ready_ms = WAIT;
  options.stop_ms = WAIT;
  options.ended = note_end;
  options.restarted = note_restart;
  return options;
}

HELPER haft_realm start_logic(const haft_embed_options *options) {
  haft_realm started = 0;
  const haft_status status = haft_embed_start(options, &started);
  if (status != HAFT_OK) {
    fprintf(stderr, "the logic does not start: %s: %s\n", haft_status_name(status), haft_last_error()->message);
    exit(98);
  }
  return started;
}

/* The realm that the helpers of check.h ask is its. */
HELPER haft_realm start_plain(void) {
  const haft_embed_options options = options_for(LOGIC);
  return realm = start_logic(&options);
}

HELPER double add(Target to, double number) {
  const haft_value argument = haft_value_f64(number);
  haft_value result;
  EXPECT(call(to, &argument, 1, &result), HAFT_OK);
  return result.as.f64;
}

HELPER int32_t pid_of(haft_realm of) {
  int32_t pid = 0;
  EXPECT(haft_embed_pid(of, &pid), HAFT_OK);
  return pid;
}

/* Whether there is such a process, and it is no zombie. */
HELPER bool is_alive(int32_t pid) {
  char path[64], line[256], state = 'X';
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  if (fgets(line, sizeof line, file) && strrchr(line, ')')) state = strrchr(line, ')')[2];
  fclose(file);
  return state != 'Z' && state != 'X';
}

/* Entries of a folder of /proc. */
HELPER int entries(const char *folder) {
  int count = 0;
  DIR *open_folder = opendir(folder);
  while (open_folder && readdir(open_folder)) count++;
  if (open_folder) closedir(open_folder);
  return count - 3; /* itself, its parent, and the descriptor that reads it */
}

#define EMBED_CASES(...)                                                        \
  int main(int argc, char **argv) {                                            \
    static const Case cases[] = {__VA_ARGS__};                                  \
    arguments_count = argc;                                                     \
    arguments = argv;                                                           \
    if (haft_plugin_keep(haft_embed_api()) != HAFT_OK) return 100;              \
    for (size_t i = 0; argc > 1 && i < COUNT(cases); i++) {                     \
      if (strcmp(cases[i].name, argv[1]) != 0) continue;                        \
      cases[i].run();                                                           \
      return failures > 90 ? 90 : failures;                                     \
    }                                                                           \
    fprintf(stderr, "there is no case %s\n", argc > 1 ? argv[1] : "(none)");    \
    return 101;                                                                 \
  }

#endif
