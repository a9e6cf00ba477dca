/*
** haft.h: JavaScript objects in C and C++, by handle.
**
** This is the only header that a plugin or a host includes, and its comments are the manual. It needs no
** Node header and nothing to link: every function is `static inline` over a table of function pointers
** (`haft_api`) that haft hands to the plugin.
**
** A HANDLE is a 64-bit integer. The object stays in JavaScript; C holds the integer, in any variable, on any
** thread, for as long as it likes. Every function takes any integer at all: a handle that was never issued, or
** that outlived its object, is a status and never a crash, and it never names another object.
**
** Both sides of a first program:
**
**     // logic.js
**     import { kind } from 'haft';
**     class Counter { total = 0; add(n) { return (this.total += n); } }
**     const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
**     export default (registry) => {
**       registry.publish('counter', registry.create(new Counter(), CounterKind));
**     };
**
**     // host.c              cc -shared -fPIC -I"$(npx haft --include)" host.c -o host.so
**     #include <haft.h>
**     #include <stdio.h>
**     HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
**       haft_kind kind;  haft_op add;  haft_handle counter;  haft_value total;
**       if (HAFT_PLUGIN(api) != HAFT_OK) return 1;
**       if (haft_kind_find("Counter", 0, &kind) != HAFT_OK) return 1;
**       if (haft_op_find(kind, "add", &add) != HAFT_OK) return 1;
**       if (haft_find(realm, "counter", kind, 1000, &counter) != HAFT_OK) return 1;
**       haft_value two = haft_value_f64(2);
**       haft_status status = haft_call(counter, add, &two, 1, 1000, &total);
**       if (status == HAFT_OK) printf("%g\n", total.as.f64);
**       else printf("%s: %s\n", haft_status_name(status), haft_last_error()->message);
**       haft_release(counter);
**       return status == HAFT_OK ? 0 : 1;
**     }
**
**     $ npx haft run ./host.so ./logic.js
**     2
**
** OWNERSHIP, in four rules.
**   1. A handle that a function returns (haft_find, the result of a call) carries one reference. The receiver
**      gives it back with haft_release. The other side of it: a JavaScript handler that returns a handle gives a
**      reference away, the creator's or one that it adds with registry.retain(h); where nobody receives it (a post,
**      a caller that has left) haft gives it back.
**   2. A handle passed as an argument is borrowed: the callee may use it until it returns, and retains it to
**      keep it longer.
**   3. Arguments are copied before haft_post or haft_call goes on. Nobody lends memory to JavaScript.
**   4. A result of type HAFT_STR or HAFT_BYTES is memory of the receiver: free it with haft_value_free.
**
** THREADS. Unless a function says otherwise, any thread may call it at any time, including before the realm
** is ready and after it is gone. "The realm's own thread" is the thread on which its JavaScript runs. In a forked
** child every function is HAFT_E_FORKED.
**
** TIME. Timeouts are in milliseconds: 0 tries once and does not wait; a negative one waits until there is a
** result or the realm closes. No function waits longer than its timeout, whatever JavaScript does; but on the
** realm's own thread a handler runs inside the call, and nothing stops it.
**
** CHECKS. The environment variable HAFTCHECK, read once when the first registry opens, says how much is looked at. Always: that a
** handle is one, is alive, and is of the op's kind. 1, unless it is set: also whose realm the arguments are of, how many
** there are, and that only a result is freed as one. 2: also the types of arguments, who owns which reference, where each
** handle was made and used, and the whole table after each drain; for tests. "2,abort" ends the process at the first
** breach, with a report. The pointer rules are listed at HAFT_RULE_MAP.
*/
#ifndef HAFT_H
#define HAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. Within one major version the table only grows. */
#define HAFT_VERSION_MAJOR 1
#define HAFT_VERSION_MINOR 4

#if defined(_WIN32)
#define HAFT_EXPORT __declspec(dllexport)
#else
#define HAFT_EXPORT __attribute__((visibility("default")))
#endif

/* ---- Types ------------------------------------------------------------------------------------------- */

/* Names one JavaScript object for as long as it is referenced. Always in [2^52, 2^53), so that it is an exact
** `number` in JavaScript too. Compare with ==; never compute with it. */
typedef uint64_t haft_handle;

/* Never a handle. As an argument or a result of type HAFT_HANDLE it stands for no object. */
#define HAFT_NULL ((haft_handle)0)

/* One open Registry of one JavaScript environment. Never 0, and never used again after it closed. */
typedef uint64_t haft_realm;

/* What sort of object a handle names, 1 to 8191; 0 for an object without a kind, which has no ops. The same in the
** whole process; not the same in the next run: look it up by name with haft_kind_find. */
typedef uint32_t haft_kind;

/* One method of a kind. Its number is the kind and the method's position in the kind's list of ops. */
typedef uint32_t haft_op;
#define HAFT_OP(kind, position) ((haft_op)(((kind) << 16) | (position)))
#define HAFT_OP_KIND(op) ((haft_kind)((op) >> 16))

/* Most arguments of one post or call. */
#define HAFT_ARGS_MAX 16

/* Most bytes that the strings and byte arrays of one post, call or result take together. */
#define HAFT_PAYLOAD_MAX (16u * 1024 * 1024)

/* ---- Statuses ---------------------------------------------------------------------------------------- */

