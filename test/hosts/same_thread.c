/* C that JavaScript calls, and that calls JavaScript back on the same thread: through koffi, on a stack of koffi's, or
** as an addon, on the thread's own stack. Node-API is declared here as far as it is used: hosts are built without
** Node's headers. */
#include "check.h"

#include <math.h>

enum {
  CALL, POST, POST_BLOCK, CALL_MANY, RETAIN, RELEASE, CHECK_IT, FIND, CALL_BIG, CALL_HANDLE, LAST_ERROR, CALL_DROPPED,
  CALLS
};

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

/* A status where it is not HAFT_OK, else what came back as a number. */
HAFT_EXPORT double act(int32_t what, uint64_t h, uint32_t op, double n);
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

/* ---- The addon ---- */

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
extern int napi_create_function(napi_env, const char *, size_t, napi_value (*)(napi_env, napi_callback_info), void *, napi_value *);
extern int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
extern int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
extern int napi_get_value_double(napi_env, napi_value, double *);
extern int napi_create_double(napi_env, double, napi_value *);
extern int napi_get_value_external(napi_env, napi_value, void **);

static napi_value js_act(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4], result = NULL;
  double number[4];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  for (int i = 0; i < 4; i++) napi_get_value_double(env, argv[i], &number[i]);
  const double answer = act((int32_t)number[0], (uint64_t)number[1], (uint32_t)number[2], number[3]);
  /* Refused while an exception is pending: then nothing comes back, and JavaScript sees it thrown. */
  napi_create_double(env, answer, &result);
  return result;
}
static napi_value js_use(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], result = NULL;
  void *api = NULL;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_value_external(env, argv[0], &api);
  napi_create_double(env, use_api(api), &result);
  return result;
}
HAFT_EXPORT int32_t node_api_module_get_api_version_v1(void);
HAFT_EXPORT int32_t node_api_module_get_api_version_v1(void) { return 8; }
HAFT_EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports);
HAFT_EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "act", 3, js_act, NULL, &function);
  napi_set_named_property(env, exports, "act", function);
  napi_create_function(env, "use", 3, js_use, NULL, &function);
  napi_set_named_property(env, exports, "use", function);
  return exports;
}
