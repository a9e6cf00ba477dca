// Bench `native-table`: what it costs C++ to use a handle: retain, check its kind, release. Three tables run the
// same loop; the two baselines are those of examples/stream.

#include <memory>

#include "js.h"
#include "tables.h"

namespace bench {
namespace {

// haft, as a plugin sees it: through haft_api.
struct Haft {
  bool retain(haft_handle handle) { return haft_retain(handle) == HAFT_OK; }
  bool check(haft_handle handle, haft_kind kind) { return haft_check(handle, kind) == HAFT_OK; }
  bool release(haft_handle handle) { return haft_release(handle) == HAFT_OK; }
};

// The tables of the example, called directly: their classes are final, so nothing is virtual here.
template <typename Table>
struct Baseline {
  Table table;

  bool retain(haft_handle handle) { return table.Retain(handle) == HAFT_OK; }
  bool check(haft_handle handle, haft_kind kind) {
    haft_kind found;
    return table.KindOf(handle, &found) == HAFT_OK && found == kind;
  }
  bool release(haft_handle handle) { return table.Release(handle).status == HAFT_OK; }
};

// Nanoseconds of the clock a triple, all threads together.
template <typename Table>
double triples(Table &table, const std::vector<haft_handle> &handles, haft_kind kind, int threads,
               double milliseconds) {
  struct alignas(128) Count {
    uint64_t done = 0;
  };
  std::vector<Count> counts(threads);
  std::atomic<bool> stop{false};
  Crew crew;

  double began = crew.start(threads, [&](int thread) {
    std::vector<haft_handle> mine = shuffled(handles, thread);
    uint64_t done = 0;
    for (size_t next = 0; !stop.load(std::memory_order_relaxed);) {
      for (int i = 0; i < 64; i++) {
        haft_handle handle = mine[next];
        if (++next == mine.size()) next = 0;
        if (!table.retain(handle) || !table.check(handle, kind) || !table.release(handle))
          fail("a table", "a live handle was refused");
      }
      done += 64;
    }
    counts[thread].done = done;
  });

  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
  stop.store(true);
  double elapsed = now() - began;
  crew.join();
  uint64_t total = 0;
  for (auto &count : counts) total += count.done;
  return elapsed / static_cast<double>(total);
}

template <typename Table>
double baseline(int live, int threads, double milliseconds) {
  constexpr haft_kind kKind = 7;
  auto baseline = std::make_unique<Baseline<Table>>();
  std::vector<haft_handle> handles;
  for (int i = 0; i < live; i++) handles.push_back(baseline->table.Create(kKind));
  return triples(*baseline, handles, kKind, threads, milliseconds);
}

}  // namespace

// (table, threads, milliseconds, live): the baselines make their own handles.
// ('haft', threads, milliseconds, handles, op): `op` tells the kind.
napi_value native_table(const Args &args) {
  std::string name = args.text(0);
  int threads = args.integer(1);
  double milliseconds = args.number(2), ns = 0;
  if (name == "haft") {
    Haft haft;
    haft_kind kind = HAFT_OP_KIND(static_cast<haft_op>(args.number(4)));
    ns = triples(haft, args.handles(3), kind, threads, milliseconds);
  } else if (name == "big-old-map") {
    ns = baseline<baselines::BigOldMap>(args.integer(3), threads, milliseconds);
  } else {
    ns = baseline<baselines::ShardedMap>(args.integer(3), threads, milliseconds);
  }
  return to_js(args.env, ns);
}

}  // namespace bench
