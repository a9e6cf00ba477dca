/* The table of a backend with one function replaced by a broken one, which HAFT_BROKEN in the environment names: the
** conformance suite has to find it. `node scripts/conformance.mjs --wrap build/Release/broken_api.so`. */
#include <haft.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const haft_api *whole;

static haft_status release_is_ok(haft_handle handle) {
  whole->release(handle);
  return HAFT_OK;
}
static haft_status retain_is_lost(haft_handle handle) { return whole->check(handle, 0); }
static haft_status check_ignores_kind(haft_handle handle, haft_kind kind) {
  (void)kind;
  return whole->check(handle, 0);
}
static haft_status post_twice(haft_handle h, haft_op op, const haft_value *args, size_t count, haft_full when_full) {
  whole->post(h, op, args, count, when_full);
  return whole->post(h, op, args, count, when_full);
}
static haft_status call_keeps_result(haft_handle h, haft_op op, const haft_value *args, size_t count, int64_t timeout,
                                     haft_value *result) {
  haft_value own;
  const haft_status status = whole->call(h, op, args, count, timeout, &own);
  if (status == HAFT_OK && result) *result = own;
  return status;
}
static void value_free_does_nothing(haft_value *value) { (void)value; }
static const haft_error *last_error_of_nobody(void) {
  static const haft_error none = {sizeof(haft_error), HAFT_OK, HAFT_NULL, "", "", "", ""};
  return &none;
}
static haft_status retain_crashes(haft_handle handle) {
  (void)handle;
  abort();
}
static haft_status retain_hangs(haft_handle handle) {
  (void)handle;
  for (;;) pause();
}
static haft_status realm_check_lacks(haft_realm realm) { /* where no backend may lack it */
  (void)realm;
  return HAFT_E_BACKEND;
}

HAFT_EXPORT uintptr_t wrap_api(uintptr_t api);
HAFT_EXPORT uintptr_t wrap_api(uintptr_t api) {
  static haft_api table;
  const char *broken = getenv("HAFT_BROKEN");
  whole = (const haft_api *)api;
  memset(&table, 0, sizeof table);
  memcpy(&table, whole, whole->size < sizeof table ? whole->size : sizeof table);
#define BREAK(entry, function) \
  if (broken && strcmp(broken, #function) == 0) table.entry = function
  BREAK(release, release_is_ok);
  BREAK(retain, retain_is_lost);
  BREAK(check, check_ignores_kind);
  BREAK(post, post_twice);
  BREAK(call, call_keeps_result);
  BREAK(value_free, value_free_does_nothing);
  BREAK(last_error, last_error_of_nobody);
  BREAK(retain, retain_crashes);
  BREAK(retain, retain_hangs);
  BREAK(realm_check, realm_check_lacks);
  return (uintptr_t)&table;
}
