/*
** haft_embed.h: JavaScript logic in a C program.
**
** The program is the process and stays it. It links one small library, libhaft_embed, and nothing of Node or V8; the logic
** runs in a child process, `node`, that shares memory with the program. Everything else is haft.h, which this header
** includes: find an object by name, call it by handle, from any thread.
**
**     // logic.mjs
**     export default (registry) => {
**       registry.publish('greet', registry.fn({ args: ['str'], returns: 'str' }, (name) => `Hello, ${name}!`));
**     };
**
**     // main.c              cc main.c $(pkg-config --cflags --libs haft_embed) -o main
**     #include <haft_embed.h>
**     #include <stdio.h>
**     int main(void) {
**       haft_embed_options options = HAFT_EMBED_OPTIONS;
**       haft_realm realm;  haft_kind kind;  haft_op greet;  haft_handle object;  haft_value result;
**       options.script = "logic.mjs";
**       if (haft_embed_start(&options, &realm) != HAFT_OK) {
**         fprintf(stderr, "%s\n", haft_last_error()->message);
**         return 1;
**       }
**       haft_find(realm, "greet", 0, 0, &object);
**       haft_kind_of(object, &kind);
**       haft_op_find(kind, "call", &greet);
**       haft_value name = haft_value_str("world", 5);
**       if (haft_call(object, greet, &name, 1, 1000, &result) == HAFT_OK) puts(result.as.str);
**       haft_value_free(&result);
**       haft_release(object);
**       return haft_embed_stop(realm) == HAFT_OK ? 0 : 1;
**     }
**
** A LOGIC is one child with one realm (and one more for each registry that the logic opens itself). A program may start
** several, at most 64 at one time, and call each from any number of threads. They share one arena with the program: logics
** that must not trust each other belong in programs of their own.
**
** THE END of a logic is a status: every call that waits, and every later one, is HAFT_E_CLOSED, and `ended` hears why.
** A crash of the logic never crashes the program or keeps it waiting. The end of the program, by whatever means, ends the
** child within a second.
**
** WHAT IS LEFT ALONE. The child is not one of the program's children: wait() and waitpid() do not see it, no SIGCHLD is
** sent, no signal handler is installed, and no SIGPIPE can come of it. The child inherits no descriptor of the program
** but those that its output goes to. It is in a process group of its own: Ctrl-C at a terminal reaches the program only.
**
** THREADS. haft starts two threads for each logic, with all signals blocked: one watches the child, one reads what it
** writes; and those of `pool`; and one for the program at its first haft_call_async. Any thread may call any function of
** this header. The callbacks say on which thread they run.
**
** LINUX ONLY (5.3 or newer, for pidfd_open), x64 and arm64.
*/
#ifndef HAFT_EMBED_H
#define HAFT_EMBED_H

#include "haft.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of what the logic writes on its standard output and standard error. */
typedef enum haft_embed_output {
  HAFT_EMBED_INHERIT = 0, /* goes where the program's own goes */
  HAFT_EMBED_FILE = 1,    /* is appended to `output_file` */
  HAFT_EMBED_LINES = 2,   /* comes to `line`, a line at a time */
  HAFT_EMBED_DISCARD = 3
} haft_embed_output;

typedef enum haft_embed_stream { HAFT_EMBED_STDOUT = 1, HAFT_EMBED_STDERR = 2 } haft_embed_stream;

/* When a logic that ended is started again. Never after haft_embed_stop, nor when it did not become ready the first
** time. */
typedef enum haft_embed_restart {
  HAFT_EMBED_NEVER = 0,
  HAFT_EMBED_ON_FAILURE = 1, /* whenever it ended, unless with exit code 0 */
  HAFT_EMBED_ALWAYS = 2
} haft_embed_restart;

