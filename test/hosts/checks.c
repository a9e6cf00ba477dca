/* C that JavaScript calls on its own thread, and that breaks the pointer rules as it is told: see checks.test.ts. */
#include "act.h"

enum { RETAIN, RELEASE, POST, POST_TEXT, CALL, TAKE_RESULT, FREE_WRONG, RELEASE_ELSEWHERE, CHECK_ONLY };

static haft_op op_named(haft_handle h, const char *name) {
  haft_kind kind = 0;
  haft_op op = 0;
  if (haft_kind_of(h, &kind) == HAFT_OK) haft_op_find(kind, name, &op);
  return op;
}

static void *release_elsewhere(void *handle) {
  return (void *)(intptr_t)haft_release(*(haft_handle *)handle);
}

HAFT_EXPORT int32_t send_bytes(uint64_t h);
HAFT_EXPORT int32_t send_bytes(uint64_t h) {
  static char bytes[4000] = {1};
  haft_value value = haft_value_bytes(bytes, sizeof bytes);
  return haft_post(h, op_named(h, "take"), &value, 1, HAFT_FAIL);
}

HAFT_EXPORT double act(int32_t what, uint64_t h, uint32_t op, double n) {
  haft_value number = haft_value_f64(n), words = haft_value_str("no number", 9), result;
  pthread_t thread;
  void *status;
  switch (what) {
    case RETAIN:
      return haft_retain(h);
    case RELEASE:
      return haft_release(h);
    case POST:
      return haft_post(h, op ? op : op_named(h, "add"), &number, 1, HAFT_FAIL);
    case POST_TEXT:
      return haft_post(h, op_named(h, "add"), &words, 1, HAFT_FAIL);
    case CALL:
      return haft_call(h, op_named(h, "add"), &number, 1, 0, &result);
    case TAKE_RESULT: { /* of the op that returns a handle, and gives its reference back */
      const haft_status called = haft_call(h, op_named(h, "other"), NULL, 0, 0, &result);
      return called == HAFT_OK ? haft_release(result.as.handle) : called;
    }
    case FREE_WRONG:
      haft_value_free(&words);
      return haft_last_error()->status;
    case RELEASE_ELSEWHERE:
      pthread_create(&thread, NULL, release_elsewhere, &h);
      pthread_join(thread, &status);
      return (double)(intptr_t)status;
    default:
      return haft_check(h, 0);
  }
}
