/* A plugin whose init returns what the logic's function `how` says, or with what the call of it ended. */
#include <haft.h>

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  haft_kind kind;
  haft_op call;
  haft_handle how;
  haft_value result;
  haft_status status = HAFT_PLUGIN(api);
  if (status != HAFT_OK) return status;
  if ((status = haft_find(realm, "how", 0, 0, &how)) != HAFT_OK) return status;
  haft_release(how); /* JavaScript keeps it */
  if ((status = haft_kind_of(how, &kind)) != HAFT_OK) return status;
  if ((status = haft_op_find(kind, "call", &call)) != HAFT_OK) return status;
  status = haft_call(how, call, NULL, 0, -1, &result);
  return status == HAFT_OK ? result.as.i32 : status;
}
