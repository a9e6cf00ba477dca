// See trampolines.h.
#include "trampolines.h"

#include <cstring>
#include <mutex>

#include "calls.h"
#include "checked.h"
#include "checks.h"
#include "message.h"
#include "process.h"
#include "slots.h"

extern "C" {
extern const char haft_thunks[];
__attribute__((used, visibility("hidden"))) uint64_t haft_trampoline_enter(uint32_t number, const uint64_t *registers,
                                                                            const uint64_t *stack);
}

namespace haft {
namespace {

// How many arguments of each class come in registers.
#if defined(__ELF__) && defined(__x86_64__)
#define HAFT_HAS_THUNKS 1
constexpr uint32_t kIntegerRegisters = 6, kFloatRegisters = 8;
#elif defined(__ELF__) && defined(__aarch64__)
#define HAFT_HAS_THUNKS 1
constexpr uint32_t kIntegerRegisters = 8, kFloatRegisters = 8;
#else
constexpr uint32_t kIntegerRegisters = 0, kFloatRegisters = 0;
#endif
constexpr uint32_t kRegisters = kIntegerRegisters + kFloatRegisters;

constexpr uint8_t kAsItComes = 255;  // the bits of the argument are what lies in a message

struct Trampoline {
  TrampolineSpec spec;
  // Of its messages, if they are short: 0 with a text, or with more than kInlineArgs arguments.
  uint32_t shape;
  uint8_t short_args;                 // how many JavaScript sees,
  uint8_t short_places[kInlineArgs];  // where each is,
  uint8_t short_types[kInlineArgs];   // and its type, or kAsItComes
  uint8_t places[HAFT_ARGS_MAX];              // of each argument: a register, or kRegisters + a word of the stack
  std::atomic<uint64_t> realms[kRealms / 64];  // a bit each: it asked for this one
};
static_assert(kRealms % 64 == 0, "a bit a realm");

// Of this process (P28), and never freed: C keeps the pointers.
Trampoline trampolines[kThunks];
uint32_t taken = 0;
std::mutex taking;

struct Listener {
  std::atomic<uint64_t> handle;  // HAFT_NULL: nobody listens
  std::atomic<uint32_t> op;
  std::atomic<uint32_t> told;  // reports that were sent; JavaScript counts those that it has handled
};
Listener listeners[kRealms];

// Whether JavaScript sees the argument.
bool is_passed(const TrampolineSpec &spec, uint32_t i) { return i != spec.user_data || spec.user_data_from; }

bool is_float(uint8_t type) { return type == HAFT_F64 || type == kWireF32; }

// Whether the bits of an argument are what lies in a message.
bool is_plain(uint8_t type) {
  return type == HAFT_I32 || type == HAFT_U32 || type == kWireU64 || type == HAFT_I64 || type == HAFT_F64;
}

// Where the arguments are, and what their message looks like.
void prepare(Trampoline &t) {
  uint32_t integers = 0, floats = 0, stack = 0, args = 0;
  bool is_short = true;
  t.shape = 1u << kShapeCellsShift;
  for (uint32_t i = 0; i < t.spec.count; i++) {
    const uint8_t type = t.spec.types[i];
    if (is_float(type))
      t.places[i] = (uint8_t)(floats < kFloatRegisters ? kIntegerRegisters + floats++ : kRegisters + stack++);
    else
      t.places[i] = (uint8_t)(integers < kIntegerRegisters ? integers++ : kRegisters + stack++);
    if (!is_passed(t.spec, i)) continue;
    is_short = is_short && args < kInlineArgs && type != kWireText;
    if (is_short) {
      t.shape |= (uint32_t)type << (4 * args);
      t.short_places[args] = t.places[i];
      t.short_types[args] = is_plain(type) ? kAsItComes : type;
    }
    args++;
  }
  t.short_args = (uint8_t)args;
  t.shape = is_short ? t.shape | args << kShapeCountShift : 0;
}

bool is_wide(uint8_t type) { return is_float(type) || type == kWireU64 || type == HAFT_I64; }

uint64_t bits_at(uint32_t place, const uint64_t *registers, const uint64_t *stack) {
  return place < kRegisters ? registers[place] : stack[place - kRegisters];
}

bool same(const TrampolineSpec &a, const TrampolineSpec &b) {
  return memcmp(a.types, b.types, sizeof a.types) == 0 && a.count == b.count && a.returns == b.returns &&
         a.user_data == b.user_data && a.mode == b.mode && a.op == b.op && a.user_data_from == b.user_data_from &&
         a.timeout_ms == b.timeout_ms && a.on_error == b.on_error && a.on_posted == b.on_posted;
}

// What C passed, out of a register or a word of the stack: the upper bits of small types are not defined.
haft_value argument(uint8_t type, uint64_t bits) {
  haft_value value = {type, 0, {0}};
  float narrow;
  switch (type) {
    case kWireI8:
      value.as.i32 = (int8_t)bits;
      break;
    case kWireU8:
      value.as.i32 = (uint8_t)bits;
      break;
    case kWireI16:
      value.as.i32 = (int16_t)bits;
      break;
    case kWireU16:
      value.as.i32 = (uint16_t)bits;
      break;
    case HAFT_I32:
    case HAFT_U32:
      value.as.u32 = (uint32_t)bits;
      break;
    case HAFT_BOOL:
      value.as.b = (uint8_t)bits != 0;
      break;
    case kWireF32:
      memcpy(&narrow, &bits, sizeof narrow);
      value.as.f64 = narrow;
      break;
    case kWireText:
      value.as.str = reinterpret_cast<const char *>(bits);
      value.length = text_length(value.as.str);
      break;
    default:
      memcpy(&value.as, &bits, sizeof bits);
  }
  return value;
}

// A result as C expects it in its register.
uint64_t result_bits(const haft_value &value) {
  uint64_t bits = 0;
  float narrow;
  switch (value.type) {
    case HAFT_VOID:
      return 0;
    case HAFT_U32:
      return value.as.u32;
    case HAFT_BOOL:
      return value.as.b;
    case HAFT_I32:
    case kWireI8:
    case kWireU8:
    case kWireI16:
    case kWireU16:
      return (uint64_t)(int64_t)value.as.i32;
    case kWireF32:
      narrow = (float)value.as.f64;
      memcpy(&bits, &narrow, sizeof narrow);
      return bits;
    default:
      memcpy(&bits, &value.as, sizeof bits);
      return bits;
  }
}

// So many reports wait for a realm's JavaScript at most, half a mailbox: C that goes on calling must not fill it with its
// mistake.
constexpr uint32_t kReportsMost = 512;

void report_to(uint32_t realm, const Trampoline &t, haft_status status, uint64_t user_data) {
  Listener &listener = listeners[realm];
  const haft_handle handle = listener.handle.load(std::memory_order_relaxed);
  if (handle == HAFT_NULL) return;
  // Counted by JavaScript in its realm's memory. Relaxed: a few more or less do no harm.
  const uint32_t heard = (uint32_t)__atomic_load_n(&arena()->realms[realm].exchange[kExchangeMisuses], __ATOMIC_RELAXED);
  if (listener.told.load(std::memory_order_relaxed) - heard >= kReportsMost) return;
  const haft_value args[3] = {haft_value_i32(status), haft_value_u32(t.spec.op), haft_value_i64((int64_t)user_data)};
  if (offer(handle, listener.op.load(std::memory_order_relaxed), args, 3) == HAFT_OK)
    listener.told.fetch_add(1, std::memory_order_relaxed);
}

// Relaxed: a realm's bit is set before C has the pointer from it.
bool asked_for(const Trampoline &t, uint32_t realm) {
  return (t.realms[realm / 64].load(std::memory_order_relaxed) >> (realm % 64) & 1) != 0;
}

// Tells the realm whose handle it was, if it asked for this trampoline; else each that did.
void report(const Trampoline &t, haft_status status, uint64_t user_data) {
  if (forked.load(std::memory_order_relaxed)) return;  // P26
  Target target;
  const bool is_open = locate(user_data, &target) == HAFT_OK;
  // A realm that is open, and yet its JavaScript could not be entered: see run_direct_message.
  if (is_open && status == HAFT_E_CLOSED) status = HAFT_E_UNSUPPORTED;
  if (is_open && asked_for(t, target.realm)) {
    report_to(target.realm, t, status, user_data);
    return;
  }
  for (uint32_t realm = 0; realm < kRealms; realm++) {
    if (asked_for(t, realm)) report_to(realm, t, status, user_data);
  }
}

// JavaScript's own thread: there is little between C and the closure, and a message of numbers is written as it will
// lie. The same as `call_given` otherwise.
uint64_t call_here(const Trampoline &t, const Target &target, const uint64_t *registers, const uint64_t *stack) {
  Realm &r = arena()->realms[target.realm];
  Cell &cell = r.direct[0];
  for (uint32_t i = 0; i < t.short_args; i++) {
    const uint64_t bits = bits_at(t.short_places[i], registers, stack);
    cell.args[i] = t.short_types[i] == kAsItComes ? bits : wire_bits(argument(t.short_types[i], bits));
  }
  cell.handle = (double)target.handle;
  cell.op.store(t.spec.op, std::memory_order_relaxed);
  cell.shape.store(t.shape, std::memory_order_relaxed);
  const haft_status status = run_direct_message(target);
  if (status == HAFT_OK) {
    haft_value result = {t.spec.returns, 0, {0}};
    // As many bytes as JavaScript has just written: a wider load would wait until they are in the cache.
    if (is_wide(t.spec.returns))
      memcpy(&result.as, &r.direct_reply.value, 8);
    else
      memcpy(&result.as, &r.direct_reply.value, 4);
    return result_bits(result);
  }
  // JavaScript knows of what it threw itself.
  if (status == HAFT_E_STALE || status == HAFT_E_CLOSED || status == HAFT_E_UNSUPPORTED)
    report(t, status, target.handle);
  return t.spec.on_error;
}

// Any thread.
__attribute__((noinline)) uint64_t send(const Trampoline &t, uint64_t user_data, const uint64_t *registers,
                                        const uint64_t *stack) {
  const TrampolineSpec &spec = t.spec;
  haft_value args[HAFT_ARGS_MAX], result = {HAFT_VOID, 0, {0}};
  size_t count = 0;
  for (uint32_t i = 0; i < spec.count; i++) {
    if (is_passed(spec, i)) args[count++] = argument(spec.types[i], bits_at(t.places[i], registers, stack));
  }
  const bool is_post = spec.mode == kModePost;
  const haft_status status = is_post ? post_given(user_data, spec.op, args, count, spec.timeout_ms)
                                     : call_given(user_data, spec.op, args, count, spec.timeout_ms, &result);
  if (status == HAFT_OK) return is_post ? spec.on_posted : result_bits(result);
  Target target;
  const bool is_here = locate(user_data, &target) == HAFT_OK && on_own_thread(target.realm);
  // JavaScript knows of what it threw itself.
  if (status != HAFT_E_EXCEPTION && status != HAFT_E_RESULT && !(status == HAFT_E_DEADLOCK && is_here && !is_post))
    report(t, status, user_data);
  return spec.on_error;
}

}  // namespace

haft_status trampoline_take(const TrampolineSpec &spec, uint32_t realm, void **pointer) {
#ifndef HAFT_HAS_THUNKS
  (void)spec, (void)realm, (void)pointer;
  return HAFT_E_UNSUPPORTED;
#else
  const std::lock_guard<std::mutex> lock(taking);
  uint32_t number = 0;
  while (number < taken && !same(trampolines[number].spec, spec)) number++;
  if (number == kThunks) return HAFT_E_SLOTS;
  Trampoline &t = trampolines[number];
  if (number == taken) {
    t.spec = spec;
    prepare(t);
    taken++;
  }
  t.realms[realm / 64].fetch_or(1ull << (realm % 64), std::memory_order_relaxed);
  *pointer = const_cast<char *>(haft_thunks + number * 16);
  return HAFT_OK;
#endif
}

void trampolines_report_to(uint32_t realm, haft_handle handle, haft_op op) {
  // What an earlier one still had to handle will never be.
  listeners[realm].told.store((uint32_t)arena()->realms[realm].exchange[kExchangeMisuses], std::memory_order_relaxed);
  listeners[realm].op.store(op, std::memory_order_relaxed);
  listeners[realm].handle.store(handle, std::memory_order_relaxed);
}

void trampolines_forget(uint32_t realm) {
  const std::lock_guard<std::mutex> lock(taking);
  for (uint32_t number = 0; number < taken; number++)
    trampolines[number].realms[realm / 64].fetch_and(~(1ull << (realm % 64)), std::memory_order_relaxed);
  trampolines_report_to(realm, HAFT_NULL, 0);
}

void destroy_notify(void *user_data) {
  const haft_handle handle = (haft_handle)(uintptr_t)user_data;
  if (check_level() == 2)
    checked_destroy(handle, __builtin_return_address(0));
  else
    slot_release(handle);
}

}  // namespace haft

using namespace haft;

uint64_t haft_trampoline_enter(uint32_t number, const uint64_t *registers, const uint64_t *stack) {
  const Trampoline &t = trampolines[number];
  uint64_t user_data = bits_at(t.places[t.spec.user_data], registers, stack);
  if (t.spec.user_data_from) user_data = t.spec.user_data_from(user_data);
  Target target;
  if (t.spec.mode == kModeCall && t.shape != 0 && locate(user_data, &target) == HAFT_OK && on_own_thread(target.realm)) {
    const uint64_t word = target.slot->word.load(std::memory_order_relaxed);  // it is ours to change
    if (grade(target, word) == HAFT_OK && word_kind(word) == HAFT_OP_KIND(t.spec.op))
      return call_here(t, target, registers, stack);
  }
  return send(t, user_data, registers, stack);
}
