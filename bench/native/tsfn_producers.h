// Messages through a Node-API thread-safe function, as one would write them well: the peer of the benches `post` and
// `loop`.
#pragma once

#include <memory>

#include "js.h"

namespace bench {

// What one message of the thread-safe function carries.
struct Message {
  uint32_t object;
  double x;
  struct Window *window;
};

// The messages that one producer has in flight: bounded, as haft's mailbox is, and used again, since new and
// delete a message cost more. Node's own bound (its queue full, try again) takes three times as long, because every
// try takes the lock that JavaScript needs; counting on this side does not touch it. A queue without any bound is
// a tenth faster while memory lasts.
struct Window {
  static constexpr int kSize = 8192;
  std::vector<Message> slots = std::vector<Message>(kSize);
  alignas(128) std::atomic<int> delivered{0};

  Message *slot(int number) {
    if (number - delivered.load(std::memory_order_acquire) >= kSize)
      while (number - delivered.load(std::memory_order_acquire) >= kSize / 2)
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    return &slots[number % kSize];
  }
};

class TsfnProducers {
 public:
  // `dispatch` is (object, x) => objects[object].add(x): JavaScript looks its own array up faster than C++ could get
  // object and method out of references.
  void open(napi_env env, napi_value dispatch, int objects, int producers) {
    napi_value name;
    must(napi_create_string_utf8(env, "bench", NAPI_AUTO_LENGTH, &name));
    must(napi_create_threadsafe_function(env, dispatch, nullptr, name, 0, static_cast<size_t>(producers), nullptr,
                                         nullptr, nullptr, deliver, &to_javascript_));
    numbers_.resize(objects);
    for (int i = 0; i < objects; i++) numbers_[i] = static_cast<uint32_t>(i);
    windows_.clear();
    for (int i = 0; i < producers; i++) windows_.push_back(std::make_unique<Window>());
  }

  // One producer, on its thread: sends while `more(messages sent)`; returns how many it has sent.
  template <typename More>
  int produce(int thread, More more) {
    std::vector<uint32_t> mine = shuffled(numbers_, thread);
    Window *window = windows_[thread].get();
    size_t next = 0;
    int sent = 0;
    for (; more(sent); sent++) {
      Message *message = window->slot(sent);
      *message = {mine[next], 1, window};
      if (++next == mine.size()) next = 0;
      must(napi_call_threadsafe_function(to_javascript_, message, napi_tsfn_nonblocking));
    }
    napi_release_threadsafe_function(to_javascript_, napi_tsfn_release);
    return sent;
  }

 private:
  static void deliver(napi_env env, napi_value dispatch, void *, void *data) {
    if (!env) return;
    auto *message = static_cast<Message *>(data);
    napi_value undefined, arguments[2];
    napi_get_undefined(env, &undefined);
    napi_create_uint32(env, message->object, &arguments[0]);
    napi_create_double(env, message->x, &arguments[1]);
    auto &delivered = message->window->delivered;
    delivered.store(delivered.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    napi_call_function(env, undefined, dispatch, 2, arguments, nullptr);
  }

  std::vector<std::unique_ptr<Window>> windows_;
  std::vector<uint32_t> numbers_;
  napi_threadsafe_function to_javascript_;
};

}  // namespace bench
