// See tracing.h.
#include "tracing.h"

#include <string>

#include "core/trace.h"

namespace haft {
namespace {

// (name): the number of the calling thread, which has that name from now on.
Napi::Value name_thread(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), trace_thread(info[0].As<Napi::String>().Utf8Value()));
}

Napi::Value write_lines(const Napi::CallbackInfo &info) {
  const std::string lines = info[0].As<Napi::String>().Utf8Value();
  trace_write(lines.data(), lines.size());
  return info.Env().Undefined();
}

}  // namespace

Napi::Value tracing(Napi::Env env) {
  const std::string &problem = trace_problem();
  if (!trace_on() && problem.empty()) return env.Undefined();
  Napi::Object trace = Napi::Object::New(env);
  trace.Set("problem", problem.empty() ? env.Undefined() : Napi::Value(Napi::String::New(env, problem)));
  trace.Set("thread", Napi::Function::New(env, name_thread, "thread"));
  trace.Set("write", Napi::Function::New(env, write_lines, "write"));
  return trace;
}

}  // namespace haft
