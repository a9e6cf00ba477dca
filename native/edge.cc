// See edge.h.
#include "edge.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "attached.h"
#include "core/arena.h"
#include "core/calls.h"
#include "core/checks.h"
#include "core/history.h"
#include "core/realm.h"
#include "core/slots.h"
#include "core/trampolines.h"

namespace haft {
namespace {

constexpr int64_t kCloseMilliseconds = 1000;

void find_stack(Edge *edge) {
  pthread_attr_t attributes;
  void *low = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  edge->stack_low = (uintptr_t)low;
  edge->stack_high = edge->stack_low + size;
}

bool on_thread_stack(const Edge *edge) {
  const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  return here >= edge->stack_low && here < edge->stack_high;
}

// P27: the doorbell never blocks, and rings that come together are one. A handle of libuv's own: a thread-safe function
// serves up to 1,000 rings before the event loop has its turn, so a drain that comes back for the rest would starve it.
void ring(void *data) {
  // libuv before 1.53 wants a full fence before the call.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uv_async_send(&static_cast<Edge *>(data)->doorbell);
}

void answer(Edge *edge) {
  if (!edge->open) return;
  napi_env env = edge->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value function, receiver, error;
  if (napi_get_reference_value(env, edge->drain, &function) == napi_ok && napi_get_global(env, &receiver) == napi_ok &&
      napi_make_callback(env, edge->context, receiver, function, 0, nullptr, nullptr) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  napi_close_handle_scope(env, scope);
}

void answer_doorbell(uv_async_t *handle) { answer(static_cast<Edge *>(handle->data)); }

void answer_outer_doorbell(uv_poll_t *handle, int, int) {
  Edge *edge = static_cast<Edge *>(handle->data);
  char rings[256];
  const ssize_t count = recv(edge->outer_descriptor, rings, sizeof rings, MSG_DONTWAIT);
  if (count == 0) uv_poll_stop(&edge->outer_doorbell);  // the program is gone, and its end is told elsewhere (attached.cc)
  if (count > 0) answer(edge);
}

void refuse_stack(Reply &reply) {
  static const char kText[] =
      "HAFT_E_UNSUPPORTED\0C that is called through koffi runs on a stack of koffi's own: call "
      "registry.useKoffi(koffi) first\0";
  static_assert(sizeof kText <= kReplyInlineBytes, "the text fits");
  memcpy(reply.text, kText, sizeof kText);
  reply.length = sizeof kText;
  reply.in_heap = 0;
  reply.status = HAFT_E_UNSUPPORTED;
}

// C on the realm's own thread calls JavaScript: the message stands in Realm::direct, the answer in direct_reply.
void run_direct(void *data) {
  Edge *edge = static_cast<Edge *>(data);
  if (!on_thread_stack(edge)) {
    if (!edge->direct_from_koffi) {
      refuse_stack(edge->realm->direct_reply);
      return;
    }
    edge->realm->exchange[kExchangeCalled] = 1;
    edge->direct_from_koffi();
    edge->realm->exchange[kExchangeCalled] = 0;  // JavaScript has not come to it if an exception is on its way
    return;
  }
  napi_env env = edge->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value function, receiver;
  if (napi_get_reference_value(env, edge->direct, &function) == napi_ok &&
      napi_get_undefined(env, &receiver) == napi_ok)
    napi_call_function(env, receiver, function, 0, nullptr, nullptr);
  // The function catches what a handler throws. What comes out of it all the same (the stack is full) is an
  // exception to C too; no exception means that JavaScript is being terminated: CLOSED stays (P19).
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    edge->realm->direct_reply.status = HAFT_E_EXCEPTION;
  }
  napi_close_handle_scope(env, scope);
}

void doorbell_closed(uv_handle_t *handle) {
  Edge *edge = static_cast<Edge *>(handle->data);
  napi_remove_async_cleanup_hook(edge->at_end);
  delete edge;
}

void outer_doorbell_closed(uv_handle_t *handle) {
  Edge *edge = static_cast<Edge *>(handle->data);
  close(edge->outer_descriptor);
  uv_close(reinterpret_cast<uv_handle_t *>(&edge->doorbell), edge->when_closed);
}

// One after the other, since the edge goes with the last.
void close_doorbells(Edge *edge, uv_close_cb when_closed) {
  if (edge->outer_descriptor < 0) {
    uv_close(reinterpret_cast<uv_handle_t *>(&edge->doorbell), when_closed);
    return;
  }
  edge->when_closed = when_closed;
  uv_close(reinterpret_cast<uv_handle_t *>(&edge->outer_doorbell), outer_doorbell_closed);
}

bool are_closing(const Edge *edge) {
  const void *first = edge->outer_descriptor < 0 ? static_cast<const void *>(&edge->doorbell) : &edge->outer_doorbell;
  return uv_is_closing(static_cast<const uv_handle_t *>(first));
}

bool open_outer_doorbell(Edge *edge, uv_loop_t *loop) {
  if (edge->outer_descriptor < 0) return true;
  edge->outer_doorbell.data = edge;
  if (uv_poll_init(loop, &edge->outer_doorbell, edge->outer_descriptor) != 0) return false;
  uv_unref(reinterpret_cast<uv_handle_t *>(&edge->outer_doorbell));  // `doorbell` says whether the loop stays alive
  return uv_poll_start(&edge->outer_doorbell, UV_READABLE, answer_outer_doorbell) == 0;
}

}  // namespace

void edge_close(Edge *edge, haft_counters *final) {
  if (!edge->open) return;
  edge->open = false;
  trampolines_forget(edge->number);
  const bool quiet = realm_close(edge->id, kCloseMilliseconds, final);
  if (check_level() == 2) history_forget(edge->id);
  for (Arrival &arrival : edge->arrivals) value_drop(&arrival.result);
  edge->arrivals.clear();
  napi_delete_reference(edge->env, edge->drain);
  napi_delete_reference(edge->env, edge->direct);
  napi_async_destroy(edge->env, edge->context);
  // A thread that was stopped in the midst of a ring, for longer than we wait, keeps the handle: a leak, not a crash.
  if (quiet) close_doorbells(edge, doorbell_closed);
  if (attached) attached_closed(edge->id, quiet);
}

void edge_ring(Edge *edge) {
  if (edge->open) ring(edge);
}

void add(Napi::Env env, Napi::Object realm, Edge *edge, const Function &f) {
  napi_value function;
  napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, edge, &function);
  realm.Set(f.name, Napi::Value(env, function));
}

