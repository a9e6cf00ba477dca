// See selftest.h. It goes by the table that plugins receive, as they do.
#include "selftest.h"

#include <pthread.h>

#include <mutex>

#include "core/api.h"
#include "core/wait.h"

namespace haft {
namespace {

constexpr int64_t kTimeoutMilliseconds = 5000;
constexpr uint64_t kClockEvery = 64;
constexpr haft_handle kNoHandle = 42;  // never issued: handles begin at 2^52

// What a thread counted of posts, or of calls.
struct Figures {
  double count = 0;
  double seconds = 0;
  haft_status status = HAFT_OK;  // the first that was not HAFT_OK: the end
};

// One run. The thread may end after the environment: the mutex and the flag decide whether anybody can be told.
struct Test {
  haft_handle handle, ended;
  haft_op to_post, to_call;
  int64_t milliseconds;
  Figures posts, calls;
  haft_status forged, stale;
  std::mutex mutex;
  bool environment_gone = false;
  napi_threadsafe_function done;
};

void end_of_environment(void *data) {
  Test *test = static_cast<Test *>(data);
  const std::lock_guard<std::mutex> lock(test->mutex);
  test->environment_gone = true;
}

template <class Send>
Figures repeat(int64_t milliseconds, Send send) {
  Figures figures;
  const int64_t began = now_nanoseconds(), end = began + milliseconds * 1000 * 1000;
  int64_t now = began;
  for (uint64_t i = 1; now < end; i++) {
    figures.status = send();
    if (figures.status == HAFT_OK) figures.count++;
    if (i % kClockEvery == 0 || figures.status != HAFT_OK) now = now_nanoseconds();
    if (figures.status != HAFT_OK) break;
  }
  figures.seconds = (double)(now - began) / 1e9;
  return figures;
}

void *thread_main(void *data) {
  Test *test = static_cast<Test *>(data);
  const haft_api *api = api_table();
  const haft_value one = haft_value_f64(1);
  test->posts = repeat(test->milliseconds, [&] {
    return api->post(test->handle, test->to_post, &one, 1, HAFT_BLOCK(kTimeoutMilliseconds));
  });
  double total = 0;  // calls answer with the sum: so many posts and calls have arrived
  test->calls = repeat(test->milliseconds, [&] {
    haft_value result;
    const haft_status status = api->call(test->handle, test->to_call, &one, 1, kTimeoutMilliseconds, &result);
    if (status != HAFT_OK) return status;
    if (total == 0) total = test->posts.count;
    total++;
    return result.type == HAFT_F64 && result.as.f64 == total ? HAFT_OK : (haft_status)HAFT_E_RESULT;
  });
  test->forged = api->check(kNoHandle, 0);
  test->stale = api->check(test->ended, 0);
  const std::lock_guard<std::mutex> lock(test->mutex);
  if (!test->environment_gone) napi_call_threadsafe_function(test->done, test, napi_tsfn_nonblocking);
  return nullptr;
}

void tell(napi_env env, napi_value function, void *, void *data) {
  Test *test = static_cast<Test *>(data);
  if (!env || !function) return;
  napi_remove_env_cleanup_hook(env, end_of_environment, test);
  napi_release_threadsafe_function(test->done, napi_tsfn_release);
  { const std::lock_guard<std::mutex> lock(test->mutex); }  // the thread has let go
  const double numbers[] = {test->posts.count,   test->posts.seconds,   (double)test->posts.status,
                            test->calls.count,   test->calls.seconds,   (double)test->calls.status,
                            (double)test->forged, (double)test->stale};
  delete test;
  napi_value list, number, receiver;
  napi_create_array(env, &list);
  for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    napi_create_double(env, numbers[i], &number);
    napi_set_element(env, list, i, number);
  }
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, function, 1, &list, nullptr);
}

}  // namespace

Napi::Value self_test(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  Test *test = new Test;
  test->handle = (haft_handle)info[0].As<Napi::Number>().DoubleValue();
  test->to_post = info[1].As<Napi::Number>().Uint32Value();
  test->to_call = info[2].As<Napi::Number>().Uint32Value();
  test->ended = (haft_handle)info[3].As<Napi::Number>().DoubleValue();
  test->milliseconds = info[4].As<Napi::Number>().Int64Value();
  napi_value name = Napi::String::New(env, "haft self-test");
  if (napi_create_threadsafe_function(env, info[5], nullptr, name, 0, 1, nullptr, nullptr, nullptr, tell,
                                      &test->done) != napi_ok) {
    delete test;
    return Napi::String::New(env, "Node refused a thread-safe function");
  }
  napi_add_env_cleanup_hook(env, end_of_environment, test);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, thread_main, test) != 0) {
    napi_remove_env_cleanup_hook(env, end_of_environment, test);
    napi_release_threadsafe_function(test->done, napi_tsfn_abort);
    delete test;  // nobody else knows of it
    return Napi::String::New(env, "the operating system refused a thread");
  }
  pthread_detach(thread);
  return env.Undefined();
}

}  // namespace haft
