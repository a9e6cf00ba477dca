// Mailboxes: messages of all sizes round and round the ring, the doorbell, a full ring.
#include "support.h"

using namespace test;

namespace {

// What a message contains follows from its sender, its handle and its number, so any cell of another one shows.
struct Content {
  uint32_t count = 0;
  haft_value values[HAFT_ARGS_MAX];
  std::string text[HAFT_ARGS_MAX];
};

void make_content(uint64_t tag, bool small, Content *content) {
  Random random(mix(tag));
  content->count = 2 + (small ? random.below(4) : random.below(HAFT_ARGS_MAX - 1));
  content->values[0] = haft_value_i64((int64_t)tag);
  content->values[1] = haft_value_u32((uint32_t)random.next());
  uint32_t room = small ? 0 : random.once_in(40) ? 3000 : random.below(1000);  // above 960: through the heap
  for (uint32_t i = 2; i < content->count; i++) {
    switch (random.below(6)) {
      case 0:
        content->values[i] = haft_value_f64((double)random.next());
        break;
      case 1:
        content->values[i] = haft_value_bool(random.once_in(2));
        break;
      case 2:
        content->values[i] = haft_value_i32((int32_t)random.next());
        break;
      default: {
        const uint32_t length = random.below(room + 1);
        room -= length;
        std::string &text = content->text[i];
        text.resize(length);
        for (char &c : text) c = (char)('!' + random.below(90));
        const bool str = random.once_in(2);
        if (str && length >= 2 && random.once_in(2)) memcpy(&text[0], "\xc3\xa9", 2);
        if (!str && length >= 4) memset(&text[0], 0xff, 4);
        content->values[i] = str ? haft_value_str(text.data(), length) : haft_value_bytes(text.data(), length);
      }
    }
  }
}

void check_content(const Message &m, uint64_t tag, bool small) {
  Content expected;
  make_content(tag, small, &expected);
  CHECK(m.count == expected.count);
  for (uint32_t i = 0; i < m.count; i++) {
    const haft_value &v = expected.values[i];
    CHECK(m.types[i] == v.type);
    switch (v.type) {
      case HAFT_STR:
        CHECK(m.ascii[i] == (v.length < 2 || expected.text[i][0] != '\xc3'));
        [[fallthrough]];
      case HAFT_BYTES:
        CHECK(m.text((int)i) == expected.text[i]);
        break;
      case HAFT_BOOL:
        CHECK((uint32_t)m.bits[i] == (v.as.b ? 1u : 0u));
        break;
      case HAFT_I32:
      case HAFT_U32:
        CHECK((uint32_t)m.bits[i] == v.as.u32);
        break;
      default:
        CHECK(m.bits[i] == (uint64_t)v.as.i64);
    }
  }
}

// P10, P11, P13: none torn, lost, duplicated, or out of order for one producer and handle; whatever the position.
void messages(uint64_t position, bool small, int budget, int producers, int rounds) {
  constexpr int kHandles = 6;
  const haft_kind kind = define_kind("messages");
  Consumer c;
  c.start_at(position);
  c.budget = budget;
  std::vector<haft_handle> handles;
  // Of two shards only, so that their rings come round often.
  while (handles.size() < kHandles) {
    const haft_handle handle = c.create(kind, handles.size());
    if (shard_of(handle) < 2) handles.push_back(handle);
  }
  std::vector<std::vector<uint64_t>> next(producers, std::vector<uint64_t>(kHandles, 0));
  c.handler = [&](const Message &m) {
    CHECK(!m.gone);
    CHECK(m.handle == handles[m.value]);
    CHECK(m.shard == shard_of(m.handle));
    const uint64_t tag = m.bits[0];
    const uint64_t producer = tag >> 48, handle = (tag >> 40) & 255, serial = tag & ((1ull << 40) - 1);
    CHECK(producer < (uint64_t)producers && handle == m.value);
    CHECK(serial == next[producer][handle]);
    next[producer][handle]++;
    check_content(m, tag, small);
    return Answer();
  };
  std::atomic<int> running{producers};
  Threads threads;
  threads.start(producers, [&](int me) {
    Random random(1000 + me + position);
    uint64_t serials[kHandles] = {};
    for (int i = 0; i < rounds; i++) {
      const uint32_t h = random.below(kHandles);
      Content content;
      const uint64_t tag = (uint64_t)me << 48 | (uint64_t)h << 40 | serials[h]++;
      make_content(tag, small, &content);
      for (;;) {
        const haft_status status =
            post(handles[h], HAFT_OP(kind, me & 3), content.values, content.count, random.once_in(4) ? 0 : -1);
        if (status == HAFT_OK) break;
        CHECK(status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY);
        sched_yield();
      }
      jitter(random, 128);
    }
    running--;
  });
  const uint64_t total = (uint64_t)rounds * producers;
  while (running.load() > 0) {
    c.drain();
    sched_yield();
  }
  threads.join();
  while (c.delivered.load() < total) c.drain();
  CHECK(c.delivered.load() == total);
  for (const Ring &ring : c.realm->rings) CHECK(all_published(ring));
  for (uint32_t shard = 0; shard < kShards; shard++) {
    CHECK((uint32_t)c.realm->rings[shard].tail.load() == c.head(shard));
    CHECK(c.realm->rings[shard].head.load() == c.head(shard));
  }
  CHECK(heap_outstanding(c.number) == 0);
}

void all_messages() {
  const uint64_t positions[] = {0, (1ull << 31) - 2500, (1ull << 32) - 2500, (1ull << 32) - 3, (1ull << 31) - 7,
                                (1ull << 32) + 1020};
  for (const uint64_t position : positions) {
    say("P10 P11 P13 messages of 1 to 16 cells");
    messages(position, false, 4096, 2, amount(2500));
    say("P12 messages of 1 to 16 cells, small budget");
    messages(position, false, 7, 3, amount(1500));
    say("P10 messages of one cell");
    messages(position, true, 4096, 2, amount(40'000));
  }
}

// A message that does not fit in what is left of the ring begins at its start; the rest is skipped.
void skips_the_end() {
  say("the end of the ring is skipped");
  const haft_kind kind = define_kind("skip");
  for (uint32_t left = 1; left <= 17; left++) {
    for (uint32_t cells = 1; cells <= kMessageCells; cells++) {
      Consumer c;
      c.start_at((1ull << 32) - left);
      const haft_handle handle = c.create(kind);
      const std::string text((cells - 1) * kCellBytes, 'x');
      const haft_value arg = haft_value_str(text.data(), text.size());
      int found = 0;
      c.handler = [&](const Message &m) {
        CHECK(m.cells == cells && m.text(0) == text);
        found++;
        return Answer();
      };
      for (int i = 0; i < 3; i++) CHECK_STATUS(post(handle, HAFT_OP(kind, 0), &arg, 1, HAFT_FAIL), HAFT_OK);
      c.drain();
      CHECK(found == 3);
    }
  }
}

// A claimed cell that is not published holds back those behind it, and nothing else.
void unpublished_holds_back() {
  say("P10 an unpublished cell holds back those behind it");
  const haft_kind kind = define_kind("held");
  Consumer c;
  const haft_handle handle = c.create(kind, 1);
  haft_handle other = c.create(kind, 2);
  std::vector<int64_t> order;
  c.handler = [&](const Message &m) {
    order.push_back((int64_t)m.bits[0]);
    return Answer();
  };
  const auto send = [&](haft_handle to, int64_t what) {
    const haft_value value = haft_value_i64(what);
    CHECK_STATUS(post(to, HAFT_OP(kind, 0), &value, 1, HAFT_FAIL), HAFT_OK);
  };
  send(handle, 1);
  const Claim claimed = claim(c.realm->rings[shard_of(handle)], 1);
  send(handle, 3);
  send(other, 4);
  CHECK(!all_published(c.realm->rings[shard_of(handle)]));
  CHECK(all_published(c.realm->rings[shard_of(other)]));
  c.drain();
  CHECK((order == std::vector<int64_t>{1, 4}));
  claimed.cell->op = HAFT_OP(kind, 0);
  claimed.cell->handle = (double)handle;
  claimed.cell->args[0] = 2;
  claimed.cell->shape = HAFT_I64 | 1u << kShapeCountShift | 1u << kShapeCellsShift;
  claimed.cell->reply = 0;
  publish(claimed);
  notify(c.number, shard_of(handle));
  c.drain();
  CHECK((order == std::vector<int64_t>{1, 4, 2, 3}));
}

// P10: bursts of posts into a realm that falls asleep: whoever publishes last must find it awake or ring.
void doorbell(int producers, bool many_shards, int bursts) {
  const haft_kind kind = define_kind("doorbell");
  std::atomic<Consumer *> opened{nullptr};
  std::vector<haft_handle> handles;
  std::thread owner([&] {
    Consumer c;
    c.chaos = false;
    for (int i = 0; i < (int)kShards; i++) handles.push_back(c.create(kind, i));
    opened = &c;
    c.run();
  });
  while (!opened.load()) sched_yield();
  Consumer &c = *opened.load();
  std::atomic<uint64_t> sent{0};
  std::atomic<int> burst{0}, ready{0};
  // The last post of a burst is the one that counts: later ones would ring for it. While the drain is at work the bit
  // that a post finds set is cleared at any moment.
  const auto send = [&](Random &random) {
    const uint32_t n = 1 + random.below(random.once_in(4) ? 200 : 20);
    for (uint32_t k = 0; k < n; k++) {
      const haft_handle to = handles[many_shards ? random.below(kShards) : 0];
      CHECK_STATUS(post(to, HAFT_OP(kind, 0), nullptr, 0, HAFT_BLOCK(-1)), HAFT_OK);
    }
    sent += n;
  };
  const auto arrived = [&] { return c.delivered.load(std::memory_order_acquire) == sent.load(); };
  Threads threads;
  threads.start(producers - 1, [&](int me) {
    Random random(2000 + me);
    for (int i = 1; i <= bursts; i++) {
      while (burst.load() < i) sched_yield();
      send(random);
      ready++;
    }
  });
  Random random(2100);
  for (int i = 1; i <= bursts; i++) {
    burst = i;
    send(random);
    while (ready.load() < i * (producers - 1)) sched_yield();
    for (int spin = 0; spin < 2000 && !arrived(); spin++) relax();
    await_delivery(c, arrived);
  }
  threads.join();
  CHECK(c.rings.load() > 0);
  c.stop();
  owner.join();
}

void doorbells() {
  say("P10 doorbell, one producer");
  doorbell(1, false, amount(60'000));
  say("P10 doorbell, one producer, many shards");
  doorbell(1, true, amount(20'000));
  say("P10 doorbell, two producers");
  doorbell(2, false, amount(8'000));
}

// P12: a drain that ends at its budget rings its own doorbell for the rest.
void budget_comes_back() {
  say("P12 a drain comes back for the rest");
  const haft_kind kind = define_kind("budget");
  Consumer c;
  c.budget = 5;
  std::vector<haft_handle> handles;
  for (int i = 0; i < 3; i++) handles.push_back(c.create(kind, i));
  for (int i = 0; i < 100; i++)
    CHECK_STATUS(post(handles[i % 3], HAFT_OP(kind, 0), nullptr, 0, HAFT_FAIL), HAFT_OK);
  CHECK(c.rings.load() == 1);
  int drains = 0;
  while (c.rung()) {
    c.drain();
    drains++;
  }
  CHECK(c.delivered.load() == 100);
  CHECK(drains == 20 || drains == 21);
}

void full_ring() {
  say("a full ring");
  const haft_kind kind = define_kind("full");
  Consumer c;
  const haft_handle handle = c.create(kind, 1);
  const auto send = [&](haft_full when_full) { return post(handle, HAFT_OP(kind, 0), nullptr, 0, when_full); };
  for (uint32_t i = 0; i < kRingCells; i++) CHECK_STATUS(send(HAFT_FAIL), HAFT_OK);
  CHECK_STATUS(send(HAFT_FAIL), HAFT_E_FULL);
  CHECK_STATUS(send(HAFT_BLOCK(10)), HAFT_E_DEADLOCK);  // the realm's own thread
  CHECK_STATUS(send(HAFT_DROP_NEWEST), HAFT_OK);
  std::thread([&] {
    CHECK_STATUS(send(HAFT_FAIL), HAFT_E_FULL);
    CHECK_STATUS(send(HAFT_BLOCK(1)), HAFT_E_FULL);
    CHECK_STATUS(call(handle, HAFT_OP(kind, 0), nullptr, 0, 1, nullptr), HAFT_E_TIMEOUT);
    CHECK_STATUS(send(HAFT_DROP_NEWEST), HAFT_OK);
  }).join();
  c.drain();
  CHECK(c.delivered.load() == kRingCells);
  CHECK_STATUS(send(HAFT_FAIL), HAFT_OK);
  c.drain();
  CHECK(c.delivered.load() == kRingCells + 1);
  check_all_replies_free(c.number);

  say("P16 blocked producers go on, also without a wake-up");
  c.wakes_producers = false;  // sleepers sleep in slices
  for (uint32_t i = 0; i < kRingCells; i++) CHECK_STATUS(send(HAFT_FAIL), HAFT_OK);
  std::atomic<int> through{0};
  Threads threads;
  threads.start(2, [&](int) {
    CHECK_STATUS(send(HAFT_BLOCK(-1)), HAFT_OK);
    through++;
  });
  Ring &ring = c.realm->rings[shard_of(handle)];
  while (ring.space_wanted.load() == 0) sched_yield();
  c.drain();
  while (through.load() < 2) sched_yield();
  threads.join();
  c.drain();
}

// Producers that block on a full ring, of messages of all sizes, are let in as there is room.
void blocked_producers() {
  say("blocked producers");
  constexpr int kProducers = 4;
  const haft_kind kind = define_kind("blocked");
  const int rounds = amount(20'000);
  Consumer c;
  const haft_handle handle = c.create(kind, 1);
  uint64_t next[kProducers] = {};
  c.handler = [&](const Message &m) {
    const uint64_t producer = m.bits[0] >> 48, serial = m.bits[0] & 0xffffffff;
    CHECK(serial == next[producer]++);
    return Answer();
  };
  std::atomic<int> running{kProducers};
  Threads threads;
  threads.start(kProducers, [&](int me) {
    Random random(3000 + me);
    const std::string text(900, 'y');
    for (int i = 0; i < rounds; i++) {
      const haft_value values[] = {haft_value_i64((int64_t)((uint64_t)me << 48 | (uint64_t)i)),
                                   haft_value_bytes(text.data(), random.below(900))};
      CHECK_STATUS(post(handle, HAFT_OP(kind, 0), values, 2, HAFT_BLOCK(-1)), HAFT_OK);
    }
    running--;
  });
  while (running.load() > 0) c.drain();
  threads.join();
  c.drain();
  for (uint64_t n : next) CHECK(n == (uint64_t)rounds);
}

}  // namespace

int main() {
  budget_comes_back();
  unpublished_holds_back();
  skips_the_end();
  full_ring();
  blocked_producers();
  doorbells();
  all_messages();
}
