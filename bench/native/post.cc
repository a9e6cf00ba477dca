// Bench `post`: threads send messages to JavaScript objects and do not wait. The producers of haft and of its
// peer, a Node-API thread-safe function. Both return at once: JavaScript receives in its event loop.

#include "tsfn_producers.h"

namespace bench {
namespace {

Crew crew;
TsfnProducers tsfn;

}  // namespace

// (handles, op, producers, messages of each)
napi_value post_haft(const Args &args) {
  std::vector<uint64_t> handles = args.handles(0);
  haft_op op = static_cast<haft_op>(args.number(1));
  int producers = args.integer(2), each = args.integer(3);
  crew.start(producers, [=](int thread) {
    std::vector<uint64_t> mine = shuffled(handles, thread);
    haft_value one = haft_value_f64(1);
    size_t next = 0;
    for (int i = 0; i < each; i++) {
      must(haft_post(mine[next], op, &one, 1, HAFT_BLOCK(-1)), "haft_post");
      if (++next == mine.size()) next = 0;
    }
  });
  return nullptr;
}

// (dispatch, objects, producers, messages of each)
napi_value post_tsfn(const Args &args) {
  int objects = args.integer(1), producers = args.integer(2), each = args.integer(3);
  tsfn.open(args.env, args.value(0), objects, producers);
  crew.start(producers, [=](int thread) { tsfn.produce(thread, [=](int sent) { return sent < each; }); });
  return nullptr;
}

// After the last delivery: when the producers began.
napi_value post_join(const Args &args) {
  return to_js(args.env, crew.join());
}

}  // namespace bench
