// See edge.h. The functions that run for every handle take no Node-API values: their arguments and results stand in
// Realm::exchange, which JavaScript sees as a typed array.
#include "edge.h"

#include <pthread.h>
#include <uv.h>

#include <cstring>

#include "core/arena.h"
#include "core/calls.h"
#include "core/error.h"
#include "core/heap.h"
#include "core/names.h"
#include "core/realm.h"
#include "core/replies.h"
#include "core/slots.h"

namespace haft {
namespace {

constexpr uint32_t kExchangeListMost = kExchangeWake - kExchangeList;
constexpr int64_t kCloseMilliseconds = 1000;

struct Edge {
  napi_env env;
  uv_async_t doorbell;
  napi_async_context context;
  napi_ref drain, direct;
  napi_async_cleanup_hook_handle at_end;
  haft_realm id;
  uint32_t number;
  Realm *realm;
  bool open;
  // The stack of the realm's own thread. A library that is called through koffi runs on another, where V8 finds that
  // its stack has overflowed: there koffi's own callback, which goes back first, has to run the message.
  uintptr_t stack_low, stack_high;
  void (*direct_from_koffi)();
};

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

void answer_doorbell(uv_async_t *handle) {
  Edge *edge = static_cast<Edge *>(handle->data);
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
    if (edge->direct_from_koffi)
      edge->direct_from_koffi();
    else
      refuse_stack(edge->realm->direct_reply);
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

// After this nobody rings: the realm waited for those who were about to.
void close_edge(Edge *edge) {
  if (!edge->open) return;
  edge->open = false;
  const bool quiet = realm_close(edge->id, kCloseMilliseconds);
  napi_delete_reference(edge->env, edge->drain);
  napi_delete_reference(edge->env, edge->direct);
  napi_async_destroy(edge->env, edge->context);
  // A thread that was stopped in the midst of a ring, for longer than we wait, keeps the handle: a leak, not a crash.
  if (quiet) uv_close(reinterpret_cast<uv_handle_t *>(&edge->doorbell), doorbell_closed);
}

void doorbell_left(uv_handle_t *handle) {
  napi_remove_async_cleanup_hook(static_cast<Edge *>(handle->data)->at_end);
}

// A worker ends, or the process by itself: the environment waits until the doorbell is closed.
void end_of_environment(napi_async_cleanup_hook_handle, void *data) {
  Edge *edge = static_cast<Edge *>(data);
  close_edge(edge);
  uv_handle_t *doorbell = reinterpret_cast<uv_handle_t *>(&edge->doorbell);
  if (!uv_is_closing(doorbell)) uv_close(doorbell, doorbell_left);  // not quiet: the loop has to end all the same
}

Edge *edge_of(napi_env env, napi_callback_info info, size_t *argc = nullptr, napi_value *argv = nullptr) {
  void *data = nullptr;
  napi_get_cb_info(env, info, argc, argv, nullptr, &data);
  return static_cast<Edge *>(data);
}

haft_handle exchanged_handle(const Edge *edge) {
  double number;
  memcpy(&number, &edge->realm->exchange[kExchangeHandle], sizeof number);
  return (haft_handle)number;
}

// ---- For every handle: arguments and results in the exchange ----

napi_value remove_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  bool retired = false;
  edge->realm->exchange[kExchangeStatus] = slot_delete(exchanged_handle(edge), edge->id, &retired);
  edge->realm->exchange[kExchangeFlag] = retired;
  return nullptr;
}

napi_value retain_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  edge->realm->exchange[kExchangeStatus] = slot_retain(exchanged_handle(edge));
  return nullptr;
}

napi_value release_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  edge->realm->exchange[kExchangeStatus] = slot_release(exchanged_handle(edge));
  return nullptr;
}

napi_value check_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  uint64_t word;
  Target target;
  haft_status status = slot_check(exchanged_handle(edge), 0, &word, &target);
  if (status == HAFT_OK && target.realm_id != edge->id) status = HAFT_E_REALM;
  edge->realm->exchange[kExchangeStatus] = status;
  return nullptr;
}

napi_value take_released(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  edge->realm->exchange[kExchangeFlag] = reclaim_take(edge->number);
  return nullptr;
}

