// Messages that JavaScript sends: to objects of any realm of the process, the same way as C does.
//
// A call's answer arrives on whichever thread ends it; it waits with the realm that asked until its drain takes it.
#include <cstring>

#include "arguments.h"
#include "core/arena.h"
#include "core/async.h"
#include "core/calls.h"
#include "core/mailbox.h"
#include "core/process.h"
#include "core/slots.h"
#include "edge.h"

namespace haft {
namespace {

bool read_target(napi_env env, napi_value *argv, haft_handle *handle, haft_op *op) {
  double number = 0;
  if (napi_get_value_double(env, argv[0], &number) != napi_ok || napi_get_value_uint32(env, argv[1], op) != napi_ok)
    return false;
  *handle = (haft_handle)number;
  return true;
}

napi_value status_of(napi_env env, haft_status status) {
  napi_value value = nullptr;
  napi_create_int32(env, status, &value);
  return value;
}

// (handle, op, types, values): the status of a post that does not wait. A failure is not counted.
napi_value send_offer(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  edge_of(env, info, &argc, argv);
  haft_handle handle;
  haft_op op;
  const Arguments arguments(env, argv[2], argv[3]);
  if (!arguments.good() || !read_target(env, argv, &handle, &op)) return status_of(env, HAFT_E_ARGUMENT);
  return status_of(env, offer(handle, op, arguments.data(), arguments.size()));
}

struct Request {
  haft_realm realm;
  double number;
};

// Any thread: brings the answer to the realm that asked, unless it is gone.
void arrive(void *user, haft_status status, haft_value *result) {
  const Request request = *static_cast<Request *>(user);
  delete static_cast<Request *>(user);
  const uint32_t number = realm_number(request.realm);
  InFlight counted(number, 0);
  if (arena()->realms[number].life.load(std::memory_order_seq_cst) != open_life(request.realm)) {  // P21
    value_drop(result);
    return;
  }
  Edge *edge = static_cast<Edge *>(locals[number].edge);
  {
    const std::lock_guard<std::mutex> lock(edge->arrivals_lock);
    edge->arrivals.push_back({request.number, status, *result});
  }
  ring_doorbell(number);
}

// (handle, op, types, values, milliseconds, request): the status; if it is 0 the answer arrives as that request's.
napi_value send_call(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6];
  Edge *edge = edge_of(env, info, &argc, argv);
  haft_handle handle;
  haft_op op;
  int64_t milliseconds = 0;
  double number = 0;
  const Arguments arguments(env, argv[2], argv[3]);
  if (!arguments.good() || !read_target(env, argv, &handle, &op) ||
      napi_get_value_int64(env, argv[4], &milliseconds) != napi_ok ||
      napi_get_value_double(env, argv[5], &number) != napi_ok)
    return status_of(env, HAFT_E_ARGUMENT);
  Request *request = new Request{edge->id, number};
  const haft_completer completer = {sizeof completer, arrive, 0, request};
  const haft_status status = call_async(handle, op, arguments.data(), arguments.size(), milliseconds, &completer);
  if (status != HAFT_OK) delete request;
  return status_of(env, status);
}

// [request, status, result], the result a number or a string if it is one; undefined: none has arrived.
napi_value take_arrival(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  Arrival arrival;
  {
    const std::lock_guard<std::mutex> lock(edge->arrivals_lock);
    if (edge->arrivals.empty()) return nullptr;
    arrival = edge->arrivals.front();
    edge->arrivals.pop_front();
  }
  napi_value list, request, result = nullptr;
  haft_value &value = arrival.result;
  if (value.type == HAFT_STR)
    napi_create_string_utf8(env, value.as.str, value.length, &result);
  else
    napi_create_double(env, value.type == HAFT_HANDLE ? (double)value.as.handle : value.as.f64, &result);
  value_free(&value);  // a reference is JavaScript's now
  napi_create_double(env, arrival.request, &request);
  napi_create_array_with_length(env, 3, &list);
  napi_set_element(env, list, 0, request);
  napi_set_element(env, list, 1, status_of(env, arrival.status));
  napi_set_element(env, list, 2, result);
  return list;
}

// (realm): the handle of the object there that accepts moved ones; 0: the realm is closed, or accepts none.
napi_value acceptor_of(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], handle = nullptr;
  edge_of(env, info, &argc, argv);
  double id = 0;
  napi_get_value_double(env, argv[0], &id);
  const haft_realm realm = id > 0 && id < 9e15 ? (haft_realm)id : 0;
  const uint64_t number = realm & kRealmNumberMask;
  double found = 0;
  if (number != 0 && number <= realms_used(arena())) {
    const Realm &r = arena()->realms[number - 1];
    if (r.life.load(std::memory_order_seq_cst) == open_life(realm))
      found = (double)r.acceptor.load(std::memory_order_acquire);
  }
  napi_create_double(env, found, &handle);
  return handle;
}

constexpr Function kFunctions[] = {
    {"offer", send_offer},
    {"call", send_call},
    {"takeArrival", take_arrival},
    {"acceptorOf", acceptor_of},
};

}  // namespace

void add_sending(Napi::Env env, Napi::Object realm, Edge *edge) {
  for (const Function &function : kFunctions) add(env, realm, edge, function);
}

}  // namespace haft