/* Why a logic ended. X(name, number, "what happened") */
#define HAFT_EMBED_REASON_MAP(X)                                                \
  X(STOPPED, 1, "it was stopped by haft_embed_stop")                            \
  X(EXITED, 2, "it exited by itself")                                           \
  X(KILLED, 3, "a signal ended it")                                             \
  X(STUCK, 4, "it answered nothing for longer than `stuck_ms`, and was killed") \
  X(NOT_READY, 5, "it was started again, and did not become ready")             \
  X(UNKNOWN, 6, "it is gone, and nobody can say how")

typedef enum haft_embed_reason {
#define HAFT_EMBED_REASON_ENUM(name, number, text) HAFT_EMBED_##name = number,
  HAFT_EMBED_REASON_MAP(HAFT_EMBED_REASON_ENUM)
#undef HAFT_EMBED_REASON_ENUM
} haft_embed_reason;

typedef struct haft_embed_end {
  uint32_t size;     /* bytes of this struct, as haft knows it */
  int32_t pid;       /* what the child's was */
  haft_realm realm;  /* the one that ended; its handles answer HAFT_E_CLOSED or HAFT_E_STALE */
  haft_embed_reason reason;
  int32_t exit_code; /* of EXITED and STOPPED, else -1. An exception that nobody caught is 1. */
  int32_t signal;    /* of KILLED, else 0. Node that runs out of memory ends by SIGABRT. */
  uint32_t restarts; /* so many times it had been started again */
  bool restarting;   /* it is started again now */
  const char *text;  /* one sentence, and the end of what it wrote on its standard error: at most 4 KiB */
} haft_embed_end;

/* A function for the logic's registry.host(): as haft_expose, but there before the logic loads, and after each restart. While
** it loads the first time the thread in haft_embed_start runs it, or the pool; after a restart the pool only. */
typedef struct haft_embed_function {
  const char *name; /* NULL ends the list */
  haft_function function;
  void *user;
} haft_embed_function;

/* How to start a logic. Begin with HAFT_EMBED_OPTIONS; what is 0 or NULL is as described. Everything is copied; what `user`
** points to must live until the logic has ended for the last time. */
typedef struct haft_embed_options {
  uint32_t size; /* sizeof(haft_embed_options) */
  haft_embed_output output;
  const char *script;             /* the logic: a module whose default export is (registry, args) => void | Promise<void> */
  const char *node;               /* the program `node`, a path or a name in PATH; NULL: $HAFT_NODE, else "node" */
  const char *oldest_node;        /* the oldest version that will do, "20.10" or "v22.1.0"; NULL: what haft needs, 20 */
  const char *const *node_args;   /* arguments of node's own, such as "--inspect", up to a NULL; NULL: none */
  const char *const *args;        /* for the logic, its second parameter, up to a NULL; NULL: none */
  const char *const *environment; /* "NAME=value" up to a NULL; NULL: the program's own */
  const char *directory;          /* where node runs; NULL: where the program does */
  const char *package;            /* the folder of the npm package haft; NULL: the one that `script` would import, else
                                  ** $HAFT_PACKAGE, else the one that the library was built in */
  const char *output_file;        /* of HAFT_EMBED_FILE; made with mode 0600 if it is not there */
  /* Of HAFT_EMBED_LINES: a line without its end, followed by a NUL; longer ones than 64 KiB come in parts. On a thread of
  ** haft's, one line after the other; while it runs the logic may have to wait with its output. */
  void (*line)(void *user, haft_embed_stream stream, const char *text, size_t length);
  int64_t ready_ms;   /* how long it may take until the logic is ready; 0: 10,000; negative: for ever */
  int64_t stop_ms;    /* how long haft_embed_stop lets the logic finish; 0: 5,000; negative: for ever */
  int64_t stuck_ms;   /* how long a handler, or anything else, may keep the logic from what waits for it; then it is killed.
                      ** 0: for ever. A debugger that halts the logic counts. */
  uint32_t pool;      /* so many threads of haft's own run functions of the host (haft_expose); 0: none does */
  haft_embed_restart restart;
  uint32_t restart_most; /* so many times within `restart_within_ms`, then it stays down; 0: 5 */
  uint32_t reserved;
  int64_t restart_within_ms; /* 0: 60,000; negative: since the start */
  /* Up to an entry without a name; NULL: none. What the logic calls while it loads is run by the pool, or by the thread in
  ** haft_embed_start; when it is started again, by the pool, or those that wait in haft_embed_realm. */
  const haft_embed_function *functions;
  /* The logic has ended. Once for each realm that was ready, on the thread that watches it, or the one in haft_embed_stop.
  ** All that waited for it has been told. It must not wait. */
  void (*ended)(void *user, const haft_embed_end *end);
  /* The logic was started again and is ready, with a fresh realm. On the thread that watches it. It may call haft_find. */
  void (*restarted)(void *user, haft_realm realm);
  void *user;
} haft_embed_options;

