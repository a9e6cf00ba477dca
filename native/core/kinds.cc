// See kinds.h.
#include "kinds.h"

#include <cstring>
#include <string_view>

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
  return length <= kKindNameBytes && k.name_length.load(std::memory_order_relaxed) == length &&
         memcmp(k.name, name, length) == 0;
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
  if (text > kTextBytes - bytes || text % alignof(OpTypes) != 0) return false;  // P31
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
  k.name_length.store((uint16_t)name_length, std::memory_order_relaxed);
  k.fingerprint.store(fingerprint, std::memory_order_relaxed);
  k.text.store(text, std::memory_order_relaxed);
  k.types.store((uint32_t)(text + texts), std::memory_order_relaxed);
  k.ops.store(count, std::memory_order_relaxed);
  k.ready.store(kReady, std::memory_order_release);  // the entry comes before the mark that it is ready
  return true;
}

// Waits for whoever claimed the entry and is writing it.
bool await_ready(const Kind &k) {
  for (int i = 0; i < kReadyPolls && !ready(k); i++) sleep_for(1000 * 1000);
  return ready(k);
}

// Of those of one name, the one that was defined last is meant where no fingerprint is given.
void note_definition(Kind &k) {
  const uint32_t order = (arena()->definitions.fetch_add(1, std::memory_order_relaxed) + 1) << kDefinedShift;
  uint32_t word = k.ready.load(std::memory_order_relaxed);
  // Relaxed: what the entry says has not changed.
  while (word < order && !k.ready.compare_exchange_weak(word, order | (word & ((1u << kDefinedShift) - 1)),
                                                        std::memory_order_relaxed)) {
  }
}

uint32_t definition(const Kind &k) { return k.ready.load(std::memory_order_relaxed) >> kDefinedShift; }

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
      if (!fill(k, name, name_length, fingerprint, text)) return fail(HAFT_E_SLOTS);
      note_definition(k);
      *kind = number;
      return HAFT_OK;
    }
    if (found != key) continue;
    // A definer that died left its claim: write the same bytes again.
    if (!await_ready(k) && !fill(k, name, name_length, fingerprint, text)) return fail(HAFT_E_SLOTS);
    if (!named(k, name, name_length) || k.fingerprint.load(std::memory_order_relaxed) != fingerprint) continue;
    note_definition(k);
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
    if (fingerprint != 0 && k.fingerprint.load(std::memory_order_relaxed) != fingerprint) {
      status = HAFT_E_ABI;
      continue;
    }
    if (fingerprint == 0 && status == HAFT_OK && definition(k) < definition(a->kinds[*kind])) continue;
    *kind = number;
    status = HAFT_OK;
    if (fingerprint != 0) break;
  }
  return status == HAFT_OK ? HAFT_OK : fail(status);
}

namespace {

// The texts of a kind, one after the other. Where they begin and what stands there may be anything: none goes beyond
// Arena::text, and behind its end all are empty (P31).
class TextReader {
 public:
  explicit TextReader(const Kind &k) : at_(k.text.load(std::memory_order_relaxed)) {}
  std::string_view next() {
    if (at_ >= kTextBytes) return {};
    const char *const text = arena()->text + at_;
    const size_t length = strnlen(text, kTextBytes - at_);
    at_ += (uint32_t)length + 1;
    return {text, length};
  }

 private:
  uint32_t at_;
};

// Name and signature of an op, one after the other, as both sides may write them: "add(f64):f64".
class OpReader {
 public:
  explicit OpReader(const Kind &k) : names_(k), signatures_(k), left_(k.ops.load(std::memory_order_relaxed)) {
    for (uint32_t i = 0; i < left_; i++) signatures_.next();
  }
  std::string next() {
    if (left_ == 0) return "";
    left_--;
    return std::string(names_.next()).append(signatures_.next());
  }

 private:
  TextReader names_, signatures_;
  uint32_t left_;
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

const char *type_name(uint32_t type) { return type <= HAFT_BYTES ? kTypeNames[type] : "unknown"; }

OpTypes op_types(haft_op op) {
  typedef uint64_t __attribute__((may_alias)) word_t;
  OpTypes types = {};
  // Offset and types are copied once (P31).
  const uint64_t at = arena()->kinds[HAFT_OP_KIND(op) & (kKinds - 1)].types.load(std::memory_order_relaxed) +
                      (op & 0xffff) * sizeof types;
  if (at > kTextBytes - sizeof types || at % alignof(OpTypes) != 0) return types;
  const word_t *const from = reinterpret_cast<const word_t *>(arena()->text + at);
  const uint64_t words[] = {__atomic_load_n(&from[0], __ATOMIC_RELAXED), __atomic_load_n(&from[1], __ATOMIC_RELAXED)};
  memcpy(&types, words, sizeof types);
  return types;
}

std::string kind_name(haft_kind kind) {
  const Kind &k = arena()->kinds[kind & (kKinds - 1)];
  const size_t length = k.name_length.load(std::memory_order_relaxed);
  return std::string(k.name, length < kKindNameBytes ? length : kKindNameBytes);
}

std::string op_text(haft_op op) {
  if ((op & 0xffff) >= kind_ops(HAFT_OP_KIND(op))) return "op " + std::to_string(op);
  TextReader names(arena()->kinds[HAFT_OP_KIND(op)]);
  for (uint32_t i = 0; i < (op & 0xffff); i++) names.next();
  return (kind_name(HAFT_OP_KIND(op)) + ".").append(names.next());
}

uint32_t kind_ops(haft_kind kind) {
  Arena *a = arena();
  if (!a || kind == 0 || kind >= kKinds || !ready(a->kinds[kind])) return 0;
  return a->kinds[kind].ops.load(std::memory_order_relaxed);
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
  const std::string_view wanted(name);
  TextReader names(k);
  const uint32_t ops = k.ops.load(std::memory_order_relaxed);
  for (uint32_t position = 0; position < ops; position++) {
    if (names.next() != wanted) continue;
    *op = HAFT_OP(kind, position);
    return HAFT_OK;
  }
  return fail(HAFT_E_OP);
}

}  // namespace haft
