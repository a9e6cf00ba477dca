/* C that JavaScript calls on its own thread, in two ways: through koffi, on a stack of koffi's, or as an addon, on the
** thread's own stack. The including file defines `act`; use_api comes first. Node-API is declared here as far as it is
** used: hosts are built without Node's headers. */
#ifndef ACT_H
#define ACT_H

#include "check.h"

HAFT_EXPORT int32_t use_api(const haft_api *api);
HAFT_EXPORT int32_t use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

/* Does what the number says, and tells a status or a number. */
HAFT_EXPORT double act(int32_t what, uint64_t h, uint32_t op, double n);

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

#endif
