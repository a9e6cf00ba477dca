// What JavaScript asks about how long things live: weak handles whose object was collected, memory that C may keep, and
// the labels of references. None of it is frequent. As in functions.cc, handles and statuses stand in Realm::exchange.
#include <cstring>

#include "core/checks.h"
#include "core/history.h"
#include "core/labels.h"
#include "core/pins.h"
#include "core/slots.h"
#include "edge.h"

namespace haft {
namespace {

constexpr size_t kLabelRoom = 72;  // to see that a label is too long

// The object of a weak handle was collected.
napi_value collect(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  edge->realm->exchange[kExchangeStatus] = slot_collect(exchanged_handle(edge), edge->id);
  return nullptr;
}

// (a Uint8Array that begins where the memory does, its bytes): the address. A number of its own, since a view of all the
// bytes may be larger than Node allows.
napi_value pin(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], address = nullptr;
  void *data = nullptr;
  double bytes = 0;
  Edge *edge = edge_of(env, info, &argc, argv);
  if (napi_get_typedarray_info(env, argv[0], nullptr, nullptr, &data, nullptr, nullptr) != napi_ok ||
      napi_get_value_double(env, argv[1], &bytes) != napi_ok)
    return nullptr;
  pin_add(exchanged_handle(edge), data, (uint64_t)bytes);
  napi_create_bigint_uint64(env, (uint64_t)(uintptr_t)data, &address);
  return address;
}

napi_value unpin(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  pin_remove(exchanged_handle(edge));
  return nullptr;
}

// (label, the JavaScript stack at level 2)
napi_value with_label(napi_env env, napi_callback_info info, int change) {
  size_t argc = 2;
  napi_value argv[2];
  char label[kLabelRoom] = "";
  Edge *edge = edge_of(env, info, &argc, argv);
  napi_get_value_string_utf8(env, argv[0], label, sizeof label, nullptr);
  const haft_handle handle = exchanged_handle(edge);
  const auto act = [&] { return change > 0 ? retain_as(handle, label) : release_as(handle, label); };
  haft_status &status = edge->realm->exchange[kExchangeStatus];
  if (check_level() == 2) {
    Deed deed = script_deed(change > 0 ? "retainAs" : "releaseAs", Napi::Value(env, argv[1]).As<Napi::String>());
    status = history_change(handle, Side::kScript, change, std::move(deed), act);
  } else {
    status = act();
  }
  return nullptr;
}

napi_value retain_labelled(napi_env env, napi_callback_info info) { return with_label(env, info, 1); }
napi_value release_labelled(napi_env env, napi_callback_info info) { return with_label(env, info, -1); }

napi_value sweep_labels(napi_env, napi_callback_info) {
  labels_sweep();
  return nullptr;
}

constexpr Function kFunctions[] = {
    {"collect", collect},
    {"pin", pin},
    {"unpin", unpin},
    {"retainAs", retain_labelled},
    {"releaseAs", release_labelled},
    {"sweepLabels", sweep_labels},
};

}  // namespace

void add_lifetimes(Napi::Env env, Napi::Object realm, Edge *edge) {
  for (const Function &function : kFunctions) add(env, realm, edge, function);
}

}  // namespace haft
