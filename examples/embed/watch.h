/* watch.h: says when a file has been written anew. */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>

/* A descriptor that becomes readable when there may be news; -1 with errno. */
int watch_open(const char *file);

/* Whether the file has changed since the last time. `file`: as it was opened. */
bool watch_changed(int watch, const char *file);

#endif
