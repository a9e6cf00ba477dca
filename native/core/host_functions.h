// Functions of the host: which there are, by name, and how one is run for a call that JavaScript made of it.
#pragma once

#include <memory>

#include "haft.h"
#include "layout.h"
#include "wait.h"

namespace haft {

haft_status host_expose(haft_realm realm, const char *name, haft_function function, void *user);
// The same before another process has opened the realm, of a realm that there is.
haft_status host_expose_reserved(haft_realm realm, const char *name, haft_function function, void *user);
haft_status host_reply_value(haft_reply *reply, const haft_value *value);
haft_status host_reply_error(haft_reply *reply, const char *message);

// The realm closes: its functions are not known any more.
void host_functions_forget(uint32_t realm, haft_realm id);

// haft_serve on a thread that is not the realm's own.
haft_status host_serve(haft_realm realm, int64_t timeout_ms);

// Runs one call that waits, on this thread, which is not the realm's own. False: none does. Not to be called counted in
// flight: the function may take its time.
bool host_run_one(haft_realm realm);

// The same for a thread that waits for something else of the realm: it leaves the calls to those that wait for them.
inline bool host_run_one_meanwhile(haft_realm realm, const Realm &r) {
  if (r.host_tail.load(std::memory_order_seq_cst) == r.host_head.load(std::memory_order_seq_cst)) return false;
  return r.host_servers.load(std::memory_order_seq_cst) == 0 && host_run_one(realm);
}

// Whether this thread would wait for ever: it runs a function for which JavaScript of the realm waits, and the answer comes
// only when that has gone on. `later`: the answer is a promise's.
bool host_waits_in_vain(haft_realm realm, bool later);

// The arguments of a call, copied out of the arena once, every offset and length checked (P31). What they point to lives as
// long as this.
class HostArguments {
 public:
  // HAFT_E_INTERNAL: they are not as we write them; HAFT_E_NO_MEMORY. The handles are there nevertheless.
  haft_status copy(uint32_t realm, const Cell *message);
  const haft_value *data() const { return values_; }
  uint32_t size() const { return count_; }
  uint64_t chunk() const { return chunk_; }  // of the heap, in which the texts lay; 0: in none
  void give_handles_back() const;

 private:
  haft_value values_[HAFT_ARGS_MAX];
  uint32_t count_ = 0;
  uint64_t chunk_ = 0;
  std::unique_ptr<char[]> texts_;
};

}  // namespace haft
