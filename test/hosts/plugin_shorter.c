/* A plugin that was built with today's header and is handed the table of haft 1.0: what came later is
** HAFT_E_UNSUPPORTED, and nothing behind the table's end is read. */
#include <haft.h>
#include <stdlib.h>
#include <string.h>

#define NEED(condition) \
  if (!(condition)) return HAFT_E_INTERNAL - 1000 * __LINE__

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  const uint32_t size = offsetof(haft_api, call_async);
  NEED(size == 8 + 16 * sizeof(void *));
  NEED(HAFT_PLUGIN(NULL) == HAFT_E_ARGUMENT);
  haft_api *shorter = malloc(sizeof *shorter);
  memset(shorter, 0xa5, sizeof *shorter); /* a call of what is not there would crash */
  memcpy(shorter, api, size);
  shorter->size = size;
  shorter->major = HAFT_VERSION_MAJOR + 1;
  NEED(HAFT_PLUGIN(shorter) == HAFT_E_ABI && haft_retain(42) == HAFT_E_UNSUPPORTED);
  shorter->major = HAFT_VERSION_MAJOR;
  shorter->minor = 0;
  NEED(HAFT_PLUGIN(shorter) == HAFT_OK);

  NEED(HAFT_HAS(status_message) && !HAFT_HAS(call_async) && !HAFT_HAS(counters_read));
  const haft_completer completer = {.size = sizeof completer};
  haft_completion completion;
  haft_counters counters = {.size = sizeof counters};
  haft_queue queue;
  haft_handle now;
  uint32_t happened = 7;
  int descriptor;
  NEED(haft_call_async(42, 1, NULL, 0, 1, &completer) == HAFT_E_UNSUPPORTED);
  NEED(haft_queue_open(&queue, &descriptor) == HAFT_E_UNSUPPORTED);
  NEED(haft_queue_next(0, 0, &completion) == HAFT_E_UNSUPPORTED);
  NEED(haft_queue_close(0) == HAFT_E_UNSUPPORTED);
  NEED(haft_serve(realm, 0) == HAFT_E_UNSUPPORTED);
  NEED(haft_blocking(realm, true) == HAFT_E_UNSUPPORTED);
  NEED(haft_wait(realm, HAFT_EVENT_EMPTY, 0, &happened) == HAFT_E_UNSUPPORTED && happened == 0);
  NEED(haft_signal(realm, HAFT_EVENT_USER(0)) == HAFT_E_UNSUPPORTED);
  NEED(haft_moved(42, &now) == HAFT_E_UNSUPPORTED);
  NEED(haft_counters_read(realm, HAFT_ALL_SHARDS, &counters) == HAFT_E_UNSUPPORTED);

  NEED(haft_realm_check(realm) == HAFT_OK && haft_retain(42) == HAFT_E_FORGED);
  NEED(haft_last_error()->status == HAFT_E_FORGED);

  /* A table that ends within an entry does not have it. */
  shorter->size = size - 1;
  NEED(!HAFT_HAS(status_message) && HAFT_HAS(status_name));
  shorter->size = offsetof(haft_api, call) + sizeof(void *) - 1;
  haft_value result = haft_value_f64(1);
  NEED(!HAFT_HAS(call) && HAFT_HAS(post));
  NEED(haft_call(42, 1, NULL, 0, 0, &result) == HAFT_E_UNSUPPORTED && result.type == HAFT_VOID);
  NEED(strcmp(haft_last_error()->name, "HAFT_E_UNSUPPORTED") == 0);
  haft_value_free(&result); /* nothing: its entry is gone too */
  HAFT_PLUGIN(api);
  free(shorter);
  return haft_retain(42) == HAFT_E_FORGED ? HAFT_OK : HAFT_E_INTERNAL;
}
