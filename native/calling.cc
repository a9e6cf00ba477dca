// Calls that JavaScript makes of functions of the host: `realm.host` of src/binding.ts.
#include <cstring>

#include "arguments.h"
#include "core/arena.h"
#include "core/blocking.h"
#include "core/error.h"
#include "core/heap.h"
#include "core/host_calls.h"
#include "core/host_functions.h"
#include "core/message.h"
#include "core/slots.h"
#include "edge.h"

namespace haft {
namespace {

// The references of the handles among arguments, which a call holds until it ends.
haft_status retain_handles(const Arguments &arguments) {
  for (size_t i = 0; i < arguments.size(); i++) {
    const haft_value &value = arguments.data()[i];
    if (value.type != HAFT_HANDLE || value.as.handle == HAFT_NULL) continue;
    const haft_status status = slot_retain(value.as.handle);
    if (status == HAFT_OK) continue;
    while (i-- > 0) {
      const haft_value &before = arguments.data()[i];
      if (before.type == HAFT_HANDLE && before.as.handle != HAFT_NULL) slot_drop(before.as.handle);
    }
    return status;
  }
  return HAFT_OK;
}

haft_status write_call(const Edge *edge, uint32_t token, const std::string &name, uint32_t mode,
                       const Arguments &arguments) {
  HostCall &call = host_call_of(*edge->realm, token);
  Plan plan;
  haft_status status = plan_given(edge->id, 0, arguments.data(), arguments.size(), &plan);
  if (status != HAFT_OK) return status;
  if (plan.cells > kMessageCells && !(plan.chunk = heap_take(edge->number, plan.tail_bytes))) return HAFT_E_NO_MEMORY;
  status = retain_handles(arguments);
  if (status != HAFT_OK) {
    if (plan.chunk) heap_give(edge->number, plan.chunk);
    return status;
  }
  write_message(plan, HAFT_NULL, 0, 0, call.message);
  call.mode = mode;
  call.name_length = (uint32_t)name.size();
  memcpy(call.name, name.data(), name.size());
  return HAFT_OK;
}

// (name, mode, types, values): the call's token, or a status.
napi_value begin(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4], result = nullptr;
  const Edge *edge = edge_of(env, info, &argc, argv);
  const std::string name = Napi::Value(env, argv[0]).As<Napi::String>();
  const uint32_t mode = Napi::Value(env, argv[1]).As<Napi::Number>();
  const Arguments arguments(env, argv[2], argv[3]);
  haft_status status = HAFT_E_ARGUMENT;
  uint32_t token = 0;
  if (arguments.good() && name.size() <= kNameBytes) {
    token = host_call_take(edge->number);
    status = token == 0 ? (haft_status)HAFT_E_BUSY : write_call(edge, token, name, mode, arguments);
  }
  if (status == HAFT_OK) host_call_queue(edge->number, token);
  napi_create_double(env, status == HAFT_OK ? (double)token : status, &result);
  return result;
}

// What an answer carries, as JavaScript has it. The memory is given back.
napi_value value_of(napi_env env, const Edge *edge, const Reply &reply) {
  napi_value value = nullptr;
  const bool text = reply.status != HAFT_OK || reply.type == HAFT_STR || reply.type == HAFT_BYTES;
  if (text) {
    const char *from = reply.text;
    uint32_t length = reply.length;
    if (reply.in_heap && heap_contains(edge->number, reply.value, length))
      from = reinterpret_cast<const char *>(at_offset(reply.value));
    else if (length > kReplyInlineBytes)
      length = 0;
    void *copy;
    napi_value buffer;
    if (reply.status != HAFT_OK || reply.type == HAFT_STR) {
      napi_create_string_utf8(env, from, length, &value);
    } else if (napi_create_arraybuffer(env, length, &copy, &buffer) == napi_ok) {
      if (length != 0) memcpy(copy, from, length);
      napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &value);
    }
    if (from != reply.text) heap_give(edge->number, reply.value);
    return value;
  }
  double number;
  int64_t integer;
  memcpy(&number, &reply.value, sizeof number);
  memcpy(&integer, &reply.value, sizeof integer);
  switch (reply.type) {
    case HAFT_F64:
    case HAFT_HANDLE:
      napi_create_double(env, number, &value);
      break;
    case HAFT_I32:
      napi_create_int32(env, (int32_t)integer, &value);
      break;
    case HAFT_U32:
      napi_create_uint32(env, (uint32_t)integer, &value);
      break;
    case HAFT_I64:
      napi_create_bigint_int64(env, integer, &value);
      break;
    case HAFT_BOOL:
      napi_get_boolean(env, integer != 0, &value);
      break;
    default:
      napi_get_undefined(env, &value);
  }
  return value;
}

