// See message.h.
#include "message.h"

#include <cstring>

#include "error.h"
#include "heap.h"
#include "kinds.h"
#include "results.h"
#include "slots.h"

namespace haft {
namespace {

enum class Text { kInvalid, kUtf8, kAscii };

// Validates UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
Text classify(const unsigned char *s, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    memcpy(&word, s + i, 8);
    if (word & 0x8080808080808080ull) break;
  }
  while (i < n && s[i] < 0x80) i++;
  if (i == n) return Text::kAscii;
  while (i < n) {
    const unsigned char c = s[i];
    if (c < 0x80) {
      i++;
      continue;
    }
    const size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || i + length > n) return Text::kInvalid;
    for (size_t k = 1; k < length; k++) {
      if ((s[i + k] & 0xc0) != 0x80) return Text::kInvalid;
    }
    const unsigned char d = s[i + 1];
    if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
      return Text::kInvalid;
    i += length;
  }
  return Text::kUtf8;
}

bool has_payload(const haft_value &v) {
  return v.type == HAFT_STR || v.type == HAFT_BYTES || (v.type == kWireText && v.as.str);
}

uint32_t extra_args(uint32_t count) { return count > kInlineArgs ? count - kInlineArgs : 0; }
uint32_t extra_bytes(uint32_t count) { return extra_args(count) * 8 + ((extra_args(count) + 7) & ~7u); }

template <int level>
haft_status check_arg(uint64_t realm_id, const haft_value &v) {
  uint64_t word;
  Target target;
  if (v.type > HAFT_BYTES) return HAFT_E_ARGUMENT;
  if (has_payload(v) && v.length != 0 && !v.as.str) return HAFT_E_ARGUMENT;
  if (v.type != HAFT_HANDLE || v.as.handle == HAFT_NULL) return HAFT_OK;
  const haft_status status = slot_check(v.as.handle, 0, &word, &target);
  if (level >= 1 && status == HAFT_OK && target.realm_id != realm_id) return HAFT_E_REALM;
  return status;
}

// Numbers may stand for one another where nothing is lost, as JavaScript reads them (src/messages/wire.ts).
bool fits(uint32_t declared, const haft_value &v) {
  if (v.type == declared) return true;
  double number;
  switch (v.type) {
    case HAFT_F64:
      number = v.as.f64;
      break;
    case HAFT_I32:
      number = v.as.i32;
      break;
    case HAFT_U32:
      number = v.as.u32;
      break;
    default:
      return false;
  }
  if (declared == HAFT_F64) return true;
  if (declared == HAFT_I32) return number >= INT32_MIN && number <= INT32_MAX && number == (double)(int32_t)number;
  return declared == HAFT_U32 && number >= 0 && number <= UINT32_MAX && number == (double)(uint32_t)number;
}

// Out of line: what is told of a message that JavaScript would refuse.
__attribute__((noinline)) haft_status misfit(haft_op op, const OpTypes &types, const haft_value *args, size_t count) {
  if (count != types.count) {
    const std::string text = op_text(op) + " takes " + std::to_string(types.count) + (types.count == 1 ? " argument, not " : " arguments, not ") + std::to_string(count);
    return fail_with(HAFT_E_ARGUMENT, HAFT_NULL, text, kRuleArguments);
  }
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t declared = types.args >> (4 * i) & 15;
    if (fits(declared, args[i])) continue;
    const std::string text = "argument " + std::to_string(i + 1) + " of " + op_text(op) + " is " +
                             type_name(args[i].type) + ", not " + type_name(declared);
    return fail_with(HAFT_E_ARGUMENT, HAFT_NULL, text, kRuleArguments);
  }
  return HAFT_OK;
}

void begin_plan(const haft_value *args, size_t count, Plan *plan) {
  plan->args = args;
  plan->count = (uint32_t)count;
  plan->ascii = 0;
  plan->chunk = 0;
}

