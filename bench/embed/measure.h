/* What the C programs of the bench `embed` share: the records, the threads that call, and how their time is told.
**
** Each program says how it calls the logic; `measure` does what its arguments ask for. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stddef.h>
#include <stdnoreturn.h>

/* How a program calls the logic, from any thread: what rules.mjs and rules.lua have. Where only one thread at a time may
** run the logic, these see to it. */
struct logic {
  double (*add)(double x);
  double (*sum)(const char *text, size_t length);
  double (*work)(double microseconds); /* computes for so long, and gives what it really took; or NULL */
};

/* Arguments: METHOD THREADS MILLISECONDS. Prints nanoseconds a call, or ends the program where a result is wrong. METHOD:
**   trivial | json   `add`, or `sum` of a record, from all threads: the time from their start to their end, over their calls
**   work             `work` for longer than any caller spins, so that the caller sleeps: the median of single calls, less
**                    what the handler took
**   rest             `add` after a pause in which the logic's thread went to sleep: the median of single calls */
void measure(const struct logic *logic, char **arguments);

double now_nanoseconds(void); /* monotonic */

/* Ends the program: a subject that failed must have no figure. */
noreturn void fail(const char *doing, const char *what);

#endif
