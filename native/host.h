// Running a C host: a shared library whose haft_host_main runs on a thread of its own.
#pragma once

#include <napi.h>

namespace haft {

// (path, realm id, arguments, done): loads the library and starts the thread. `done(exitCode)` is called on the
// JavaScript thread. Returns undefined, or why the library cannot be run, as a sentence.
Napi::Value host_run(const Napi::CallbackInfo &info);

}  // namespace haft
