// delivery.h: brings calls from native threads to JavaScript by a thread-safe function, one item a message.
#ifndef BASELINES_DELIVERY_H
#define BASELINES_DELIVERY_H

#include <haft.h>
#include <node_api.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "kinds.h"
#include "tables.h"

namespace baselines {

class Delivery {
 public:
  // `drop(count)` forgets the objects of the first `count` handles in `dropped`, an array of doubles that both
  // sides see.
  Delivery(napi_env env, Table *table, Kinds *kinds, napi_value drop, double *dropped, size_t room);

  // Any thread but JavaScript's. Sends the calls and waits for all of them.
  haft_status CallMany(haft_request *requests, size_t count);

  // Any thread. The arguments must be plain values: no strings, no bytes.
  haft_status Post(haft_handle handle, haft_op op, const haft_value *args, size_t count);

  // Any thread. The handle has ended: JavaScript is to forget its object.
  void Drop(haft_handle handle);

  // JavaScript's thread. From now on, and for whatever is still queued: HAFT_E_CLOSED.
  void Close() { closed_.store(true); }
  bool Closed() const { return closed_.load(); }

  // JavaScript's thread. Whether the event loop stays alive for this.
  void KeepAlive(bool alive);

 private:
  struct Item;

  static void OnItem(napi_env env, napi_value, void *self, void *item);
  void Run(napi_env env, haft_request *request);
  void RunDrops(napi_env env);
  bool Enqueue(Item *item);
  haft_status Check(const haft_request &request);

  napi_env env_;
  Table *table_;
  Kinds *kinds_;
  napi_threadsafe_function function_ = nullptr;
  std::atomic<bool> closed_{false};
  const std::thread::id javascript_ = std::this_thread::get_id();

  napi_ref drop_ = nullptr;
  double *dropped_;
  size_t room_;
  std::mutex dead_mutex_;
  std::vector<haft_handle> dead_;  // waiting to be dropped; an item is queued while there are any
};

}  // namespace baselines

#endif
