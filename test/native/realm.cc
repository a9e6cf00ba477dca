// The end of a realm: everybody who waits hears of it, nothing is in flight when it is gone, and the next realm of
// the same number has nothing to do with it.
// timeout: 40
#include "support.h"

using namespace test;

namespace {

haft_kind kind() {
  static const haft_kind defined = define_kind("realm", 4);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

enum Role { kCaller, kManyCaller, kPatientCaller, kBlocked, kFinder, kPoster, kLongPoster, kCounter, kRoles };

// P21: after realm_close() nothing touches what belonged to the realm; here that is a Consumer, which goes away.
// P16: whoever waits without a limit hears CLOSED.
void close_and_reopen(int rounds) {
  say("P21 close and reopen");
  constexpr int kThreads = kRoles * 2;
  struct Open {
    haft_realm id;
    haft_handle echo, mute, full;
  };
  std::atomic<uint64_t> round{0};
  Open opened{};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> heard{0}, ok{0};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(5000 + me);
    const Role role = (Role)(me % kRoles);
    const std::string text(1500, 'r');
    uint64_t seen = 0;
    for (;;) {
      uint64_t now;
      while ((now = round.load()) == seen && !done.load()) sched_yield();
      if (done.load()) return;
      seen = now;
      const Open o = opened;
      for (haft_status status = HAFT_OK; status != HAFT_E_CLOSED && status != HAFT_E_STALE;) {
        haft_value result;
        haft_handle found;
        jitter(random, 2);
        const int64_t tag = (int64_t)random.next();
        const haft_value args[] = {haft_value_i64(tag), haft_value_str(text.data(), random.once_in(4) ? text.size() : 3)};
        switch (role) {
          case kCaller:
            status = call(o.echo, op(random.below(2)), args, 2, random.once_in(4) ? 0 : -1, &result);
            CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_TIMEOUT || status == HAFT_E_STALE ||
                  status == HAFT_E_NO_MEMORY);
            if (status == HAFT_OK) {
              ok++;
              if (result.type == HAFT_I64)
                CHECK(result.as.i64 == tag);
              else
                CHECK(result.length == 3000 && memcmp(result.as.str, &tag, 8) == 0);
              value_free(&result);
            }
            break;
          case kManyCaller: {
            haft_request requests[3] = {{o.echo, args, 2, op(0), 0, 0, {}}, {o.echo, args, 1, op(0), 0, 0, {}},
                                        {o.mute, args, 1, op(3), 0, 0, {}}};
            status = call_many(requests, 3, -1);
            CHECK(status != HAFT_OK);  // the third is never answered
            for (haft_request &q : requests) {
              if (q.status == HAFT_OK) CHECK(q.result.as.i64 == tag);
              value_free(&q.result);
            }
            status = requests[2].status;
            CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
            break;
          }
          case kPatientCaller:
            status = call(o.mute, op(3), nullptr, 0, -1, &result);  // never answered
            CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
            break;
          case kBlocked:
            status = post(o.full, op(2), args, 2, HAFT_BLOCK(-1));
            CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE);
            break;
          case kFinder:
            status = name_find(o.id, "nobody", 0, -1, &found);
            CHECK_STATUS(status, HAFT_E_CLOSED);
            break;
          case kPoster:
          case kLongPoster:
            status = post(o.echo, op(2), args, role == kPoster ? 1 : 2, HAFT_DROP_NEWEST);
            CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE || status == HAFT_E_NO_MEMORY);
            break;
          default:
            status = slot_retain(o.mute);
            if (status == HAFT_OK) {
              const haft_status after = slot_release(o.mute);
              CHECK(after == HAFT_OK || after == HAFT_E_CLOSED || after == HAFT_E_STALE);
            }
            CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE);
        }
      }
      heard++;
    }
  });
  Random random(5100);
  for (int i = 1; i <= rounds; i++) {
    auto c = std::make_unique<Consumer>();
    c->handler = [&](const Message &m) {
      if (m.token == 0) return Answer();
      if ((m.op & 0xffff) == 3) return Answer::promise();
      if ((m.op & 0xffff) == 0) return Answer::i64((int64_t)m.bits[0]);
      std::string text(3000, ' ');
      memcpy(&text[0], &m.bits[0], 8);
      return Answer::str(text);
    };
    opened.id = c->id;
    const auto on_shard = [&](uint32_t wanted) {
      haft_handle handle;
      do handle = c->create(kind());
      while (shard_of(handle) != wanted);
      return handle;
    };
    opened.echo = on_shard(1);
    opened.mute = on_shard(2);
    opened.full = on_shard(3);
    round++;
    const int drains = 1 + (int)random.below(12);
    for (int k = 0; k < drains; k++) {
      c->drain();
      jitter(random, 2);
    }
    CHECK(c->close());
    CHECK_STATUS(realm_check(opened.id), HAFT_E_CLOSED);
    c.reset();
    // Everybody hears of it, whoever slept without a limit too.
    while (heard.load() < (uint64_t)kThreads * i) sched_yield();
  }
  done = true;
  threads.join();
  CHECK(heard.load() == (uint64_t)kThreads * rounds);
  CHECK(ok.load() > 0);
  for (uint32_t number = 0; number < arena()->realms_used.load(); number++) CHECK(in_flight_now(number) == 0);
}

