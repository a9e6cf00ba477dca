// Plugins: shared libraries whose haft_plugin_init runs on JavaScript's thread.
#pragma once

#include <napi.h>

namespace haft {

// (path): loads the library, for ever. { init, version }: the address of its haft_plugin_init, and its
// haft_plugin_version if it has one; or why it is no plugin, as a sentence. Only its constructors have run.
Napi::Value plugin_open(const Napi::CallbackInfo &info);

// (init, realm id): runs it. [status, text]: the text of haft_last_error() if that has the same status, else ''.
Napi::Value plugin_init(const Napi::CallbackInfo &info);

}  // namespace haft
