// P31: whatever the arena says, haft stays inside it, and ends. First each value that is an index, an offset, a length, a
// bound or a type somewhere, set to what no such value can be; then a thread that scribbles over all of it while others
// call. Around the arena lies memory that nobody may touch. AddressSanitizer and UBSan see what stays inside.
// builds: plain asan
// (Not with ThreadSanitizer: the one who scribbles races with everybody, on purpose.)
// timeout: 240
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blocking.h"
#include "host_calls.h"
#include "link.h"
#include "message.h"
#include "support.h"

using namespace test;

namespace {

constexpr uint32_t kNoRealm = 200;  // a number that fits an id and is no realm's
static_assert(kNoRealm > kRealms && kNoRealm <= kRealmNumberMask, "it is to be wrong, and possible");

// The arena as a program has it that shares it with its logic: all of it is there, and a wide margin on both sides is not,
// so that a look at it ends this program.
void fence_arena() {
  say("the fence");
  constexpr size_t kMargin = 16ull << 30;
  constexpr size_t kArena = (sizeof(Arena) + 4095) & ~(size_t)4095;
  void *const field = mmap(nullptr, kArena + 2 * kMargin, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(field != MAP_FAILED);
  void *const middle = static_cast<char *>(field) + kMargin;
  CHECK(munmap(middle, kArena) == 0);
  int descriptor;
  CHECK(arena_share(&descriptor));
  CHECK(arena() == middle);  // the kernel takes the highest gap that is large enough
}

// Sets a word for as long as this lives.
template <class Word>
class Set {
 public:
  template <class Value>
  Set(std::atomic<Word> &word, Value value) : word_(word), was_(word.load()) { word.store((Word)value); }
  ~Set() { word_.store(was_); }

 private:
  std::atomic<Word> &word_;
  const Word was_;
};

// ---- One value after the other ----

void owners() {
  say("P31 the directory names a realm that there cannot be");
  const haft_kind kind = define_kind("owners");
  const haft_api &api = *api_table();
  Consumer c;
  const haft_handle handle = c.create(kind);
  const uint64_t wrong[] = {c.id - (c.number + 1) + kNoRealm, ~0ull, kRealmNumberMask, 1ull << kRealmNumberBits};
  for (uint64_t owner : wrong) {
    const Set set(arena()->directory[index_of(handle) >> kBlockBits], owner);
    haft_handle now;
    haft_value result;
    CHECK_STATUS(api.check(handle, 0), HAFT_E_FORGED);
    CHECK_STATUS(api.retain(handle), HAFT_E_FORGED);
    CHECK_STATUS(api.release(handle), HAFT_E_FORGED);
    CHECK_STATUS(api.moved(handle, &now), HAFT_E_FORGED);
    CHECK_STATUS(api.call(handle, HAFT_OP(kind, 0), nullptr, 0, -1, &result), HAFT_E_FORGED);
    blocks_abandon(owner);
  }
  CHECK_STATUS(api.check(handle, kind), HAFT_OK);
}

void realm_numbers() {
  say("P31 more realms have opened than there are");
  const haft_api &api = *api_table();
  Consumer c;
  const Set set(arena()->realms_used, UINT32_MAX);
  const haft_realm wrong = c.id - (c.number + 1) + kNoRealm;
  haft_handle found;
  uint32_t happened;
  CHECK_STATUS(api.realm_check(wrong), HAFT_E_CLOSED);
  CHECK_STATUS(api.find(wrong, "x", 0, -1, &found), HAFT_E_CLOSED);
  CHECK_STATUS(api.wait(wrong, HAFT_EVENT_USER(0), -1, &happened), HAFT_E_CLOSED);
  CHECK_STATUS(api.blocking(wrong, true), HAFT_E_CLOSED);
  CHECK(script_runs());  // looks at every realm
}

void reserved() {
  say("P31 a realm that is given out says otherwise");
  haft_realm id, other;
  CHECK_STATUS(realm_reserve([](void *) {}, nullptr, &id), HAFT_OK);
  std::atomic<uint64_t> &life = arena()->realms[realm_number(id)].life;
  for (RealmState state : {kRealmFree, kRealmClosed}) {
    life.store(id << 8 | state);
    CHECK_STATUS(realm_reserve([](void *) {}, nullptr, &other), HAFT_OK);
    CHECK(realm_number(other) != realm_number(id) && other >> kRealmNumberBits > id >> kRealmNumberBits);
    realm_end(other);
    CHECK(realm_recycle(other, false));
  }
  realm_end(id);
  CHECK(realm_recycle(id, false));

  say("P31 a realm that nobody has says that it is open");
  life.store(open_life(id));
  std::atomic<bool> waits{false};
  std::thread thread([&] {
    uint32_t happened;
    waits = true;
    CHECK_STATUS(api_table()->wait(id, HAFT_EVENT_USER(0), -1, &happened), HAFT_E_CLOSED);
  });
  while (!waits.load()) sched_yield();
  sleep_for(10 * 1000 * 1000);
  realms_restore();
  thread.join();
}

void links() {
  say("P31 a message with more descriptors than one");
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  char bytes[kLinkBytes + 1] = "x";
  iovec part = {bytes, 1};
  alignas(cmsghdr) char room[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  cmsghdr *const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(2 * sizeof(int));
  memcpy(CMSG_DATA(header), pair, sizeof pair);
  CHECK(sendmsg(pair[0], &message, 0) == 1);
  const int free = dup(pair[0]);
  close(free);
  int descriptor;
  CHECK(link_receive(pair[1], bytes, &descriptor) == 1 && descriptor == free);
  close(descriptor);
  const int after = dup(pair[0]), second = dup(pair[0]);
  CHECK(after == free && second == free + 1);  // no other one has come with it
  for (int one : {after, second, pair[0], pair[1]}) close(one);
}

// A circle of waits is followed through the arena.
void waits() {
  say("P31 a realm waits for one that there cannot be");
  const haft_kind kind = define_kind("waits");
  const haft_api &api = *api_table();
  Consumer c;
  std::atomic<Consumer *> other{nullptr};
  std::atomic<haft_handle> handle{0};
  std::thread thread([&] {
    Consumer o;
    handle = o.create(kind);
    other = &o;
    o.run();
  });
  while (!other.load()) sched_yield();
  const Set set(other.load()->realm->blocked_on, c.id - (c.number + 1) + kNoRealm);
  CHECK_STATUS(api.call(handle.load(), HAFT_OP(kind, 0), nullptr, 0, -1, nullptr), HAFT_OK);
  other.load()->stop();
  thread.join();
}

void free_replies() {
  say("P31 the list of free replies");
  const haft_kind kind = define_kind("replies");
  const haft_api &api = *api_table();
  Consumer c;
  const haft_handle handle = c.create(kind);
  std::thread thread([&] {
    for (uint64_t wrong : {(uint64_t)kReplies + 1, (uint64_t)UINT32_MAX, (uint64_t)1 << 31}) {
      const Set set(c.realm->free_replies, wrong);
      haft_value result;
      CHECK_STATUS(api.call(handle, HAFT_OP(kind, 0), nullptr, 0, -1, &result), HAFT_E_BUSY);
    }
  });
  thread.join();
  const Set issued(c.realm->replies_issued, UINT32_MAX);
  realm_wake_everybody(c.number);
  CHECK_STATUS(api.blocking(c.id, true), HAFT_OK);
  CHECK_STATUS(api.blocking(c.id, false), HAFT_OK);
}

std::atomic<int> completions{0};
std::atomic<haft_status> last_completion{0};
void note_completion(void *, haft_status status, haft_value *result) {
  api_table()->value_free(result);
  last_completion = status;
  completions++;
}
const haft_completer kNoting = {sizeof(haft_completer), note_completion, 0, nullptr};

void await_completions(int count) {
  for (int i = 0; i < 20'000 && completions.load() != count; i++) sleep_for(1000 * 1000);
  CHECK(completions.load() == count);
}

void async_calls() {
  say("P31 calls without a waiting thread");
  const haft_kind kind = define_kind("asyncs");
  const haft_api &api = *api_table();
  const haft_op op = HAFT_OP(kind, 0);
  completions = 0;
  Consumer c;
  const haft_handle handle = c.create(kind);
  CHECK_STATUS(api.call_async(handle, op, nullptr, 0, -1, &kNoting), HAFT_OK);
  {
    // The slot that it has is offered again: whose call it was would never hear of its end.
    const Set set(c.realm->free_replies, 1);
    CHECK_STATUS(api.call_async(handle, op, nullptr, 0, -1, &kNoting), HAFT_E_BUSY);
  }
  // An answer of which nobody tells, and a state that is none.
  CHECK_STATUS(api.call_async(handle, op, nullptr, 0, 50, &kNoting), HAFT_OK);
  c.realm->replies[1].state.store(0xfffffff0);
  await_completions(1);
  CHECK(c.close(1000) || true);  // messages were left unread
  await_completions(2);
  CHECK(last_completion.load() == HAFT_E_CLOSED);
}

void kinds() {
  say("P31 kinds");
  const haft_kind number = define_kind("kinds");
  const haft_api &api = *api_table();
  Kind &k = arena()->kinds[number];
  Consumer c;
  const haft_handle handle = c.create(number);
  haft_kind found;
  haft_op op;
  char *const end = arena()->text + kTextBytes;
  char *const behind = reinterpret_cast<char *>(arena()->realms);
  CHECK(behind > end);
  memset(end - 64, 'x', (size_t)(behind - end) + 64);  // a text without an end
  for (uint32_t wrong : {kTextBytes - 64, kTextBytes - 1, kTextBytes, UINT32_MAX - 4, UINT32_MAX}) {
    const Set text(k.text, wrong), types(k.types, wrong);
    const Set ops(k.ops, UINT16_MAX);
    CHECK_STATUS(api.op_find(number, "op0", &op), HAFT_E_OP);
    CHECK_STATUS(api.kind_match("kinds", "op0():void", &found), HAFT_E_ABI);
    // Of an op of which nothing is known any number of arguments goes.
    CHECK_STATUS(post<1>(handle, HAFT_OP(number, UINT16_MAX - 1), nullptr, 0, HAFT_FAIL), HAFT_OK);
    CHECK(op_types(HAFT_OP(number, UINT16_MAX - 1)).known == 0);
    CHECK(op_text(HAFT_OP(number, 60'000)) == "kinds.");
  }
  {
    const Set text(k.text, kTextBytes - 64);
    CHECK(op_text(HAFT_OP(number, 0)) == "kinds." + std::string(64, 'x'));
    // What stands behind the texts is nobody's types.
    memset(c.realm->exchange, 1, sizeof(OpTypes));
    const Set types(k.types, reinterpret_cast<char *>(c.realm->exchange) - arena()->text);
    CHECK(op_types(HAFT_OP(number, 0)).known == 0);
  }
  for (uint32_t wrong : {kKindNameBytes + 1, (uint32_t)UINT16_MAX}) {
    const Set length(k.name_length, wrong);
    CHECK(kind_name(number).size() == kKindNameBytes);
    const std::string name(wrong, 'k');
    CHECK(api.kind_find(name.c_str(), 0, &found) != HAFT_OK);
  }
  // Types that there are not, and more of them than there can be.
  const Set aligned(k.types, 0);
  memset(arena()->text, 0xff, sizeof(OpTypes));
  const haft_value value = haft_value_f64(1);
  std::vector<haft_value> many(255, value);
  CHECK_STATUS(post<2>(handle, HAFT_OP(number, 0), many.data(), many.size(), HAFT_FAIL), HAFT_E_ARGUMENT);
  const char one = 1;
  memcpy(arena()->text + offsetof(OpTypes, count), &one, 1);
  CHECK_STATUS(post<2>(handle, HAFT_OP(number, 0), &value, 1, HAFT_FAIL), HAFT_E_ARGUMENT);
  CHECK_STATUS(post<1>(handle, HAFT_OP(number, 0), nullptr, 0, HAFT_FAIL), HAFT_E_ARGUMENT);
  for (uint32_t wrong : {1, 2, 4}) {
    const Set unaligned(k.types, wrong);
    CHECK(op_types(HAFT_OP(number, 0)).known == 0);
    CHECK_STATUS(post<1>(handle, HAFT_OP(number, 0), nullptr, 0, HAFT_FAIL), HAFT_OK);
  }
  const Set unaligned(arena()->text_used, 4'001);
  haft_kind another;
  CHECK_STATUS(kind_define("another", 7, 1, "a", 2, &another), HAFT_E_SLOTS);
}

void names() {
  say("P28 P31 a name whose writer died");
  const haft_kind kind = define_kind("names");
  const haft_api &api = *api_table();
  Consumer c;
  const haft_handle handle = c.create(kind);
  CHECK_STATUS(name_publish(c.number, "name", 4, handle), HAFT_OK);
  haft_handle found;
  CHECK_STATUS(api.find(c.id, "name", 0, 0, &found), HAFT_OK);
  CHECK_STATUS(api.release(found), HAFT_OK);
  for (Name &name : c.realm->names) name.version.store(7);  // all of them: nobody waits for each
  std::thread thread([&] {
    CHECK_STATUS(api.find(c.id, "name", 0, 0, &found), HAFT_E_NOT_FOUND);
    CHECK_STATUS(api.find(c.id, "name", 0, 20, &found), HAFT_E_NOT_FOUND);
  });
  thread.join();
  for (Name &name : c.realm->names) name.version.store(2);
  CHECK_STATUS(name_publish(c.number, "name", 4, 12345), HAFT_OK);  // a handle that is none
  CHECK_STATUS(api.find(c.id, "name", 0, 0, &found), HAFT_E_FORGED);
}

void moves() {
  say("P28 P31 moved, and nobody says where");
  const haft_kind kind = define_kind("moves");
  const haft_api &api = *api_table();
  Consumer c;
  const haft_handle handle = c.create(kind), other = c.create(kind);
  Slot &slot = arena()->slots[index_of(handle)], &second = arena()->slots[index_of(other)];
  const auto moved = [](const Slot &s) { return (s.word.load() & ~(7ull << kStateShift)) | (uint64_t)kMoved << kStateShift; };
  haft_handle now;
  const Set one(slot.word, moved(slot)), two(second.word, moved(second));
  CHECK_STATUS(api.moved(handle, &now), HAFT_E_STALE);
  CHECK_STATUS(api.moved(other, &now), HAFT_E_STALE);
  slot.link.store(other);
  second.link.store(handle);
  slot_drop(handle);  // in a circle
  slot.link.store(0);
  second.link.store(0);
}

void reclaim() {
  say("P31 the reclaim list leads to no slot");
  const haft_kind kind = define_kind("reclaim");
  Consumer c;
  const haft_handle handle = c.create(kind);
  for (uint64_t wrong : {kIndexMask + 2, (uint64_t)UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX}) {
    c.realm->reclaim[shard_of(handle)].first.store(wrong);
    int32_t indexes[4];
    CHECK(reclaim_take(c.number));
    CHECK(reclaim_free(c.number, indexes, 4) == 0);
  }
}

void answers() {
  say("P31 answers");
  const haft_kind kind = define_kind("answers");
  Consumer c;
  const haft_handle handle = c.create(kind);
  Reply &reply = c.realm->replies[0];
  const uint64_t heap = offsetof(Arena, heaps) + c.number * kHeapBytes;
  const auto read = [&](haft_status status, uint32_t type, uint64_t bits, uint32_t length, bool in_heap, haft_value *result) {
    reply.status = status;
    reply.type = type;
    reply.value = bits;
    reply.length = length;
    reply.in_heap = in_heap;
    *result = haft_value_i32(7);
    return read_reply(c.number, reply, handle, result);
  };
  haft_value result;
  for (uint32_t type : {16u, 255u, UINT32_MAX}) CHECK_STATUS(read(HAFT_OK, type, 0, 0, false, &result), HAFT_E_INTERNAL);
  for (haft_status status : {1, 100, -1000, INT32_MIN})
    CHECK_STATUS(read(status, HAFT_VOID, 0, 0, false, &result), HAFT_E_INTERNAL);
  for (uint32_t type : {HAFT_STR, HAFT_BYTES}) {
    CHECK_STATUS(read(HAFT_OK, type, 0, kReplyInlineBytes + 1, false, &result), HAFT_E_INTERNAL);
    for (uint64_t offset : {(uint64_t)0, heap, heap + 63, heap + kHeapBytes, heap + kHeapBytes - 10, UINT64_MAX, UINT64_MAX - 63})
      CHECK_STATUS(read(HAFT_OK, type, offset, 100, true, &result), HAFT_E_INTERNAL);
    CHECK_STATUS(read(HAFT_OK, type, heap + 64, UINT32_MAX, true, &result), HAFT_E_INTERNAL);
    CHECK_STATUS(read(HAFT_E_EXCEPTION, type, heap - 4096, 100, true, &result), HAFT_E_INTERNAL);
    CHECK(result.type == HAFT_I32);  // left alone
  }
  for (double number : {0.0 / 0.0, -1.0, 1e300, 0x1p63})  {
    uint64_t bits;
    memcpy(&bits, &number, 8);
    CHECK_STATUS(read(HAFT_OK, HAFT_HANDLE, bits, 0, false, &result), HAFT_OK);
    CHECK(result.as.handle == HAFT_NULL);
    reply_discard(c.number, 1, true);
  }
  CHECK_STATUS(read(HAFT_OK, HAFT_BOOL, 0x0200, 0, false, &result), HAFT_OK);
  CHECK(result.as.b == true && *reinterpret_cast<unsigned char *>(&result.as) == 1);
}

void heaps() {
  say("P31 what is given back to a heap");
  Consumer c;
  const uint64_t heap = offsetof(Arena, heaps) + c.number * kHeapBytes;
  const uint64_t chunk = heap_take(c.number, 3 * kHeapPageBytes);
  CHECK(chunk == heap + 64 && heap_outstanding(c.number) == 4);
  const uint64_t wrong[] = {0, 64, heap, heap - kHeapPageBytes + 64, heap + kHeapBytes + 64, ~0ull, chunk + 1, chunk + 8};
  for (uint64_t offset : wrong) heap_give(c.number, offset);
  CHECK(heap_outstanding(c.number) == 4);
  std::atomic<uint32_t> &pages = *reinterpret_cast<std::atomic<uint32_t> *>(at_offset(heap));
  for (uint32_t count : {(uint32_t)(kHeapBytes / kHeapPageBytes) + 1, UINT32_MAX}) {
    const Set set(pages, count);
    heap_give(c.number, chunk);
    CHECK(heap_outstanding(c.number) == 4);
  }
  heap_give(c.number, chunk);
  CHECK(heap_outstanding(c.number) == 0);
}

void counts() {
  say("P31 counters that are no numbers of messages");
  Consumer c;
  Counters &k = c.realm->rings[0].counters;
  for (double wrong : {0.0 / 0.0, -5.0, 1e300, -1e300}) {
    k.delivered.store(wrong), k.declined.store(wrong), k.waiting.store(wrong), k.fill.store(wrong);
    const haft_counters now = counters_of(c.id);
    CHECK(now.delivered == 0 && now.refused == 0 && now.sent == 0 && now.highest_fill == 0);
  }
  k.delivered.store(0), k.declined.store(0), k.waiting.store(0), k.fill.store(0);
}

void blocks() {
  say("P31 more blocks were given out than there are");
  const haft_kind kind = define_kind("blocks");
  Consumer c;
  CHECK(c.create(kind) != HAFT_NULL);
  const Set set(arena()->blocks_issued, UINT32_MAX);
  const Set orphans(arena()->orphans, 1);
  const int64_t began = now_nanoseconds();
  CHECK(block_take(c.id) == -1);
  CHECK(c.close());
  CHECK(now_nanoseconds() - began < 5'000'000'000);  // not as long as four thousand million looks take
}

// ---- All at once ----

// Plays JavaScript for a realm in which anything may stand: answers what looks like a call, with what may be an answer.
class Answerer {
 public:
  explicit Answerer(uint32_t number) : r_(arena()->realms[number]), number_(number), random_(1) {}

  // Calls a function of the host: what says so may say anything.
  void ask() {
    const uint32_t token = host_call_take(number_);
    if (token == 0 || host_call_number(token) >= kHostCalls) return;
    HostCall &call = r_.host_calls[host_call_number(token)];
    const uint64_t heap = offsetof(Arena, heaps) + number_ * kHeapBytes;
    __atomic_store_n(&call.mode, random_.below(random_.once_in(8) ? UINT32_MAX : 3), __ATOMIC_RELAXED);
    __atomic_store_n(&call.name_length, random_.once_in(8) ? random_.below(UINT32_MAX) : 8, __ATOMIC_RELAXED);
    memcpy(call.name, "function", 8);
    Cell &cell = call.message[0];
    uint32_t shape = (uint32_t)random_.next();
    if (!random_.once_in(4)) shape &= ~kShapeHeapBit;
    cell.shape.store(shape, std::memory_order_relaxed);
    for (uint64_t &argument : cell.args) {
      const uint64_t text = (uint64_t)random_.below(1200) << 32 | random_.below(1200);
      __atomic_store_n(&argument, random_.once_in(4) ? random_.next() : text, __ATOMIC_RELAXED);
    }
    if (shape & kShapeHeapBit) {
      HeapTail *const tail = reinterpret_cast<HeapTail *>(&call.message[1]);
      __atomic_store_n(&tail->bytes, random_.below(random_.once_in(4) ? UINT32_MAX : 10'000), __ATOMIC_RELAXED);
      __atomic_store_n(&tail->chunk, heap + random_.below(80) * kHeapPageBytes + 64, __ATOMIC_RELAXED);
    }
    host_call_queue(number_, token);
  }

  void answer_all() {
    for (Ring &ring : r_.rings) {
      for (Cell &cell : ring.cells) {
        const uint32_t token = cell.reply.exchange(0);
        if (token != 0 && token_number(token) < kReplies && token_number(token) < replies_issued(r_)) answer(token);
      }
      const uint32_t tail = (uint32_t)ring.tail.load();
      for (uint32_t i = 0; i < kRingCells; i++) ring.cells[i].sequence.store(tail + ((i - tail) & (kRingCells - 1)));
      ring.head.store(tail);
      realm_wake_producers(number_, (uint32_t)(&ring - r_.rings));
    }
    r_.dirty.store(0);
    r_.armed.store(1);
  }

 private:
  void answer(uint32_t token) {
    Reply &reply = r_.replies[token_number(token)];
    const uint64_t heap = offsetof(Arena, heaps) + number_ * kHeapBytes;
    __atomic_store_n(&reply.status, random_.once_in(4) ? -(haft_status)random_.below(40) : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&reply.type, random_.below(random_.once_in(8) ? 40 : 9), __ATOMIC_RELAXED);
    __atomic_store_n(&reply.in_heap, random_.below(3) == 0, __ATOMIC_RELAXED);
    const uint64_t place = heap + (random_.once_in(4) ? random_.below(2 * kHeapBytes) : random_.below(64) * kHeapPageBytes + 64);
    __atomic_store_n(&reply.value, random_.once_in(4) ? random_.next() : place, __ATOMIC_RELAXED);
    __atomic_store_n(&reply.length, random_.below(random_.once_in(8) ? UINT32_MAX : random_.once_in(2) ? 200 : 4096), __ATOMIC_RELAXED);
    const uint32_t state = random_.once_in(32) ? random_.below(4) : (uint32_t)kDone;
    reply.state.store(reply_word(token_sequence(token), (ReplyState)state));
    const int32_t number = (int32_t)token_number(token);
    realm_wake(number_, &number, 1);
  }

  Realm &r_;
  const uint32_t number_;
  Random random_;
};

struct Range {
  void *begin;
  size_t bytes;
  uint32_t weight;
  bool heals;  // what is written there is taken back soon, or nothing that is behind it would be reached any more
};

class Scribbler {
 public:
  Scribbler(uint32_t number, const std::vector<haft_kind> &kinds, const std::vector<haft_handle> &handles) : random_(2) {
    Arena *a = arena();
    Realm &r = a->realms[number];
    const auto add = [&](void *begin, size_t bytes, uint32_t weight, bool heals) {
      for (uint32_t i = 0; i < weight; i++) ranges_.push_back({begin, bytes, weight, heals});
    };
    add(a, offsetof(Arena, directory), 2, true);
    const uint32_t block = index_of(handles[0]) >> kBlockBits;
    add(&a->directory[block], 8, 1, true);
    add(a->directory, sizeof a->directory, 1, true);
    for (haft_kind kind : kinds) add(&a->kinds[kind], sizeof(Kind), 4, true);
    add(a->kinds, sizeof a->kinds, 1, false);
    add(a->text, 4096, 4, true);
    add(a->text, sizeof a->text, 1, false);
    add(&r, offsetof(Realm, exchange), 8, true);
    add(&r.free_replies, sizeof r.free_replies + sizeof r.replies_issued, 4, true);
    add(&r.exchange, offsetof(Realm, replies) - offsetof(Realm, exchange), 1, false);
    add(r.replies, 16 * sizeof(Reply), 8, false);
    add(r.replies, sizeof r.replies, 2, false);
    for (Ring &ring : r.rings) add(&ring, sizeof(Ring), 1, false);
    add(r.names, sizeof r.names, 8, true);
    add(r.breaker_until, sizeof r.breaker_until, 1, true);
    add(r.next_reply, sizeof r.next_reply, 4, false);
    add(&r.host_done, offsetof(Realm, reclaim) - offsetof(Realm, host_done), 4, true);
    add(r.host_queue, sizeof r.host_queue, 1, false);
    add(r.host_calls, sizeof r.host_calls, 4, false);
    add(a->heaps[number], 16 * kHeapPageBytes, 2, false);
    add(&a->slots[block << kBlockBits], kBlockSlots * sizeof(Slot), 8, true);
    handles_ = handles;
  }

  void scribble() {
    const Range &range = ranges_[random_.below((uint32_t)ranges_.size())];
    if (random_.once_in(2))
      write<uint32_t>(range);
    else
      write<uint64_t>(range);
  }

 private:
  template <class Word>
  void write(const Range &range) {
    typedef Word __attribute__((may_alias)) word_t;
    word_t *const at = static_cast<word_t *>(range.begin) + random_.below((uint32_t)(range.bytes / sizeof(Word)));
    const Word was = __atomic_load_n(at, __ATOMIC_RELAXED);
    __atomic_store_n(at, (Word)value(was), __ATOMIC_RELAXED);
    if (!range.heals) return;
    for (uint32_t i = random_.below(500); i > 0; i--) relax();
    __atomic_store_n(at, was, __ATOMIC_RELAXED);
  }

  uint64_t value(uint64_t was) {
    switch (random_.below(12)) {
      case 0:
        return 0;
      case 1:
        return ~0ull;
      case 2:
        return 1ull << random_.below(64);
      case 3:
        return was ^ 1ull << random_.below(64);
      case 4:
        return was + random_.below(5) - 2;
      case 5:
        return random_.below(300);
      case 6:
        return random_.below(1u << 14);
      case 7:
        return was - (was & kRealmNumberMask) + random_.below(256);
      case 8:
        return handles_[random_.below((uint32_t)handles_.size())];
      case 9:
        return offsetof(Arena, heaps) + random_.next() % (2 * sizeof(Arena::heaps));
      case 10:
        return 0x7ff8ull << 48 | random_.next();
      default:
        return random_.next();
    }
  }

  std::vector<Range> ranges_;
  std::vector<haft_handle> handles_;
  Random random_;
};

// One thread of the host: every function of the table, with handles that are good, stale or random.
class Caller {
 public:
  Caller(int me, haft_realm realm, const std::vector<haft_kind> &kinds, const std::vector<haft_handle> &handles)
      : realm_(realm), kinds_(kinds), handles_(handles), random_(100 + me) {}

  // Ends as many calls as it has begun.
  void act() {
    const uint32_t which = random_.below((uint32_t)handles_.size());
    const haft_handle handle = random_.once_in(4) ? any_handle() : handles_[which];
    const haft_kind kind = kinds_[(random_.once_in(8) ? random_.next() : which) % kinds_.size()];
    const haft_op op = HAFT_OP(kind, random_.once_in(16) ? random_.below(UINT16_MAX) : random_.below(4));
    const haft_realm realm = random_.once_in(8) ? random_.next() >> random_.below(64) : realm_;
    const int64_t timeout = random_.below(8);
    const uint32_t count = random_.below(random_.once_in(16) ? HAFT_ARGS_MAX + 1 : 3);
    haft_value args[HAFT_ARGS_MAX + 1], result = haft_value_i32(0);
    for (uint32_t i = 0; i < count; i++) args[i] = any_value();
    haft_kind a_kind;
    haft_realm a_realm;
    haft_handle another;
    haft_op an_op;
    uint32_t happened;
    uint64_t bytes;
    void *memory;
    haft_counters counters = {};
    counters.size = sizeof counters;
    switch (random_.below(26)) {
      case 0:
        api_.retain(handle);
        break;
      case 1:
        api_.release(handle);
        break;
      case 2:
        api_.check(handle, kind);
        break;
      case 3:
        if (api_.kind_of(handle, &a_kind) == HAFT_OK) CHECK(a_kind < kKinds);
        break;
      case 4:
        api_.realm_of(handle, &a_realm);
        break;
      case 5:
        api_.kind_find(random_.once_in(2) ? "hostile0" : "hostile", random_.below(2), &a_kind);
        break;
      case 6:
        api_.kind_match("hostile1", "op0(f64):f64;op1():str", &a_kind);
        break;
      case 7:
        api_.op_find(kind, random_.once_in(2) ? "op3" : "", &an_op);
        break;
      case 8:
        if (api_.find(realm, "name", 0, timeout, &another) == HAFT_OK) api_.release(another);
        break;
      case 9:
        api_.realm_check(realm);
        break;
      case 10:
        api_.wait(realm, HAFT_EVENT_USER(0) | HAFT_EVENT_EMPTY, timeout, &happened);
        break;
      case 11:
        api_.signal(realm, HAFT_EVENT_USER(0));
        break;
      case 12:
        api_.moved(handle, &another);
        break;
      case 13:
        api_.counters_read(realm, random_.once_in(2) ? HAFT_ALL_SHARDS : random_.below(kShards), &counters);
        break;
      case 14:
        if (api_.retain_as(handle, "label") == HAFT_OK) api_.release_as(handle, "label");
        break;
      case 15:
        api_.memory(handle, &memory, &bytes);
        break;
      case 16:
        if (api_.call_async(handle, op, args, count, random_.once_in(2) ? -1 : timeout + 1, &kNoting) == HAFT_OK) begun++;
        break;
      case 17:
      case 18:
        many(op, timeout);
        break;
      case 19:
        api_.serve(realm, timeout);
        break;
      case 20:
        api_.expose(realm, "function", function, nullptr);
        break;
      case 21:
      case 22:
        api_.post(handle, op, args, count, random_.once_in(4) ? (haft_full)timeout : HAFT_FAIL);
        break;
      default:
        if (api_.call(handle, op, args, count, timeout, &result) == HAFT_OK) use(result);
        api_.last_error();
    }
  }

  static std::atomic<int> begun;

 private:
  haft_handle any_handle() {
    if (random_.once_in(8)) return random_.next();
    const haft_handle handle = handles_[random_.below((uint32_t)handles_.size())];
    return random_.once_in(8) ? handle ^ 1ull << random_.below(53) : handle;
  }

  // Reads all that it is given, and answers with it.
  static haft_status function(void *, const haft_value *args, size_t count, haft_reply *reply) {
    volatile unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
      if (args[i].type != HAFT_STR && args[i].type != HAFT_BYTES) continue;
      for (uint32_t at = 0; at <= args[i].length; at++) sum = sum + (unsigned char)args[i].as.str[at];
    }
    if (count != 0) api_table()->reply_value(reply, &args[0]);
    return HAFT_OK;
  }

  haft_value any_value() {
    static const std::string text(20'000, 't');
    switch (random_.below(6)) {
      case 0:
        return haft_value_handle(any_handle());
      case 1:
        return haft_value_str(text.data(), random_.below(random_.once_in(4) ? (uint32_t)text.size() : 64));
      case 2:
        return haft_value_bytes(text.data(), random_.below(64));
      default:
        return haft_value_f64(1.5);
    }
  }

  void many(haft_op op, int64_t timeout) {
    haft_request requests[8] = {};
    for (haft_request &request : requests) request = {any_handle(), nullptr, 0, op, 0, 0, {}};
    api_.call_many(requests, 8, timeout);
    for (haft_request &request : requests) use(request.result);
  }

  // Reads all of a result: what does not lie in this process ends it here.
  void use(haft_value &result) {
    if (result.type == HAFT_STR || result.type == HAFT_BYTES) {
      unsigned sum = 0;
      for (uint32_t i = 0; i <= result.length; i++) sum += (unsigned char)result.as.str[i];
      sums_ += sum;
    }
    api_.value_free(&result);
  }

  const haft_api &api_ = *api_table();
  const haft_realm realm_;
  const std::vector<haft_kind> &kinds_;
  const std::vector<haft_handle> &handles_;
  Random random_;
  uint64_t sums_ = 0;
};
std::atomic<int> Caller::begun{0};

void scribbled() {
  say("P31 scribbled over while others call");
  constexpr int kCallers = 3;
  completions = 0;
  std::vector<haft_kind> kinds;
  std::vector<haft_handle> handles;
  for (int i = 0; i < 3; i++) kinds.push_back(define_kind("hostile" + std::to_string(i)));
  Consumer c;
  for (int i = 0; i < 200; i++) handles.push_back(c.create(kinds[i % kinds.size()], i));
  for (int i = 0; i < 20; i++) CHECK_STATUS(c.remove(handles[i * 7]), HAFT_OK);
  CHECK_STATUS(name_publish(c.number, "name", 4, handles[1]), HAFT_OK);
  const uint64_t life = c.realm->life.load();
  const auto snapshot = std::make_unique<std::vector<uint64_t>>();
  for (haft_handle handle : handles) snapshot->push_back(arena()->slots[index_of(handle)].word.load());

  std::atomic<int> calling{kCallers};
  std::atomic<bool> closing{false};
  Threads threads;
  threads.start(kCallers, [&](int me) {
    Caller caller(me, c.id, kinds, handles);
    for (int i = amount(4'000); i > 0; i--) {
      caller.act();
      // Who finds nothing is quick, and would have found nothing so often before the scribbler comes to run again.
      if (i % 8 == 0) sched_yield();
    }
    calling--;
    while (!closing.load()) sched_yield();
  });
  std::thread scribbling([&] {
    Scribbler scribbler(c.number, kinds, handles);
    Random random(3);
    while (calling.load() != 0) {
      for (int i = 0; i < 200; i++) scribbler.scribble();
      // Most of it is as it should be again, or nothing would be called for long.
      c.realm->life.store(life);
      for (size_t i = 0; i < handles.size(); i++) {
        if (!random.once_in(4)) arena()->slots[index_of(handles[i])].word.store((*snapshot)[i] + 1000);
      }
      for (Reply &reply : c.realm->replies) reply.state.fetch_and(~3u);
      c.realm->free_replies = 0;
      c.realm->replies_issued = 0;
    }
  });
  Answerer answerer(c.number);
  Random pauses(4);
  while (calling.load() != 0) {
    answerer.answer_all();
    answerer.ask();
    if (pauses.once_in(64)) sleep_for(10 * 1000 * 1000);  // the mailboxes fill
    sched_yield();
  }
  scribbling.join();
  closing = true;
  threads.join();

  say("P31 a scribbled realm closes");
  // Some wait without an end of their own.
  c.realm->life.store(life);
  Threads waiting;
  std::atomic<int> waits{0};
  waiting.start(2, [&](int me) {
    haft_value result;
    uint32_t happened;
    haft_handle found;
    waits++;
    if (me == 0) {
      CHECK_STATUS(api_table()->wait(c.id, HAFT_EVENT_CLOSING, -1, &happened), HAFT_OK);
    } else {
      CHECK(api_table()->find(c.id, "nobody's", 0, -1, &found) != HAFT_OK);
      CHECK(api_table()->call(handles[1], HAFT_OP(kinds[1], 0), nullptr, 0, -1, &result) != HAFT_OK);
    }
  });
  while (waits.load() != 2) sched_yield();
  c.close(100);  // what was sent may never be read: it is not quiet then
  waiting.join();
  await_completions(Caller::begun.load());
  CHECK(in_flight_now(c.number) == 0 && waiting_now(c.number) == 0);
  for (haft_handle handle : handles) CHECK(api_table()->check(handle, 0) != HAFT_OK);

  say("P31 the end of the process");
  const Set used(arena()->realms_used, UINT32_MAX);
  const Set wrong(c.realm->life, open_life(c.id - (c.number + 1) + kNoRealm));
  realms_close_all(10);
}

}  // namespace

int main() {
  printf("seed %" PRIu64 "\n", seed());
  fence_arena();
  owners();
  realm_numbers();
  reserved();
  links();
  waits();
  free_replies();
  async_calls();
  names();
  moves();
  reclaim();
  answers();
  heaps();
  counts();
  blocks();
  kinds();
  scribbled();
  return 0;
}
