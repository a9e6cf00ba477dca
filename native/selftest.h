// The self-test of `haft doctor`: a native thread that does what a user's would.
#pragma once

#include <napi.h>

namespace haft {

// (handle, op to post, op to call, ended handle, milliseconds, done): why there is no thread, or undefined. Then `done` is
// called with the figures, in the order of src/binding.ts.
Napi::Value self_test(const Napi::CallbackInfo &info);

}  // namespace haft
