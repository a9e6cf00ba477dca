// HAFT_TRACE: what native threads ask of haft, as a time line in Chrome's trace format. One file a process, which
// JavaScript's own events (src/debugging/trace.ts) go to too. Without the variable nothing of this runs: the table of functions that
// C receives is another one.
#pragma once

#include <string>

#include "haft.h"

namespace haft {

// Whether events are written. The first call of trace_on or trace_problem opens the file.
bool trace_on();

// Why there is no file although one was asked for; empty otherwise.
const std::string &trace_problem();

// The same functions, with an event for each call.
const haft_api *trace_table(const haft_api *inner);

// Names the calling thread in the time line; its number there.
int32_t trace_thread(const std::string &name);

// Writes whole lines, each one event with a comma behind it, after those that wait. Any thread.
void trace_write(const char *lines, size_t bytes);

// Writes what waits. Any thread, and at the end of the process.
void trace_flush();

}  // namespace haft
