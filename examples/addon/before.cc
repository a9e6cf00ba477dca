// A scanner of texts on threads of its own, over node-addon-api. Each line goes to the visitor, an object of
// JavaScript's; of each heading JavaScript is asked whether to keep it, and the thread waits for the answer.
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lines.h"

namespace {

constexpr size_t kBacklog = 1024;  // messages that JavaScript may be behind
std::atomic<int> threads_running{0};

struct Answer {
  bool keep = false;
  std::string problem;
};

class Scan {
 public:
  static void Start(const Napi::CallbackInfo &info) {
    const uint32_t threads = info[1].As<Napi::Number>();
    Scan *scan = new Scan;
    scan->text_ = info[0].As<Napi::String>();
    scan->visitor_ = Napi::Persistent(info[2].As<Napi::Object>());
    // Its own limit (the 0: none) does not serve for several threads: when the environment ends, Node may wake only one
    // of those that wait in BlockingCall. So the messages are counted here.
    const auto finish = [](Napi::Env, Scan *at_end) { at_end->Finish(); };
    scan->queue_ = Napi::ThreadSafeFunction::New(info.Env(), info[3].As<Napi::Function>(), "scan", 0, threads, finish,
                                                 scan);
    for (size_t i = 0; i < threads; i++) {
      threads_running++;
      scan->threads_.emplace_back([=] { scan->Work(share_of(scan->text_, i, threads)); });
    }
  }

 private:
  // On a thread of its own.
  void Work(std::string_view rest) {
    uint32_t kept = 0;
    std::string problem;
    bool open = true;
    while (open && !rest.empty()) {
      const std::string line(next_line(rest));
      open = Send([=](Napi::Env env, Napi::Function) { Visit(env, "line", {Napi::String::New(env, line)}); });
      if (!open || !is_heading(line)) continue;
      const std::optional<Answer> answer = Ask(line);
      open = answer.has_value();
      if (!open) continue;
      kept += answer->keep;
      if (problem.empty()) problem = answer->problem;
    }
    if (open)
      open = Send([=](Napi::Env env, Napi::Function) {
        Visit(env, "end", {Napi::Number::New(env, kept), Napi::String::New(env, problem)});
      });
    threads_running--;
    // Not after napi_closing, which has counted this thread out already.
    if (open) queue_.Release();
  }

  // To JavaScript's thread, with what it shall do there. Waits while that is behind; false: it has ended.
  template <class Task>
  bool Send(Task task) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || backlog_ < kBacklog; });
      if (closing_) return false;
      backlog_++;
    }
    return queue_.NonBlockingCall([this, task](Napi::Env env, Napi::Function keep) {
      task(env, keep);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--backlog_ == kBacklog / 2) changed_.notify_all();  // at half: not a wake-up for each message
    }) == napi_ok;
  }

  // A thread-safe function brings nothing back: the answer is left where the thread waits for it. None: JavaScript has
  // ended.
  std::optional<Answer> Ask(const std::string &line) {
    const auto answer = std::make_shared<std::optional<Answer>>();
    const bool sent = Send([=](Napi::Env env, Napi::Function keep) {
      const Napi::Value value = keep.Call({Napi::String::New(env, line)});
      Answer given;
      if (env.IsExceptionPending()) {
        const Napi::Value thrown = env.GetAndClearPendingException().Value();
        const Napi::Value text = thrown.IsEmpty() ? thrown : thrown.ToString();
        if (!text.IsEmpty()) given.problem = text.As<Napi::String>();
      } else if (!value.IsEmpty()) {
        given.keep = value.ToBoolean();
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      *answer = given;
      changed_.notify_all();
    });
    if (!sent) return {};
    std::unique_lock<std::mutex> lock(mutex_);
    // Messages that are in the queue at the end are never run: only `closing_` wakes who waits for them.
    changed_.wait(lock, [&] { return closing_ || answer->has_value(); });
    return *answer;
  }

  // On JavaScript's thread. While that is being terminated all values are empty, and to use one ends the process.
  void Visit(Napi::Env env, const char *name, std::initializer_list<napi_value> arguments) {
    const Napi::Object visitor = visitor_.Value();
    if (visitor.IsEmpty()) return;
    const Napi::Value method = visitor.Get(name);
    if (method.IsEmpty()) return;
    method.As<Napi::Function>().Call(visitor, arguments);
    // What is left pending here would end the process too.
    if (!env.IsExceptionPending()) return;
    const Napi::Value error = env.GetAndClearPendingException().Value();
    const Napi::Value failed = visitor.Get("failed");
    if (!error.IsEmpty() && !failed.IsEmpty()) failed.As<Napi::Function>().Call(visitor, {error});
  }

  // On JavaScript's thread: every thread has released the queue, or the environment ends. Node frees the queue after
  // this, whether threads use it or not: they must be gone. The reference goes here too, as it may on no other thread.
  void Finish() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closing_ = true;
    }
    changed_.notify_all();
    for (std::thread &thread : threads_) thread.join();
    delete this;
  }

  std::string text_;
  Napi::ThreadSafeFunction queue_;  // of the function `keep`
  Napi::ObjectReference visitor_;   // for JavaScript's thread only
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t backlog_ = 0;
  bool closing_ = false;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("scan", Napi::Function::New(env, Scan::Start));
  exports.Set("running", Napi::Function::New(env, [](const Napi::CallbackInfo &info) {
                return Napi::Number::New(info.Env(), threads_running);
              }));
  return exports;
}

}  // namespace

NODE_API_MODULE(before, Init)
