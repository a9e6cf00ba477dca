/* See files.h. */
#include "files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int folder = -1;

static const char *type_of(const char *name) {
  static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                         {".txt", "text/plain; charset=utf-8"},
                                         {".css", "text/css"},
                                         {".js", "text/javascript"},
                                         {".json", "application/json"},
                                         {".svg", "image/svg+xml"},
                                         {".png", "image/png"},
                                         {".jpg", "image/jpeg"}};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++) {
    if (strcmp(dot, types[i][0]) == 0) return types[i][1];
  }
  return "application/octet-stream";
}

bool files_open(const char *name) {
  folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return folder >= 0;
}

bool files_is_path(const char *path) {
  if (*path != '/') return false;
  while (*path) {
    const char *name = ++path; /* behind a slash */
    path += strcspn(path, "/");
    const size_t length = (size_t)(path - name);
    if (length == 0 && *path) return false;
    if ((length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.')) return false;
  }
  return true;
}

struct MHD_Response *files_response(const char *path) {
  char name[PATH_MAX];
  struct stat about;
  if (!files_is_path(path)) return NULL;
  const bool is_folder = path[strlen(path) - 1] == '/';
  const int length = snprintf(name, sizeof name, "%s%s", path + 1, is_folder ? "index.html" : "");
  if (length < 0 || length >= (int)sizeof name) return NULL;
  const int file = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a named pipe must not keep us */
  if (file < 0) return NULL;
  struct MHD_Response *response = NULL;
  if (fstat(file, &about) == 0 && S_ISREG(about.st_mode))
    response = MHD_create_response_from_fd64((uint64_t)about.st_size, file); /* which closes it in the end */
  if (!response) close(file);
  else MHD_add_response_header(response, "Content-Type", type_of(name));
  return response;
}
