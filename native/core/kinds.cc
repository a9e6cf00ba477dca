// See kinds.h.
#include "kinds.h"

#include <cstring>

#include "arena.h"
#include "error.h"
#include "wait.h"

namespace haft {
namespace {

constexpr uint32_t kLast = kKinds - 1;
constexpr int kReadyPolls = 100;  // of 1 ms

// Entries of one name stand in one run of the table, whatever their fingerprints.
haft_kind probe(uint64_t name_hash, uint32_t step) { return 1 + (uint32_t)((name_hash + step) % kLast); }

bool ready(const Kind &k) { return (k.ready.load(std::memory_order_acquire) & kReady) != 0; }

bool named(const Kind &k, const char *name, size_t length) {
  return k.name_length == length && memcmp(k.name, name, length) == 0;
}

// As src/kind.ts writes them.
constexpr const char *kTypeNames[] = {"void", "f64", "i32", "u32", "i64", "bool", "handle", "str", "bytes"};

// The type that a text begins with; moves on behind it. -1: none.
int read_type(const char *&at) {
  const size_t length = strcspn(at, ",):;");
  for (int type = 0; type <= HAFT_BYTES; type++) {
    if (strlen(kTypeNames[type]) != length || memcmp(kTypeNames[type], at, length) != 0) continue;
    at += length;
    return type;
  }
  return -1;
}

// "(f64,str):bool". `known` stays 0 for one that is otherwise.
OpTypes read_types(const char *at) {
  OpTypes types = {};
  if (*at++ != '(') return {};
  while (*at && *at != ')') {
    const int type = read_type(at);
    if (type <= 0 || types.count == HAFT_ARGS_MAX) return {};
    types.args |= (uint64_t)type << (4 * types.count++);
    if (*at == ',') at++;
  }
  if (at[0] != ')' || at[1] != ':') return {};
  at += 2;
  const int returns = read_type(at);
  if (returns < 0 || *at) return {};
  types.returns = (uint8_t)returns;
  types.known = 1;
  return types;
}

struct Text {  // of a kind
  const char *ops;
  size_t ops_bytes;
  const char *signatures;
  size_t signatures_bytes;
};

bool fill(Kind &k, const char *name, size_t name_length, uint64_t fingerprint, const Text &given) {
  Arena *a = arena();
  uint16_t count = 0;
  for (size_t i = 0; i < given.ops_bytes; i++) count += given.ops[i] == 0;
  const size_t texts = (given.ops_bytes + given.signatures_bytes + 7) & ~(size_t)7;
  const size_t bytes = texts + count * sizeof(OpTypes);
  if (bytes > kTextBytes) return false;
  const uint32_t text = a->text_used.fetch_add((uint32_t)bytes, std::memory_order_relaxed);
  if (text > kTextBytes - bytes) return false;
  memcpy(a->text + text, given.ops, given.ops_bytes);
  if (given.signatures_bytes != 0) memcpy(a->text + text + given.ops_bytes, given.signatures, given.signatures_bytes);
  OpTypes *types = reinterpret_cast<OpTypes *>(a->text + text + texts);
  const char *signature = given.signatures;
  for (uint16_t i = 0; i < count; i++) {
    const bool there = given.signatures && signature < given.signatures + given.signatures_bytes;
    types[i] = there ? read_types(signature) : OpTypes{};
    if (there) signature += strlen(signature) + 1;
  }
  memcpy(k.name, name, name_length);
  k.name_length = (uint16_t)name_length;
  k.fingerprint = fingerprint;
  k.text = text;
  k.types = (uint32_t)(text + texts);
  k.ops = count;
  k.ready.store(kReady, std::memory_order_release);  // the entry comes before the mark that it is ready
  return true;
}

// Waits for whoever claimed the entry and is writing it.
bool await_ready(const Kind &k) {
  for (int i = 0; i < kReadyPolls && !ready(k); i++) sleep_for(1000 * 1000);
  return ready(k);
}

}  // namespace

uint64_t hash_bytes(const char *bytes, size_t n) {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
  return hash;
}

haft_status kind_define(const char *name, size_t name_length, uint64_t fingerprint, const char *ops, size_t ops_bytes,
                        haft_kind *kind, const char *signatures, size_t signatures_bytes) {
  if (name_length == 0 || name_length > kKindNameBytes || ops_bytes > kTextBytes || signatures_bytes > kTextBytes)
    return fail(HAFT_E_ARGUMENT);
  const Text text = {ops, ops_bytes, signatures, signatures_bytes};
  Arena *a = arena();
  const uint64_t name_hash = hash_bytes(name, name_length);
  const uint64_t key = mix(name_hash ^ mix(fingerprint)) | 1;  // never 0
  for (uint32_t step = 0; step < kLast; step++) {
    const haft_kind number = probe(name_hash, step);
    Kind &k = a->kinds[number];
    uint64_t found = k.key.load(std::memory_order_acquire);
    if (found == 0 && k.key.compare_exchange_strong(found, key, std::memory_order_acq_rel)) {
      *kind = number;
      return fill(k, name, name_length, fingerprint, text) ? HAFT_OK : fail(HAFT_E_SLOTS);
    }
    if (found != key) continue;
    // A definer that died left its claim: write the same bytes again.
    if (!await_ready(k) && !fill(k, name, name_length, fingerprint, text)) return fail(HAFT_E_SLOTS);
    if (!named(k, name, name_length) || k.fingerprint != fingerprint) continue;
    *kind = number;
    return HAFT_OK;
  }
  return fail(HAFT_E_SLOTS);
}

haft_status kind_find(const char *name, uint64_t fingerprint, haft_kind *kind) {
  if (!name || !kind) return fail(HAFT_E_ARGUMENT);
  Arena *a = arena();
  if (!a) return fail(HAFT_E_NOT_FOUND);
  const size_t length = strlen(name);
  const uint64_t name_hash = hash_bytes(name, length);
  haft_status status = HAFT_E_NOT_FOUND;
  for (uint32_t step = 0; step < kLast; step++) {
    const haft_kind number = probe(name_hash, step);
    const Kind &k = a->kinds[number];
    if (k.key.load(std::memory_order_acquire) == 0) break;
    if (!ready(k) || !named(k, name, length)) continue;
    if (fingerprint != 0 && k.fingerprint != fingerprint) {
      status = HAFT_E_ABI;
      continue;
    }
    *kind = number;
    return HAFT_OK;
  }
  return fail(status);
}

namespace {

// Name and signature of an op, one after the other, as both sides may write them: "add(f64):f64".
struct OpReader {
  const char *name, *signature;
  uint32_t left;
  explicit OpReader(const Kind &k) : name(arena()->text + k.text), signature(name), left(k.ops) {
    for (uint32_t i = 0; i < k.ops; i++) signature += strlen(signature) + 1;
  }
  std::string next() {
    if (left == 0) return "";
    left--;
    std::string text = std::string(name) + signature;
    name += strlen(name) + 1;
    signature += strlen(signature) + 1;
    return text;
  }
};

std::string next_op(const char *&at) {
  const size_t length = strcspn(at, ";");
  const std::string text(at, length);
  at += length + (at[length] == ';');
  return text;
}

std::string difference(const char *name, const Kind &k, const char *signatures) {
  OpReader there(k);
  for (uint32_t position = 0;; position++) {
    const std::string ours = next_op(signatures), theirs = there.next();
    if (ours == theirs && !ours.empty()) continue;
    const std::string at = "op " + std::to_string(position) + " of " + name + " is ";
    if (theirs.empty()) return std::string(name) + " has no op " + ours + " in JavaScript, where C was built with it";
    if (ours.empty()) return at + theirs + " in JavaScript, where C was built without it";
    return at + theirs + " in JavaScript, and " + ours + " where C was built";
  }
}

}  // namespace

haft_status kind_match(const char *name, const char *signatures, haft_kind *kind) {
  if (!name || !signatures || !kind) return fail(HAFT_E_ARGUMENT);
  const uint64_t hash = hash_bytes(signatures, strlen(signatures));
  const haft_status status = kind_find(name, hash == 0 ? 1 : hash, kind);
  haft_kind other;
  if (status != HAFT_E_ABI || kind_find(name, 0, &other) != HAFT_OK) return status;
  return fail_with(HAFT_E_ABI, HAFT_NULL, difference(name, arena()->kinds[other], signatures));
}

const char *type_name(uint32_t type) { return kTypeNames[type]; }

const OpTypes &op_types(haft_op op) {
  const Kind &k = arena()->kinds[HAFT_OP_KIND(op)];
  return reinterpret_cast<const OpTypes *>(arena()->text + k.types)[op & 0xffff];
}

std::string op_text(haft_op op) {
  if ((op & 0xffff) >= kind_ops(HAFT_OP_KIND(op))) return "op " + std::to_string(op);
  const Kind &k = arena()->kinds[HAFT_OP_KIND(op)];
  const char *at = arena()->text + k.text;
  for (uint32_t i = 0; i < (op & 0xffff); i++) at += strlen(at) + 1;
  return std::string(k.name, k.name_length) + "." + at;
}

uint32_t kind_ops(haft_kind kind) {
  Arena *a = arena();
  return a && kind != 0 && kind < kKinds && ready(a->kinds[kind]) ? a->kinds[kind].ops : 0;
}

bool kind_refused(haft_kind kind, uint32_t realm) {
  // Relaxed: a breaker that is seen a moment later refuses a moment later.
  if ((arena()->kinds[kind].ready.load(std::memory_order_relaxed) & kHasBreaker) == 0) return false;
  const uint64_t until = arena()->realms[realm].breaker_until[kind].load(std::memory_order_relaxed);
  return until != 0 && (int64_t)until > now_nanoseconds();
}

void kind_refuse(haft_kind kind, uint32_t realm, uint64_t until) {
  arena()->realms[realm].breaker_until[kind].store(until, std::memory_order_relaxed);
  arena()->kinds[kind].ready.fetch_or(kHasBreaker, std::memory_order_relaxed);
}

haft_status op_find(haft_kind kind, const char *name, haft_op *op) {
  if (!name || !op) return fail(HAFT_E_ARGUMENT);
  if (!arena() || kind == 0 || kind >= kKinds || !ready(arena()->kinds[kind])) return fail(HAFT_E_NOT_FOUND);
  const Kind &k = arena()->kinds[kind];
  const char *at = arena()->text + k.text;
  for (uint32_t position = 0; position < k.ops; position++, at += strlen(at) + 1) {
    if (strcmp(at, name) != 0) continue;
    *op = HAFT_OP(kind, position);
    return HAFT_OK;
  }
  return fail(HAFT_E_OP);
}

}  // namespace haft
