// The same scanner over haft. Each line goes to the visitor, an object of JavaScript's; of each heading JavaScript is
// asked whether to keep it, and the thread waits for the answer.
#include <haft.hpp>
#include <napi.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "lines.h"

namespace {

std::atomic<int> threads_running{0};

// Goes with the last thread that uses it, on whichever thread that is.
struct Scan {
  std::string text;
  haft::ref visitor;
  haft::fn<bool(std::string_view)> keep;
  haft::method<void(std::string_view)> line{"Visitor", "line"};
  haft::method<void(uint32_t, std::string_view)> end{"Visitor", "end"};
};

// On a thread of its own. Once the realm is closed every post and call says so at once.
void work(const std::shared_ptr<const Scan> &scan, std::string_view rest) {
  uint32_t kept = 0;
  std::string problem;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (scan->line.post(scan->visitor, line, HAFT_BLOCK(-1)) == HAFT_E_CLOSED) break;
    if (!is_heading(line)) continue;
    const haft::result<bool> keep = scan->keep(line);
    if (keep) kept += keep.value();
    else if (problem.empty()) problem = keep.error();
  }
  (void)scan->end.post(scan->visitor, kept, problem, HAFT_BLOCK(-1));
  threads_running--;
}

void set_up(const Napi::CallbackInfo &info) {
  const napi_type_tag tag = {0x68616674, 0x61706900};
  const auto api = info[0].As<Napi::External<const haft_api>>();
  if (!info[0].IsExternal() || !api.CheckTypeTag(&tag) || HAFT_PLUGIN(api.Data()) != HAFT_OK)
    Napi::TypeError::New(info.Env(), "setUp takes registry.api").ThrowAsJavaScriptException();
}

// A handle is a number; with it comes a reference, which is ours now.
haft::ref take(const Napi::Value &handle) {
  return haft::ref::adopt((haft_handle)handle.As<Napi::Number>().DoubleValue());
}

void start(const Napi::CallbackInfo &info) {
  const uint32_t threads = info[1].As<Napi::Number>();
  const auto scan = std::make_shared<const Scan>(
      Scan{info[0].As<Napi::String>(), take(info[2]), haft::fn<bool(std::string_view)>(take(info[3]))});
  for (size_t i = 0; i < threads; i++) {
    threads_running++;
    std::thread([=] { work(scan, share_of(scan->text, i, threads)); }).detach();
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("setUp", Napi::Function::New(env, set_up));
  exports.Set("scan", Napi::Function::New(env, start));
  exports.Set("running", Napi::Function::New(env, [](const Napi::CallbackInfo &info) {
                return Napi::Number::New(info.Env(), threads_running);
              }));
  return exports;
}

}  // namespace

NODE_API_MODULE(after, init)
