// The addon: what src/binding.ts sees of the core. Constants, kinds, the table of functions, and the way to open a
// realm, run a host or load a plugin.
#include <napi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attached.h"
#include "core/api.h"
#include "core/checks.h"
#include "core/error.h"
#include "core/kinds.h"
#include "core/layout.h"
#include "core/process.h"
#include "core/realm.h"
#include "core/trace.h"
#include "core/trampolines.h"
#include "edge.h"
#include "host.h"
#include "inspection.h"
#include "plugin.h"
#include "selftest.h"
#include "tracing.h"

namespace haft {
namespace {

constexpr int64_t kExitMilliseconds = 1000;
constexpr napi_type_tag kApiTag = {0x68616674, 0x61706900};

Napi::Object layout(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
#define HAFT_LAYOUT_SET(name, value) object.Set(#name, Napi::Number::New(env, (double)(value)));
  HAFT_LAYOUT_MAP(HAFT_LAYOUT_SET)
#undef HAFT_LAYOUT_SET
  return object;
}

// [name, number, message, next step] of each.
Napi::Array statuses(Napi::Env env) {
  Napi::Array list = Napi::Array::New(env);
#define HAFT_STATUS_PUSH(name, number, message, next)            \
  {                                                              \
    Napi::Array entry = Napi::Array::New(env, 4);                \
    entry.Set(0u, Napi::String::New(env, "HAFT_" #name));        \
    entry.Set(1u, Napi::Number::New(env, number));               \
    entry.Set(2u, Napi::String::New(env, message));              \
    entry.Set(3u, Napi::String::New(env, next));                 \
    list.Set(list.Length(), entry);                              \
  }
  HAFT_STATUS_MAP(HAFT_STATUS_PUSH)
#undef HAFT_STATUS_PUSH
  return list;
}

// The table for C, for the addons of others: an external whose data is `const haft_api *`.
Napi::Value api(Napi::Env env) {
  napi_value external;
  if (napi_create_external(env, const_cast<haft_api *>(api_table()), nullptr, nullptr, &external) != napi_ok ||
      napi_type_tag_object(env, external, &kApiTag) != napi_ok)
    return env.Undefined();
  return Napi::Value(env, external);
}

// The same as an integer, for what takes pointers so.
Napi::Value api_address(const Napi::CallbackInfo &info) {
  return Napi::BigInt::New(info.Env(), (uint64_t)(uintptr_t)api_table());
}

Napi::Value destroy_notify_address(const Napi::CallbackInfo &info) {
  return Napi::BigInt::New(info.Env(), (uint64_t)(uintptr_t)destroy_notify);
}

// [number, name of the status, rule] of each.
Napi::Array rules(Napi::Env env) {
  Napi::Array list = Napi::Array::New(env);
#define HAFT_RULE_PUSH(number, status, rule)                      \
  {                                                               \
    Napi::Array entry = Napi::Array::New(env, 3);                 \
    entry.Set(0u, Napi::Number::New(env, number));                \
    entry.Set(1u, Napi::String::New(env, "HAFT_" #status));       \
    entry.Set(2u, Napi::String::New(env, rule));                  \
    list.Set(list.Length(), entry);                               \
  }
  HAFT_RULE_MAP(HAFT_RULE_PUSH)
#undef HAFT_RULE_PUSH
  return list;
}

// (name, fingerprint, names of the ops each ended by NUL, their signatures the same): the kind's number, or a negative status.
Napi::Value define_kind(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string name = info[0].As<Napi::String>();
  bool lossless;
  const uint64_t fingerprint = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  const std::string ops = info[2].As<Napi::String>();
  const std::string signatures = info[3].As<Napi::String>();
  haft_kind kind = 0;
  const haft_status status = kind_define(name.data(), name.size(), fingerprint, ops.data(), ops.size(), &kind,
                                         signatures.data(), signatures.size());
  return Napi::Number::New(env, status == HAFT_OK ? (double)kind : status);
}

void close_all() { realms_close_all(kExitMilliseconds); }

// The process exits: P25, and process.exit() on the main thread runs no cleanup hook. An exit() of another thread, or of
// a forked child, must not go on to Node's own destructors: its threads would run over them.
void at_exit(int status, void *) {
  close_all();
  trace_flush();
  if (!forked.load(std::memory_order_relaxed) && gettid() == getpid()) return;
  fflush(nullptr);
  _exit(status);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  static const int registered = on_exit(at_exit, nullptr);
  (void)registered;
  exports.Set("layout", layout(env));
  exports.Set("statuses", statuses(env));
  exports.Set("rules", rules(env));
  exports.Set("checks", Napi::String::New(env, check_text()));
  exports.Set("checkLevel", Napi::Number::New(env, check_level()));
  exports.Set("api", api(env));
  exports.Set("apiAddress", Napi::Function::New(env, api_address, "apiAddress"));
  exports.Set("destroyNotify", Napi::Function::New(env, destroy_notify_address, "destroyNotify"));
  exports.Set("defineKind", Napi::Function::New(env, define_kind, "defineKind"));
  exports.Set("open", Napi::Function::New(env, edge_open, "open"));
  exports.Set("labels", Napi::Function::New(env, all_labels, "labels"));
  exports.Set("resultsOut", Napi::Function::New(env, results_out_now, "resultsOut"));
  exports.Set("noteLeaks", Napi::Function::New(env, note_leaks, "noteLeaks"));
  exports.Set("runHost", Napi::Function::New(env, host_run, "runHost"));
  exports.Set("pluginOpen", Napi::Function::New(env, plugin_open, "pluginOpen"));
  exports.Set("pluginInit", Napi::Function::New(env, plugin_init, "pluginInit"));
  exports.Set("exitAtSecondSignal", Napi::Function::New(env, exit_at_second_signal, "exitAtSecondSignal"));
  exports.Set("trace", tracing(env));
  exports.Set("selfTest", Napi::Function::New(env, self_test, "selfTest"));
  exports.Set("attach", Napi::Function::New(env, attach, "attach"));
  exports.Set("closeAll", Napi::Function::New(env, [](const Napi::CallbackInfo &) { close_all(); }, "closeAll"));
  return exports;
}

}  // namespace
}  // namespace haft

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return haft::init(env, exports); }
NODE_API_MODULE(haft, Init)
