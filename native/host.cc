// See host.h.
#include "host.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "core/api.h"

namespace haft {
namespace {

using HostMain = int (*)(const haft_api *, haft_realm, int, char **);

// One run. The thread may end after the environment: the mutex and the flag decide whether anybody can be told.
struct Run {
  HostMain main;
  haft_realm realm;
  std::vector<std::string> arguments;
  std::mutex mutex;
  bool environment_gone = false;
  napi_threadsafe_function done;
  int exit_code = 0;
};

void end_of_environment(void *data) {
  Run *run = static_cast<Run *>(data);
  const std::lock_guard<std::mutex> lock(run->mutex);
  run->environment_gone = true;
}

void *thread_main(void *data) {
  Run *run = static_cast<Run *>(data);
  std::vector<char *> argv;
  for (std::string &argument : run->arguments) argv.push_back(&argument[0]);
  argv.push_back(nullptr);
  run->exit_code = run->main(api_table(), run->realm, (int)argv.size() - 1, argv.data());
  const std::lock_guard<std::mutex> lock(run->mutex);
  if (!run->environment_gone) napi_call_threadsafe_function(run->done, run, napi_tsfn_nonblocking);
  return nullptr;
}

void tell(napi_env env, napi_value function, void *, void *data) {
  Run *run = static_cast<Run *>(data);
  if (!env || !function) return;
  napi_value code, receiver;
  napi_create_int32(env, run->exit_code, &code);
  napi_get_undefined(env, &receiver);
  napi_remove_env_cleanup_hook(env, end_of_environment, run);
  napi_release_threadsafe_function(run->done, napi_tsfn_release);
  { const std::lock_guard<std::mutex> lock(run->mutex); }  // the thread has let go
  delete run;
  napi_call_function(env, receiver, function, 1, &code, nullptr);
}

struct sigaction before[NSIG];
std::atomic<int> signals_seen{0};

void at_signal(int number, siginfo_t *info, void *context) {
  if (signals_seen.fetch_add(1) > 0) _exit(128 + number);
  if (before[number].sa_flags & SA_SIGINFO)
    before[number].sa_sigaction(number, info, context);
  else if (before[number].sa_handler != SIG_DFL && before[number].sa_handler != SIG_IGN)
    before[number].sa_handler(number);
}

}  // namespace

void exit_at_second_signal(const Napi::CallbackInfo &) {
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction action = {};
    action.sa_sigaction = at_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigfillset(&action.sa_mask);
    sigaction(number, &action, &before[number]);
  }
}

Napi::Value host_run(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>();
  // Never closed: threads of the library may outlive everything we know of.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return Napi::String::New(env, dlerror());
  const HostMain host_main = reinterpret_cast<HostMain>(dlsym(library, "haft_host_main"));
  if (!host_main) return Napi::String::New(env, "it does not export haft_host_main");

  Run *run = new Run;
  run->main = host_main;
  run->realm = (haft_realm)info[1].As<Napi::Number>().DoubleValue();
  run->arguments.push_back(path);
  const Napi::Array arguments = info[2].As<Napi::Array>();
  for (uint32_t i = 0; i < arguments.Length(); i++)
    run->arguments.push_back(arguments.Get(i).As<Napi::String>().Utf8Value());
  napi_value name = Napi::String::New(env, "haft host");
  if (napi_create_threadsafe_function(env, info[3], nullptr, name, 0, 1, nullptr, nullptr, nullptr, tell, &run->done) !=
      napi_ok) {
    delete run;
    return Napi::String::New(env, "Node refused a thread-safe function");
  }
  napi_add_env_cleanup_hook(env, end_of_environment, run);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, thread_main, run) != 0) {
    napi_remove_env_cleanup_hook(env, end_of_environment, run);
    napi_release_threadsafe_function(run->done, napi_tsfn_abort);
    return Napi::String::New(env, "the operating system refused a thread");
  }
  pthread_detach(thread);
  return env.Undefined();
}

}  // namespace haft