// P21: a stale waiter that comes late, while the same number is opened, used and closed again and again, without waiting
// for it.
void late_waiters(int rounds) {
  say("P21 late waiters of a reopened realm");
  constexpr int kWaiters = 6;
  struct Job {
    std::atomic<haft_handle> handle{0};
  } jobs[kWaiters];
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kWaiters, [&](int me) {
    Random random(5200 + me);
    while (!done.load()) {
      const haft_handle handle = jobs[me].handle.exchange(0);
      if (handle == 0) {
        sched_yield();
        continue;
      }
      haft_value result;
      const int64_t tag = (int64_t)random.next();
      const haft_value arg = haft_value_i64(tag);
      const haft_status status = call(handle, op(0), &arg, 1, -1, &result);
      CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE);
      if (status == HAFT_OK) CHECK(result.as.i64 == tag);
    }
  });
  Random random(5300);
  std::vector<std::unique_ptr<Consumer>> opened;  // whoever waits for nobody may go only when all is quiet
  for (int i = 0; i < rounds; i++) {
    opened.push_back(std::make_unique<Consumer>());
    Consumer &c = *opened.back();
    c.chaos = false;
    c.handler = [&](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
    const haft_handle handle = c.create(kind());
    for (Job &job : jobs) job.handle = handle;
    for (int k = (int)random.below(20); k > 0; k--) {
      if (random.once_in(2)) sched_yield();
      if (random.once_in(3)) c.drain();
    }
    if (c.close(0)) opened.pop_back();
  }
  done = true;
  threads.join();
  opened.clear();
  Consumer c;
  check_all_replies_free(c.number);
}

// P21: a realm in which something is in flight is not quiet, and its number is not used again before that has ended.
void not_quiet() {
  say("P21 what is in flight keeps the realm");
  for (const bool by_claim : {true, false}) {
    Consumer c;
    const haft_handle handle = c.create(kind());
    Claim claimed;
    if (by_claim)
      claimed = claim(c.realm->rings[shard_of(handle)], 3);
    else
      in_flight[c.number][5].count++;
    CHECK(!c.close(2));
    CHECK_STATUS(slot_retain(handle), HAFT_E_CLOSED);
    CHECK_STATUS(realm_check(c.id), HAFT_E_CLOSED);
    {
      Consumer other;
      CHECK(other.number != c.number);
    }
    if (by_claim) {
      claimed.cell->op = 0;
      claimed.cell->shape = 3u << kShapeCellsShift;
      publish(claimed);
    } else {
      in_flight[c.number][5].count--;
    }
    Consumer next;
    CHECK(next.number == c.number);
    next.drain();
  }
}

// The last thing a realm's handles answer.
void all_realms() {
  say("all realms");
  std::vector<std::unique_ptr<Consumer>> all;
  for (uint32_t i = 0; i < kRealms; i++) all.push_back(std::make_unique<Consumer>());
  haft_realm id = 0;
  CHECK_STATUS(realm_open(nullptr, nullptr, nullptr, &id), HAFT_E_SLOTS);
  std::vector<bool> seen(kRealms, false);
  for (auto &c : all) {
    CHECK(!seen[c->number]);
    seen[c->number] = true;
    CHECK_STATUS(realm_check(c->id), HAFT_OK);
  }
  const haft_realm gone = all[17]->id;
  all[17].reset();
  CHECK_STATUS(realm_check(gone), HAFT_E_CLOSED);
  all[17] = std::make_unique<Consumer>();
  CHECK(all[17]->id != gone && all[17]->number == realm_number(gone));
  CHECK_STATUS(realm_check(gone), HAFT_E_CLOSED);
  realms_close_all(20'000);
  for (auto &c : all) CHECK_STATUS(realm_check(c->id), HAFT_E_CLOSED);
  for (auto &c : all) c->close();
}

// P23: what a realm leaves behind is used again with its generations kept, so opening often uses up nothing.
void blocks_are_adopted() {
  say("P23 blocks are adopted");
  { Consumer c; c.create(kind()); }
  const uint32_t before = arena()->blocks_issued.load();
  std::vector<haft_handle> old;
  for (int i = 0; i < amount(300); i++) {
    Consumer c;
    const haft_handle handle = c.create(kind());
    for (haft_handle h : old) CHECK(slot_retain(h) != HAFT_OK);
    if (old.size() < 32) old.push_back(handle);
    if (i % 3 == 0) slot_release(handle);  // left as a zombie
  }
  CHECK(arena()->blocks_issued.load() == before);
}

// An answer of a slot that was given up in the old realm's time stays there.
void messages_of_the_old_realm() {
  say("messages of a closed realm are not the next one's");
  haft_handle handle;
  uint32_t number;
  {
    Consumer c;
    handle = c.create(kind());
    number = c.number;
    const std::string text(700, 'o');
    const haft_value arg = haft_value_str(text.data(), text.size());
    for (int i = 0; i < 80; i++) post(handle, op(2), &arg, 1, HAFT_DROP_NEWEST);
  }
  Consumer c;
  CHECK(c.number == number);
  c.handler = [&](const Message &) -> Answer { fail_at(__FILE__, __LINE__, "a message of the old realm"); };
  c.drain();
  CHECK(heap_outstanding(c.number) == 0);
  CHECK_STATUS(post(handle, op(2), nullptr, 0, HAFT_FAIL), HAFT_E_CLOSED);
  // The whole ring is there again.
  c.handler = [&](const Message &) { return Answer(); };
  haft_handle fresh;
  do fresh = c.create(kind());
  while (shard_of(fresh) != shard_of(handle));
  for (uint32_t i = 0; i < kRingCells; i++) CHECK_STATUS(post(fresh, op(2), nullptr, 0, HAFT_FAIL), HAFT_OK);
  c.drain();
  CHECK(c.delivered.load() == kRingCells);
}

}  // namespace

int main() {
  not_quiet();
  messages_of_the_old_realm();
  blocks_are_adopted();
  close_and_reopen(amount(240));
  late_waiters(amount(10'000));
  all_realms();
}
