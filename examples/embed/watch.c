/* See watch.h. The folder is watched and not the file: many editors write a new file and give it the name of the old. */
#include "watch.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int watch_open(const char *file) {
  char *copy = strdup(file);
  if (!copy) return -1;
  int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (watch >= 0 && inotify_add_watch(watch, dirname(copy), IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
    close(watch);
    watch = -1;
  }
  free(copy);
  return watch;
}

bool watch_changed(int watch, const char *file) {
  const char *slash = strrchr(file, '/');
  const char *name = slash ? slash + 1 : file;
  _Alignas(struct inotify_event) char events[4096];
  bool changed = false;
  ssize_t bytes;
  while ((bytes = read(watch, events, sizeof events)) > 0) {
    const struct inotify_event *event;
    for (char *at = events; at < events + bytes; at += sizeof *event + event->len) {
      event = (const struct inotify_event *)at;
      /* More events than the system keeps: it may have been among those that are lost. */
      if ((event->mask & IN_Q_OVERFLOW) || (event->len > 0 && strcmp(event->name, name) == 0)) changed = true;
    }
  }
  return changed;
}
