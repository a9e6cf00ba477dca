// Values on the wire: arguments into the cells of a message, and the result out of a reply.
#pragma once

#include "haft.h"
#include "layout.h"

namespace haft {

struct Plan {  // how a message will lie in the arena
  const haft_value *args;
  uint32_t count;
  uint32_t cells;
  uint32_t tail_bytes;
  uint32_t ascii;  // bit i: argument i is a string of ASCII only
  uint64_t chunk;  // of the heap, or 0
};

// Looks at every argument before anything is claimed. `realm_id`: whose handles may be passed. How much it looks at is the
// level of HAFTCHECK: at 0 that a handle is alive and a string is text; at 1 also whose realm, and how many arguments there
// are; at 2 also their types.
// HAFT_E_ARGUMENT, HAFT_E_UTF8, HAFT_E_TOO_LARGE, HAFT_E_REALM, and the status of a handle among the arguments.
template <int level>
haft_status plan_message(uint64_t realm_id, haft_op op, const haft_value *args, size_t count, Plan *plan);

// The same for what C passed to a trampoline: no handles of anybody's, and texts as they are, UTF-8 or not.
// HAFT_E_TOO_LARGE.
haft_status plan_given(uint64_t realm_id, haft_op op, const haft_value *args, size_t count, Plan *plan);
using Planner = decltype(&plan_given);

bool is_utf8(const char *text, size_t length);

// Bytes of a text that ends with NUL, 0 for NULL; one that is too long is cut to a length that is refused.
uint32_t text_length(const char *text);

// The 8 bytes of a value without a text in a message.
uint64_t wire_bits(const haft_value &value);

// Writes everything but the sequence number. With a chunk, the tail goes there.
void write_message(const Plan &plan, haft_handle handle, haft_op op, uint32_t reply, Cell *first);

// What stands in a reply, copied once: the other process may write it again at any moment (P31).
struct ReplyFields {
  haft_status status;
  uint32_t type;
  uint64_t bits;
  uint32_t length;
  bool in_heap;

  explicit ReplyFields(const Reply &reply)
      : status(__atomic_load_n(&reply.status, __ATOMIC_RELAXED)),
        type(__atomic_load_n(&reply.type, __ATOMIC_RELAXED)),
        bits(__atomic_load_n(&reply.value, __ATOMIC_RELAXED)),
        length(__atomic_load_n(&reply.length, __ATOMIC_RELAXED)),
        in_heap(__atomic_load_n(&reply.in_heap, __ATOMIC_RELAXED) != 0) {}

  bool has_text() const { return status != HAFT_OK || type == HAFT_STR || type == HAFT_BYTES; }
  haft_handle handle() const;  // of type HAFT_HANDLE
};

// Copies a finished reply out: its result, or its error as this thread's latest.
haft_status read_reply(uint32_t realm, Reply &reply, haft_handle handle, haft_value *result);

}  // namespace haft
