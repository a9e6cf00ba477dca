// kinds.cc: see kinds.h
#include "kinds.h"

#include <iterator>

namespace baselines {

haft_kind Kinds::Add(Kind kind) {
  std::lock_guard lock(mutex_);
  kinds_.push_back(std::move(kind));
  return static_cast<haft_kind>(kinds_.size());
}

const Op *Kinds::OpAt(haft_op op) const {
  size_t kind = HAFT_OP_KIND(op), position = op & 0xffff;
  if (kind < 1 || kind > kinds_.size()) return nullptr;
  const std::vector<Op> &ops = kinds_[kind - 1].ops;
  return position < ops.size() ? &ops[position] : nullptr;
}

haft_status Kinds::Find(const char *name, haft_kind *kind) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < kinds_.size(); i++) {
    if (kinds_[i].name != name) continue;
    *kind = static_cast<haft_kind>(i + 1);
    return HAFT_OK;
  }
  return HAFT_E_NOT_FOUND;
}

haft_status Kinds::FindOp(haft_kind kind, const char *name, haft_op *op) {
  std::lock_guard lock(mutex_);
  if (kind < 1 || kind > kinds_.size()) return HAFT_E_NOT_FOUND;
  const std::vector<Op> &ops = kinds_[kind - 1].ops;
  for (size_t i = 0; i < ops.size(); i++) {
    if (ops[i].name != name) continue;
    *op = HAFT_OP(kind, static_cast<haft_op>(i));
    return HAFT_OK;
  }
  return HAFT_E_OP;
}

haft_type TypeNamed(const std::string &name) {
  static const char *const names[] = {"void", "f64", "i32", "u32", "i64", "bool", "handle", "str", "bytes"};
  for (size_t i = 0; i < std::size(names); i++) {
    if (name == names[i]) return static_cast<haft_type>(i);
  }
  return static_cast<haft_type>(HAFT_BYTES + 1);
}

}  // namespace baselines
