/* A host for `haft run`: says what it was given, and ends as its first argument wants it to. */
#include "check.h"

int haft_host_main(const haft_api *api, haft_realm of, int argc, char **argv) {
  if (HAFT_PLUGIN(api) != HAFT_OK) return 100;
  realm = of;
  for (int i = 1; i < argc; i++) printf("host %d: %s\n", i, argv[i]);
  if (argv[argc] != NULL || strstr(argv[0], "run.so") == NULL) return 99;
  fflush(stdout);
  const char *what = argc > 1 ? argv[1] : "0";
  if (strcmp(what, "until closed") == 0) {
    puts("host waits");
    fflush(stdout);
    haft_handle found;
    const haft_status status = haft_find(realm, "never published", 0, -1, &found);
    printf("host saw %s\n", haft_status_name(status));
    fflush(stdout);
    return 5; /* the signal's code is the answer */
  }
  if (strcmp(what, "for ever") == 0) {
    puts("host waits");
    fflush(stdout);
    for (;;) usleep(10000);
  }
  if (strcmp(what, "greet") == 0) {
    haft_value result;
    if (call(function("greet"), NULL, 0, &result) != HAFT_OK) return 98;
    printf("host heard %s\n", result.as.str);
    haft_value_free(&result);
    return 0;
  }
  return atoi(what);
}
