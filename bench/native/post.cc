// Bench `post`: threads send messages to JavaScript objects and do not wait. The producers of haft and of its
// peer, a Node-API thread-safe function. Both return at once: JavaScript receives in its event loop.

#include <memory>

#include "js.h"

namespace bench {
namespace {

Crew crew;

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

std::vector<std::unique_ptr<Window>> windows;
napi_threadsafe_function to_javascript;

// `dispatch` is (object, x) => objects[object].add(x): JavaScript looks its own array up faster than C++ could get
// object and method out of references.
void deliver(napi_env env, napi_value dispatch, void *, void *data) {
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

}  // namespace

// (handles, op, producers, messages of each)
napi_value post_haft(const Args &args) {
  std::vector<uint64_t> handles = args.handles(0);
  haft_op op = static_cast<haft_op>(args.number(1));
  int producers = args.integer(2), each = args.integer(3);
  crew.start(producers, [=](int thread) {
    std::vector<uint64_t> mine = shuffled(handles, thread);
    haft_value one = haft_value_f64(1);
    size_t next = 0;
    for (int i = 0; i < each; i++) {
      must(haft_post(mine[next], op, &one, 1, HAFT_BLOCK(-1)), "haft_post");
      if (++next == mine.size()) next = 0;
    }
  });
  return nullptr;
}

// (dispatch, objects, producers, messages of each)
napi_value post_tsfn(const Args &args) {
  int objects = args.integer(1), producers = args.integer(2), each = args.integer(3);
  napi_value name;
  must(napi_create_string_utf8(args.env, "bench", NAPI_AUTO_LENGTH, &name));
  must(napi_create_threadsafe_function(args.env, args.value(0), nullptr, name, 0, static_cast<size_t>(producers),
                                       nullptr, nullptr, nullptr, deliver, &to_javascript));
  std::vector<uint32_t> numbers(objects);
  for (int i = 0; i < objects; i++) numbers[i] = static_cast<uint32_t>(i);
  windows.clear();
  for (int i = 0; i < producers; i++) windows.push_back(std::make_unique<Window>());

  crew.start(producers, [=](int thread) {
    std::vector<uint32_t> mine = shuffled(numbers, thread);
    Window *window = windows[thread].get();
    size_t next = 0;
    for (int i = 0; i < each; i++) {
      Message *message = window->slot(i);
      *message = {mine[next], 1, window};
      if (++next == mine.size()) next = 0;
      must(napi_call_threadsafe_function(to_javascript, message, napi_tsfn_nonblocking));
    }
    napi_release_threadsafe_function(to_javascript, napi_tsfn_release);
  });
  return nullptr;
}

// After the last delivery: when the producers began.
napi_value post_join(const Args &args) {
  return to_js(args.env, crew.join());
}

}  // namespace bench
