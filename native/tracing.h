// HAFT_TRACE at the edge to Node: where JavaScript writes its events.
#pragma once

#include <napi.h>

namespace haft {

// What src/binding.ts knows as NativeTrace; undefined where nothing is traced.
Napi::Value tracing(Napi::Env env);

}  // namespace haft
