// See host_functions.h. The functions stand in memory of the process: the names travel, the pointers do not.
#include "host_functions.h"

#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "arena.h"
#include "blocking.h"
#include "error.h"
#include "heap.h"
#include "host_calls.h"
#include "message.h"
#include "process.h"
#include "realm.h"
#include "slots.h"

// A function that runs: what it has answered so far, in memory of this process.
struct haft_reply {
  haft_reply *outer;  // the one that it runs inside of, on this thread
  haft_realm realm;
  uint32_t mode;      // HostCallMode
  haft_value value;
  std::unique_ptr<char[]> text;  // of a value
  std::string error;
};

namespace haft {
namespace {

constexpr size_t kFunctionsMost = 1024;  // of a realm
constexpr uint32_t kDepthMost = 64;      // functions that run one inside the other on one thread
constexpr uint32_t kAtOnce = 64;         // functions that one haft_serve runs
constexpr size_t kErrorBytes = 3500;     // of a text that says why a function failed

struct Exposed {
  haft_function function;
  void *user;
};

// Never freed: threads may outlive main (P25).
struct Functions {
  std::mutex mutex;
  struct {
    haft_realm id = 0;
    std::map<std::string, Exposed> named;
  } realms[kRealms];
};

Functions &functions() {
  static Functions *const all = new Functions;
  return *all;
}

bool find(uint32_t realm, haft_realm id, const std::string &name, Exposed *found) {
  Functions &all = functions();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.realms[realm].id != id) return false;
  const auto at = all.realms[realm].named.find(name);
  if (at == all.realms[realm].named.end()) return false;
  *found = at->second;
  return true;
}

// The innermost function that runs on this thread.
thread_local haft_reply *running;
thread_local uint32_t depth;

// Whether it is one of this thread's: any pointer may come.
bool is_reply(const haft_reply *reply) {
  for (const haft_reply *r = running; r; r = r->outer) {
    if (r == reply) return true;
  }
  return false;
}

void drop_value(haft_reply *reply) {
  if (reply->value.type == HAFT_HANDLE && reply->value.as.handle != HAFT_NULL) slot_drop(reply->value.as.handle);
  reply->value = {HAFT_VOID, 0, {0}};
  reply->text.reset();
}

// ---- One call ----

struct Call {
  uint32_t token;
  uint32_t mode;
  std::string name;
  HostArguments arguments;
  haft_status status;  // of the copy
};

// Takes a call and copies all of it out. False: none waits.
bool begin(uint32_t number, haft_realm id, Call *call) {
  InFlight counted(number, 0);
  Realm &r = arena()->realms[number];
  if (r.life.load(std::memory_order_seq_cst) != open_life(id)) return false;  // P21
  call->token = host_call_begin(number);
  if (call->token == 0) return false;
  host_calls_pass_on(number, r);  // who was woken for this one may be needed for the next
  HostCall &entry = host_call_of(r, call->token);
  call->mode = entry.mode;
  const uint32_t length = __atomic_load_n(&entry.name_length, __ATOMIC_RELAXED);  // copied once (P31)
  call->name.assign(entry.name, length <= kNameBytes ? length : 0);
  call->status = call->arguments.copy(number, entry.message);
  if (call->arguments.chunk()) heap_give(number, call->arguments.chunk());
  return true;
}

void write_text(uint32_t number, Reply &to, const char *text, size_t length) {
  to.length = 0;
  to.in_heap = 0;
  char *at = to.text;
  if (length > kReplyInlineBytes) {
    const uint64_t chunk = heap_take(number, length);
    if (!chunk) {
      to.status = HAFT_E_NO_MEMORY;
      return;
    }
    to.value = chunk;
    to.in_heap = 1;
    at = reinterpret_cast<char *>(at_offset(chunk));
  }
  if (length != 0) memcpy(at, text, length);
  to.length = (uint32_t)length;
}

void write_answer(uint32_t number, Reply &to, haft_status status, const haft_reply &reply) {
  const uint32_t type = status == HAFT_OK ? reply.value.type : (uint32_t)HAFT_VOID;  // not looked up there again (P31)
  to.status = status;
  to.type = type;
  to.length = 0;
  to.in_heap = 0;
  if (status != HAFT_OK)
    write_text(number, to, reply.error.data(), reply.error.size());
  else if (type == HAFT_STR || type == HAFT_BYTES)
    write_text(number, to, reply.text.get(), reply.value.length);
  else
    to.value = wire_bits(reply.value);
}

// Whoever reads an answer has what it carries; here nobody does.
void drop_answer(uint32_t number, const Reply &reply) {
  const ReplyFields answer(reply);
  if (answer.in_heap && heap_contains(number, answer.bits, answer.length)) heap_give(number, answer.bits);
}

void end(uint32_t number, haft_realm id, const Call &call, haft_status status, haft_reply *reply) {
  InFlight counted(number, 0);
  Realm &r = arena()->realms[number];
  const uint64_t life = r.life.load(std::memory_order_seq_cst);
  if (status != HAFT_OK || !still_alive(life, id)) drop_value(reply);
  if (!still_alive(life, id)) return;  // P21
  HostCall &entry = host_call_of(r, call.token);
  write_answer(number, entry.reply, status, *reply);
  const bool sent = entry.reply.status == HAFT_OK;  // else there was no room for it
  if (host_call_end(number, call.token, call.mode)) {
    if (!sent) drop_value(reply);
    return;
  }
  drop_answer(number, entry.reply);
  drop_value(reply);
  host_call_free(number, call.token);
}

haft_status run(haft_realm id, const Call &call, haft_reply *reply) {
  Exposed exposed;
  if (call.status != HAFT_OK) return call.status;
  if (depth >= kDepthMost) {
    reply->error = std::to_string(kDepthMost) + " functions of the host run one inside the other on one thread";
    return HAFT_E_BUSY;
  }
  if (!find(realm_number(id), id, call.name, &exposed)) {
    reply->error = "the host has no function of the name " + call.name;
    return HAFT_E_NOT_FOUND;
  }
  reply->outer = running;
  running = reply;
  depth++;
  const haft_status status = exposed.function(exposed.user, call.arguments.data(), call.arguments.size(), reply);
  depth--;
  running = reply->outer;
  return status;
}

}  // namespace

