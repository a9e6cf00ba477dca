/* A plugin that was built for a later haft of our major version: it is loaded, and asks what the table has. */
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT extern const uint32_t haft_plugin_version;
const uint32_t haft_plugin_version = 1u << 16 | 99;

EXPORT int32_t haft_plugin_init(const uint32_t *api, uint64_t realm);
EXPORT int32_t haft_plugin_init(const uint32_t *api, uint64_t realm) {
  return api[0] > 100 && realm != 0 ? 0 : -20;
}
