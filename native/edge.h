// One realm at the edge to Node: its doorbell, and the end of its environment.
#pragma once

#include <napi.h>
#include <uv.h>

#include <deque>
#include <mutex>

#include "core/layout.h"
#include "haft.h"

namespace haft {

struct Arrival {
  double request;
  haft_status status;
  haft_value result;
};

struct Edge {
  napi_env env;
  uv_async_t doorbell;
  // Of a realm whose handles another process holds (attached.h): that rings by a descriptor.
  uv_poll_t outer_doorbell;
  int outer_descriptor;  // -1: none
  uv_close_cb when_closed;
  napi_async_context context;
  napi_ref drain, direct;
  napi_async_cleanup_hook_handle at_end;
  haft_realm id;
  uint32_t number;
  Realm *realm;
  bool open;
  // Answers to calls that JavaScript sent: put here by any thread.
  std::mutex arrivals_lock;
  std::deque<Arrival> arrivals;
  // The stack of the realm's own thread. A library that is called through koffi runs on another, where V8 finds that
  // its stack has overflowed: there koffi's own callback, which goes back first, has to run the message.
  uintptr_t stack_low, stack_high;
  void (*direct_from_koffi)();
};

// Opens a realm on the calling JavaScript thread and returns what src/binding.ts knows as NativeRealm.
Napi::Value edge_open(const Napi::CallbackInfo &info);

// Ends it: after this nobody rings. `final`: as in realm_close.
void edge_close(Edge *edge, haft_counters *final = nullptr);

// Brings JavaScript's drain back after a turn of the event loop.
void edge_ring(Edge *edge);

// The functions of a realm that JavaScript calls, as properties of `realm`.
void add_functions(Napi::Env env, Napi::Object realm, Edge *edge);  // handles, memory, life: functions.cc
void add_sending(Napi::Env env, Napi::Object realm, Edge *edge);    // messages that JavaScript sends: sending.cc
void add_calling(Napi::Env env, Napi::Object realm, Edge *edge);  // functions of the host: calling.cc
void add_trampolines(Napi::Env env, Napi::Object realm, Edge *edge);  // pointers for C libraries: closures.cc
void add_lifetimes(Napi::Env env, Napi::Object realm, Edge *edge);  // weak handles, pins, labels: lifetimes.cc
void add_checking(Napi::Env env, Napi::Object realm, Edge *edge);  // what level 2 keeps of handles: checking.cc

struct Function {
  const char *name;
  napi_callback function;
};
void add(Napi::Env env, Napi::Object realm, Edge *edge, const Function &function);
Edge *edge_of(napi_env env, napi_callback_info info, size_t *argc = nullptr, napi_value *argv = nullptr);

// The handle that JavaScript has put into the exchange.
haft_handle exchanged_handle(const Edge *edge);

}  // namespace haft
