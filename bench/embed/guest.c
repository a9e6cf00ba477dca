/* A host of `haft run`: Node is the process. Arguments as measure.h has them. */
#include "haft_logic.h"

HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  (void)argc;
  if (HAFT_PLUGIN(api) != HAFT_OK) return 1;
  find_logic(realm);
  measure(&haft_logic, argv + 1);
  haft_release(rules);
  return 0;
}
