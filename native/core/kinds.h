// The kinds of the process: known by name and by the fingerprint of their signatures, numbered 1 to 8191.
//
// A hash table that only grows. An entry is claimed by a compare-and-swap on the hash of name and fingerprint, so that
// two realms that define the same kind at the same moment share it, without a lock that a dead process could hold.
#pragma once

#include <cstddef>
#include <string>

#include "haft.h"
#include "layout.h"

namespace haft {

// Defines a kind, or finds the one defined before. `ops`: the names of its ops, each ended by NUL; `signatures`, of each
// "(f64,str):bool", the same, or nothing: then nothing is known of their types.
// HAFT_E_ARGUMENT: name empty or longer than kKindNameBytes; HAFT_E_SLOTS: the table is full.
haft_status kind_define(const char *name, size_t name_length, uint64_t fingerprint, const char *ops, size_t ops_bytes,
                        haft_kind *kind, const char *signatures = nullptr, size_t signatures_bytes = 0);

// Fingerprint 0: the one of that name that was defined last.
haft_status kind_find(const char *name, uint64_t fingerprint, haft_kind *kind);
// For exactly these ops: "add(f64):f64;name():str".
haft_status kind_match(const char *name, const char *signatures, haft_kind *kind);
haft_status op_find(haft_kind kind, const char *name, haft_op *op);
uint32_t kind_ops(haft_kind kind);  // how many
OpTypes op_types(haft_op op);  // nothing known, where the kind has no such op
const char *type_name(uint32_t type);  // of a haft_type: "f64"; "unknown" of another
std::string kind_name(haft_kind kind);
std::string op_text(haft_op op);  // "Counter.add", whatever the number

// The breaker of a kind in a realm: while it is open, until a time of the monotonic clock, nothing is sent. A kind
// without one costs a sender nothing: the mark stands beside what it reads anyway. The drain decides; this is only so
// that senders learn of it at once.
bool kind_refused(haft_kind kind, uint32_t realm);
void kind_refuse(haft_kind kind, uint32_t realm, uint64_t until);  // 0: closed

uint64_t hash_bytes(const char *bytes, size_t n);

}  // namespace haft