haft_handle exchanged_handle(const Edge *edge) {
  double number;
  memcpy(&number, &edge->realm->exchange[kExchangeHandle], sizeof number);
  return (haft_handle)number;
}

Edge *edge_of(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv) {
  void *data = nullptr;
  napi_get_cb_info(env, info, argc, argv, nullptr, &data);
  return static_cast<Edge *>(data);
}

namespace {

void doorbell_left(uv_handle_t *handle) {
  napi_remove_async_cleanup_hook(static_cast<Edge *>(handle->data)->at_end);
}

// A worker ends, or the process by itself: the environment waits until the doorbell is closed.
void end_of_environment(napi_async_cleanup_hook_handle, void *data) {
  Edge *edge = static_cast<Edge *>(data);
  edge_close(edge);
  if (!are_closing(edge)) close_doorbells(edge, doorbell_left);  // not quiet: the loop has to end all the same
}

}  // namespace

Napi::Value edge_open(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Napi::Function drain = info[0].As<Napi::Function>();
  const Napi::Function direct = info[1].As<Napi::Function>();
  Edge *edge = new Edge{};
  edge->env = env;
  edge->open = true;
  find_stack(edge);
  edge->outer_descriptor = -1;
  const haft_status status = attached ? attached_open(ring, run_direct, edge, &edge->id, &edge->outer_descriptor)
                                      : realm_open(ring, run_direct, edge, &edge->id);
  if (status != HAFT_OK) {
    delete edge;
    return Napi::Number::New(env, status);
  }
  edge->number = realm_number(edge->id);
  edge->realm = &arena()->realms[edge->number];
  edge->doorbell.data = edge;
  uv_loop_t *loop = nullptr;
  napi_value name = Napi::String::New(env, "haft");
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_async_init(loop, &edge->doorbell, answer_doorbell) != 0) {
    realm_close(edge->id, 0);
    delete edge;
    return Napi::Number::New(env, HAFT_E_INTERNAL);
  }
  uv_unref(reinterpret_cast<uv_handle_t *>(&edge->doorbell));
  if (!open_outer_doorbell(edge, loop) || napi_async_init(env, nullptr, name, &edge->context) != napi_ok ||
      napi_create_reference(env, drain, 1, &edge->drain) != napi_ok ||
      napi_create_reference(env, direct, 1, &edge->direct) != napi_ok ||
      napi_add_async_cleanup_hook(env, end_of_environment, edge, &edge->at_end) != napi_ok) {
    edge_close(edge);
    return Napi::Number::New(env, HAFT_E_INTERNAL);
  }
  Napi::Object realm = Napi::Object::New(env);
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, edge->realm, offsetof(Realm, names), nullptr, nullptr, &buffer) != napi_ok) {
    edge_close(edge);
    return Napi::Number::New(env, HAFT_E_INTERNAL);
  }
  realm.Set("buffer", Napi::Value(env, buffer));
  realm.Set("blockBase", Napi::Number::New(env, arena()->block_base));
  realm.Set("generationMask", Napi::Number::New(env, (double)kGenerationMask));
  realm.Set("id", Napi::Number::New(env, (double)edge->id));
  add_functions(env, realm, edge);
  add_sending(env, realm, edge);
  add_calling(env, realm, edge);
  add_trampolines(env, realm, edge);
  add_lifetimes(env, realm, edge);
  add_checking(env, realm, edge);
  return realm;
}

}  // namespace haft
