/* What reports tell of native code: labels, results that are out, full mailboxes. Through koffi, on JavaScript's thread.
** See ../report.test.ts. */
#include <haft.h>

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t retain_as(haft_handle h, const char *label);
HAFT_EXPORT int32_t release_as(haft_handle h, const char *label);
HAFT_EXPORT int32_t release(haft_handle h);
HAFT_EXPORT int32_t post_many(haft_handle h, haft_op op, int32_t count, int32_t drops);
HAFT_EXPORT int32_t take_result(haft_handle h, haft_op op);
HAFT_EXPORT void give_result(void);

int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }
int32_t retain_as(haft_handle h, const char *label) { return haft_retain_as(h, label); }
int32_t release_as(haft_handle h, const char *label) { return haft_release_as(h, label); }
int32_t release(haft_handle h) { return haft_release(h); }

/* The status of the last of so many posts of a number. */
int32_t post_many(haft_handle h, haft_op op, int32_t count, int32_t drops) {
  haft_value value = haft_value_f64(1);
  haft_status status = HAFT_OK;
  for (int32_t i = 0; i < count; i++) status = haft_post(h, op, &value, 1, drops ? HAFT_DROP_NEWEST : HAFT_FAIL);
  return status;
}

/* Calls, and keeps the string that comes back until give_result. */
static haft_value result;
int32_t take_result(haft_handle h, haft_op op) { return haft_call(h, op, NULL, 0, 1000, &result); }
void give_result(void) { haft_value_free(&result); }