napi_value free_released(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  int32_t *list = edge->realm->exchange + kExchangeList;
  edge->realm->exchange[kExchangeFlag] = (int32_t)reclaim_free(edge->number, list, kExchangeListMost);
  return nullptr;
}

napi_value wake_callers(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  const uint32_t count = (uint32_t)edge->realm->exchange[kExchangeFlag];
  if (count <= kExchangeWords - kExchangeWake)
    realm_wake(edge->number, edge->realm->exchange + kExchangeWake, count);
  return nullptr;
}

napi_value wake_producers(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  realm_wake_producers(edge->number, (uint32_t)edge->realm->exchange[kExchangeFlag]);
  return nullptr;
}

napi_value discard_reply(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  const uint32_t token = (uint32_t)edge->realm->exchange[kExchangeFlag];
  if (token_number(token) < kReplies)
    reply_discard(edge->number, token, edge->realm->exchange[kExchangeStatus] != 0);
  return nullptr;
}

napi_value ring_self(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  if (edge->open) ring(edge);
  return nullptr;
}

// ---- Now and then: Node-API values ----

napi_value take_block(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  const int64_t block = block_take(edge->id);
  edge->realm->exchange[kExchangeFlag] = (int32_t)block;
  if (block < 0) return nullptr;
  napi_value buffer = nullptr;
  void *slots = &arena()->slots[block << kBlockBits];
  napi_create_external_arraybuffer(env, slots, kBlockSlots * sizeof(Slot), nullptr, nullptr, &buffer);
  return buffer;
}

napi_value publish_name(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Edge *edge = edge_of(env, info, &argc, argv);
  char name[kNameBytes + 5];  // room to see that it is too long
  size_t length = 0;
  napi_get_value_string_utf8(env, argv[0], name, sizeof name, &length);
  edge->realm->exchange[kExchangeStatus] = name_publish(edge->number, name, length, exchanged_handle(edge));
  return nullptr;
}

// The place of a text or of bytes in the heap: (offset, length), bounds checked (P31).
bool heap_range(napi_env env, const Edge *edge, napi_value *argv, unsigned char **from, size_t *length) {
  double offset = 0;
  uint32_t bytes = 0;
  if (napi_get_value_double(env, argv[0], &offset) != napi_ok || napi_get_value_uint32(env, argv[1], &bytes) != napi_ok)
    return false;
  if (offset < 0 || offset > 9e15 || !heap_contains(edge->number, (uint64_t)offset, bytes)) return false;
  *from = at_offset((uint64_t)offset);
  *length = bytes;
  return true;
}

napi_value read_text(napi_env env, napi_callback_info info) {
  size_t argc = 2, length;
  napi_value argv[2], text = nullptr;
  unsigned char *from;
  Edge *edge = edge_of(env, info, &argc, argv);
  if (heap_range(env, edge, argv, &from, &length))
    napi_create_string_utf8(env, reinterpret_cast<const char *>(from), length, &text);
  return text;
}

napi_value read_bytes(napi_env env, napi_callback_info info) {
  size_t argc = 2, length;
  napi_value argv[2], buffer, bytes = nullptr;
  unsigned char *from;
  void *copy;
  Edge *edge = edge_of(env, info, &argc, argv);
  if (!heap_range(env, edge, argv, &from, &length)) return nullptr;
  if (napi_create_arraybuffer(env, length, &copy, &buffer) != napi_ok) return nullptr;
  if (length != 0) memcpy(copy, from, length);
  napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &bytes);
  return bytes;
}

napi_value give_chunk(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  double offset = 0;
  Edge *edge = edge_of(env, info, &argc, argv);
  napi_get_value_double(env, argv[0], &offset);
  if (offset > 0 && offset < 9e15 && heap_contains(edge->number, (uint64_t)offset, 1))
    heap_give(edge->number, (uint64_t)offset);
  return nullptr;
}