/* What every function returns: HAFT_OK, or one of the negative codes below. The list is written once;
** everything that names codes, here and in TypeScript, is made from it.
** X(name, number, "what happened", "what to do next") */
#define HAFT_STATUS_MAP(X)                                                                                     \
  X(OK, 0, "success", "")                                                                                      \
  X(E_FORGED, -1, "the value was never issued as a handle",                                                    \
    "pass the integer unchanged, as uint64_t; a truncated or computed value is not a handle")                  \
  X(E_STALE, -2, "the handle's object was released or deleted",                                                \
    "retain the handle for as long as it is used, and drop it after the last release")                         \
  X(E_KIND, -3, "the handle names an object of another kind",                                                  \
    "use an op of the handle's own kind, or look the kind up with haft_kind_of")                               \
  X(E_REALM, -4, "the handle belongs to another realm",                                                        \
    "use the handle with the registry that created it")                                                        \
  X(E_CLOSED, -5, "the realm is closed", "stop using its handles; a new realm issues new ones")                \
  X(E_FORKED, -6, "the process is a forked child, where no JavaScript runs",                                   \
    "use haft in the parent only, or call exec in the child")                                                  \
  X(E_OVERFLOW, -7, "the handle has as many references as it can count (4194303)",                             \
    "look for a retain without a release")                                                                     \
  X(E_SLOTS, -8, "the table has no free place left: for handles, realms, kinds, names or queues",              \
    "release or delete handles and close registries that are no longer used")                                  \
  X(E_FULL, -9, "the mailbox is full", "wait with HAFT_BLOCK, drop with HAFT_DROP_NEWEST, or post less")       \
  X(E_NO_MEMORY, -10, "there is no room for the strings and bytes of the message",                             \
    "try again when earlier messages have been handled, or send smaller ones")                                 \
  X(E_TOO_LARGE, -11, "the strings and bytes of the message exceed HAFT_PAYLOAD_MAX", "send it in parts")      \
  X(E_TIMEOUT, -12, "the time ran out", "allow more time, or look for a handler that does not return")         \
  X(E_EXCEPTION, -13, "the JavaScript handler threw", "read haft_last_error() for its name, message and stack") \
  X(E_RESULT, -14, "the JavaScript handler returned a value that is not of the declared type",                 \
    "return what the kind declares under `returns`")                                                           \
  X(E_DEADLOCK, -15, "the wait could never end: the thread waits for itself, or realms wait in a circle",      \
    "on the realm's own thread post without HAFT_BLOCK; call asynchronous handlers from another thread")                                                       \
  X(E_OP, -16, "the kind has no such op", "look the op up with haft_op_find")                                  \
  X(E_ARGUMENT, -17, "an argument has an impossible value", "see the function's description in haft.h")        \
  X(E_UTF8, -18, "a string is not valid UTF-8", "pass HAFT_BYTES for data that is not text")                   \
  X(E_NOT_FOUND, -19, "nothing has that name", "check the spelling, and that JavaScript defined it first")     \
  X(E_ABI, -20, "the two sides were built for different versions",                                             \
    "rebuild the plugin against the header and the kinds that are in use")                                     \
  X(E_UNSUPPORTED, -21, "this version of haft does not have that function",                                    \
    "update haft, or check the size of haft_api before the call")                                              \
  X(E_BUSY, -22, "too many calls are waiting for a reply", "let some of them finish, or post instead")         \
  X(E_INTERNAL, -23, "the operating system refused something haft needs", "read haft_last_error()")            \
  X(E_MOVED, -24, "the object was moved to another realm", "ask haft_moved for its new handle")                \
  X(E_BREAKER, -25, "the breaker of the handle's kind is open: its handlers failed too often in a row",        \
    "try again after the time that the kind allows, and look at what the handlers threw")                      \
  X(E_BACKEND, -26, "haft runs without its addon, and koffi alone cannot do that",                             \
    "build the addon, or see docs/backends.md for what works without it")                                      \
  X(E_OWNER, -27, "the reference or the memory is not the caller's to give back",                              \
    "give back what you were given, and once: a retain, a handle that was found or returned, a result")        \
  X(E_COLLECTED, -28, "the object of the weak handle was collected",                                           \
    "release the handle; who needs the object to stay asks for a handle that is not weak")                     \
  X(E_DETACHED, -29, "the buffer's memory has gone elsewhere, or may move",                                    \
    "pin a buffer that is neither transferred, nor detached, nor resizable, and leave it so until unpin")

/* The pointer rules: docs/pointer-rules.md has each with an example of right and wrong in both languages. A breach is the
** status beside it, and the errors of that status print the number; where several rules have one status, and for
** HAFT_E_ARGUMENT, the error says which. HAFTCHECK=0/1/2 in the environment says how much is looked at (CHECKS, above).
** X(number, status, "the rule") */
#define HAFT_RULE_MAP(X)                                                                                       \
  X(1, E_FORGED, "a handle travels unchanged, as 64 bits")                                                     \
  X(2, E_STALE, "who keeps a handle beyond the call holds a reference of its own")                             \
  X(3, E_OWNER, "a reference is given back once, by the side that owns it")                                    \
  X(4, E_OWNER, "a result is its receiver's: freed once, and nothing else is freed as one")                    \
  X(5, E_KIND, "an op goes to objects of its own kind")                                                        \
  X(6, E_OP, "an op is one that its kind has")                                                                 \
  X(7, E_ARGUMENT, "arguments are as many as the op declares, and of its types")                               \
  X(8, E_UTF8, "a string is UTF-8, and counted")                                                               \
  X(9, E_REALM, "a handle is used in its own realm, and the realm's thread for what is the thread's own")      \
  X(10, E_RESULT, "a handler returns what its op declares")                                                    \
  X(11, E_DETACHED, "memory that C keeps is pinned, and what is borrowed ends with the handler")               \
  X(12, E_COLLECTED, "a weak handle keeps nothing alive")                                                      \
  X(13, E_MOVED, "a moved object is reached by its new handle")                                                \
  X(14, E_ABI, "C is built for the header and the kinds that are there")                                       \
  X(15, E_DEADLOCK, "no thread waits for itself")                                                              \
  X(16, E_CLOSED, "nothing outlives its realm")                                                                \
  X(17, E_FORKED, "a forked child leaves haft alone")                                                          \
  X(18, E_OVERFLOW, "every retain has its release")

