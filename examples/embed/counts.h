/* counts.h: how many requests each client has sent this minute. They are kept in C, so that they outlive the rules. */
#ifndef COUNTS_H
#define COUNTS_H

#include <haft_embed.h>

void counts_add(const char *address);

/* A function for JavaScript: requests(address: str): u32. */
haft_status counts_tell(void *user, const haft_value *args, size_t count, haft_reply *reply);

#endif
