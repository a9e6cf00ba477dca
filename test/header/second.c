/* The other file of typed.cpp's library. */
#include "kinds.h"

haft_kind known_in_c(void);
haft_kind known_in_c(void) { return types_known; }
