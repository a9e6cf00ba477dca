// What JavaScript asks about the whole process, to show it to a person.
#pragma once

#include <napi.h>

namespace haft {

// Of every handle with labels, of any realm: handle, label, how many references, and so on.
Napi::Value all_labels(const Napi::CallbackInfo &info);

Napi::Value results_out_now(const Napi::CallbackInfo &info);

// (so many more): how many handles of the process have leaked, as its threads found when they ended.
Napi::Value note_leaks(const Napi::CallbackInfo &info);

}  // namespace haft
