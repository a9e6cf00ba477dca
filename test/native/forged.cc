// Any integer at all goes into any function: a status comes out, nothing changes, and no page is touched that was
// not given out. Such a page faults, so a look at one ends this program.
#include "support.h"

using namespace test;

namespace {

// Random integers, more of them where they might do harm than chance would send there.
uint64_t any_integer(Random &random, const std::vector<haft_handle> &live) {
  const uint64_t wild = random.next();
  switch (random.below(8)) {
    case 0:
      return wild;
    case 1:
      return wild >> random.below(64);
    case 2:
      return kHandleBase | (wild & (kHandleBase - 1));  // in the range of handles
    case 3:
      return make_handle(generation_of(live[wild % live.size()]), wild & kIndexMask);
    case 4:
      return live[wild % live.size()] ^ 1ull << random.below(64);  // one bit is wrong
    case 5:
      return live[wild % live.size()] + (random.below(4) + 1) * kBlockSlots * (random.once_in(2) ? 1 : -1);  // next block
    case 6:
      return make_handle(first_generation(arena(), wild & kIndexMask), wild & kIndexMask);  // a lucky generation
    default:
      return (uint64_t)(int64_t)(int32_t)wild;
  }
}

void forged() {
  say("P7 P8 forged integers");
  const haft_kind kind = define_kind("forged");
  const haft_api &api = *api_table();
  Consumer c;
  std::vector<haft_handle> live;
  for (int i = 0; i < 1500; i++) live.push_back(c.create(kind, i));
  std::vector<uint64_t> words;
  for (haft_handle handle : live) words.push_back(arena()->slots[index_of(handle)].word.load());
  std::vector<haft_handle> sorted = live;
  std::sort(sorted.begin(), sorted.end());
  const uint32_t blocks = arena()->blocks_issued.load();
  const auto refused = [](haft_status status) {
    return status == HAFT_E_FORGED || status == HAFT_E_STALE || status == HAFT_E_CLOSED;
  };
  const int rounds = amount(1'000'000);
  std::atomic<uint64_t> tried{0};
  Threads threads;
  threads.start(2, [&](int me) {
    Random random(8000 + me);
    for (int i = 0; i < rounds; i++) {
      const haft_handle x = any_integer(random, live);
      if (std::binary_search(sorted.begin(), sorted.end(), x)) continue;
      haft_kind a_kind = 7;
      haft_realm a_realm = 7;
      haft_value result = haft_value_i32(7);
      const haft_value arg = haft_value_handle(x);
      CHECK(refused(api.check(x, (haft_kind)random.next())));
      CHECK(refused(api.retain(x)));
      CHECK(refused(api.release(x)));
      CHECK(refused(api.kind_of(x, &a_kind)) && a_kind == 0);
      CHECK(refused(api.realm_of(x, &a_realm)) && a_realm == 0);
      CHECK(refused(api.post(x, HAFT_OP(kind, 0), nullptr, 0, HAFT_FAIL)));
      if (i % 8 == 0) {
        CHECK(refused(api.call(x, HAFT_OP(kind, 0), nullptr, 0, -1, &result)) && result.type == HAFT_VOID);
        haft_request request = {x, nullptr, 0, HAFT_OP(kind, 0), 7, 0, {}};
        CHECK(refused(api.call_many(&request, 1, -1)) && refused(request.status));
        // As an argument; HAFT_NULL is one that may be passed.
        if (x != HAFT_NULL) CHECK(refused(api.post(live[0], HAFT_OP(kind, 0), &arg, 1, HAFT_FAIL)));
        CHECK(refused(api.post(live[0], HAFT_OP(kind, 0), &arg, 1, HAFT_FAIL)) || x == HAFT_NULL);
        haft_realm realm = random.once_in(2) ? x : c.id ^ 1ull << random.below(64);
        if (realm == c.id) realm = 0;  // small integers do hit it
        haft_handle found;
        CHECK_STATUS(api.realm_check(realm), HAFT_E_CLOSED);
        CHECK_STATUS(api.find(realm, "x", 0, -1, &found), HAFT_E_CLOSED);
        haft_op op;
        const haft_kind wild = (haft_kind)random.next();
        if (wild != kind && (wild == 0 || wild >= kKinds)) CHECK(api.op_find(wild, "op0", &op) != HAFT_OK);
        const haft_op wild_op = (haft_op)random.next();
        if (HAFT_OP_KIND(wild_op) != kind) CHECK_STATUS(api.post(live[1], wild_op, nullptr, 0, HAFT_FAIL),
                                                       HAFT_OP_KIND(wild_op) == 0 ? HAFT_E_OP : HAFT_E_KIND);
        CHECK_STATUS(api.post(live[1], HAFT_OP(kind, 4 + random.below(60000)), nullptr, 0, HAFT_FAIL), HAFT_E_OP);
      }
      CHECK(api.last_error()->status != HAFT_OK);
      tried++;
    }
  });
  threads.join();
  CHECK(tried.load() > 0);
  for (size_t i = 0; i < live.size(); i++) CHECK(arena()->slots[index_of(live[i])].word.load() == words[i]);
  CHECK(arena()->blocks_issued.load() == blocks);
  // Only the posts with HAFT_NULL as an argument were sent.
  c.handler = [&](const Message &m) {
    CHECK(m.count == 1 && m.handle_arg(0) == HAFT_NULL);
    return Answer();
  };
  c.drain();
  CHECK(in_flight_now(c.number) == 0);
}

// Before there is anything at all.
void nothing_open() {
  say("P8 nothing is open");
  const haft_api &api = *api_table();
  Random random(8100);
  for (int i = 0; i < amount(20'000); i++) {
    const uint64_t x = random.once_in(2) ? random.next() : kHandleBase | (random.next() & (kHandleBase - 1));
    haft_handle found;
    CHECK_STATUS(api.check(x, 0), HAFT_E_FORGED);
    CHECK_STATUS(api.release(x), HAFT_E_FORGED);
    CHECK_STATUS(api.realm_check(x), HAFT_E_CLOSED);
    CHECK_STATUS(api.find(x, "x", 0, -1, &found), HAFT_E_CLOSED);
    CHECK_STATUS(api.post(x, (haft_op)random.next(), nullptr, 0, HAFT_FAIL), HAFT_E_FORGED);
  }
  haft_kind kind;
  haft_op op;
  CHECK_STATUS(api.kind_find("x", 0, &kind), HAFT_E_NOT_FOUND);
  CHECK_STATUS(api.op_find(5, "x", &op), HAFT_E_NOT_FOUND);
}

}  // namespace

int main() {
  nothing_open();
  forged();
}
