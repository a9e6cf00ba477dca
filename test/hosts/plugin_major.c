/* A plugin that was built for haft 2.0: without our header, which says another version. Nothing of it may run. */
#include <stdint.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT extern const uint32_t haft_plugin_version;
const uint32_t haft_plugin_version = 2u << 16;

EXPORT int32_t haft_plugin_init(const void *api, uint64_t realm);
EXPORT int32_t haft_plugin_init(const void *api, uint64_t realm) {
  (void)api, (void)realm;
  abort();
}
