// Waits on the own thread of a realm: kept from waiting for themselves, and from outliving JavaScript.
#pragma once

#include <utility>
#include <vector>

#include "haft.h"
#include "layout.h"

namespace haft {

// Stands for a wait for `target`, another realm, while it lives. Where the thread is the own one of a realm, that realm
// says for whom it waits, and whoever closes a circle of such waits is told (P18). Other threads pay one look. 0: for
// none that is known.
class Blocking {
 public:
  Blocking() = default;
  explicit Blocking(haft_realm target) { begin(target); }
  ~Blocking();
  void begin(haft_realm target);  // once
  Blocking(const Blocking &) = delete;
  Blocking &operator=(const Blocking &) = delete;

  bool deadlock() const { return deadlock_; }

  // Nanoseconds to sleep at most: less on a realm's own thread, which has to look up now and then.
  int64_t slice(int64_t nanoseconds) const;

  // To be asked before each sleep: lets JavaScript notice that it is being terminated. False: it is (P19).
  bool alive() const;

 private:
  bool deadlock_ = false;
  std::vector<std::pair<haft_realm, haft_realm>> before_;  // the thread's realms, and for whom each waited already
};

// On the own thread of a realm: lets JavaScript notice that it is being terminated; false: it is (P19). True on any other
// thread. For waits that are for no realm; `own_slice` is how long each sleep may be.
bool script_runs();
int64_t own_slice(int64_t nanoseconds);

// Whether the realm said that it waits for something which haft does not know.
bool is_blocked(const Realm &realm, haft_realm id);

haft_status blocking_set(haft_realm realm, bool blocking);
haft_status serve(haft_realm realm, int64_t timeout_ms);

// On the realm's own thread: handles messages until the host has answered this call. HAFT_OK: it has; HAFT_E_TIMEOUT,
// HAFT_E_CLOSED; HAFT_E_EXCEPTION: the stack is full.
haft_status await_host(haft_realm realm, uint32_t token, int64_t timeout_ms);

}  // namespace haft
