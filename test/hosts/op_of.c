/* The number of an op, for tests that are written in JavaScript. */
#include <haft.h>

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

HAFT_EXPORT uint32_t op_of(uint64_t h, const char *name);
HAFT_EXPORT uint32_t op_of(uint64_t h, const char *name) {
  haft_kind kind;
  haft_op op;
  return haft_kind_of(h, &kind) == HAFT_OK && haft_op_find(kind, name, &op) == HAFT_OK ? op : 0;
}