typedef int32_t haft_status;
enum {
#define HAFT_STATUS_ENUM(name, number, message, next) HAFT_##name = number,
  HAFT_STATUS_MAP(HAFT_STATUS_ENUM)
#undef HAFT_STATUS_ENUM
};

/* What went wrong in this thread's latest haft function that did not return HAFT_OK. The strings are never
** NULL; they belong to haft and last until the thread's next haft call. `name`, `message` and `stack` are the
** exception's for HAFT_E_EXCEPTION, together at most about 3,500 bytes; otherwise `name` is the code's and `stack` is
** empty. */
typedef struct haft_error {
  uint32_t size; /* bytes of this struct, as haft knows it */
  haft_status status;
  haft_handle handle; /* the offending one, or HAFT_NULL */
  const char *name;
  const char *message;
  const char *stack;
  const char *next; /* what to do about it; since 1.1: only where `size` covers it */
  uint32_t rule;    /* the pointer rule that was broken, 0: none; since 1.3 */
  uint32_t reserved;
} haft_error;

/* ---- Values ------------------------------------------------------------------------------------------ */

/* The types of arguments and results. In JavaScript: f64, i32 and u32 are numbers, i64 a bigint, bool a
** boolean, a handle a number (a Handle), str a string, bytes a Uint8Array, and void undefined. */
typedef enum haft_type {
  HAFT_VOID = 0,
  HAFT_F64 = 1,
  HAFT_I32 = 2,
  HAFT_U32 = 3,
  HAFT_I64 = 4,
  HAFT_BOOL = 5,
  HAFT_HANDLE = 6,
  HAFT_STR = 7,
  HAFT_BYTES = 8
} haft_type;

/* A tagged value of 16 bytes. Strings are UTF-8 and counted: they may contain NUL. The string of a result
** is also followed by a NUL that `length` does not count. */
typedef struct haft_value {
  uint32_t type;   /* haft_type */
  uint32_t length; /* bytes of `str` or `bytes`, else 0 */
  union {
    double f64;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    bool b;
    haft_handle handle;
    const char *str;
    const void *bytes;
  } as;
} haft_value;

/* What haft_post does when the object's mailbox is full: fail with HAFT_E_FULL, drop the new message and
** return HAFT_OK, or wait up to so many milliseconds (negative: until there is room or the realm closes) and
** then return HAFT_E_FULL. HAFT_OK: the message is in the mailbox; of an object whose kind has batches or retries, or
** that is moving, JavaScript holds up to 65,536 more, and refuses what comes above. Where it is memory for strings and bytes that lacks, HAFT_BLOCK waits too, and the status
** is HAFT_E_NO_MEMORY in all three. */
typedef int64_t haft_full;
#define HAFT_FAIL ((haft_full)0)
#define HAFT_BLOCK(milliseconds) ((haft_full)(milliseconds))
#define HAFT_DROP_NEWEST INT64_MIN

/* One call of haft_call_many. */
typedef struct haft_request {
  haft_handle handle;
  const haft_value *args;
  uint32_t count; /* of args */
  haft_op op;
  haft_status status; /* out */
  uint32_t reserved;  /* 0 */
  haft_value result;  /* out: the result, or for HAFT_E_EXCEPTION, HAFT_E_RESULT and HAFT_E_ARGUMENT a HAFT_STR that says
                      ** why, "name: message"; the caller's, as in rules 1 and 4 */
} haft_request;

/* How a call without a waiting thread ends (haft_call_async): a function is called, or a completion is put in a
** queue. The function runs once, on whichever thread ends the call: mostly the realm's own, at its end the thread that
** closes it, after a timeout and in a program that embeds a thread of haft's. It must be quick and must not wait. `*result` is the function's: the
** result, or as in haft_request a text; free it, as in rules 1 and 4. */
typedef void (*haft_done)(void *user, haft_status status, haft_value *result);

/* A queue of completions. Any integer may be passed: one that is not open is HAFT_E_FORGED. 0 is none. */
typedef uint64_t haft_queue;

typedef struct haft_completer {
  uint32_t size;    /* sizeof(haft_completer) */
  haft_done done;   /* this, */
  haft_queue queue; /* or this if `done` is NULL */
  void *user;       /* comes back with the completion; never looked at */
} haft_completer;

typedef struct haft_completion {
  void *user;
  haft_status status;
  uint32_t reserved;
  haft_value result; /* the receiver's, as in haft_done */
} haft_completion;

/* What may be waited for. The first three and the user's are counted while somebody waits: the wait ends when one
** comes after it began. The others are levels: the wait ends at once where they hold already. */
#define HAFT_EVENT_DRAINED 0x01u   /* the mailboxes were drained until nothing was left */
#define HAFT_EVENT_RECLAIMED 0x02u /* objects were dropped whose last reference was released */
#define HAFT_EVENT_COLLECTED 0x04u /* registry.collect() came to its end */
#define HAFT_EVENT_EMPTY 0x08u     /* no message waits in a mailbox */
#define HAFT_EVENT_FULL 0x10u      /* some mailbox has no room for one more message */
#define HAFT_EVENT_CLOSING 0x20u   /* the realm takes no new work */
/* Eight of your own, 0 to 7: haft_signal causes them. */
#define HAFT_EVENT_USER(number) (0x10000u << (number))

/* What became of the messages to one shard of a realm, or to all. A message is a post or a call that named a valid
** handle, an op of its kind and values that can be sent, as many as the op takes; it ends in exactly one of delivered (its handler ran, whatever
** it returned or threw), refused (no room, realm closed, object gone, breaker open, ...), dropped (HAFT_DROP_NEWEST)
** and expired (a call whose caller gave up). `sent` is their sum, and the posts that wait to be delivered. */
typedef struct haft_counters {
  uint32_t size;         /* in: sizeof(haft_counters); so many bytes are written */
  uint32_t highest_fill; /* most cells of 64 bytes that were seen in use at one time, of 1,024 a shard */
  uint64_t sent;
  uint64_t delivered;
  uint64_t refused;
  uint64_t dropped;
  uint64_t expired;
  uint64_t longest_wait; /* nanoseconds that a thread waited for room */
} haft_counters;
#define HAFT_ALL_SHARDS UINT32_MAX