// Writes a string or a Uint8Array into a chunk; tells (offset, length) through the exchange. No chunk: length -1.
napi_value write_payload(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Edge *edge = edge_of(env, info, &argc, argv);
  edge->realm->exchange[kExchangeFlag] = -1;
  napi_valuetype type;
  napi_typeof(env, argv[0], &type);
  void *bytes = nullptr;
  size_t length = 0;
  if (type == napi_string)
    napi_get_value_string_utf8(env, argv[0], nullptr, 0, &length);
  else if (napi_get_typedarray_info(env, argv[0], nullptr, &length, &bytes, nullptr, nullptr) != napi_ok)
    return nullptr;
  if (length > HAFT_PAYLOAD_MAX) {
    edge->realm->exchange[kExchangeFlag] = -2;
    return nullptr;
  }
  const uint64_t chunk = heap_take(edge->number, length + 1);
  if (!chunk) return nullptr;
  char *to = reinterpret_cast<char *>(at_offset(chunk));
  if (type == napi_string)
    napi_get_value_string_utf8(env, argv[0], to, length + 1, &length);
  else
    memcpy(to, bytes, length);
  const double offset = (double)chunk;
  memcpy(&edge->realm->exchange[kExchangeHandle], &offset, sizeof offset);
  edge->realm->exchange[kExchangeFlag] = (int32_t)length;
  return nullptr;
}

// (address of a C function without arguments, as koffi registered it)
napi_value use_koffi(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Edge *edge = edge_of(env, info, &argc, argv);
  uint64_t address = 0;
  bool lossless;
  if (napi_get_value_bigint_uint64(env, argv[0], &address, &lossless) == napi_ok && lossless)
    edge->direct_from_koffi = reinterpret_cast<void (*)()>(address);
  return nullptr;
}

napi_value close_realm(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  (void)env;
  close_edge(edge);
  return nullptr;
}

napi_value ref_realm(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  if (edge->open) uv_ref(reinterpret_cast<uv_handle_t *>(&edge->doorbell));
  return nullptr;
}

napi_value unref_realm(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  if (edge->open) uv_unref(reinterpret_cast<uv_handle_t *>(&edge->doorbell));
  return nullptr;
}

constexpr struct {
  const char *name;
  napi_callback function;
} kFunctions[] = {
    {"remove", remove_handle},       {"retain", retain_handle},
    {"release", release_handle},     {"check", check_handle},
    {"takeReleased", take_released}, {"freeReleased", free_released},
    {"wakeCallers", wake_callers},   {"wakeProducers", wake_producers},
    {"discardReply", discard_reply}, {"ring", ring_self},
    {"takeBlock", take_block},       {"publish", publish_name},
    {"readText", read_text},         {"readBytes", read_bytes},
    {"giveChunk", give_chunk},       {"writePayload", write_payload},
    {"close", close_realm},          {"ref", ref_realm},
    {"unref", unref_realm},          {"useKoffi", use_koffi},
};

}  // namespace

Napi::Value edge_open(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Napi::Function drain = info[0].As<Napi::Function>();
  const Napi::Function direct = info[1].As<Napi::Function>();
  Edge *edge = new Edge{};
  edge->env = env;
  edge->open = true;
  find_stack(edge);
  const haft_status status = realm_open(ring, run_direct, edge, &edge->id);
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
  if (napi_async_init(env, nullptr, name, &edge->context) != napi_ok ||
      napi_create_reference(env, drain, 1, &edge->drain) != napi_ok ||
      napi_create_reference(env, direct, 1, &edge->direct) != napi_ok ||
      napi_add_async_cleanup_hook(env, end_of_environment, edge, &edge->at_end) != napi_ok) {
    close_edge(edge);
    return Napi::Number::New(env, HAFT_E_INTERNAL);
  }
  Napi::Object realm = Napi::Object::New(env);
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, edge->realm, offsetof(Realm, names), nullptr, nullptr, &buffer) != napi_ok) {
    close_edge(edge);
    return Napi::Number::New(env, HAFT_E_INTERNAL);
  }
  realm.Set("buffer", Napi::Value(env, buffer));
  realm.Set("blockBase", Napi::Number::New(env, arena()->block_base));
  realm.Set("id", Napi::Number::New(env, (double)edge->id));
  for (const auto &f : kFunctions) {
    napi_value function;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, edge, &function);
    realm.Set(f.name, Napi::Value(env, function));
  }
  return realm;
}

}  // namespace haft
