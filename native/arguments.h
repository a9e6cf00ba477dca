// Values that JavaScript sends, out of Node-API's.
#pragma once

#include <node_api.h>

#include <string>
#include <vector>

#include "haft.h"

namespace haft {

// An array of values, and one of haft_type. What they point to lives as long as this.
class Arguments {
 public:
  Arguments(napi_env env, napi_value types, napi_value values) : env_(env) {
    uint32_t count = 0;
    if (napi_get_array_length(env, types, &count) != napi_ok || count > HAFT_ARGS_MAX) return;
    texts_.reserve(count);
    for (uint32_t i = 0; i < count; i++) {
      napi_value type, value;
      uint32_t number = 0;
      if (napi_get_element(env, types, i, &type) != napi_ok || napi_get_element(env, values, i, &value) != napi_ok ||
          napi_get_value_uint32(env, type, &number) != napi_ok || !read(number, value))
        return;
    }
    good_ = true;
  }
  bool good() const { return good_; }
  const haft_value *data() const { return values_.data(); }
  size_t size() const { return values_.size(); }

 private:
  bool read(uint32_t type, napi_value from) {
    haft_value value = {type, 0, {0}};
    double number = 0;
    bool lossless;
    switch (type) {
      case HAFT_F64:
        if (napi_get_value_double(env_, from, &value.as.f64) != napi_ok) return false;
        break;
      case HAFT_I32:
        if (napi_get_value_int32(env_, from, &value.as.i32) != napi_ok) return false;
        break;
      case HAFT_U32:
        if (napi_get_value_uint32(env_, from, &value.as.u32) != napi_ok) return false;
        break;
      case HAFT_I64:
        if (napi_get_value_bigint_int64(env_, from, &value.as.i64, &lossless) != napi_ok) return false;
        break;
      case HAFT_BOOL:
        if (napi_get_value_bool(env_, from, &value.as.b) != napi_ok) return false;
        break;
      case HAFT_HANDLE:
        if (napi_get_value_double(env_, from, &number) != napi_ok) return false;
        value.as.handle = (haft_handle)number;
        break;
      case HAFT_STR: {
        size_t length = 0;
        if (napi_get_value_string_utf8(env_, from, nullptr, 0, &length) != napi_ok) return false;
        texts_.emplace_back(length + 1, '\0');
        napi_get_value_string_utf8(env_, from, &texts_.back()[0], length + 1, &length);
        value = haft_value_str(texts_.back().data(), length);
        break;
      }
      case HAFT_BYTES: {
        void *bytes = nullptr;
        size_t length = 0;
        if (napi_get_typedarray_info(env_, from, nullptr, &length, &bytes, nullptr, nullptr) != napi_ok) return false;
        value = haft_value_bytes(bytes, length);
        break;
      }
      default:
        return false;
    }
    values_.push_back(value);
    return true;
  }

  napi_env env_;
  bool good_ = false;
  std::vector<haft_value> values_;
  std::vector<std::string> texts_;
};

}  // namespace haft