/* ---- Functions of the host ---------------------------------------------------------------------------- */

/* Where a function of the host puts its answer. Valid until the function returns, on its thread. */
typedef struct haft_reply haft_reply;

/* A function that JavaScript may call (haft_expose). `args` and what they point to are valid until it returns; strings and
** bytes are followed by a NUL that `length` does not count. A handle among them is borrowed. It answers with
** haft_reply_value, or not at all, which is HAFT_VOID, and returns HAFT_OK. Any other status is an error in JavaScript: a
** HaftError of that code, with the text of haft_reply_error. */
typedef haft_status (*haft_function)(void *user, const haft_value *args, size_t count, haft_reply *reply);

/* ---- The table of functions -------------------------------------------------------------------------- */

/* What a plugin receives. Entries are only ever added at the end; `size` tells which there are. Use the
** inline functions below instead: they also answer for a table that is too short, or absent. */
typedef struct haft_api {
  uint32_t size; /* bytes of this table */
  uint16_t major, minor;
  haft_status (*retain)(haft_handle);
  haft_status (*release)(haft_handle);
  haft_status (*check)(haft_handle, haft_kind);
  haft_status (*kind_of)(haft_handle, haft_kind *);
  haft_status (*realm_of)(haft_handle, haft_realm *);
  haft_status (*kind_find)(const char *, uint64_t, haft_kind *);
  haft_status (*op_find)(haft_kind, const char *, haft_op *);
  haft_status (*find)(haft_realm, const char *, haft_kind, int64_t, haft_handle *);
  haft_status (*realm_check)(haft_realm);
  haft_status (*post)(haft_handle, haft_op, const haft_value *, size_t, haft_full);
  haft_status (*call)(haft_handle, haft_op, const haft_value *, size_t, int64_t, haft_value *);
  haft_status (*call_many)(haft_request *, size_t, int64_t);
  void (*value_free)(haft_value *);
  const haft_error *(*last_error)(void);
  const char *(*status_name)(haft_status);
  const char *(*status_message)(haft_status);
  /* since 1.1 */
  haft_status (*call_async)(haft_handle, haft_op, const haft_value *, size_t, int64_t, const haft_completer *);
  haft_status (*queue_open)(haft_queue *, int *);
  haft_status (*queue_next)(haft_queue, int64_t, haft_completion *);
  haft_status (*queue_close)(haft_queue);
  haft_status (*serve)(haft_realm, int64_t);
  haft_status (*blocking)(haft_realm, bool);
  haft_status (*wait)(haft_realm, uint32_t, int64_t, uint32_t *);
  haft_status (*signal)(haft_realm, uint32_t);
  haft_status (*moved)(haft_handle, haft_handle *);
  haft_status (*counters_read)(haft_realm, uint32_t, haft_counters *);
  /* since 1.3 */
  haft_status (*retain_as)(haft_handle, const char *);
  haft_status (*release_as)(haft_handle, const char *);
  haft_status (*memory)(haft_handle, void **, uint64_t *);
  haft_status (*kind_match)(const char *, const char *, haft_kind *);
  int32_t (*check_level)(void);
  /* since 1.4 */
  haft_status (*expose)(haft_realm, const char *, haft_function, void *);
  haft_status (*reply_value)(haft_reply *, const haft_value *);
  haft_status (*reply_error)(haft_reply *, const char *);
} haft_api;

/* Where this plugin keeps the table: one variable a shared library, however many files include this header. */
#if defined(_MSC_VER)
extern __declspec(selectany) const haft_api *haft_plugin_api = NULL;
#else
__attribute__((weak, visibility("hidden"))) const haft_api *haft_plugin_api;
#endif

/* Keeps the table. A plugin calls this first, with the `api` it was given; before that, every function below
** returns HAFT_E_UNSUPPORTED. HAFT_E_ABI: haft is of another major version than this header. */
#define HAFT_PLUGIN(api) haft_plugin_keep(api)
static inline haft_status haft_plugin_keep(const haft_api *api) {
  if (!api) return HAFT_E_ARGUMENT;
  if (api->major != HAFT_VERSION_MAJOR) return HAFT_E_ABI;
  haft_plugin_api = api;
  return HAFT_OK;
}

/* Whether the table at hand has this entry: HAFT_HAS(call_many). */
#define HAFT_HAS(entry) (haft_plugin_api && haft_plugin_api->size >= offsetof(haft_api, entry) + sizeof(void *))

/* ---- References -------------------------------------------------------------------------------------- */

/* Adds one reference. Lock-free. One to a weak handle keeps its slot, and not its object.
** HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_MOVED, HAFT_E_CLOSED, HAFT_E_FORKED; HAFT_E_COLLECTED: the handle is a weak one, and
** its object is gone; HAFT_E_OVERFLOW. On any of them nothing changed. */
static inline haft_status haft_retain(haft_handle handle) {
  return HAFT_HAS(retain) ? haft_plugin_api->retain(handle) : HAFT_E_UNSUPPORTED;
}

/* Gives one reference back. The last one ends the handle at once; JavaScript drops the object soon after, once
** the messages that were posted before the release have been handled. A weak handle whose object was collected is
** released as any other: HAFT_OK. Lock-free.
** HAFT_E_FORGED; HAFT_E_STALE: also for a release too many, if nobody else holds a reference; HAFT_E_MOVED, HAFT_E_CLOSED,
** HAFT_E_FORKED. */
static inline haft_status haft_release(haft_handle handle) {
  return HAFT_HAS(release) ? haft_plugin_api->release(handle) : HAFT_E_UNSUPPORTED;
}

