/* What the conformance suite exports to whoever runs it; docs/conformance.md says how it is run. The library is a
** plugin: `haft_plugin_init` (haft.h) comes first, on the realm's own thread, after the logic of logic.mjs.
**
** One case runs at a time: `haft_conformance_begin`, then `haft_conformance_poll` until it has ended. Both are called on
** one thread. A case of the realm's own thread runs inside `poll`, so that thread must be the realm's own, and its event
** loop turns between two polls. A case of a foreign thread runs on a thread that `begin` starts. */
#ifndef HAFT_CONFORMANCE_H
#define HAFT_CONFORMANCE_H

#include <haft.h>

/* Where a case runs. */
#define HAFT_CONFORMANCE_OWN 1u     /* on the realm's own thread */
#define HAFT_CONFORMANCE_FOREIGN 2u /* on another */

typedef struct haft_conformance_case {
  const char *number;  /* "3.7": its section's and its own. Stable, and never used again */
  const char *promise; /* in one sentence, from haft.h */
  uint32_t threads;    /* HAFT_CONFORMANCE_OWN, _FOREIGN, or both: then it runs twice */
  uint32_t may_lack;   /* 1: a backend may refuse it, by HAFT_E_BACKEND */
  uint32_t processes;  /* 1, 2: only where C and JavaScript are in so many processes; 0: in either */
} haft_conformance_case;

typedef enum haft_conformance_result {
  HAFT_CONFORMANCE_RUNNING = 0,
  HAFT_CONFORMANCE_PASSED = 1,
  HAFT_CONFORMANCE_FAILED = 2,
  HAFT_CONFORMANCE_REFUSED = 3 /* a function answered HAFT_E_BACKEND, and the case may lack */
} haft_conformance_result;

/* How many cases there are, by number; the case at an index below that; and the title of a section, from 1 on, or NULL. */
HAFT_EXPORT int haft_conformance_count(void);
HAFT_EXPORT const haft_conformance_case *haft_conformance_at(int index);
HAFT_EXPORT const char *haft_conformance_section(int section);

/* Begins a case on one of its threads. 0: there is no such case, it does not run there, or another one has not ended. */
HAFT_EXPORT int haft_conformance_begin(int index, uint32_t thread);
/* How the case stands. */
HAFT_EXPORT int haft_conformance_poll(void);
/* Of a case that has ended: why it failed, or which function refused; "" where it passed. */
HAFT_EXPORT const char *haft_conformance_text(void);

#endif