bool host_run_one(haft_realm id) {
  if (attached) return false;  // they are the other process's
  const uint32_t number = realm_number(id);
  Call call;
  if (!begin(number, id, &call)) return false;
  haft_reply reply = {nullptr, id, call.mode, {HAFT_VOID, 0, {0}}, nullptr, {}};
  const haft_status status = run(id, call, &reply);
  call.arguments.give_handles_back();
  end(number, id, call, status, &reply);
  return true;
}

bool host_waits_in_vain(haft_realm realm, bool later) {
  for (const haft_reply *r = running; r; r = r->outer) {
    if (r->realm == realm && (r->mode == kHostSyncDeaf || (later && r->mode == kHostSync))) return true;
  }
  return false;
}

haft_status host_serve(haft_realm realm, int64_t timeout_ms) {
  if (attached) return fail(HAFT_E_REALM);  // the functions are the program's that embeds
  const uint32_t number = realm_number(realm);
  Realm &r = arena()->realms[number];
  // Of each realm, so that a signal which comes between two waits of the thread ends the second.
  static thread_local struct {
    haft_realm realm;
    uint32_t signals;
  } seen[kRealms];
  if (seen[number].realm != realm) seen[number] = {realm, 0};
  Deadline deadline(timeout_ms);
  const Blocking blocking(realm);
  for (;;) {
    uint32_t ran = 0;
    while (ran < kAtOnce && host_run_one(realm)) ran++;
    if (realm_check(realm) != HAFT_OK) return fail(HAFT_E_CLOSED);
    const uint32_t signals = r.host_signals.load(std::memory_order_seq_cst);
    const bool signalled = signals != seen[number].signals;
    seen[number].signals = signals;
    if (ran > 0 || signalled) return HAFT_OK;
    const int64_t slice = blocking.slice(deadline.slice());
    if (slice == 0) return fail(HAFT_E_TIMEOUT);
    if (blocking.deadlock()) return fail(HAFT_E_DEADLOCK);  // P18
    if (!blocking.alive()) return fail(HAFT_E_CLOSED);      // P19
    // Until it is not counted among the servers any more: else it would count down those of the realm's successor.
    const InFlight counted(number, 0);
    if (r.life.load(std::memory_order_seq_cst) != open_life(realm)) continue;  // P21
    const HostServer server(r);
    const uint32_t changed = r.host_changed.load(std::memory_order_seq_cst);
    const bool open = r.life.load(std::memory_order_seq_cst) == open_life(realm);
    if (open && !host_calls_wait(r) && r.host_signals.load(std::memory_order_seq_cst) == signals)
      sleep_on(r.host_changed, changed, slice);
  }
}