/* As haft_retain and haft_release, with a label that says what the reference is for: registry.report() and the leak report
** count references by label. A label is text of your own, of 1 to 63 bytes; it is copied. Give a labelled reference back
** with the same label. Takes a lock, not for long.
** As haft_retain (HAFT_E_COLLECTED too) and haft_release; HAFT_E_ARGUMENT: no label; haft_release_as: HAFT_E_OWNER: the
** handle has no reference of that label. Nothing changed. */
static inline haft_status haft_retain_as(haft_handle handle, const char *label) {
  return HAFT_HAS(retain_as) ? haft_plugin_api->retain_as(handle, label) : HAFT_E_UNSUPPORTED;
}
static inline haft_status haft_release_as(haft_handle handle, const char *label) {
  return HAFT_HAS(release_as) ? haft_plugin_api->release_as(handle, label) : HAFT_E_UNSUPPORTED;
}

/* The memory of a buffer that JavaScript pinned or transferred (registry.pin, registry.transfer), and its bytes. It stays
** where it is while the handle is valid: until JavaScript unpins it or its realm closes, or, where you hold the last
** reference, until your release. Both sides may write: who writes when is for them to agree.
** HAFT_E_KIND: the handle names no memory; HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_MOVED, HAFT_E_COLLECTED, HAFT_E_CLOSED,
** HAFT_E_FORKED, HAFT_E_ARGUMENT; HAFT_E_UNSUPPORTED: in a program that embeds (haft_embed.h), where JavaScript's memory is
** another process's. On any error `*data` is NULL and `*size` 0. */
static inline haft_status haft_memory(haft_handle handle, void **data, uint64_t *size) {
  return HAFT_HAS(memory) ? haft_plugin_api->memory(handle, data, size) : HAFT_E_UNSUPPORTED;
}

/* Whether the handle is valid and, unless `kind` is 0, of that kind. Lock-free; changes nothing. Without a
** reference of your own the answer may be out of date when you read it.
** HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_MOVED, HAFT_E_COLLECTED, HAFT_E_KIND, HAFT_E_CLOSED, HAFT_E_FORKED. */
static inline haft_status haft_check(haft_handle handle, haft_kind kind) {
  return HAFT_HAS(check) ? haft_plugin_api->check(handle, kind) : HAFT_E_UNSUPPORTED;
}

/* The kind of a valid handle. Statuses as haft_check. */
static inline haft_status haft_kind_of(haft_handle handle, haft_kind *kind) {
  return HAFT_HAS(kind_of) ? haft_plugin_api->kind_of(handle, kind) : HAFT_E_UNSUPPORTED;
}

/* The realm of a valid handle. Statuses as haft_check. */
static inline haft_status haft_realm_of(haft_handle handle, haft_realm *realm) {
  return HAFT_HAS(realm_of) ? haft_plugin_api->realm_of(handle, realm) : HAFT_E_UNSUPPORTED;
}

/* ---- Names ------------------------------------------------------------------------------------------- */

/* The number of the kind that JavaScript defined with this name. `fingerprint` 0 accepts any definition, and of several
** that differ gives the latest; another one must be equal to the fingerprint of the kind's signatures (`kind.fingerprint` in JavaScript, haft::fingerprint
** in haft.hpp). The kind of a plain function is named by its signature: "fn(f64,str):bool".
** HAFT_E_NOT_FOUND; HAFT_E_ABI: the name is defined, with other signatures; HAFT_E_ARGUMENT. */
static inline haft_status haft_kind_find(const char *name, uint64_t fingerprint, haft_kind *kind) {
  return HAFT_HAS(kind_find) ? haft_plugin_api->kind_find(name, fingerprint, kind) : HAFT_E_UNSUPPORTED;
}

/* As haft_kind_find, for exactly these ops, written as "add(f64):f64;name():str" in their order: what a header of
** `haft header` passes. HAFT_E_ABI: haft_last_error()->message names the first op that differs, and how. */
static inline haft_status haft_kind_match(const char *name, const char *signatures, haft_kind *kind) {
  return HAFT_HAS(kind_match) ? haft_plugin_api->kind_match(name, signatures, kind) : HAFT_E_UNSUPPORTED;
}

/* The op of a kind by its method's name. The op of a plain function is named "call".
** HAFT_E_NOT_FOUND: no such kind; HAFT_E_OP: the kind has no such op; HAFT_E_ARGUMENT. */
static inline haft_status haft_op_find(haft_kind kind, const char *name, haft_op *op) {
  return HAFT_HAS(op_find) ? haft_plugin_api->op_find(kind, name, op) : HAFT_E_UNSUPPORTED;
}

/* The handle that JavaScript published under `name`, with one reference for the caller. Waits for it up to
** `timeout_ms`; the realm's own thread does not wait. `kind` 0: any kind.
** HAFT_E_NOT_FOUND: nothing was published in time, or what was has ended or was collected; HAFT_E_KIND, HAFT_E_MOVED,
** HAFT_E_CLOSED, HAFT_E_OVERFLOW, HAFT_E_DEADLOCK (realms that wait in a circle), HAFT_E_FORKED, HAFT_E_ARGUMENT. */
static inline haft_status haft_find(haft_realm realm, const char *name, haft_kind kind, int64_t timeout_ms,
                                    haft_handle *found) {
  return HAFT_HAS(find) ? haft_plugin_api->find(realm, name, kind, timeout_ms, found) : HAFT_E_UNSUPPORTED;
}

/* HAFT_OK while the realm takes new work. A host that computes for long without calling JavaScript asks this
** now and then, and returns when the realm is closed.  HAFT_E_CLOSED, HAFT_E_FORKED. */
static inline haft_status haft_realm_check(haft_realm realm) {
  return HAFT_HAS(realm_check) ? haft_plugin_api->realm_check(realm) : HAFT_E_UNSUPPORTED;
}

