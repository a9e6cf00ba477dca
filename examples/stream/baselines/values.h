// values.h: arguments and results between C and JavaScript.
#ifndef BASELINES_VALUES_H
#define BASELINES_VALUES_H

#include <haft.h>
#include <node_api.h>

namespace baselines {

// HAFT_OK when every string among the arguments is valid UTF-8.
haft_status CheckValues(const haft_value *values, size_t count);

napi_status ToJavaScript(napi_env env, const haft_value &value, napi_value *result);

// False, and `*result` a string that says why: `value` is not of that type.
bool FromJavaScript(napi_env env, napi_value value, haft_type type, haft_value *result);

// The result of a call that failed: a string of the receiver's.
haft_value Reason(const char *text);
haft_value ReasonOfException(napi_env env);

}  // namespace baselines

#endif
