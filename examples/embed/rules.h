/* rules.h: the JavaScript that decides about requests. It is started, asked by any number of threads, and replaced by
** another while they ask. */
#ifndef RULES_H
#define RULES_H

#include <haft_embed.h>

struct question {
  const char *method, *path, *address, *agent;
};

/* Starts the rules of this file. Once they are ready all questions go to them, and those before them are stopped. false: they
** do not start, which has been said on standard error, and those before them stay. One thread at a time. */
bool rules_load(const char *file);

/* What the rules say, a text that the caller frees with haft_value_free. Any status but HAFT_OK: nobody has decided. */
haft_status rules_ask(const struct question *question, haft_value *decision);

/* Nobody asks any more. */
void rules_stop(void);

#endif
