// Bench `call-many`: one thread that is not JavaScript's makes the same calls one after another, or all at once.

#include "callers.h"

namespace bench {

// (handles, op, milliseconds, calls, whether at once)
napi_value call_many_haft(const Args &args) {
  std::vector<uint64_t> handles = args.handles(0);
  haft_op op = static_cast<haft_op>(args.number(1));
  int calls = args.integer(3);
  bool at_once = args.number(4) != 0;

  std::vector<haft_request> requests;
  start_callers({1, args.number(2), 0, calls}, [=](double x) mutable {
    haft_value argument = haft_value_f64(x), result;
    if (x == 0) {  // the last one: JavaScript may wait for this thread as soon as it has answered
      must(haft_call(handles[0], op, &argument, 1, -1, &result), "haft_call");
      return;
    }
    if (!at_once) {
      for (int i = 0; i < calls; i++)
        must(haft_call(handles[i % handles.size()], op, &argument, 1, -1, &result), "haft_call");
      return;
    }
    requests.resize(calls);
    for (int i = 0; i < calls; i++) {
      requests[i] = {};
      requests[i].handle = handles[i % handles.size()];
      requests[i].op = op;
      requests[i].args = &argument;
      requests[i].count = 1;
    }
    must(haft_call_many(requests.data(), requests.size(), -1), "haft_call_many");
  });
  return nullptr;
}

}  // namespace bench
