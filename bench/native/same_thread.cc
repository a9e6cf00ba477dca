// Bench `same-thread`: C that JavaScript called calls JavaScript back, in a loop. Nanoseconds a call; the way into
// C is paid once a loop.

#include "js.h"

namespace bench {
namespace {

template <typename Call>
double loop(int count, Call call) {
  double began = now(), total = 0;
  for (int i = 0; i < count; i++) total += call(1);
  double ended = now();
  if (total < count) fail("a call", "no result");  // every result is at least 1
  return (ended - began) / count;
}

}  // namespace

// (handle, op, count)
napi_value same_thread_haft(const Args &args) {
  uint64_t handle = static_cast<uint64_t>(args.number(0));
  haft_op op = static_cast<haft_op>(args.number(1));
  double ns = loop(args.integer(2), [=](double x) {
    haft_value argument = haft_value_f64(x), result;
    must(haft_call(handle, op, &argument, 1, -1, &result), "haft_call");
    return result.as.f64;
  });
  return to_js(args.env, ns);
}

// (object, method, count). A scope a call: C code in a loop knows nothing of scopes, so its callback opens one.
napi_value same_thread_napi(const Args &args) {
  napi_env env = args.env;
  napi_value object = args.value(0), method = args.value(1);
  double ns = loop(args.integer(2), [=](double x) {
    napi_handle_scope scope;
    napi_value argument, result;
    double y = 0;
    napi_open_handle_scope(env, &scope);
    napi_create_double(env, x, &argument);
    if (napi_call_function(env, object, method, 1, &argument, &result) == napi_ok)
      napi_get_value_double(env, result, &y);
    napi_close_handle_scope(env, scope);
    return y;
  });
  return to_js(env, ns);
}

}  // namespace bench

// For koffi, as in call.cc.
extern "C" HAFT_EXPORT double bench_same_thread_koffi(double (*callback)(double), int count) {
  return bench::loop(count, callback);
}