void end_plan(uint64_t payload, Plan *plan) {
  plan->tail_bytes = (uint32_t)payload + extra_bytes(plan->count);
  plan->cells = 1 + (plan->tail_bytes + kCellBytes - 1) / kCellBytes;
}

}  // namespace

// A handle travels as a double, exact below 2^53.
uint64_t wire_bits(const haft_value &v) {
  uint64_t bits = 0;
  double number;
  switch (v.type) {
    case HAFT_HANDLE:
      number = (double)v.as.handle;
      memcpy(&bits, &number, 8);
      return bits;
    case HAFT_F64:
    case HAFT_I64:
    case kWireU64:
    case kWireF32:
      memcpy(&bits, &v.as, 8);
      return bits;
    case HAFT_I32:
    case HAFT_U32:
    case kWireI8:
    case kWireU8:
    case kWireI16:
    case kWireU16:
      return v.as.u32;
    case HAFT_BOOL:
      // As C may have filled it: not as a bool, of which any other byte than 0 and 1 is undefined.
      return *reinterpret_cast<const unsigned char *>(&v.as) != 0;
    case kWireText:
      return kNoText;
    default:
      return 0;
  }
}

template <int level>
haft_status plan_message(uint64_t realm_id, haft_op op, const haft_value *args, size_t count, Plan *plan) {
  if (count > HAFT_ARGS_MAX || (count != 0 && !args)) return fail(HAFT_E_ARGUMENT);
  if (level >= 1) {
    const OpTypes types = op_types(op);
    if (count != types.count && types.known) return misfit(op, types, args, count);
  }
  begin_plan(args, count, plan);
  uint64_t payload = 0;
  for (uint32_t i = 0; i < count; i++) {
    const haft_value &v = args[i];
    const haft_status status = check_arg<level>(realm_id, v);
    if (status != HAFT_OK) return fail(status, v.type == HAFT_HANDLE ? v.as.handle : HAFT_NULL);
    if (!has_payload(v)) continue;
    payload += v.length;
    if (payload > HAFT_PAYLOAD_MAX) return fail(HAFT_E_TOO_LARGE);
    if (v.type == HAFT_BYTES) continue;
    const Text text = classify(reinterpret_cast<const unsigned char *>(v.as.str), v.length);
    if (text == Text::kInvalid) return fail(HAFT_E_UTF8);
    if (text == Text::kAscii) plan->ascii |= 1u << i;
  }
  if (level >= 2) {
    const OpTypes types = op_types(op);
    const haft_status status = types.known ? misfit(op, types, args, count) : HAFT_OK;
    if (status != HAFT_OK) return status;
  }
  end_plan(payload, plan);
  return HAFT_OK;
}

template haft_status plan_message<0>(uint64_t, haft_op, const haft_value *, size_t, Plan *);
template haft_status plan_message<1>(uint64_t, haft_op, const haft_value *, size_t, Plan *);
template haft_status plan_message<2>(uint64_t, haft_op, const haft_value *, size_t, Plan *);

haft_status plan_given(uint64_t, haft_op, const haft_value *args, size_t count, Plan *plan) {
  begin_plan(args, count, plan);
  uint64_t payload = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!has_payload(args[i])) continue;
    payload += args[i].length;
    if (payload > HAFT_PAYLOAD_MAX) return fail(HAFT_E_TOO_LARGE);
    if (classify(reinterpret_cast<const unsigned char *>(args[i].as.str), args[i].length) == Text::kAscii)
      plan->ascii |= 1u << i;
  }
  end_plan(payload, plan);
  return HAFT_OK;
}

bool is_utf8(const char *text, size_t length) {
  return classify(reinterpret_cast<const unsigned char *>(text), length) != Text::kInvalid;
}

uint32_t text_length(const char *text) { return text ? (uint32_t)strnlen(text, HAFT_PAYLOAD_MAX + 1) : 0; }

