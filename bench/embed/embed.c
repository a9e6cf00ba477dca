/* A program that embeds logic.mjs. Arguments: logic.mjs, then those of measure.h, or instead of them `start`: from nothing
** to the first answer. */
#include <haft_embed.h>
#include <stdio.h>
#include <string.h>

#include "haft_logic.h"

int main(int argc, char **argv) {
  if (argc < 3) fail("arguments", "logic.mjs (start | METHOD THREADS MILLISECONDS)");
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_realm realm;
  options.script = argv[1];
  const double began = now_nanoseconds();
  must(haft_embed_start(&options, &realm), "haft_embed_start");
  find_logic(realm);
  if (strcmp(argv[2], "start") == 0) {
    if (add(1) != 1) fail("the first answer", "is wrong");
    printf("%.1f\n", now_nanoseconds() - began);
  } else {
    measure(&haft_logic, argv + 2);
  }
  haft_release(rules);
  must(haft_embed_stop(realm), "haft_embed_stop");
  return 0;
}
