/* What of the tools for debugging works across the two processes: `debug [inspect]` takes a reference that it does not give
** back, makes one mistake, lets `haft inspect` look at the logic's process if it is told to, and stops. */
#include <haft_embed.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ended(void *user, const haft_embed_end *end) {
  (void)user;
  printf("ended: %s, code %d\n", haft_embed_reason_text(end->reason), end->exit_code);
}

int main(int argc, char **argv) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_realm realm;
  haft_handle maker;
  haft_kind kind;
  haft_op make;
  haft_value what = haft_value_str("counter", 7), made;
  int32_t pid;
  (void)argv;
  options.script = "test/conformance/logic.mjs";
  options.ended = ended;
  if (haft_embed_start(&options, &realm) != HAFT_OK) return fprintf(stderr, "%s\n", haft_last_error()->message), 100;
  if (haft_find(realm, "maker", 0, 0, &maker) != HAFT_OK || haft_kind_of(maker, &kind) != HAFT_OK ||
      haft_op_find(kind, "make", &make) != HAFT_OK || haft_call(maker, make, &what, 1, -1, &made) != HAFT_OK ||
      haft_release(maker) != HAFT_OK || haft_embed_pid(realm, &pid) != HAFT_OK)
    return fprintf(stderr, "%s\n", haft_last_error()->message), 101;
  printf("level %d, child %d\n", haft_check_level(), pid);
  fflush(stdout);
  if (argc > 1) {
    char command[256];
    snprintf(command, sizeof command, "\"$HAFT_NODE\" dist/cli.js inspect %d --json", pid);
    if (system(command) != 0) return 102;
  }
  printf("release of 1: %s\n", haft_status_name(haft_release(1)));
  printf("stop: %s\n", haft_status_name(haft_embed_stop(realm)));
  return 0;
}
