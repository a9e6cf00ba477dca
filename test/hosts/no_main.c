/* A library that is no host: it does not export haft_host_main. */
#include <haft.h>

HAFT_EXPORT int something_else(void);
HAFT_EXPORT int something_else(void) { return 0; }
