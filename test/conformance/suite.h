/* What the cases share: how one is written, checks that end it where they fail, and short ways to what the logic
** published.
**
**     CASE(2, 7, BOTH, "The last reference given back ends the handle at once.") {
**       const haft_handle h = make("counter");
**       EXPECT(haft_release(h), HAFT_OK);
**       EXPECT(haft_check(h, 0), HAFT_E_STALE);
**     }
**
** A case that must wait for JavaScript says AWAIT: it returns, and is run again from its start after a turn of the event
** loop. What it did before stands in `if (first_turn())`, what it keeps is static. */
#ifndef SUITE_H
#define SUITE_H

#include "conformance.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define WAIT 20000  /* milliseconds: longer than any machine takes for what is to come */
#define MOMENT 20   /* milliseconds in which nothing is to come */
#define BUSY 1500   /* milliseconds that JavaScript is kept busy, where a case has to be quicker than that */

/* ---- A case ---- */

#define OWN HAFT_CONFORMANCE_OWN
#define FOREIGN HAFT_CONFORMANCE_FOREIGN
#define BOTH (OWN | FOREIGN)
#define MAY_LACK 4u      /* a backend may refuse it */
#define ONE_PROCESS 8u   /* it needs C and JavaScript in one, */
#define TWO_PROCESSES 16u /* or each in its own */

void add_case(const char *number, unsigned how, const char *promise, void (*run)(void));

#define CASE(section, number, how, promise)                                               \
  static void case_##section##_##number(void);                                            \
  __attribute__((constructor)) static void add_##section##_##number(void) {               \
    add_case(#section "." #number, how, promise, case_##section##_##number);              \
  }                                                                                       \
  static void case_##section##_##number(void)

extern haft_realm realm;
extern pthread_t init_thread;      /* the one that ran haft_plugin_init */
bool on_own_thread(void);          /* the case runs on the realm's own thread */
bool first_turn(void);
bool await(bool condition, const char *file, int line, const char *what);
#define AWAIT(condition)                                                  \
  do {                                                                    \
    if (!await(condition, __FILE__, __LINE__, #condition)) return;        \
  } while (0)

/* ---- Checks. Each ends the case where it fails; on a thread that the case started it is only told ---- */

void failed(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void refused(const char *format, ...) __attribute__((format(printf, 1, 2))); /* it lacks what the case needs, and said so */
void expect_status(const char *file, int line, const char *what, haft_status got, haft_status wanted);
void expect_told(const char *file, int line, const char *what, haft_status got, haft_status wanted);
void expect_number(const char *file, int line, const char *what, double got, double wanted);
void expect_text(const char *file, int line, const char *what, const char *got, const char *wanted);

#define CHECK(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, "not so: %s", #condition))
#define EXPECT(expression, status) expect_status(__FILE__, __LINE__, #expression, (expression), (status))
#define TOLD(value, status) expect_told(__FILE__, __LINE__, #value, (value), (status)) /* by a completion, or JavaScript */
#define EQUAL(expression, number) expect_number(__FILE__, __LINE__, #expression, (double)(expression), (double)(number))
#define TEXT(expression, text) expect_text(__FILE__, __LINE__, #expression, (expression), (text))

/* ---- What the logic published ---- */

typedef struct {
  haft_handle handle;
  haft_kind kind;
  haft_op op;
} Target;

Target target(const char *name, const char *op); /* borrowed: the logic keeps its reference */
haft_op op_of(haft_handle handle, const char *op);
haft_value text(const char *s);
haft_status call(Target t, const haft_value *args, size_t count, haft_value *result);

/* Calls of one op, which must succeed. */
double ask(const char *name, const char *op);
int64_t ask_i64(const char *name, const char *op);
void tell(const char *name, const char *op);
void tell_handle(const char *name, const char *op, haft_handle handle);
void tell_number(const char *name, const char *op, double n);

haft_handle make(const char *what);    /* a new object; the reference is ours */
Target make_counter(const char *op);   /* one of kind Counter, with one of its ops */
Target make_notes(const char *op);     /* one that keeps a record of its messages */
haft_handle ended(const char *how);    /* a handle that is no more: "deleted", "released", "closed" */
bool has(haft_handle handle);          /* whether JavaScript still has its object */
double total_of(haft_handle counter);
int wrong_notes(haft_handle notes, int count); /* -1: the numbers 0 to count - 1 came in order */
int notes_count(haft_handle notes);
haft_realm brief_realm(void);          /* opens a realm that close_brief() closes */
haft_handle brief_counter(void);       /* an object of it, with one reference */
void close_brief(void);

/* ---- Time ---- */

double milliseconds(void);
/* For cases in which a thread waits while JavaScript is busy: asks haft_wait whether foreign threads can wait at all. */
void require_waiting(void);
/* Keeps JavaScript busy from now on; returns when the message is sent. */
void keep_busy(double for_milliseconds);

/* ---- Other threads ---- */

/* Runs `work(data)` on a thread of its own. */
typedef struct {
  pthread_t thread;
  void (*work)(void *);
  void *data;
  int serial; /* of the case that began it */
  atomic_int ended;
} Thread;
void begin_thread(Thread *t, void (*work)(void *), void *data);
void end_thread(Thread *t); /* waits for it, WAIT milliseconds at most */
void on_threads(int count, void (*work)(int));
bool case_goes_on(void); /* on such a thread: otherwise it returns soon */

/* ---- Random, from a seed that a failure tells ---- */

uint64_t random64(void);

/* ---- Sending, in the three ways that have their refusals in common ---- */

typedef haft_status (*Sender)(haft_handle handle, haft_op op, const haft_value *args, size_t count);
haft_status by_post(haft_handle handle, haft_op op, const haft_value *args, size_t count);
haft_status by_call(haft_handle handle, haft_op op, const haft_value *args, size_t count);
haft_status by_async(haft_handle handle, haft_op op, const haft_value *args, size_t count);
extern atomic_int async_heard; /* completions of by_async so far */

void refuses_forged(Sender send);
void refuses_stale(Sender send);
void refuses_kind(Sender send);
void refuses_op(Sender send);
void refuses_closed(Sender send);
void refuses_arguments(Sender send);
void refuses_utf8(Sender send);
void refuses_too_large(Sender send);
void refuses_other_realm(Sender send);

/* Integers that are no handles, made of one that is. */
#define FORGED_MOST 40
size_t forged_handles(haft_handle live, haft_handle *values);

#endif
