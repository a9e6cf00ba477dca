// Running a C host: a shared library whose haft_host_main runs on a thread of its own.
#pragma once

#include <napi.h>

namespace haft {

// (path, realm id, arguments, done): loads the library and starts the thread. `done(exitCode)` is called on the
// JavaScript thread. Returns undefined, or why the library cannot be run, as a sentence.
Napi::Value host_run(const Napi::CallbackInfo &info);

// From now on SIGINT and SIGTERM reach whoever handles them now once; at the second one the process exits at once, with
// 128 + the signal's number, whatever JavaScript does.
void exit_at_second_signal(const Napi::CallbackInfo &info);

}  // namespace haft
