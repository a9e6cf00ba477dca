// Plain Node-API made bearable for the drivers. Not node-addon-api: its wrappers would weigh on the peers.
#pragma once

#include <string>
#include <vector>

#include <node_api.h>

#include "harness.h"

namespace bench {

inline void must(napi_status status) {
  if (status != napi_ok) fail("a driver", "Node-API refused a call");
}

// The arguments of one call from JavaScript.
class Args {
 public:
  Args(napi_env env, napi_callback_info info) : env(env) {
    size_t count = kMost;
    must(napi_get_cb_info(env, info, &count, values_, nullptr, nullptr));
  }
  napi_value value(int i) const { return values_[i]; }
  double number(int i) const {
    double x;
    must(napi_get_value_double(env, values_[i], &x));
    return x;
  }
  int integer(int i) const { return static_cast<int>(number(i)); }
  std::string text(int i) const {
    char buffer[256];
    size_t length;
    must(napi_get_value_string_utf8(env, values_[i], buffer, sizeof buffer, &length));
    return std::string(buffer, length);
  }
  // A Float64Array of handles; they are integers below 2^53, so doubles hold them exactly.
  std::vector<uint64_t> handles(int i) const {
    size_t length;
    void *data;
    must(napi_get_typedarray_info(env, values_[i], nullptr, &length, &data, nullptr, nullptr));
    const double *doubles = static_cast<const double *>(data);
    return std::vector<uint64_t>(doubles, doubles + length);
  }

  napi_env env;

 private:
  static constexpr size_t kMost = 8;
  napi_value values_[kMost];
};

inline napi_value to_js(napi_env env, double x) {
  napi_value value;
  must(napi_create_double(env, x, &value));
  return value;
}

// Makes a driver a function of Node-API.
template <napi_value (*driver)(const Args &)>
napi_value entry(napi_env env, napi_callback_info info) {
  return driver(Args(env, info));
}

// The drivers, each described where it stands.
napi_value native_table(const Args &args);
napi_value post_haft(const Args &args);
napi_value post_tsfn(const Args &args);
napi_value post_ring(const Args &args);
napi_value post_join(const Args &args);
napi_value call_haft(const Args &args);
napi_value call_tsfn(const Args &args);
napi_value call_join(const Args &args);
napi_value call_many_haft(const Args &args);
napi_value busy_start(const Args &args);
napi_value busy_stop(const Args &args);
napi_value unpausing_haft(const Args &args);
napi_value unpausing_tsfn(const Args &args);
napi_value unpausing_stop(const Args &args);
napi_value unpausing_sent(const Args &args);
napi_value retain_release(const Args &args);
napi_value post_alone(const Args &args);
napi_value post_handles(const Args &args);
napi_value post_handles_join(const Args &args);
napi_value call_text(const Args &args);
napi_value same_thread_haft(const Args &args);
napi_value same_thread_napi(const Args &args);
// Bare callbacks: `entry` would add its frame to every call that the bench `publish` measures.
napi_value reference_create(napi_env env, napi_callback_info info);
napi_value reference_get(napi_env env, napi_callback_info info);
napi_value reference_delete(napi_env env, napi_callback_info info);

}  // namespace bench