/* ---- Messages ---------------------------------------------------------------------------------------- */

/* Sends `op` to the object and goes on: tens of nanoseconds. Messages of one thread to one handle are delivered
** in the order in which they were sent; across handles no order is promised. A message that was posted before
** the last release of its handle, or of a handle among its arguments, still finds the object. What the handler
** returns is dropped; what it throws goes to the registry's `error` event.
** HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_MOVED, HAFT_E_COLLECTED: of the handle, or of one among the arguments; HAFT_E_KIND,
** HAFT_E_OP, HAFT_E_CLOSED, HAFT_E_FORKED, HAFT_E_BREAKER; HAFT_E_FULL, HAFT_E_NO_MEMORY: not sent (see haft_full);
** HAFT_E_DEADLOCK: HAFT_BLOCK with the mailbox full, on the realm's own thread, or on one of another realm that this one
** waits for; HAFT_E_ARGUMENT, HAFT_E_UTF8, HAFT_E_TOO_LARGE; HAFT_E_REALM: an argument is a handle of another realm. */
static inline haft_status haft_post(haft_handle handle, haft_op op, const haft_value *args, size_t count,
                                    haft_full when_full) {
  return HAFT_HAS(post) ? haft_plugin_api->post(handle, op, args, count, when_full) : HAFT_E_UNSUPPORTED;
}

/* Sends `op` to the object and waits for its result, which is written to `*result` (pass NULL to drop it). A
** handler that returns a promise answers when it settles. With timeout 0 a foreign thread does not wait: use haft_post
** instead. On the realm's own thread the handler runs at once,
** inside this call, ahead of messages that the thread posted before; there a promise is HAFT_E_DEADLOCK, since it
** cannot settle while C waits. On any error `*result` is HAFT_VOID.
** As haft_post, and HAFT_E_TIMEOUT: the handler has not run, or its late result is discarded; HAFT_E_EXCEPTION,
** HAFT_E_RESULT: see haft_last_error(); HAFT_E_DEADLOCK also on the own thread of a realm for whose answer this one
** waits, directly or through others, and for a realm that said haft_blocking; HAFT_E_BUSY: 4,095 calls of the realm wait
** already; HAFT_E_UNSUPPORTED: on koffi's stack, without registry.useKoffi(koffi). */
static inline haft_status haft_call(haft_handle handle, haft_op op, const haft_value *args, size_t count,
                                    int64_t timeout_ms, haft_value *result) {
  if (HAFT_HAS(call)) return haft_plugin_api->call(handle, op, args, count, timeout_ms, result);
  if (result) result->type = HAFT_VOID;
  return HAFT_E_UNSUPPORTED;
}

/* Sends n calls and waits for all of them: one round trip. Each request receives its own status and result. The
** timeout is for all together. They are sent in portions of 256. Returns HAFT_OK, or the first request's status that
** is not. */
static inline haft_status haft_call_many(haft_request *requests, size_t count, int64_t timeout_ms) {
  return HAFT_HAS(call_many) ? haft_plugin_api->call_many(requests, count, timeout_ms) : HAFT_E_UNSUPPORTED;
}

/* Sends `op` to the object and goes on at once; the result comes to `completer`, exactly once, whatever happens:
** answered, failed, timed out or closed. For threads that must not wait, the realm's own included (where the call is
** not run at once, but in its turn). HAFT_OK: sent, and the completer will hear of it. Any other status: not sent, and
** it will not. The mailbox being full is HAFT_E_FULL. `timeout_ms` negative: until the result or the end of the realm;
** 0 is HAFT_E_ARGUMENT.
** As haft_call; HAFT_E_FORGED also for a queue that is not open, HAFT_E_INTERNAL where the system has no thread left for
** the timeout. */
static inline haft_status haft_call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count,
                                          int64_t timeout_ms, const haft_completer *completer) {
  return HAFT_HAS(call_async) ? haft_plugin_api->call_async(handle, op, args, count, timeout_ms, completer)
                              : HAFT_E_UNSUPPORTED;
}

/* Opens a queue of completions. `*descriptor` becomes readable while the queue has any: give it to poll(2), epoll or
** an event loop; never read from it or close it. HAFT_E_SLOTS: 1,024 queues are open; HAFT_E_INTERNAL: the system has
** no descriptor left; HAFT_E_ARGUMENT. */
static inline haft_status haft_queue_open(haft_queue *queue, int *descriptor) {
  return HAFT_HAS(queue_open) ? haft_plugin_api->queue_open(queue, descriptor) : HAFT_E_UNSUPPORTED;
}

/* Takes the oldest completion, and waits up to `timeout_ms` for one. Any number of threads may take from one queue.
** HAFT_E_TIMEOUT: none; HAFT_E_FORGED: not an open queue; HAFT_E_DEADLOCK: on a realm's own thread, where every answer
** that the queue waits for is that realm's, or of one that waits for it (return to the event loop, or haft_serve);
** HAFT_E_CLOSED: on the own thread of a realm whose JavaScript is being terminated; HAFT_E_ARGUMENT, HAFT_E_FORKED. */
static inline haft_status haft_queue_next(haft_queue queue, int64_t timeout_ms, haft_completion *completion) {
  return HAFT_HAS(queue_next) ? haft_plugin_api->queue_next(queue, timeout_ms, completion) : HAFT_E_UNSUPPORTED;
}

/* Closes the queue and its descriptor. Completions that nobody took, and those still to come, are freed with the
** references that they carry. HAFT_E_FORGED: not an open queue. */
static inline haft_status haft_queue_close(haft_queue queue) {
  return HAFT_HAS(queue_close) ? haft_plugin_api->queue_close(queue) : HAFT_E_UNSUPPORTED;
}

/* ---- Waiting ------------------------------------------------------------------------------------------ */

