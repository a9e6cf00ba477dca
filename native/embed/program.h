// What the program has once, whatever logics it starts: the shared arena, threads that receive no signals, and the logics
// that run, by their realms.
#pragma once

#include <pthread.h>

#include "haft.h"

namespace haft {

// Makes the arena at its first call. HAFT_E_NO_MEMORY, HAFT_E_INTERNAL, with a text.
haft_status program_prepare();

int arena_descriptor();

// With all signals blocked: none of the program's is handled there.
bool start_thread(pthread_t *thread, void *(*run)(void *), void *data);

}  // namespace haft
