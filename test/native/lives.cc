// P23: thousands of realms, one after another, each with leftovers of every sort; the next one finds nothing of them, and
// nothing is used up.
// timeout: 60
#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("lives", 4);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

// As a realm is when nobody has used it.
void find_it_clean(Consumer &c) {
  Realm &r = *c.realm;
  const haft_counters counters = counters_of(c.id);
  CHECK(counters.sent == 0 && counters.longest_wait == 0 && counters.highest_fill == 0);
  for (const Ring &ring : r.rings) {
    CHECK(is_empty(ring));
    CHECK(posts_in(ring) == 0);
  }
  CHECK(r.replies_issued.load() == 0 && (uint32_t)r.free_replies.load() == 0);
  CHECK(r.blocked_on.load() == 0 && r.script_waits.load() == 0 && r.acceptor.load() == HAFT_NULL);
  CHECK(r.dirty.load() == 0);
  CHECK(!kind_refused(kind(), c.number));
  CHECK(heap_outstanding(c.number) == 0 && in_flight_now(c.number) == 0 && waiting_now(c.number) == 0);
  CHECK(r.serving.load() == kNotServing && r.signalled.load() == 0);
  CHECK(!host_calls_wait(r) && r.host_done.load() == 0 && r.host_servers.load() == 0);
  haft_handle found;
  CHECK_STATUS(name_find(c.id, "left", 0, 0, &found), HAFT_E_NOT_FOUND);
  for (const auto &list : r.reclaim) CHECK(list.first.load() == 0);
  c.drain();
  CHECK(c.delivered.load() == 0 && c.gone.load() == 0);
}

struct Ended {
  std::atomic<uint64_t> sent{0}, heard{0};
};

