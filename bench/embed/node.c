/* What Node itself takes, from nothing to its end. Arguments: a command and its arguments. */
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "measure.h"

extern char **environ;

int main(int argc, char **argv) {
  if (argc < 2) fail("arguments", "COMMAND ARGUMENT...");
  int status;
  pid_t pid;
  const double began = now_nanoseconds();
  if (posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ)) fail(argv[1], "cannot be started");
  if (waitpid(pid, &status, 0) != pid || status != 0) fail(argv[1], "failed");
  printf("%.1f\n", now_nanoseconds() - began);
  return 0;
}
