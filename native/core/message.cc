// See message.h.
#include "message.h"

#include <cstdlib>
#include <cstring>

#include "error.h"
#include "heap.h"
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

haft_status check_arg(uint64_t realm_id, const haft_value &v) {
  uint64_t word;
  Target target;
  if (v.type > HAFT_BYTES) return HAFT_E_ARGUMENT;
  if (has_payload(v) && v.length != 0 && !v.as.str) return HAFT_E_ARGUMENT;
  if (v.type != HAFT_HANDLE || v.as.handle == HAFT_NULL) return HAFT_OK;
  const haft_status status = slot_check(v.as.handle, 0, &word, &target);
  if (status == HAFT_OK && target.realm_id != realm_id) return HAFT_E_REALM;
  return status;
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
      return v.as.b ? 1 : 0;
    case kWireText:
      return kNoText;
    default:
      return 0;
  }
}

haft_status plan_message(uint64_t realm_id, const haft_value *args, size_t count, Plan *plan) {
  if (count > HAFT_ARGS_MAX || (count != 0 && !args)) return fail(HAFT_E_ARGUMENT);
  begin_plan(args, count, plan);
  uint64_t payload = 0;
  for (uint32_t i = 0; i < count; i++) {
    const haft_value &v = args[i];
    const haft_status status = check_arg(realm_id, v);
    if (status != HAFT_OK) return fail(status, v.type == HAFT_HANDLE ? v.as.handle : HAFT_NULL);
    if (!has_payload(v)) continue;
    payload += v.length;
    if (payload > HAFT_PAYLOAD_MAX) return fail(HAFT_E_TOO_LARGE);
    if (v.type == HAFT_BYTES) continue;
    const Text text = classify(reinterpret_cast<const unsigned char *>(v.as.str), v.length);
    if (text == Text::kInvalid) return fail(HAFT_E_UTF8);
    if (text == Text::kAscii) plan->ascii |= 1u << i;
  }
  end_plan(payload, plan);
  return HAFT_OK;
}

haft_status plan_given(uint64_t, const haft_value *args, size_t count, Plan *plan) {
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

haft_status read_reply(uint32_t realm, Reply &reply, haft_handle handle, haft_value *result) {
  // Copied once: what stands in the arena may change later (P31).
  const uint32_t length = reply.length;
  const uint64_t bits = reply.value;
  const bool in_heap = reply.in_heap != 0;
  const haft_status status = reply.status;
  haft_value value = {reply.type, 0, {0}};
  const bool text = status != HAFT_OK || has_payload(value);

  const char *from = reply.text;
  if (text && in_heap) {
    if (!heap_contains(realm, bits, length)) return fail(HAFT_E_INTERNAL, handle, "a reply lies outside the arena");
    from = reinterpret_cast<const char *>(at_offset(bits));
  } else if (text && length > kReplyInlineBytes) {
    return fail(HAFT_E_INTERNAL, handle, "a reply lies outside the arena");
  }

  haft_status outcome = status;
  if (status != HAFT_OK) {
    outcome = length ? fail_text(status, handle, from, length) : fail(status, handle);
  } else if (text) {
    char *copy = static_cast<char *>(malloc((size_t)length + 1));
    if (copy) {
      memcpy(copy, from, length);
      copy[length] = 0;
      value.length = length;
      value.as.str = copy;
    } else {
      outcome = fail(HAFT_E_NO_MEMORY, handle);
    }
  } else if (value.type == HAFT_HANDLE) {
    double number;
    memcpy(&number, &bits, 8);
    value.as.handle = (haft_handle)number;
  } else {
    memcpy(&value.as, &bits, 8);
  }
  if (text && in_heap) heap_give(realm, bits);
  if (outcome == HAFT_OK) *result = value;
  return outcome;
}

}  // namespace haft
