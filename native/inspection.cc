// What JavaScript asks about the whole process, to show it to a person: labels of references, results that are out, and
// how many handles leaked in all its threads.
#include "inspection.h"

#include <atomic>

#include "core/labels.h"
#include "core/results.h"

namespace haft {
namespace {

std::atomic<uint32_t> leaks{0};

}  // namespace

Napi::Value all_labels(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const Labelled &labelled : labels_all()) {
    list.Set(list.Length(), Napi::Number::New(env, (double)labelled.handle));
    list.Set(list.Length(), Napi::String::New(env, labelled.label));
    list.Set(list.Length(), Napi::Number::New(env, labelled.count));
  }
  return list;
}

Napi::Value results_out_now(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), (double)results_out());
}

Napi::Value note_leaks(const Napi::CallbackInfo &info) {
  const uint32_t more = info[0].As<Napi::Number>().Uint32Value();
  return Napi::Number::New(info.Env(), leaks.fetch_add(more, std::memory_order_relaxed) + more);
}

}  // namespace haft