#define HAFT_EMBED_OPTIONS {sizeof(haft_embed_options), HAFT_EMBED_INHERIT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
                            HAFT_EMBED_NEVER, 0, 0, 0, 0, 0, 0, 0}

/* What follows is to be called by its names without `_with`: they keep the table of functions for haft.h too. */
HAFT_EXPORT const haft_api *haft_embed_api(void);
HAFT_EXPORT haft_status haft_embed_start_with(const haft_embed_options *options, haft_realm *realm);

/* Starts a logic and waits until it is ready: its default export has settled. `*realm` is its registry's.
** HAFT_E_NOT_FOUND: there is no such script, node or package haft; HAFT_E_UNSUPPORTED: the package has no addon, or one that
** does not load; HAFT_E_ABI: node is too old, or the package haft is of another version than this library; HAFT_E_EXCEPTION: the logic threw while it loaded or started; HAFT_E_CLOSED: it exited
** or was killed; HAFT_E_TIMEOUT: it was not ready in time; HAFT_E_SLOTS: as many run as can; HAFT_E_NO_MEMORY,
** HAFT_E_INTERNAL: the operating system refused something; HAFT_E_ARGUMENT, HAFT_E_FORKED. haft_last_error() tells more, and
** what node wrote on its standard error. Nothing is left of it. */
static inline haft_status haft_embed_start(const haft_embed_options *options, haft_realm *realm) {
  const haft_status status = haft_plugin_keep(haft_embed_api());
  return status == HAFT_OK ? haft_embed_start_with(options, realm) : status;
}

/* Ends a logic in order: what was posted before is handled, calls under way are answered, the registry closes, its
** `exit` listeners run, and the child is gone when this returns. `realm`: any that the logic has had. Where it takes longer
** than `stop_ms`, or does not answer, the child is killed: HAFT_E_TIMEOUT, and it is gone all the same. A second stop waits
** for the first.
** HAFT_E_CLOSED: it had ended before; HAFT_E_ARGUMENT: not a realm of a logic; HAFT_E_DEADLOCK: called in a callback of
** the logic's own; HAFT_E_FORKED. */
HAFT_EXPORT haft_status haft_embed_stop(haft_realm realm);

/* The realm that the logic has now, of which `realm` is any that it has had. While it is being started again this waits up
** to `timeout_ms`, and runs functions of the host that the logic calls while it loads. HAFT_E_CLOSED: it has ended and is
** not started again; HAFT_E_TIMEOUT, HAFT_E_ARGUMENT, HAFT_E_FORKED. */
HAFT_EXPORT haft_status haft_embed_realm(haft_realm realm, int64_t timeout_ms, haft_realm *now);

/* The child's process id now, for tools that look at processes. Statuses as haft_embed_realm with timeout 0. */
HAFT_EXPORT haft_status haft_embed_pid(haft_realm realm, int32_t *pid);

/* What a reason means, in words; "unknown reason" for any other number. */
HAFT_EXPORT const char *haft_embed_reason_text(haft_embed_reason reason);

#ifdef __cplusplus
}
#endif
#endif