// ---- Names ----

haft_status host_expose(haft_realm realm, const char *name, haft_function function, void *user) {
  const haft_status status = realm_check(realm);
  return status == HAFT_OK ? host_expose_reserved(realm, name, function, user) : fail(status);
}

haft_status host_expose_reserved(haft_realm realm, const char *name, haft_function function, void *user) {
  if (attached) return fail(HAFT_E_UNSUPPORTED, HAFT_NULL, "the host is the program that embeds, and not this process");
  const size_t length = name ? strnlen(name, kNameBytes + 1) : 0;
  if (length == 0 || length > kNameBytes || !is_utf8(name, length))
    return fail(HAFT_E_ARGUMENT, HAFT_NULL, "the name of a function of the host is 1 to 112 bytes of UTF-8");
  Functions &all = functions();
  const std::lock_guard<std::mutex> lock(all.mutex);
  auto &of = all.realms[realm_number(realm)];
  if (of.id != realm) {
    // Or its successor's functions would go.
    if (realm_check(realm) != HAFT_OK && !realm_is_reserved(realm)) return fail(HAFT_E_CLOSED);
    of.id = realm;
    of.named.clear();
  }
  const std::string key(name, length);
  if (!function) {
    of.named.erase(key);
    return HAFT_OK;
  }
  if (of.named.size() >= kFunctionsMost && of.named.count(key) == 0)
    return fail(HAFT_E_SLOTS, HAFT_NULL, "the host has 1,024 functions of this realm");
  of.named[key] = {function, user};
  return HAFT_OK;
}

void host_functions_forget(uint32_t realm, haft_realm id) {
  Functions &all = functions();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.realms[realm].id == id) all.realms[realm].named.clear();
}

// ---- Answers ----

haft_status host_reply_value(haft_reply *reply, const haft_value *value) {
  if (!is_reply(reply)) return fail(HAFT_E_ARGUMENT, HAFT_NULL, "it is no reply of a function that runs on this thread");
  if (!value || value->type > HAFT_BYTES) return fail(HAFT_E_ARGUMENT);
  haft_value copy = *value;
  std::unique_ptr<char[]> text;
  if (copy.type == HAFT_STR || copy.type == HAFT_BYTES) {
    if (copy.length != 0 && !copy.as.bytes) return fail(HAFT_E_ARGUMENT);
    if (copy.length > HAFT_PAYLOAD_MAX) return fail(HAFT_E_TOO_LARGE);
    if (copy.type == HAFT_STR && !is_utf8(copy.as.str, copy.length)) return fail(HAFT_E_UTF8);
    text.reset(new (std::nothrow) char[copy.length + 1]);
    if (!text) return fail(HAFT_E_NO_MEMORY);
    if (copy.length != 0) memcpy(text.get(), copy.as.bytes, copy.length);
  } else if (copy.type == HAFT_HANDLE && copy.as.handle != HAFT_NULL) {
    uint64_t word;
    Target target;
    const haft_status status = slot_check(copy.as.handle, 0, &word, &target);
    // Who receives these learns it from them, and gives their reference back.
    if (status != HAFT_OK && status != HAFT_E_MOVED && status != HAFT_E_COLLECTED) return status;
  }
  drop_value(reply);
  reply->value = copy;
  reply->text = std::move(text);
  return HAFT_OK;
}

