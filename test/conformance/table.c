/* Section 1: the table of functions that a plugin receives, and the versions. */
#include "suite.h"

CASE(1, 1, BOTH, "A plugin receives a table of the header's major version.") {
  EQUAL(haft_plugin_api->major, HAFT_VERSION_MAJOR);
}

CASE(1, 2, BOTH, "`size` tells which entries there are: each of them can be called.") {
  const haft_api *const api = haft_plugin_api;
  CHECK(api->size >= offsetof(haft_api, status_message) + sizeof(void *)); /* those of 1.0 */
  EQUAL((api->size - offsetof(haft_api, retain)) % sizeof(void *), 0);
  for (size_t at = offsetof(haft_api, retain); at < api->size && at < sizeof(haft_api); at += sizeof(void *)) {
    void *entry;
    memcpy(&entry, (const char *)api + at, sizeof entry);
    if (!entry) failed(__FILE__, __LINE__, "the entry at byte %zu of the table is NULL", at);
  }
}

CASE(1, 3, BOTH, "Within one major version the table only grows.") {
  const haft_api *const api = haft_plugin_api;
  if (api->minor >= 1) CHECK(api->size >= offsetof(haft_api, counters_read) + sizeof(void *));
  if (api->minor >= HAFT_VERSION_MINOR) CHECK(api->size >= sizeof(haft_api));
}

CASE(1, 4, BOTH, "HAFT_PLUGIN(api): HAFT_E_ABI if haft is of another major version than this header.") {
  const haft_api *const api = haft_plugin_api;
  haft_api other = *api;
  other.major = HAFT_VERSION_MAJOR + 1;
  CHECK(HAFT_PLUGIN(&other) == HAFT_E_ABI);
  CHECK(haft_plugin_api == api);
  CHECK(HAFT_PLUGIN(NULL) == HAFT_E_ARGUMENT);
  CHECK(haft_plugin_api == api);
  CHECK(HAFT_PLUGIN(api) == HAFT_OK);
}

/* What each function answers without an entry of its own. */
static bool all_unsupported(void) {
  haft_value value = haft_value_f64(1), result = haft_value_f64(1);
  haft_request request = {0};
  haft_completion completion;
  haft_counters counters = {.size = sizeof counters};
  haft_completer completer = {sizeof completer, NULL, 0, NULL};
  haft_kind kind;
  haft_op op;
  haft_handle found;
  haft_realm of;
  haft_queue queue;
  uint32_t happened = 55;
  int descriptor;
  const haft_status statuses[] = {
      haft_retain(1), haft_release(1), haft_check(1, 0), haft_kind_of(1, &kind), haft_realm_of(1, &of),
      haft_kind_find("x", 0, &kind), haft_op_find(1, "x", &op), haft_find(1, "x", 0, 0, &found), haft_realm_check(1),
      haft_post(1, 1, &value, 1, HAFT_FAIL), haft_call(1, 1, &value, 1, 0, &result), haft_call_many(&request, 1, 0),
      haft_call_async(1, 1, &value, 1, 1, &completer), haft_queue_open(&queue, &descriptor),
      haft_queue_next(1, 0, &completion), haft_queue_close(1), haft_serve(1, 0), haft_blocking(1, true),
      haft_wait(1, HAFT_EVENT_EMPTY, 0, &happened), haft_signal(1, HAFT_EVENT_USER(0)), haft_moved(1, &found),
      haft_counters_read(1, 0, &counters), haft_expose(1, "x", NULL, NULL), haft_reply_value(NULL, &value),
      haft_reply_error(NULL, "x")};
  for (size_t i = 0; i < COUNT(statuses); i++)
    if (statuses[i] != HAFT_E_UNSUPPORTED) return false;
  haft_value_free(&value);
  return result.type == HAFT_VOID && happened == 0;
}

CASE(1, 5, BOTH, "Before HAFT_PLUGIN every function returns HAFT_E_UNSUPPORTED.") {
  const haft_api *const api = haft_plugin_api;
  haft_plugin_api = NULL;
  const bool so = all_unsupported();
  const haft_error *const error = haft_last_error();
  const bool told = error && error->status == HAFT_E_UNSUPPORTED && error->message[0] && error->next[0];
  const bool named = strcmp(haft_status_name(0), "HAFT_E_UNSUPPORTED") == 0 && haft_status_message(0)[0];
  haft_plugin_api = api;
  CHECK(so);
  CHECK(told);
  CHECK(named);
}

CASE(1, 6, BOTH, "The inline functions also answer for a table that is too short: HAFT_E_UNSUPPORTED.") {
  const haft_api *const api = haft_plugin_api;
  haft_api shorter = *api;
  haft_request request = {0};
  shorter.size = offsetof(haft_api, call_many);
  CHECK(HAFT_PLUGIN(&shorter) == HAFT_OK);
  const bool entries = HAFT_HAS(call) && !HAFT_HAS(call_many) && !HAFT_HAS(status_message);
  const haft_status many = haft_call_many(&request, 1, 0), check = haft_check(1, 0);
  shorter.size = offsetof(haft_api, retain);
  const bool none = all_unsupported();
  haft_plugin_api = api;
  CHECK(entries);
  CHECK(many == HAFT_E_UNSUPPORTED);
  CHECK(check == HAFT_E_FORGED);
  CHECK(none);
}

CASE(1, 7, BOTH, "Every library that includes the header exports its version: major << 16 | minor.") {
  EQUAL(haft_plugin_version, (uint32_t)HAFT_VERSION_MAJOR << 16 | HAFT_VERSION_MINOR);
}

CASE(1, 8, OWN, "haft_plugin_init runs on the realm's own thread, with the realm of the registry that loads it.") {
  CHECK(pthread_equal(init_thread, pthread_self()));
  CHECK(realm == (haft_realm)ask_i64("maker", "realm"));
}

CASE(1, 9, BOTH, "A realm is never 0.") { CHECK(realm != 0 && brief_realm() != 0 && (close_brief(), true)); }

CASE(1, 10, BOTH, "A value is 16 bytes, and a handle, a realm and a queue are 64 bits.") {
  EQUAL(sizeof(haft_value), 16);
  EQUAL(sizeof(haft_handle) + sizeof(haft_realm) + sizeof(haft_queue), 24);
}
