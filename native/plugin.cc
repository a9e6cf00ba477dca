// See plugin.h.
#include "plugin.h"

#include <dlfcn.h>

#include <string>

#include "core/api.h"
#include "core/error.h"

namespace haft {
namespace {

using PluginInit = haft_status (*)(const haft_api *, haft_realm);

// dlsym looks into the libraries that a library was linked to as well: their version is not the plugin's.
bool same_library(const void *a, const void *b) {
  Dl_info of_a, of_b;
  return dladdr(a, &of_a) != 0 && dladdr(b, &of_b) != 0 && of_a.dli_fbase == of_b.dli_fbase;
}

std::string last_text(haft_status status) {
  const haft_error *last = last_error();
  if (last->status != status) return {};
  return status == HAFT_E_EXCEPTION ? std::string(last->name) + ": " + last->message : last->message;
}

}  // namespace

Napi::Value plugin_open(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>();
  // Never closed: its threads may outlive every registry.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return Napi::String::New(env, dlerror());
  const void *init = dlsym(library, "haft_plugin_init");
  if (!init) return Napi::String::New(env, "it does not export haft_plugin_init");
  const void *version = dlsym(library, "haft_plugin_version");
  Napi::Object plugin = Napi::Object::New(env);
  plugin.Set("init", Napi::BigInt::New(env, (uint64_t)(uintptr_t)init));
  if (version && same_library(version, init))
    plugin.Set("version", Napi::Number::New(env, *static_cast<const uint32_t *>(version)));
  return plugin;
}

Napi::Value plugin_init(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  bool lossless;
  const auto init = reinterpret_cast<PluginInit>((uintptr_t)info[0].As<Napi::BigInt>().Uint64Value(&lossless));
  const haft_realm realm = (haft_realm)info[1].As<Napi::Number>().DoubleValue();
  fail(HAFT_OK);  // what failed on this thread before is not the plugin's
  const haft_status status = init(api_table(), realm);
  // JavaScript may be being terminated by now: then this sets nothing, and nobody reads it.
  Napi::Array answer = Napi::Array::New(env, 2);
  answer.Set(0u, Napi::Number::New(env, status));
  answer.Set(1u, Napi::String::New(env, last_text(status)));
  return answer;
}

}  // namespace haft