/* Gives JavaScript a function of yours: `registry.host({ lookup: { args: ['str'], returns: 'str' } })` there makes
** `host.lookup(key)`, a promise, and `host.sync.lookup(key)`, which waits. The name is 1 to 112 bytes of UTF-8. A second
** function of a name takes the place of the first; NULL takes the name back: JavaScript is told HAFT_E_NOT_FOUND then. The
** earlier function may still run on another thread when this returns: keep what its `user` points to until it has ended.
**
** The function runs on threads that you lend, and on no other: those that wait in haft_serve (as those of the `pool` of
** haft_embed.h do), or, where none does, those that wait in haft_call, haft_call_many or haft_find of this realm; so it may
** run on several at one time. Where nobody
** waits, the call waits until somebody does. A thread that runs your function does not look at its own timeout until the
** function returns. The function may call JavaScript, also while JavaScript waits for it: such calls are handled meanwhile.
** But a handler that answers with a promise, called so while host.sync waits for the very thread, is HAFT_E_DEADLOCK.
** HAFT_E_CLOSED, HAFT_E_FORKED, HAFT_E_SLOTS: 1,024 functions of the realm; HAFT_E_ARGUMENT; HAFT_E_BACKEND: haft runs
** without its addon; HAFT_E_UNSUPPORTED: in the logic's process of a program that embeds, which is the host there. */
static inline haft_status haft_expose(haft_realm realm, const char *name, haft_function function, void *user) {
  return HAFT_HAS(expose) ? haft_plugin_api->expose(realm, name, function, user) : HAFT_E_UNSUPPORTED;
}

/* In a function of the host: its answer, copied at once. A handle carries one reference, which is JavaScript's from then
** on. The second one takes the place of the first.
** HAFT_E_ARGUMENT: not a reply, or no value that can be sent; HAFT_E_UTF8, HAFT_E_TOO_LARGE, HAFT_E_NO_MEMORY;
** HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_CLOSED: of a handle that is none. The answer is then what it was before. */
static inline haft_status haft_reply_value(haft_reply *reply, const haft_value *value) {
  return HAFT_HAS(reply_value) ? haft_plugin_api->reply_value(reply, value) : HAFT_E_UNSUPPORTED;
}

/* In a function of the host that fails: what the error in JavaScript says, UTF-8, copied at once. Return
** HAFT_E_EXCEPTION, or a status that says more.
** HAFT_E_ARGUMENT: not a reply, or no text; HAFT_E_UTF8. */
static inline haft_status haft_reply_error(haft_reply *reply, const char *message) {
  return HAFT_HAS(reply_error) ? haft_plugin_api->reply_error(reply, message) : HAFT_E_UNSUPPORTED;
}

/* On the realm's own thread: handles messages while C waits for something else, such as threads that end. Without it,
** C that joins a thread which calls JavaScript waits for ever:
**
**     while (!finished(&workers)) haft_serve(realm, 100);
**     pthread_join(...);
**
** Promises do not settle meanwhile, so handlers that return one are answered later. On any other thread: runs functions of
** the host that JavaScript calls (haft_expose). Where several threads serve, each hears each haft_signal once.
** Returns HAFT_OK as soon as messages were handled, functions were run, or haft_signal was called; HAFT_E_TIMEOUT when
** nothing of it came in time.
** HAFT_E_CLOSED: also when JavaScript is being terminated; HAFT_E_FORKED; HAFT_E_UNSUPPORTED: on koffi's stack, without
** registry.useKoffi(koffi); HAFT_E_REALM: not the realm's own thread, where haft runs without its addon. */
static inline haft_status haft_serve(haft_realm realm, int64_t timeout_ms) {
  return HAFT_HAS(serve) ? haft_plugin_api->serve(realm, timeout_ms) : HAFT_E_UNSUPPORTED;
}

/* On the realm's own thread: says that C is about to wait for something that haft does not know, such as a library's
** stop function that joins threads, and cannot call haft_serve meanwhile. From `true` to `false` calls of other threads
** that would have to wait for the realm end with HAFT_E_DEADLOCK, those that wait already too, and so do posts that
** would wait for room. HAFT_E_REALM: not the realm's own thread; HAFT_E_CLOSED. */
static inline haft_status haft_blocking(haft_realm realm, bool blocking) {
  return HAFT_HAS(blocking) ? haft_plugin_api->blocking(realm, blocking) : HAFT_E_UNSUPPORTED;
}

/* Waits until one of `events` (HAFT_EVENT_*) happens; `*happened` says which did. Any number of threads may wait, each
** for its own; to cancel a wait, let it wait for one of HAFT_EVENT_USER too. When the realm closes all waits end:
** HAFT_OK where HAFT_EVENT_CLOSING was among the events, else HAFT_E_CLOSED.
** HAFT_E_TIMEOUT; HAFT_E_DEADLOCK: on the realm's own thread, or in a circle of realms; HAFT_E_ARGUMENT: no event that
** there is; HAFT_E_FORKED. */
static inline haft_status haft_wait(haft_realm realm, uint32_t events, int64_t timeout_ms, uint32_t *happened) {
  if (HAFT_HAS(wait)) return haft_plugin_api->wait(realm, events, timeout_ms, happened);
  if (happened) *happened = 0;
  return HAFT_E_UNSUPPORTED;
}

/* Causes events of the user's: ends the waits for them, in C and JavaScript, and a haft_serve.
** HAFT_E_ARGUMENT: another event, or none; HAFT_E_CLOSED, HAFT_E_FORKED. */
static inline haft_status haft_signal(haft_realm realm, uint32_t events) {
  return HAFT_HAS(signal) ? haft_plugin_api->signal(realm, events) : HAFT_E_UNSUPPORTED;
}

