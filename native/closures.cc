// What JavaScript asks of the trampolines: a pointer for a signature, and to hear of misuse.
#include "core/realm.h"
#include "core/trampolines.h"
#include "edge.h"

namespace haft {
namespace {

// (types, returns, position of the user data, mode, op, function that finds the user data or 0n, milliseconds,
// result on error, result of a post): the pointer, or a status.
napi_value take_trampoline(napi_env env, napi_callback_info info) {
  size_t argc = 9, length = 0;
  napi_value argv[9], out = nullptr;
  void *types = nullptr, *pointer = nullptr;
  uint32_t returns = 0, user_data = 0, mode = 0;
  uint64_t from = 0;
  bool lossless;
  TrampolineSpec spec = {};
  Edge *edge = edge_of(env, info, &argc, argv);
  haft_status status = HAFT_E_ARGUMENT;
  if (napi_get_typedarray_info(env, argv[0], nullptr, &length, &types, nullptr, nullptr) == napi_ok &&
      length <= HAFT_ARGS_MAX && napi_get_value_uint32(env, argv[1], &returns) == napi_ok &&
      napi_get_value_uint32(env, argv[2], &user_data) == napi_ok && user_data < length &&
      napi_get_value_uint32(env, argv[3], &mode) == napi_ok && napi_get_value_uint32(env, argv[4], &spec.op) == napi_ok &&
      napi_get_value_bigint_uint64(env, argv[5], &from, &lossless) == napi_ok &&
      napi_get_value_int64(env, argv[6], &spec.timeout_ms) == napi_ok &&
      napi_get_value_bigint_uint64(env, argv[7], &spec.on_error, &lossless) == napi_ok &&
      napi_get_value_bigint_uint64(env, argv[8], &spec.on_posted, &lossless) == napi_ok) {
    for (size_t i = 0; i < length; i++) spec.types[i] = static_cast<unsigned char *>(types)[i];
    spec.count = (uint8_t)length;
    spec.returns = (uint8_t)returns;
    spec.user_data = (uint8_t)user_data;
    spec.mode = (uint8_t)mode;
    spec.user_data_from = reinterpret_cast<UserDataFrom>((uintptr_t)from);
    status = trampoline_take(spec, edge->number, &pointer);
  }
  if (status == HAFT_OK)
    napi_create_bigint_uint64(env, (uint64_t)(uintptr_t)pointer, &out);
  else
    napi_create_int32(env, status, &out);
  return out;
}

// (handle, op)
napi_value report_to(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  double handle = 0;
  uint32_t op = 0;
  Edge *edge = edge_of(env, info, &argc, argv);
  if (napi_get_value_double(env, argv[0], &handle) == napi_ok && napi_get_value_uint32(env, argv[1], &op) == napi_ok)
    trampolines_report_to(edge->number, (haft_handle)handle, op);
  return nullptr;
}

constexpr Function kFunctions[] = {
    {"trampoline", take_trampoline},
    {"reportMisuse", report_to},
};

}  // namespace

void add_trampolines(Napi::Env env, Napi::Object realm, Edge *edge) {
  for (const Function &function : kFunctions) add(env, realm, edge, function);
}

}  // namespace haft