haft_status host_reply_error(haft_reply *reply, const char *message) {
  if (!is_reply(reply)) return fail(HAFT_E_ARGUMENT, HAFT_NULL, "it is no reply of a function that runs on this thread");
  if (!message) return fail(HAFT_E_ARGUMENT);
  size_t length = strnlen(message, kErrorBytes + 1);
  if (length > kErrorBytes) {
    length = kErrorBytes;
    while (length > 0 && ((unsigned char)message[length] & 0xc0) == 0x80) length--;  // not in the midst of a letter
  }
  if (!is_utf8(message, length)) return fail(HAFT_E_UTF8);
  reply->error.assign(message, length);
  return HAFT_OK;
}

// ---- Arguments ----

haft_status HostArguments::copy(uint32_t realm, const Cell *message) {
  const uint32_t shape = message->shape.load(std::memory_order_relaxed);
  const uint32_t count = shape >> kShapeCountShift & 31;
  const unsigned char *tail = reinterpret_cast<const unsigned char *>(message + 1);
  uint64_t tail_bytes = (kMessageCells - 1) * kCellBytes;
  if (count > HAFT_ARGS_MAX) return HAFT_E_INTERNAL;
  if (shape & kShapeHeapBit) {
    const HeapTail *const heap = reinterpret_cast<const HeapTail *>(tail);
    const uint64_t chunk = __atomic_load_n(&heap->chunk, __ATOMIC_RELAXED);
    tail_bytes = __atomic_load_n(&heap->bytes, __ATOMIC_RELAXED);
    if (!heap_contains(realm, chunk, tail_bytes)) return HAFT_E_INTERNAL;
    chunk_ = chunk;
    tail = at_offset(chunk);
  }
  const uint32_t extras = count > kInlineArgs ? count - kInlineArgs : 0;
  if (extras * 9 > tail_bytes) return HAFT_E_INTERNAL;

  uint64_t bits[HAFT_ARGS_MAX];
  uint64_t texts = 0;
  haft_status status = HAFT_OK;
  for (uint32_t i = 0; i < count; i++) {
    haft_value &value = values_[i];
    value = {HAFT_VOID, 0, {0}};
    if (i < kInlineArgs) {
      bits[i] = __atomic_load_n(&message->args[i], __ATOMIC_RELAXED);
      value.type = shape >> (4 * i) & 15;
    } else {
      memcpy(&bits[i], tail + (i - kInlineArgs) * 8, 8);
      value.type = tail[extras * 8 + (i - kInlineArgs)];
    }
    count_ = i + 1;
    if (value.type == HAFT_STR || value.type == HAFT_BYTES) {
      value.length = (uint32_t)(bits[i] >> 32) & ~kAsciiFlag;
      if ((uint32_t)bits[i] > tail_bytes || value.length > tail_bytes - (uint32_t)bits[i]) status = HAFT_E_INTERNAL;
      texts += (uint64_t)value.length + 1;
    } else if (value.type == HAFT_HANDLE) {
      double number;
      memcpy(&number, &bits[i], 8);
      value.as.handle = number >= 0 && number < (double)(2 * kHandleBase) ? (haft_handle)number : HAFT_NULL;
    } else if (value.type == HAFT_BOOL) {
      value.as.b = (uint32_t)bits[i] != 0;
    } else if (value.type != HAFT_VOID && value.type < HAFT_HANDLE) {
      memcpy(&value.as, &bits[i], 8);
    } else {
      status = HAFT_E_INTERNAL;
    }
  }
  if (status != HAFT_OK) return status;

  texts_.reset(new (std::nothrow) char[texts + 1]);
  if (!texts_) return HAFT_E_NO_MEMORY;
  char *to = texts_.get();
  for (uint32_t i = 0; i < count; i++) {
    haft_value &value = values_[i];
    if (value.type != HAFT_STR && value.type != HAFT_BYTES) continue;
    memcpy(to, tail + (uint32_t)bits[i], value.length);
    to[value.length] = 0;
    value.as.str = to;
    to += value.length + 1;
  }
  return HAFT_OK;
}

void HostArguments::give_handles_back() const {
  for (uint32_t i = 0; i < count_; i++) {
    if (values_[i].type == HAFT_HANDLE && values_[i].as.handle != HAFT_NULL) slot_drop(values_[i].as.handle);
  }
}

}  // namespace haft
