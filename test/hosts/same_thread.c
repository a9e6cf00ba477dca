/* C that JavaScript calls, and that calls JavaScript back on the same thread. */
#include "act.h"

#include <math.h>

enum {
  CALL, POST, POST_BLOCK, CALL_MANY, RETAIN, RELEASE, CHECK_IT, FIND, CALL_BIG, CALL_HANDLE, LAST_ERROR, CALL_DROPPED,
  CALLS
};

/* A status where it is not HAFT_OK, else what came back as a number. */
HAFT_EXPORT double act(int32_t what, uint64_t h, uint32_t op, double n) {
  static char big[1 << 20];
  static int calls;
  haft_value arg = haft_value_f64(n), result = {0};
  haft_handle found;
  haft_status status;
  switch (what) {
    case CALL:
      calls++;
      status = haft_call(h, op, &arg, 1, -1, &result);
      if (status != HAFT_OK) return result.type == HAFT_VOID ? status : NAN;
      return result.type == HAFT_F64 ? result.as.f64 : result.type == HAFT_VOID ? 0 : NAN;
    case POST:
      return haft_post(h, op, &arg, 1, HAFT_FAIL);
    case POST_BLOCK:
      return haft_post(h, op, &arg, 1, HAFT_BLOCK(-1));
    case CALL_MANY: {
      haft_request requests[3];
      for (int i = 0; i < 3; i++) requests[i] = (haft_request){h, &arg, 1, op, 55, 0, {0}};
      status = haft_call_many(requests, 3, -1);
      if (status != HAFT_OK) return status;
      return requests[0].result.as.f64 + 100 * requests[1].result.as.f64 + 10000 * requests[2].result.as.f64;
    }
    case RETAIN:
      return haft_retain(h);
    case RELEASE:
      return haft_release(h);
    case CHECK_IT:
      return haft_check(h, 0);
    case FIND:
      return haft_find((haft_realm)n, "nobody", 0, -1, &found);
    case CALL_BIG:
      memset(big, 'b', sizeof big);
      arg = haft_value_str(big, (size_t)n);
      status = haft_call(h, op, &arg, 1, 0, &result);
      if (status != HAFT_OK) return status;
      n = result.type == HAFT_STR && memcmp(result.as.str, big, result.length) == 0 ? result.length : -0.5;
      haft_value_free(&result);
      return n;
    case CALL_HANDLE:
      arg = haft_value_handle((haft_handle)n);
      return haft_call(h, op, &arg, 1, -1, NULL);
    case LAST_ERROR:
      return haft_last_error()->status;
    case CALL_DROPPED:
      return haft_call(h, op, &arg, 1, -1, NULL);
    case CALLS:
      return calls;
    default:
      return NAN;
  }
}
