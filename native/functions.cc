// What JavaScript asks of its realm. The functions that run for every handle take no Node-API values: their arguments
// and results stand in Realm::exchange, which JavaScript sees as a typed array.
#include <cstring>

#include "core/arena.h"
#include "core/calls.h"
#include "core/checks.h"
#include "core/counters.h"
#include "core/events.h"
#include "core/heap.h"
#include "core/history.h"
#include "core/kinds.h"
#include "core/names.h"
#include "core/realm.h"
#include "core/replies.h"
#include "core/slots.h"
#include "edge.h"

namespace haft {
namespace {

constexpr uint32_t kExchangeListMost = kExchangeWake - kExchangeList;

haft_handle exchanged_number(const Edge *edge) {
  double number;
  memcpy(&number, &edge->realm->exchange[kExchangeNumber], sizeof number);
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
  edge_ring(edge_of(env, info));
  return nullptr;
}

napi_value tell_happened(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  happened(edge->number, (uint32_t)edge->realm->exchange[kExchangeFlag]);
  return nullptr;
}

// The object of a handle lives on under the number's.
napi_value move_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  const haft_handle handle = exchanged_handle(edge), now = exchanged_number(edge);
  const haft_status status = slot_move(handle, edge->id, now);
  if (status == HAFT_OK && check_level() == 2) history_move(handle, now, script_deed("moveTo", ""));
  edge->realm->exchange[kExchangeStatus] = status;
  return nullptr;
}

napi_value moved_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  haft_handle now;
  edge->realm->exchange[kExchangeStatus] = slot_moved(exchanged_handle(edge), &now);
  const double number = (double)now;
  memcpy(&edge->realm->exchange[kExchangeNumber], &number, sizeof number);
  return nullptr;
}

napi_value forget_handle(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  bool retired = false;
  edge->realm->exchange[kExchangeStatus] = slot_forget(exchanged_handle(edge), edge->id, &retired);
  edge->realm->exchange[kExchangeFlag] = retired;
  return nullptr;
}

napi_value let_go(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  slot_let_go(exchanged_handle(edge), edge->id);
  return nullptr;
}

napi_value set_acceptor(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  // Release: the object is published before others learn of it.
  edge->realm->acceptor.store(exchanged_handle(edge), std::memory_order_release);
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

// Flag in: the block; flag out: how often any one of its slots can be freed until one retires.
napi_value lives_left(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  int32_t &flag = edge->realm->exchange[kExchangeFlag];
  flag = (int32_t)block_lives((uint32_t)flag & (kBlocks - 1));
  return nullptr;
}

// Flag in: the block; flag out: 1 if it was given back.
napi_value give_block(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  int32_t &flag = edge->realm->exchange[kExchangeFlag];
  flag = block_give(edge->id, (uint32_t)flag & (kBlocks - 1));
  return nullptr;
}

// (number of the kind, nanoseconds of the monotonic clock or 0)
napi_value refuse_kind(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  Edge *edge = edge_of(env, info, &argc, argv);
  uint32_t kind = 0;
  uint64_t until = 0;
  bool lossless;
  if (napi_get_value_uint32(env, argv[0], &kind) == napi_ok && kind < kKinds &&
      napi_get_value_bigint_uint64(env, argv[1], &until, &lossless) == napi_ok)
    kind_refuse(kind, edge->number, until);
  return nullptr;
}

// Numbers of each shard, in the order of src/messages/counters.ts.
napi_value counters_array(napi_env env, const haft_counters *shards) {
  constexpr size_t kFields = 7;
  napi_value buffer, array = nullptr;
  void *data;
  if (napi_create_arraybuffer(env, kShards * kFields * sizeof(double), &data, &buffer) != napi_ok) return nullptr;
  double *to = static_cast<double *>(data);
  for (uint32_t shard = 0; shard < kShards; shard++) {
    const haft_counters &c = shards[shard];
    const double fields[kFields] = {(double)c.sent,    (double)c.delivered,    (double)c.refused,     (double)c.dropped,
                                    (double)c.expired, (double)c.longest_wait, (double)c.highest_fill};
    memcpy(to + shard * kFields, fields, sizeof fields);
  }
  napi_create_typedarray(env, napi_float64_array, kShards * kFields, buffer, 0, &array);
  return array;
}

napi_value read_counters(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  haft_counters shards[kShards] = {};
  for (uint32_t shard = 0; shard < kShards; shard++) {
    shards[shard].size = sizeof(haft_counters);
    counters_read(edge->id, shard, &shards[shard]);
  }
  return counters_array(env, shards);
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

void give_back(napi_env env, const Edge *edge, napi_value chunk) {
  double offset = 0;
  napi_get_value_double(env, chunk, &offset);
  if (offset > 0 && offset < 9e15 && heap_contains(edge->number, (uint64_t)offset, 1))
    heap_give(edge->number, (uint64_t)offset);
}

// (offset, length, whether it is ASCII, a chunk): ASCII need not be decoded. The chunk, unless it is 0, is given back.
napi_value read_text(napi_env env, napi_callback_info info) {
  size_t argc = 4, length;
  napi_value argv[4], text = nullptr;
  bool ascii = false;
  unsigned char *from;
  Edge *edge = edge_of(env, info, &argc, argv);
  if (heap_range(env, edge, argv, &from, &length)) {
    napi_get_value_bool(env, argv[2], &ascii);
    const auto create = ascii ? napi_create_string_latin1 : napi_create_string_utf8;
    create(env, reinterpret_cast<const char *>(from), length, &text);
  }
  give_back(env, edge, argv[3]);
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

// (offset, length): an ArrayBuffer over the bytes where they lie, to be detached before the chunk is given back.
napi_value view_bytes(napi_env env, napi_callback_info info) {
  size_t argc = 2, length;
  napi_value argv[2], buffer = nullptr;
  unsigned char *from;
  Edge *edge = edge_of(env, info, &argc, argv);
  if (!heap_range(env, edge, argv, &from, &length)) return nullptr;
  napi_create_external_arraybuffer(env, from, length, nullptr, nullptr, &buffer);
  return buffer;
}

// (ArrayBuffer)
napi_value detach_buffer(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  edge_of(env, info, &argc, argv);
  napi_detach_arraybuffer(env, argv[0]);
  return nullptr;
}

napi_value give_chunk(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Edge *edge = edge_of(env, info, &argc, argv);
  give_back(env, edge, argv[0]);
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

// Returns the counters as they are at the end.
napi_value close_realm(napi_env env, napi_callback_info info) {
  haft_counters final[kShards] = {};
  edge_close(edge_of(env, info), final);
  return counters_array(env, final);
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

constexpr Function kFunctions[] = {
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
    {"happened", tell_happened},     {"move", move_handle},
    {"moved", moved_handle},         {"forget", forget_handle},
    {"letGo", let_go},               {"livesLeft", lives_left},
    {"setAcceptor", set_acceptor},
    {"giveBlock", give_block},       {"refuseKind", refuse_kind},
    {"counters", read_counters},     {"viewBytes", view_bytes},
    {"detach", detach_buffer},
};

}  // namespace

void add_functions(Napi::Env env, Napi::Object realm, Edge *edge) {
  for (const Function &function : kFunctions) add(env, realm, edge, function);
}

}  // namespace haft
