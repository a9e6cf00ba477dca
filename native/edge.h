// One realm at the edge to Node: its doorbell, its JavaScript functions, and the end of its environment.
#pragma once

#include <napi.h>

#include "core/layout.h"
#include "haft.h"

namespace haft {

// Opens a realm on the calling JavaScript thread and returns what src/binding.ts knows as NativeRealm.
Napi::Value edge_open(const Napi::CallbackInfo &info);

}  // namespace haft