/* Where the object of a handle lives that answers HAFT_E_MOVED. Each reference to the old handle has become one to
** `*now`: use and release that instead. The answer is kept until the old realm needs the place, then it is
** HAFT_E_STALE. A handle that is valid gives itself.
** HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_COLLECTED, HAFT_E_CLOSED, HAFT_E_FORKED, HAFT_E_ARGUMENT. */
static inline haft_status haft_moved(haft_handle handle, haft_handle *now) {
  return HAFT_HAS(moved) ? haft_plugin_api->moved(handle, now) : HAFT_E_UNSUPPORTED;
}

/* Reads the counters of one shard, or of all together with HAFT_ALL_SHARDS. The shard of a handle is its lowest four
** bits. HAFT_E_ARGUMENT, HAFT_E_CLOSED, HAFT_E_FORKED. */
static inline haft_status haft_counters_read(haft_realm realm, uint32_t shard, haft_counters *counters) {
  return HAFT_HAS(counters_read) ? haft_plugin_api->counters_read(realm, shard, counters) : HAFT_E_UNSUPPORTED;
}

/* ---- Results and errors ------------------------------------------------------------------------------ */

/* Frees the memory of a result and makes it HAFT_VOID. Does not release a handle. Values that you made yourself are not
** for this function, nor copies of a result that was freed: from HAFTCHECK=1 on their memory is left alone, and
** haft_last_error() is HAFT_E_OWNER. NULL is allowed. */
static inline void haft_value_free(haft_value *value) {
  if (HAFT_HAS(value_free)) haft_plugin_api->value_free(value);
}

/* The HAFTCHECK of the process, 0 to 2; -1 where haft is older than 1.3. */
static inline int32_t haft_check_level(void) {
  return HAFT_HAS(check_level) ? haft_plugin_api->check_level() : -1;
}

/* This thread's latest error; never NULL. */
static inline const haft_error *haft_last_error(void) {
  static const haft_error none = {sizeof(haft_error), HAFT_E_UNSUPPORTED, HAFT_NULL, "HAFT_E_UNSUPPORTED",
                                  "HAFT_PLUGIN(api) has not been called", "", "call it in the plugin's set-up", 0, 0};
  return HAFT_HAS(last_error) ? haft_plugin_api->last_error() : &none;
}

/* "HAFT_E_STALE", and what it means; "HAFT_E_UNKNOWN" and "unknown status" for any other number. */
static inline const char *haft_status_name(haft_status status) {
  return HAFT_HAS(status_name) ? haft_plugin_api->status_name(status) : "HAFT_E_UNSUPPORTED";
}
static inline const char *haft_status_message(haft_status status) {
  return HAFT_HAS(status_message) ? haft_plugin_api->status_message(status) : "HAFT_PLUGIN(api) has not been called";
}

/* Makers of arguments. Strings and bytes are read before haft_post or haft_call returns and not kept. A string
** longer than 4 GiB - 1 is cut to a length that is refused as HAFT_E_TOO_LARGE. */
static inline haft_value haft_value_make(haft_type type, size_t length) {
  haft_value value;
  value.type = (uint32_t)type;
  value.length = length > UINT32_MAX ? UINT32_MAX : (uint32_t)length;
  value.as.i64 = 0;
  return value;
}
static inline haft_value haft_value_f64(double x) {
  haft_value value = haft_value_make(HAFT_F64, 0);
  value.as.f64 = x;
  return value;
}
static inline haft_value haft_value_i32(int32_t x) {
  haft_value value = haft_value_make(HAFT_I32, 0);
  value.as.i32 = x;
  return value;
}
static inline haft_value haft_value_u32(uint32_t x) {
  haft_value value = haft_value_make(HAFT_U32, 0);
  value.as.u32 = x;
  return value;
}
static inline haft_value haft_value_i64(int64_t x) {
  haft_value value = haft_value_make(HAFT_I64, 0);
  value.as.i64 = x;
  return value;
}
static inline haft_value haft_value_bool(bool x) {
  haft_value value = haft_value_make(HAFT_BOOL, 0);
  value.as.b = x;
  return value;
}
static inline haft_value haft_value_handle(haft_handle x) {
  haft_value value = haft_value_make(HAFT_HANDLE, 0);
  value.as.handle = x;
  return value;
}
static inline haft_value haft_value_str(const char *text, size_t length) {
  haft_value value = haft_value_make(HAFT_STR, length);
  value.as.str = text;
  return value;
}
static inline haft_value haft_value_bytes(const void *bytes, size_t length) {
  haft_value value = haft_value_make(HAFT_BYTES, length);
  value.as.bytes = bytes;
  return value;
}

/* ---- What a shared library exports ------------------------------------------------------------------- */

/* Says which version of this header the library was built with, before anything of it runs. Every library that
** includes the header exports it: major << 16 | minor. */
#if defined(_MSC_VER)
extern __declspec(selectany, dllexport) const uint32_t haft_plugin_version =
    (uint32_t)HAFT_VERSION_MAJOR << 16 | HAFT_VERSION_MINOR;
#else
extern const uint32_t haft_plugin_version __attribute__((weak, visibility("default")));
const uint32_t haft_plugin_version = (uint32_t)HAFT_VERSION_MAJOR << 16 | HAFT_VERSION_MINOR;
#endif

/* A plugin: `registry.loadPlugin(path)` runs this on the realm's own thread, once for each registry that loads it. It
** keeps the table (HAFT_PLUGIN) and prepares what the plugin has. Anything but HAFT_OK is what `loadPlugin` throws, with
** the text of haft_last_error() if that is the same status. The library is never unloaded. */
HAFT_EXPORT haft_status haft_plugin_init(const haft_api *api, haft_realm realm);

/* A host: `haft run host.so logic.js -- ARGS` runs this on a thread of its own once the logic is ready. argv[0] is
** the host's path, the rest are ARGS. What it returns is the exit code. When the realm closes (Ctrl-C, or the
** logic closed it), its functions return HAFT_E_CLOSED; return soon after. */
HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