// Posts that nobody reads, calls that nobody answers, objects, released ones, a name, memory, marks.
void leave(Consumer &c, Consumer &keeper, Random &random, std::vector<haft_handle> &old, Ended &ended) {
  std::vector<haft_handle> handles;
  for (uint32_t n = 1 + random.below(random.once_in(20) ? 3000 : 40); n > 0; n--) handles.push_back(c.create(kind()));
  const auto some = [&] { return handles[random.below((uint32_t)handles.size())]; };
  c.handler = [&](const Message &m) {
    if (m.token == 0 || random.once_in(2)) return m.token ? Answer::promise() : Answer();
    return random.once_in(2) ? Answer::str(std::string(3000, 'l')) : Answer::handle(c.create(kind()));
  };
  const std::string text(random.once_in(4) ? 5000 : 30, 't');
  const haft_value arg = haft_value_str(text.data(), text.size());
  const haft_completer completer = {sizeof completer,
                                    [](void *user, haft_status, haft_value *result) {
                                      value_free(result);
                                      static_cast<Ended *>(user)->heard++;
                                    },
                                    0, &ended};
  for (uint32_t n = random.below(60); n > 0; n--) {
    switch (random.below(4)) {
      case 0:
        if (call_async(some(), op(0), &arg, 1, random.once_in(2) ? -1 : 60'000, &completer) == HAFT_OK) ended.sent++;
        break;
      case 1:
        if (random.once_in(4)) c.drain();
        break;
      default:
        post(some(), op(1), &arg, 1, HAFT_DROP_NEWEST);
    }
  }
  if (random.once_in(3)) CHECK_STATUS(name_publish(c.number, "left", 4, some()), HAFT_OK);
  if (random.once_in(3)) kind_refuse(kind(), c.number, INT64_MAX);
  if (random.once_in(3)) c.realm->acceptor.store(some());
  if (random.once_in(3)) CHECK_STATUS(blocking_set(c.id, true), HAFT_OK);
  if (random.once_in(3)) CHECK_STATUS(signal_events(c.id, HAFT_EVENT_USER(2)), HAFT_OK);
  for (uint32_t n = random.below(8); n > 0; n--) {
    const haft_handle handle = some();
    if (!c.has(handle)) continue;
    if (random.once_in(3)) {
      const haft_handle now = keeper.create(kind());
      if (c.move(handle, now) != HAFT_OK) CHECK_STATUS(keeper.remove(now), HAFT_OK);
    } else {
      slot_release(handle);
    }
  }
  if (old.size() < 500) old.push_back(some());
}

void one_after_another(int rounds) {
  say("P23 one realm after another");
  Random random(12'000);
  Consumer keeper;
  std::vector<haft_handle> old;
  Ended ended;
  haft_realm last = 0;
  uint32_t blocks = 0;
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    c.chaos = false;
    CHECK(c.id != last && c.number == 1);
    last = c.id;
    find_it_clean(c);
    leave(c, keeper, random, old, ended);
    haft_counters final[kShards];
    CHECK(c.close(20'000, final));
    CHECK(ended.heard.load() == ended.sent.load());
    for (const haft_counters &f : final) CHECK(f.sent == f.delivered + f.refused + f.dropped + f.expired);
    for (const haft_handle handle : old) {
      const haft_status status = slot_retain(handle);
      CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);  // P24
    }
    if (i == rounds / 2) blocks = arena()->blocks_issued.load();
  }
  // Nothing is used up: the second half needs at most what its largest realm does.
  CHECK(arena()->blocks_issued.load() <= blocks + 4 + (uint32_t)(keeper.created / kBlockSlots));
  CHECK(arena()->realms_used.load() == 2);
}

// While other threads use what is left of each, in every way.
void with_late_threads(int rounds) {
  say("P23 one realm after another, with threads that come late");
  constexpr int kThreads = 3;
  std::atomic<haft_handle> some[8] = {};
  std::atomic<haft_realm> open{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(12'100 + me);
    const haft_completer completer = {sizeof completer, [](void *, haft_status, haft_value *result) { value_free(result); },
                                      0, nullptr};
    while (!done.load()) {
      const haft_handle handle = some[random.below(8)].load();
      if (handle == 0) {
        sched_yield();
        continue;
      }
      haft_status status;
      haft_value result = {HAFT_VOID, 0, {0}};
      switch (random.below(7)) {
        case 0:
          status = post(handle, op(1), nullptr, 0, HAFT_DROP_NEWEST);
          break;
        case 1:
          status = call(handle, op(0), nullptr, 0, random.below(3), &result);
          value_free(&result);
          break;
        case 2:
          status = call_async(handle, op(0), nullptr, 0, 1 + random.below(3), &completer);
          break;
        case 3:
          status = signal_events(open.load(), HAFT_EVENT_USER(random.below(8)));
          break;
        case 4:
          status = wait_for(open.load(), HAFT_EVENT_USER(0) | HAFT_EVENT_EMPTY, 1, nullptr);
          break;
        case 5: {
          haft_counters counters = {};
          counters.size = sizeof counters;
          status = counters_read(open.load(), HAFT_ALL_SHARDS, &counters);
          break;
        }
        default:
          status = slot_retain(handle);
          if (status == HAFT_OK) status = slot_release(handle);
      }
      CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE || status == HAFT_E_TIMEOUT ||
            status == HAFT_E_FULL || status == HAFT_E_BUSY);
      jitter(random, 4);
    }
  });
  Random random(12'200);
  for (int i = 0; i < rounds; i++) {
    Consumer c;
    c.handler = [&](const Message &m) { return m.token ? Answer::i64(1) : Answer(); };
    open = c.id;
    for (auto &place : some) place = c.create(kind());
    for (uint32_t k = random.below(6); k > 0; k--) {
      c.drain();
      jitter(random, 2);
    }
    haft_counters final[kShards];
    CHECK(c.close(20'000, final));
    for (const haft_counters &f : final) CHECK(f.sent == f.delivered + f.refused + f.dropped + f.expired);
  }
  done = true;
  threads.join();
  Consumer c;
  check_all_replies_free(c.number);
}

}  // namespace

int main() {
  one_after_another(amount(3000));
  with_late_threads(amount(1000));
}
