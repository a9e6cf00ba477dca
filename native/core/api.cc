// See api.h. Each entry is one function of the core; what an entry promises stands in haft.h.
#include "api.h"

#include "async.h"
#include "blocking.h"
#include "calls.h"
#include "checked.h"
#include "checks.h"
#include "counters.h"
#include "error.h"
#include "events.h"
#include "host_functions.h"
#include "kinds.h"
#include "labels.h"
#include "names.h"
#include "pins.h"
#include "queues.h"
#include "realm.h"
#include "slots.h"
#include "trace.h"

namespace haft {
namespace {

haft_status check(haft_handle handle, haft_kind kind) {
  uint64_t word;
  Target target;
  return slot_check(handle, kind, &word, &target);
}

haft_status kind_of(haft_handle handle, haft_kind *kind) {
  uint64_t word;
  Target target;
  if (!kind) return fail(HAFT_E_ARGUMENT, handle);
  *kind = 0;
  const haft_status status = slot_check(handle, 0, &word, &target);
  if (status == HAFT_OK) *kind = word_kind(word);
  return status;
}

haft_status realm_of(haft_handle handle, haft_realm *realm) {
  uint64_t word;
  Target target;
  if (!realm) return fail(HAFT_E_ARGUMENT, handle);
  *realm = 0;
  const haft_status status = slot_check(handle, 0, &word, &target);
  if (status == HAFT_OK) *realm = target.realm_id;
  return status;
}

haft_status checked_realm(haft_realm realm) {
  const haft_status status = realm_check(realm);
  return status == HAFT_OK ? HAFT_OK : fail(status);
}

// The functions that look at more at a higher level of HAFTCHECK; all others are the same.
template <int level>
const haft_api table = {
    sizeof(haft_api), HAFT_VERSION_MAJOR, HAFT_VERSION_MINOR,
    slot_retain,      slot_release,       check,
    kind_of,          realm_of,           kind_find,
    op_find,          name_find,          checked_realm,
    post<level>,      call<level>,        call_many<level>,
    value_free,       last_error,         status_name,
    status_message,   call_async<level>,  queue_open,
    queue_next,       queue_close,        serve,
    blocking_set,     wait_for,           signal_events,
    slot_moved,       counters_read,      retain_as,
    release_as,       memory_of,          kind_match,
    check_level,      host_expose,        host_reply_value,
    host_reply_error,
};

const haft_api *table_of_level() {
  switch (check_level()) {
    case 0:
      return &table<0>;
    case 1:
      return &table<1>;
    default:
      return checked_table(&table<2>);
  }
}

}  // namespace

const haft_api *api_table() { return trace_on() ? trace_table(table_of_level()) : table_of_level(); }

}  // namespace haft
