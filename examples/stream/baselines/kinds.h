// kinds.h: the kinds that JavaScript has defined: their names, their ops, and the function that runs each op.
#ifndef BASELINES_KINDS_H
#define BASELINES_KINDS_H

#include <haft.h>
#include <node_api.h>

#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace baselines {

struct Op {
  std::string name;
  haft_type returns;
  napi_ref function;  // (handle, ...args) => result
};

struct Kind {
  std::string name;
  std::vector<Op> ops;
};

class Kinds {
 public:
  // JavaScript's thread. The kind's number, from 1.
  haft_kind Add(Kind kind);

  // JavaScript's thread, which alone adds kinds: no lock. NULL: no such op.
  const Op *OpAt(haft_op op) const;

  haft_status Find(const char *name, haft_kind *kind);
  haft_status FindOp(haft_kind kind, const char *name, haft_op *op);

 private:
  std::mutex mutex_;
  std::deque<Kind> kinds_;
};

// "f64", "handle", "str" ...: HAFT_BYTES + 1 when there is no such type.
haft_type TypeNamed(const std::string &name);

}  // namespace baselines

#endif