void write_message(const Plan &plan, haft_handle handle, haft_op op, uint32_t reply, Cell *first) {
  unsigned char *const tail = plan.chunk ? at_offset(plan.chunk) : reinterpret_cast<unsigned char *>(first + 1);
  const uint32_t extras = extra_args(plan.count);
  uint32_t shape = plan.count << kShapeCountShift;
  uint32_t at = extra_bytes(plan.count);
  for (uint32_t i = 0; i < plan.count; i++) {
    const haft_value &v = plan.args[i];
    uint64_t bits;
    if (has_payload(v)) {
      bits = at | (uint64_t)(v.length | ((plan.ascii >> i & 1) ? kAsciiFlag : 0)) << 32;
      if (v.length != 0) memcpy(tail + at, v.as.str, v.length);
      at += v.length;
    } else {
      bits = wire_bits(v);
    }
    if (i < kInlineArgs) {
      first->args[i] = bits;
      shape |= v.type << (4 * i);
    } else {
      memcpy(tail + (i - kInlineArgs) * 8, &bits, 8);
      tail[extras * 8 + (i - kInlineArgs)] = (unsigned char)v.type;
    }
  }
  first->op.store(op, std::memory_order_relaxed);
  first->handle = (double)handle;
  first->reply.store(reply, std::memory_order_relaxed);
  if (plan.chunk) {
    HeapTail *second = reinterpret_cast<HeapTail *>(first + 1);
    second->bytes = plan.tail_bytes;
    second->chunk = plan.chunk;
    shape |= 2u << kShapeCellsShift | kShapeHeapBit;
  } else {
    shape |= plan.cells << kShapeCellsShift;
  }
  first->shape.store(shape, std::memory_order_relaxed);
}

// Of what is no handle, HAFT_NULL: not every double is an integer.
haft_handle ReplyFields::handle() const {
  double number;
  memcpy(&number, &bits, 8);
  return number >= 0 && number < (double)(2 * kHandleBase) ? (haft_handle)number : HAFT_NULL;
}

haft_status read_reply(uint32_t realm, Reply &reply, haft_handle handle, haft_value *result) {
  const ReplyFields fields(reply);
  const haft_status status = fields.status;
  const uint32_t length = fields.length;
  if (!is_status(status) || fields.type > kWireF32) return fail(HAFT_E_INTERNAL, handle, "a reply is of no status or type that there is");
  haft_value value = {fields.type, 0, {0}};
  const bool text = fields.has_text();

  const char *from = reply.text;
  if (text && fields.in_heap) {
    if (!heap_contains(realm, fields.bits, length))
      return fail(HAFT_E_INTERNAL, handle, "a reply lies outside the arena");
    from = reinterpret_cast<const char *>(at_offset(fields.bits));
  } else if (text && length > kReplyInlineBytes) {
    return fail(HAFT_E_INTERNAL, handle, "a reply lies outside the arena");
  }

  haft_status outcome = status;
  if (status != HAFT_OK) {
    const uint32_t rule = status == HAFT_E_ARGUMENT ? kRuleArguments : 0;  // found when it was to be delivered
    outcome = length ? fail_text(status, handle, from, length, rule) : fail(status, handle);
  } else if (text) {
    char *copy = result_take((size_t)length + 1);
    if (copy) {
      memcpy(copy, from, length);
      copy[length] = 0;
      value.length = length;
      value.as.str = copy;
    } else {
      outcome = fail(HAFT_E_NO_MEMORY, handle);
    }
  } else if (value.type == HAFT_HANDLE) {
    value.as.handle = fields.handle();
  } else if (value.type == HAFT_BOOL) {
    value.as.b = (uint32_t)fields.bits != 0;  // JavaScript writes 32 bits; any other byte than 0 and 1 is undefined
  } else {
    memcpy(&value.as, &fields.bits, 8);
  }
  if (text && fields.in_heap) heap_give(realm, fields.bits);
  if (outcome == HAFT_OK) *result = value;
  return outcome;
}

}  // namespace haft
