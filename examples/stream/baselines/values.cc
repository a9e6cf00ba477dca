// values.cc: see values.h
#include "values.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

namespace baselines {
namespace {

bool IsAscii(const char *text, size_t length) {
  size_t i = 0;
  for (uint64_t word; i + sizeof word <= length; i += sizeof word) {
    std::memcpy(&word, text + i, sizeof word);
    if (word & 0x8080808080808080u) return false;
  }
  for (; i < length; i++) {
    if (text[i] & 0x80) return false;
  }
  return true;
}

bool IsUtf8(const char *text, size_t length) {
  const auto *at = reinterpret_cast<const unsigned char*>(text);
  const auto *end = at + length;
  while (at < end) {
    unsigned char lead = *at++;
    if (lead < 0x80) continue;
    int more = lead >= 0xC2 && lead < 0xE0 ? 1 : (lead & 0xF0) == 0xE0 ? 2 : lead >= 0xF0 && lead < 0xF5 ? 3 : 0;
    if (more == 0 || end - at < more) return false;
    // Of the second byte's range these four leads allow only a part: no overlong forms, surrogates, or > U+10FFFF.
    if ((lead == 0xE0 && *at < 0xA0) || (lead == 0xED && *at > 0x9F) || (lead == 0xF0 && *at < 0x90) ||
        (lead == 0xF4 && *at > 0x8F)) {
      return false;
    }
    for (; more > 0; more--) {
      if ((*at++ & 0xC0) != 0x80) return false;
    }
  }
  return true;
}

haft_value Owned(const char *text, size_t length) {
  char *copy = static_cast<char*>(std::malloc(length + 1));
  std::memcpy(copy, text, length);
  copy[length] = 0;
  return haft_value_str(copy, length);
}

haft_value StringOf(napi_env env, napi_value value) {
  char near[256];
  size_t length = 0;
  napi_get_value_string_utf8(env, value, near, sizeof near, &length);
  if (length < sizeof near - 4) return Owned(near, length);  // a whole character less may mean that it was cut
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  char *text = static_cast<char*>(std::malloc(length + 1));
  napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return haft_value_str(text, length);
}

}  // namespace

haft_status CheckValues(const haft_value *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const haft_value &value = values[i];
    if (value.type == HAFT_BYTES || value.type > HAFT_BYTES) return HAFT_E_ARGUMENT;
    if (value.type != HAFT_STR) continue;
    if (value.length > HAFT_PAYLOAD_MAX) return HAFT_E_TOO_LARGE;
    if (!IsAscii(value.as.str, value.length) && !IsUtf8(value.as.str, value.length)) return HAFT_E_UTF8;
  }
  return HAFT_OK;
}

napi_status ToJavaScript(napi_env env, const haft_value &value, napi_value *result) {
  switch (value.type) {
    case HAFT_F64:
      return napi_create_double(env, value.as.f64, result);
    case HAFT_I32:
      return napi_create_int32(env, value.as.i32, result);
    case HAFT_U32:
      return napi_create_uint32(env, value.as.u32, result);
    case HAFT_BOOL:
      return napi_get_boolean(env, value.as.b, result);
    case HAFT_HANDLE:
      return napi_create_double(env, static_cast<double>(value.as.handle), result);
    case HAFT_STR:
      return IsAscii(value.as.str, value.length)
                 ? napi_create_string_latin1(env, value.as.str, value.length, result)  // the fastest way in
                 : napi_create_string_utf8(env, value.as.str, value.length, result);
    default:
      return napi_get_undefined(env, result);
  }
}

bool FromJavaScript(napi_env env, napi_value value, haft_type type, haft_value *result) {
  napi_valuetype is;
  double number;
  *result = haft_value_make(HAFT_VOID, 0);
  if (type == HAFT_VOID) return true;
  napi_typeof(env, value, &is);
  if (type == HAFT_STR && is == napi_string) {
    *result = StringOf(env, value);
    return true;
  }
  if ((type == HAFT_F64 || type == HAFT_HANDLE) && is == napi_number) {
    napi_get_value_double(env, value, &number);
    *result = type == HAFT_F64 ? haft_value_f64(number) : haft_value_handle(static_cast<haft_handle>(number));
    return true;
  }
  *result = Reason(haft_status_message(HAFT_E_RESULT));
  return false;
}

haft_value Reason(const char *text) { return Owned(text, std::strlen(text)); }

haft_value ReasonOfException(napi_env env) {
  napi_value exception, text;
  if (napi_get_and_clear_last_exception(env, &exception) != napi_ok) return Reason("the handler failed");
  if (napi_coerce_to_string(env, exception, &text) != napi_ok) {
    napi_get_and_clear_last_exception(env, &exception);
    return Reason("the handler threw what cannot be told");
  }
  return StringOf(env, text);
}

}  // namespace baselines
