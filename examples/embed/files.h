/* files.h: the files of one folder, as answers of the server. */
#ifndef FILES_H
#define FILES_H

#include <microhttpd.h>
#include <stdbool.h>

bool files_open(const char *folder);

/* Whether it is the path of something in the folder, and in one way only: rules that compare it miss nothing. */
bool files_is_path(const char *path);

/* The file of such a path, or that of `index.html` where it ends with a slash. NULL: there is none. */
struct MHD_Response *files_response(const char *path);

#endif
