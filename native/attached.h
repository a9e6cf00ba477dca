// This process as the child of a program that embeds it: it maps that program's arena, asks it for realms, and ends when it
// ends. The other side is native/embed.
#pragma once

#include <napi.h>

#include "haft.h"

namespace haft {

// (stop): attaches. `stop(gone)` is called once on this thread: the program wants an end in order, or is gone. Returns a
// status. Before the first registry opens.
Napi::Value attach(const Napi::CallbackInfo &info);

// As realm_open, of a realm that the program gives. `*doorbell`: a descriptor that becomes readable when the program rings.
haft_status attached_open(void (*ring)(void *edge), void (*direct)(void *edge), void *edge, haft_realm *id, int *doorbell);

// The realm is closed. `quiet`: no thread of ours is at work in it any more.
void attached_closed(haft_realm id, bool quiet);

}  // namespace haft
