// What became of each handle, at level 2: who made it, retained and released it, and who used it last, each with thread,
// time and stack; and how many of its references are native code's. Behind locks, and never asked below level 2.
//
// Of the references only native code's are counted here: all others are JavaScript's or haft's own. So what haft itself
// adds and drops (a message that is held, a result that nobody received) needs no entry.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "haft.h"

namespace haft {

constexpr uint32_t kFramesMost = 24;
constexpr size_t kDeedsMost = 16;      // of a handle: the latest
constexpr size_t kEndedMost = 1024;    // handles that have ended and are still known

struct Trace {  // a stack of native code
  void *frames[kFramesMost];
  uint32_t count = 0;
};

// The stack of this thread from `caller`, a return address on it, outwards.
Trace take_trace(void *caller);

// The frames by name, or by library and offset; without those of haft.
std::vector<std::string> trace_lines(const Trace &trace);

struct Deed {
  const char *what = "";  // a literal: "haft_retain", "create"; "" for none
  haft_op op = 0;         // that was sent, or 0
  uint64_t thread = 0;
  int64_t at = 0;         // nanoseconds of the monotonic clock
  Trace native;
  std::string script;     // the JavaScript stack, a frame a line
};

Deed native_deed(const char *what, void *caller, haft_op op = 0);
Deed script_deed(const char *what, std::string stack);

struct History {
  haft_handle handle = HAFT_NULL;
  uint64_t realm_id = 0;
  haft_kind kind = 0;
  bool own = false;     // haft's own: who owns its references is not asked
  bool ended = false;   // the last of the references is the deed that ended it
  uint32_t native = 0;  // references that are native code's
  uint32_t transferred = 0;  // of those, which a handler may still hand over as its result
  Deed created;
  std::vector<Deed> references;
  Deed last_use;
};

enum class Side { kScript, kNative, kHaft };

// A handle was issued, with one reference of JavaScript's.
void history_create(haft_handle handle, uint64_t realm_id, bool own, Deed deed);

// Runs `act`, which adds a reference of that side (`change` 1) or gives one back (-1), and keeps the deed if it succeeds.
// HAFT_E_OWNER: the side owns none to give back; `act` has not run.
haft_status history_change(haft_handle handle, Side side, int change, Deed deed,
                           const std::function<haft_status()> &act);

// Native code has received a reference: a handle that it found, or a result.
void history_receive(haft_handle handle, Deed deed);

// A reference of JavaScript's becomes native code's. HAFT_E_OWNER: JavaScript owns none.
haft_status history_transfer(haft_handle handle, Deed deed);

// Whether JavaScript owns a reference that it could give away. True where nothing is known.
bool history_may_give(haft_handle handle);

void history_use(haft_handle handle, Deed deed);

// The handle has ended; kept only if no deed has ended it before.
void history_end(haft_handle handle, Deed deed);

// The references that native code owns are the new handle's now.
void history_move(haft_handle handle, haft_handle now, Deed deed);

// The realm is closed.
void history_forget(uint64_t realm_id);

// A copy; false if nothing is known.
bool history_of(haft_handle handle, History *copy);

// References that live word A counts and native code does not own.
uint32_t script_references(const History &history);

}  // namespace haft