// [token, status, type, value]; the call is free again.
napi_value take_answer(napi_env env, const Edge *edge, uint32_t token) {
  const Reply &reply = host_call_of(*edge->realm, token).reply;
  napi_value list, number;
  napi_create_array_with_length(env, 4, &list);
  napi_create_double(env, token, &number);
  napi_set_element(env, list, 0, number);
  napi_create_int32(env, reply.status, &number);
  napi_set_element(env, list, 1, number);
  napi_create_uint32(env, reply.type, &number);
  napi_set_element(env, list, 2, number);
  napi_set_element(env, list, 3, value_of(env, edge, reply));
  host_call_free(edge->number, token);
  return list;
}

bool give_up(const Edge *edge, uint32_t token) {
  bool taken;
  if (!host_call_give_up(edge->number, token, &taken)) return false;
  if (taken) return true;
  HostArguments arguments;
  arguments.copy(edge->number, host_call_of(*edge->realm, token).message);
  arguments.give_handles_back();
  if (arguments.chunk()) heap_give(edge->number, arguments.chunk());
  host_call_free(edge->number, token);
  return true;
}

uint32_t token_of(napi_env env, napi_value value) {
  uint32_t token = 0;
  napi_get_value_uint32(env, value, &token);
  return host_call_number(token) < kHostCalls ? token : 0;
}

// (token, milliseconds): the answer, or the status of a call that was given up.
napi_value wait(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], result = nullptr;
  const Edge *edge = edge_of(env, info, &argc, argv);
  int64_t milliseconds = 0;
  const uint32_t token = token_of(env, argv[0]);
  if (token == 0 || napi_get_value_int64(env, argv[1], &milliseconds) != napi_ok) return nullptr;
  const haft_status status = await_host(edge->id, token, milliseconds);
  // The realm has closed, and nothing of it is ours; or the answer is there, perhaps only now.
  if (status != HAFT_E_CLOSED && (status == HAFT_OK || !give_up(edge, token))) return take_answer(env, edge, token);
  napi_create_int32(env, status, &result);
  return result;
}

// (token): whether it was given up; if not, its answer is there.
napi_value withdraw(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], result = nullptr;
  const Edge *edge = edge_of(env, info, &argc, argv);
  const uint32_t token = token_of(env, argv[0]);
  napi_get_boolean(env, token != 0 && give_up(edge, token), &result);
  return result;
}

// The answers that have come.
napi_value answers(napi_env env, napi_callback_info info) {
  const Edge *edge = edge_of(env, info);
  uint32_t tokens[kHostCalls];
  const uint32_t count = host_calls_done(edge->number, tokens);
  napi_value list;
  napi_create_array_with_length(env, count, &list);
  for (uint32_t i = 0; i < count; i++) napi_set_element(env, list, i, take_answer(env, edge, tokens[i]));
  return list;
}

constexpr Function kFunctions[] = {{"begin", begin}, {"wait", wait}, {"withdraw", withdraw}, {"answers", answers}};

}  // namespace

void add_calling(Napi::Env env, Napi::Object realm, Edge *edge) {
  Napi::Object host = Napi::Object::New(env);
  for (const Function &function : kFunctions) add(env, host, edge, function);
  realm.Set("host", host);
}

}  // namespace haft
