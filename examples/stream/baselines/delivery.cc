// delivery.cc: see delivery.h
#include "delivery.h"

#include <condition_variable>
#include <memory>

#include "values.h"

namespace baselines {
namespace {

// Where a native thread waits for its calls; one a thread. The flag is set under the lock, so that the waiting thread
// cannot go on, and end, while another is still using this.
struct Waiter {
  std::mutex mutex;
  std::condition_variable condition;
  std::atomic<size_t> pending{0};
  bool ended = false;

  void Done() {
    if (pending.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    std::lock_guard lock(mutex);
    ended = true;
    condition.notify_one();
  }

  void Wait() {
    std::unique_lock lock(mutex);
    condition.wait(lock, [this] { return ended; });
    ended = false;
  }
};

}  // namespace

// A message. Of a call: the caller's, and the caller waits. Of a post: its own. Without a request: handles to drop.
struct Delivery::Item {
  haft_request *request;
  Waiter *waiter;
};

namespace {

struct Posted {
  haft_request request{};
  haft_value args[HAFT_ARGS_MAX];
};

}  // namespace

Delivery::Delivery(napi_env env, Table *table, Kinds *kinds, napi_value drop, double *dropped, size_t room)
    : env_(env), table_(table), kinds_(kinds), dropped_(dropped), room_(room) {
  napi_value name;
  napi_create_string_utf8(env, "baselines", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, drop, 1, &drop_);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, OnItem, &function_);
  KeepAlive(false);
}

void Delivery::KeepAlive(bool alive) {
  if (alive) {
    napi_ref_threadsafe_function(env_, function_);
  } else {
    napi_unref_threadsafe_function(env_, function_);
  }
}

bool Delivery::Enqueue(Item *item) {
  return napi_call_threadsafe_function(function_, item, napi_tsfn_nonblocking) == napi_ok;
}

// ---- Native threads --------------------------------------------------------------------------------------

haft_status Delivery::Check(const haft_request &request) {
  haft_kind kind;
  if (closed_) return HAFT_E_CLOSED;
  if (request.count > HAFT_ARGS_MAX) return HAFT_E_ARGUMENT;
  haft_status status = table_->KindOf(request.handle, &kind);
  if (status != HAFT_OK) return status;
  return kind == HAFT_OP_KIND(request.op) ? CheckValues(request.args, request.count) : HAFT_E_KIND;
}

haft_status Delivery::CallMany(haft_request *requests, size_t count) {
  thread_local Waiter waiter;
  thread_local std::vector<Item> items;
  if (std::this_thread::get_id() == javascript_) return HAFT_E_UNSUPPORTED;
  if (count == 0) return HAFT_OK;
  items.clear();
  items.reserve(count);
  waiter.pending.store(count + 1, std::memory_order_relaxed);  // one for this thread, until all are queued
  for (size_t i = 0; i < count; i++) {
    haft_request &request = requests[i];
    request.result = haft_value_make(HAFT_VOID, 0);
    request.status = Check(request);
    if (request.status == HAFT_OK) {
      items.push_back({&request, &waiter});
      if (Enqueue(&items.back())) continue;
      request.status = HAFT_E_CLOSED;
    }
    waiter.Done();
  }
  waiter.Done();
  waiter.Wait();
  for (size_t i = 0; i < count; i++) {
    if (requests[i].status != HAFT_OK) return requests[i].status;
  }
  return HAFT_OK;
}

haft_status Delivery::Post(haft_handle handle, haft_op op, const haft_value *args, size_t count) {
  auto posted = std::make_unique<Posted>();
  posted->request.handle = handle;
  posted->request.op = op;
  posted->request.args = args;
  posted->request.count = static_cast<uint32_t>(count);
  haft_status status = Check(posted->request);
  if (status != HAFT_OK) return status;
  posted->request.args = posted->args;
  for (size_t i = 0; i < count; i++) {
    if (args[i].type == HAFT_STR) return HAFT_E_UNSUPPORTED;
    posted->args[i] = args[i];
  }
  auto item = std::make_unique<Item>(Item{&posted->request, nullptr});
  if (!Enqueue(item.get())) return HAFT_E_CLOSED;
  item.release();
  posted.release();
  return HAFT_OK;
}

void Delivery::Drop(haft_handle handle) {
  static Item drops{nullptr, nullptr};
  std::lock_guard lock(dead_mutex_);
  dead_.push_back(handle);
  if (dead_.size() == 1) Enqueue(&drops);
}

// ---- JavaScript's thread ---------------------------------------------------------------------------------

void Delivery::OnItem(napi_env env, napi_value, void *self, void *data) {
  auto *delivery = static_cast<Delivery*>(self);
  auto *item = static_cast<Item*>(data);
  if (!item->request) {
    if (env) delivery->RunDrops(env);
    return;
  }
  haft_request *request = item->request;
  if (env && !delivery->closed_) {
    delivery->Run(env, request);
  } else {
    request->status = HAFT_E_CLOSED;
  }
  if (item->waiter) {
    item->waiter->Done();
  } else {
    haft_value_free(&request->result);
    delete reinterpret_cast<Posted*>(request);
    delete item;
  }
}

void Delivery::Run(napi_env env, haft_request *request) {
  napi_value receiver, function, result, args[1 + HAFT_ARGS_MAX];
  const Op *op = kinds_->OpAt(request->op);
  if (!op) {
    request->status = HAFT_E_OP;
    return;
  }
  napi_create_double(env, static_cast<double>(request->handle), &args[0]);
  for (uint32_t i = 0; i < request->count; i++) ToJavaScript(env, request->args[i], &args[1 + i]);
  napi_get_reference_value(env, op->function, &function);
  napi_get_undefined(env, &receiver);
  if (napi_call_function(env, receiver, function, 1 + request->count, args, &result) != napi_ok) {
    request->result = ReasonOfException(env);
    request->status = HAFT_E_EXCEPTION;
  } else {
    request->status = FromJavaScript(env, result, op->returns, &request->result) ? HAFT_OK : HAFT_E_RESULT;
  }
}

void Delivery::RunDrops(napi_env env) {
  std::vector<haft_handle> dead;
  {
    std::lock_guard lock(dead_mutex_);
    dead.swap(dead_);
  }
  napi_value receiver, function, count;
  napi_get_undefined(env, &receiver);
  napi_get_reference_value(env, drop_, &function);
  for (size_t done = 0; done < dead.size();) {
    size_t n = 0;
    for (; n < room_ && done < dead.size(); n++) dropped_[n] = static_cast<double>(dead[done++]);
    napi_create_uint32(env, static_cast<uint32_t>(n), &count);
    napi_call_function(env, receiver, function, 1, &count, nullptr);
  }
}

}  // namespace baselines
