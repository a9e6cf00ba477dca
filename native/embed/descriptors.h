// Descriptors of the library's own. None of them is ever 0, 1 or 2: where the program has closed those, what it, or node, writes
// there must not come to something of ours.
#pragma once

namespace haft {

// The same, or its place above the standard ones; negative ones stay, and errno with them.
int above_standard(int descriptor);

// Both ends. False: the operating system refuses, see errno.
bool open_pipe(int *pair);
bool open_sockets(int type, int *pair);
int open_event();

void close_one(int *descriptor);  // and forgets it; nothing where it is negative

}  // namespace haft
