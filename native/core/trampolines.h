// Trampolines: C function pointers that serve any number of JavaScript closures. C passes a `user_data` along, and the
// handle in it says whose closure is meant: a stale or forged one is a status as everywhere, and runs nobody's.
//
// Each is a thunk of a fixed pool (thunks.S), taken once and for ever: C may call the pointer at any time, also when
// JavaScript is gone. Trampolines that are alike in everything share one, whichever realm asks, so that workers which
// come and go do not use the pool up.
#pragma once

#include "haft.h"
#include "layout.h"

namespace haft {

constexpr uint32_t kThunks = 1024;

enum TrampolineMode : uint32_t { kModeCall = 0, kModePost = 1 };

// Looks a user data up for callbacks that are not given it: its result for that argument is the user data.
using UserDataFrom = uint64_t (*)(uint64_t argument);

struct TrampolineSpec {
  uint8_t types[HAFT_ARGS_MAX];  // haft_type or WireType
  uint8_t count;
  uint8_t returns;    // neither a text nor bytes
  uint8_t user_data;  // the argument that it is, or is found from
  uint8_t mode;       // TrampolineMode
  uint32_t op;        // of the kind that the handle must have
  UserDataFrom user_data_from;  // NULL: the argument is the user data, and JavaScript does not see it
  int64_t timeout_ms;           // of the call; of a post, how long it waits for room
  uint64_t on_error;            // what C is told, as bits of its result register
  uint64_t on_posted;           // what C is told of a post
};

// The pointer for this specification, which tells `realm` of misuse from now on. HAFT_E_SLOTS: the pool is used up;
// HAFT_E_UNSUPPORTED: there are no thunks for this platform.
haft_status trampoline_take(const TrampolineSpec &spec, uint32_t realm, void **pointer);

// Where a realm hears of misuse: it is posted to this object, HAFT_NULL if nobody listens. The op takes a status as i32, the
// trampoline's op as u32, and the user data as i64; JavaScript adds one to exchange[kExchangeMisuses] for each that it has handled.
void trampolines_report_to(uint32_t realm, haft_handle handle, haft_op op);

// The realm closes: nobody is told for it any more.
void trampolines_forget(uint32_t realm);

// For C libraries that want a destructor of one pointer: releases the handle in it.
void destroy_notify(void *user_data);

}  // namespace haft
