// Bench `checks`: what the levels of HAFTCHECK look at and no other bench sends: references, a handle as an argument, a
// string as a result. Each function is the one of the level's table.

#include "callers.h"

namespace bench {
namespace {

Crew producers_crew;

}  // namespace

// (handles, milliseconds): nanoseconds a retain and its release, of one thread.
napi_value retain_release(const Args &args) {
  const std::vector<uint64_t> handles = shuffled(args.handles(0), 0);
  const double nanoseconds = args.number(1) * 1e6;
  uint64_t done = 0;
  size_t next = 0;
  const double began = now();
  double ended = began;
  do {
    for (int i = 0; i < 256; i++) {
      const haft_handle handle = handles[next];
      if (++next == handles.size()) next = 0;
      must(haft_retain(handle), "haft_retain");
      must(haft_release(handle), "haft_release");
    }
    done += 256;
    ended = now();
  } while (ended - began < nanoseconds);
  return to_js(args.env, (ended - began) / static_cast<double>(done));
}

// (handles, op, messages): nanoseconds a post of a number, of the calling thread alone: as many as the mailboxes hold, which
// JavaScript drains afterwards.
napi_value post_alone(const Args &args) {
  const std::vector<uint64_t> handles = args.handles(0);
  const haft_op op = static_cast<haft_op>(args.number(1));
  const int messages = args.integer(2);
  const haft_value argument = haft_value_f64(1);
  size_t next = 0;
  const double began = now();
  for (int i = 0; i < messages; i++) {
    must(haft_post(handles[next], op, &argument, 1, HAFT_FAIL), "haft_post");
    if (++next == handles.size()) next = 0;
  }
  return to_js(args.env, (now() - began) / messages);
}

// (handles, op, messages, argument): one producer, which sends the same handle to all.
napi_value post_handles(const Args &args) {
  std::vector<uint64_t> handles = args.handles(0);
  haft_op op = static_cast<haft_op>(args.number(1));
  int messages = args.integer(2);
  haft_value argument = haft_value_handle(static_cast<uint64_t>(args.number(3)));
  producers_crew.start(1, [=](int thread) {
    std::vector<uint64_t> mine = shuffled(handles, thread);
    size_t next = 0;
    for (int i = 0; i < messages; i++) {
      must(haft_post(mine[next], op, &argument, 1, HAFT_BLOCK(-1)), "haft_post");
      if (++next == mine.size()) next = 0;
    }
  });
  return nullptr;
}

// After the last delivery: when the producer began.
napi_value post_handles_join(const Args &args) { return to_js(args.env, producers_crew.join()); }

// (handle, op, milliseconds): one caller, which frees each text.
napi_value call_text(const Args &args) {
  uint64_t handle = static_cast<uint64_t>(args.number(0));
  haft_op op = static_cast<haft_op>(args.number(1));
  start_callers({1, args.number(2)}, [=](double x) {
    haft_value argument = haft_value_f64(x), text;
    must(haft_call(handle, op, &argument, 1, -1, &text), "haft_call");
    if (text.type != HAFT_STR) fail("haft_call", "the result is no text");
    haft_value_free(&text);
  });
  return nullptr;
}

}  // namespace bench
