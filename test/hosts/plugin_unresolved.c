/* A plugin that does not load: it needs a function that nobody has. */
#include <haft.h>

extern int a_function_that_nobody_has(void);

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  (void)api, (void)realm;
  return a_function_that_nobody_has();
}
