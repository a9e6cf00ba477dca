/* A plugin that was built with the header of haft 1.0, whose table is shorter than today's. It uses all of it. */
#include "old/haft-1.0.h"

#include <string.h>

#define NEED(condition) \
  if (!(condition)) return HAFT_E_INTERNAL - 1000 * __LINE__

/* 1.0 did not declare it: plugins did. */
HAFT_EXPORT haft_status haft_plugin_init(const haft_api *api, haft_realm realm);

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  NEED(haft_retain(1) == HAFT_E_UNSUPPORTED); /* no table yet */
  NEED(HAFT_PLUGIN(api) == HAFT_OK);
  NEED(api->size > sizeof(haft_api) && HAFT_VERSION_MINOR == 0 && api->minor > 0);
  NEED(HAFT_HAS(retain) && HAFT_HAS(status_message));

  haft_kind kind, of;
  haft_op add;
  haft_handle counter;
  haft_realm home;
  NEED(haft_kind_find("Counter", 0, &kind) == HAFT_OK);
  NEED(haft_op_find(kind, "add", &add) == HAFT_OK);
  NEED(haft_find(realm, "counter", kind, 0, &counter) == HAFT_OK);
  NEED(haft_check(counter, kind) == HAFT_OK);
  NEED(haft_kind_of(counter, &of) == HAFT_OK && of == kind);
  NEED(haft_realm_of(counter, &home) == HAFT_OK && home == realm);
  NEED(haft_realm_check(realm) == HAFT_OK);
  NEED(haft_retain(counter) == HAFT_OK && haft_release(counter) == HAFT_OK);

  const haft_value two = haft_value_f64(2);
  haft_value total;
  NEED(haft_call(counter, add, &two, 1, -1, &total) == HAFT_OK && total.as.f64 == 2);
  haft_request requests[2] = {{counter, &two, 1, add, 0, 0, {0}}, {42, &two, 1, add, 0, 0, {0}}};
  NEED(haft_call_many(requests, 2, -1) == HAFT_E_FORGED && requests[0].status == HAFT_OK);
  NEED(requests[0].result.as.f64 == 4 && requests[1].status == HAFT_E_FORGED);
  haft_value_free(&requests[1].result);
  NEED(haft_call(42, add, &two, 1, -1, NULL) == HAFT_E_FORGED);
  NEED(haft_last_error()->status == HAFT_E_FORGED && haft_last_error()->handle == 42);
  /* Statuses that came later have their names too. */
  NEED(strcmp(haft_status_name(-24), "HAFT_E_MOVED") == 0 && *haft_status_message(-24) != '\0');
  NEED(haft_post(counter, add, &two, 1, HAFT_FAIL) == HAFT_OK);
  return haft_release(counter);
}
