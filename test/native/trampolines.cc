// Trampolines: what C passes arrives, and what is answered comes back, of every type and in every place; live, stale and
// forged user data from many threads; a realm that closes under calls; the pool's end; a forked child.
// timeout: 240
#include "trampolines.h"

#include <sys/wait.h>
#include <unistd.h>

#include "../hosts/signatures.h"
#include "support.h"

using namespace test;

namespace {

constexpr unsigned kSecondsMost = 20;  // of a forked child
constexpr uint8_t kWires[] = {HAFT_BOOL, kWireI8,  kWireU8,  kWireI16, kWireU16,  HAFT_I32, HAFT_U32, HAFT_I64,
                              kWireU64,  kWireU64, kWireF32, HAFT_F64, kWireText, kWireU64, kWireU64, HAFT_VOID};

haft_kind kind() {
  static const haft_kind defined = define_kind("trampolines", signatures::kCount + 8);
  return defined;
}
constexpr uint32_t kAdd = signatures::kCount;  // int32_t (int32_t, handle)
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

TrampolineSpec spec_of(uint32_t i, uint64_t on_error) {
  TrampolineSpec spec = {};
  spec.count = (uint8_t)signatures::count_of(i);
  for (uint32_t p = 0; p < spec.count; p++) spec.types[p] = kWires[signatures::type_of(i, p)];
  spec.returns = kWires[signatures::returns_of(i)];
  spec.user_data = (uint8_t)signatures::user_data_of(i);
  spec.op = op(i);
  spec.timeout_ms = -1;
  spec.on_error = on_error;
  return spec;
}

using Add = int32_t (*)(int32_t, uint64_t);
constexpr int32_t kOnError = -77, kOnPosted = 55;

TrampolineSpec spec_of_add(TrampolineMode mode = kModeCall, int64_t timeout_ms = -1) {
  TrampolineSpec spec = {};
  spec.types[0] = HAFT_I32;
  spec.types[1] = kWireU64;
  spec.count = 2;
  spec.returns = HAFT_I32;
  spec.user_data = 1;
  spec.mode = mode;
  spec.op = op(kAdd);
  spec.timeout_ms = timeout_ms;
  spec.on_error = (uint64_t)(int64_t)kOnError;
  spec.on_posted = kOnPosted;
  return spec;
}

void *take(const TrampolineSpec &spec, uint32_t realm) {
  void *pointer = nullptr;
  CHECK_STATUS(trampoline_take(spec, realm, &pointer), HAFT_OK);
  return pointer;
}

// Calls f with a value-initialised value of the C type.
template <class F>
auto with_type(int type, F f) {
  switch (type) {
    case 0: return f(bool());
    case 1: return f(int8_t());
    case 2: return f(uint8_t());
    case 3: return f(int16_t());
    case 4: return f(uint16_t());
    case 5: return f(int32_t());
    case 6: return f(uint32_t());
    case 7: return f(int64_t());
    case 8:
    case 13: return f(uint64_t());
    case 10: return f(float());
    case 11: return f(double());
    default: return f(signatures::Pointer());
  }
}

uint64_t hash_of(const std::string &text) {
  uint64_t hash = 14695981039346656037ull;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

// An argument as it lies in a message.
std::string shown_argument(const Message &m, int i, int type) {
  if (m.types[i] == kWireText) return m.bits[i] == kNoText ? "null" : "'" + m.text(i) + "'";
  double number;
  memcpy(&number, &m.bits[i], sizeof number);
  if (m.types[i] == HAFT_F64 || m.types[i] == kWireF32) return signatures::shown_double(number);
  return with_type(type, [&](auto x) {
    using T = decltype(x);
    if constexpr (std::is_pointer_v<T>) return std::to_string(m.bits[i]);
    else if constexpr (std::is_integral_v<T>) {
      // A small integer is sign-extended to the 32 bits that JavaScript reads.
      if (sizeof(T) <= 4 && !std::is_same_v<T, bool>)
        CHECK((uint32_t)m.bits[i] == (uint32_t)(int32_t)(T)m.bits[i]);
      return signatures::shown((T)m.bits[i]);
    } else return std::string("?");
  });
}

// What the handler of a signature answers to these arguments: the same for both sides, each in its own form.
std::string expected_result(uint32_t i, const std::string &args) {
  if (signatures::returns_of(i) == signatures::kVoid) return "undefined";
  return with_type(signatures::returns_of(i), [&](auto x) {
    signatures::Source source{hash_of(args)};
    return signatures::shown(signatures::make<decltype(x)>(source));
  });
}
Answer answer_of(uint32_t i, const std::string &args) {
  Answer answer;
  answer.type = kWires[signatures::returns_of(i)];
  if (answer.type == HAFT_VOID) return answer;
  with_type(signatures::returns_of(i), [&](auto x) {
    using T = decltype(x);
    signatures::Source source{hash_of(args)};
    const T value = signatures::make<T>(source);
    if constexpr (std::is_floating_point_v<T>) {
      const double number = value;
      memcpy(&answer.bits, &number, sizeof number);
    } else if constexpr (std::is_pointer_v<T>) {
      answer.bits = (uint64_t)(uintptr_t)value;
    } else if constexpr (sizeof(T) == 8) {
      answer.bits = (uint64_t)value;
    } else {
      answer.bits = (uint32_t)(int32_t)value | 0xdeadull << 32;  // JavaScript writes 32 bits
    }
    return 0;
  });
  return answer;
}

Answer answer_signature(const Message &m) {
  const uint32_t i = m.op & 0xffff;
  std::string args;
  int at = 0;
  for (uint32_t p = 0; p < signatures::count_of(i); p++) {
    if (p == signatures::user_data_of(i)) continue;
    args += (args.empty() ? "" : "|") + shown_argument(m, at, signatures::type_of(i, p));
    CHECK(m.types[at] == kWires[signatures::type_of(i, p)]);
    at++;
  }
  CHECK((uint32_t)at == m.count);
  return answer_of(i, args);
}

void call_signatures(const std::vector<void *> &pointers, haft_handle handle, uint64_t stream, int rounds) {
  Random random(stream);
  for (int round = 0; round < rounds; round++) {
    for (uint32_t i = 0; i < signatures::kCount; i++) {
      std::string args, result;
      const bool dirty = random.once_in(2);
      signatures::signature(i).call(pointers[i], handle, random.next(), dirty, &args, &result);
      const std::string expected = expected_result(i, args);
      if (result != expected)
        fail_at(__FILE__, __LINE__, "a result", signatures::described(i) + (dirty ? " (dirty): " : ": ") + args +
                                                    " gives " + result + ", not " + expected);
    }
  }
}

void arguments() {
  say("arguments and results");
  Consumer c;
  const haft_handle handle = c.create(kind(), 1);
  c.handler = answer_signature;
  std::vector<void *> pointers;
  for (uint32_t i = 0; i < signatures::kCount; i++) pointers.push_back(take(spec_of(i, 0), c.number));
  call_signatures(pointers, handle, 21'000, amount(10));
  Threads threads;
  std::atomic<int> running{2};
  threads.start(2, [&](int me) {
    call_signatures(pointers, handle, 21'001 + me, amount(5));
    if (--running == 0) c.stop();
  });
  c.run();
  threads.join();
  CHECK(heap_outstanding(c.number) == 0);
}

// Whoever gets no answer is given the bits of on_error, whatever the type.
void on_error() {
  say("results on error");
  Consumer c;
  const haft_handle dead = c.create(kind());
  CHECK_STATUS(c.remove(dead), HAFT_OK);
  for (uint32_t i = 0; i < signatures::kCount; i++) {
    const int returns = signatures::returns_of(i);
    uint64_t bits = 0;
    std::string expected = "undefined";
    if (returns != signatures::kVoid) {
      expected = with_type(returns, [&](auto x) {
        signatures::Source source{i};
        auto value = signatures::make<decltype(x)>(source);
        if constexpr (std::is_integral_v<decltype(x)>) bits = (uint64_t)(int64_t)value;
        else memcpy(&bits, &value, sizeof value);
        return signatures::shown(value);
      });
    }
    void *pointer = take(spec_of(i, bits), c.number);
    for (const uint64_t user_data : {dead, (haft_handle)0, ~(haft_handle)0}) {
      std::string args, result;
      signatures::signature(i).call(pointer, user_data, i, false, &args, &result);
      if (result != expected) fail_at(__FILE__, __LINE__, "on error", signatures::described(i) + ": " + result);
    }
  }
  c.drain();
}

// Integers that are no handle, and some that are nearly one.
uint64_t forged(Random &random, uint64_t like) {
  switch (random.below(9)) {
    case 0: return random.below(3);
    case 1: return ~0ull - random.below(3);
    case 2: return random.next();
    case 3: return (uint64_t)(uintptr_t)&random;
    case 4: return like & 0xffffffffu;
    case 5: return like + (1ull << 53) * (1 + random.below(7));
    case 6: return like | 1ull << 63;
    case 7: return kHandleBase | random.next() % kHandleBase;
    default: return like ^ 1ull << (random.below(52));
  }
}

int32_t answer_for_handle(haft_handle handle) { return (int32_t)(hash_of(std::to_string(handle)) & 0x7fffffff); }

// A handle answers as itself or not at all; nothing runs another's closure.
void live_stale_forged() {
  say("live, stale and forged user data");
  constexpr int kThreads = 4, kHandles = 64;
  Consumer c;
  const haft_handle listener = c.create(kind());
  std::atomic<haft_handle> handles[kHandles];
  std::atomic<int> running{kThreads};
  std::atomic<uint64_t> answered{0}, refused{0};
  uint64_t misused = 0;
  const haft_kind other_kind = define_kind("trampolines of another kind");
  const haft_handle other = c.create(other_kind);
  for (auto &handle : handles) handle = c.create(kind());
  Random owner(22'000);
  const auto churn = [&] {
    for (int i = 0; i < 4; i++) {
      auto &handle = handles[owner.below(kHandles)];
      CHECK_STATUS(c.remove(handle), HAFT_OK);
      handle = c.create(kind());
    }
  };
  const auto add = reinterpret_cast<Add>(take(spec_of_add(), c.number));
  trampolines_report_to(c.number, listener, op(kAdd + 1));
  c.handler = [&](const Message &m) {
    if ((m.op & 0xffff) == kAdd + 1) {
      CHECK(m.handle == listener && m.count == 3 && (int32_t)m.bits[0] < 0 && m.bits[1] == op(kAdd));
      misused++;
      return Answer();
    }
    CHECK(m.op == op(kAdd) && m.count == 1 && m.handle != other);
    if (owner.once_in(4)) churn();
    Answer answer;
    answer.type = HAFT_I32;
    answer.bits = (uint32_t)(answer_for_handle(m.handle) ^ (int32_t)m.bits[0]);
    return answer;
  };
  // On the own thread first.
  for (int i = 0; i < 1000; i++) {
    const haft_handle handle = handles[i % kHandles];
    CHECK(add(i, handle) == (answer_for_handle(handle) ^ i));
    const uint64_t wrong = i % 2 ? other : forged(owner, handle);
    bool live = false;
    for (auto &one : handles) live = live || one == wrong;
    if (!live && wrong != listener) CHECK(add(i, wrong) == kOnError);
    c.drain();
  }
  CHECK(misused > 0);
  const int rounds = amount(4000);
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(22'001 + me);
    for (int i = 0; i < rounds; i++) {
      const haft_handle handle = handles[random.below(kHandles)];
      if (random.once_in(3)) {
        // It may be a live handle by chance; then it answers as that.
        const uint64_t wrong = random.once_in(8) ? other : forged(random, handle);
        const int32_t got = add(i, wrong);
        CHECK(got == kOnError || (wrong != other && got == (answer_for_handle(wrong) ^ i)));
      } else {
        const int32_t got = add(i, handle);
        CHECK(got == kOnError || got == (answer_for_handle(handle) ^ i));
        (got == kOnError ? refused : answered)++;
      }
      jitter(random);
    }
    if (--running == 0) c.stop();
  });
  c.run();
  threads.join();
  CHECK(answered.load() > 0);
  trampolines_forget(c.number);
  CHECK(c.close());
  for (auto &handle : handles) CHECK(add(1, handle) == kOnError);
}

void posts() {
  say("posts: order, and a full mailbox");
  Consumer c;
  const haft_handle handle = c.create(kind());
  const auto at_once = reinterpret_cast<Add>(take(spec_of_add(kModePost, 0), c.number));
  const auto waiting = reinterpret_cast<Add>(take(spec_of_add(kModePost, -1), c.number));
  int32_t next = 0;
  c.handler = [&](const Message &m) {
    CHECK(m.token == 0 && m.handle == handle && (int32_t)m.bits[0] == next++);
    return Answer();
  };
  int32_t sent = 0;
  while (at_once(sent, handle) == kOnPosted) sent++;
  CHECK(sent == kRingCells);
  CHECK(at_once(sent, handle) == kOnError);
  CHECK(waiting(sent, handle) == kOnError);  // on the own thread it cannot wait
  c.drain();
  CHECK(next == sent);
  const int32_t more = amount(20'000);
  Threads threads;
  threads.start(1, [&](int) {
    for (int32_t i = 0; i < more; i++) CHECK(waiting(sent + i, handle) == kOnPosted);
    c.stop();
  });
  c.run();
  threads.join();
  c.drain();
  CHECK(next == sent + more);
}

// Whoever is in a call when the realm closes is told so, and its pointer goes on to be callable.
void closing_under_calls() {
  say("a realm that closes under calls");
  for (int round = 0; round < amount(40); round++) {
    constexpr int kThreads = 3;
    std::atomic<int> running{kThreads}, closed{0};
    Threads threads;
    std::thread([&] {
      Consumer c;
      const haft_handle handle = c.create(kind());
      const auto add = reinterpret_cast<Add>(take(spec_of_add(), c.number));
      trampolines_report_to(c.number, handle, op(kAdd + 1));
      Random random(23'000 + round);
      int64_t left = random.below(2000);
      c.handler = [&](const Message &m) {
        Answer answer;
        answer.type = HAFT_I32;
        answer.bits = (uint32_t)m.bits[0] + 1;
        if (left-- == 0 && random.once_in(2)) {
          trampolines_forget(c.number);
          c.close();
        }
        return answer;
      };
      threads.start(kThreads, [&, add, handle](int) {
        for (int i = 0, after = 0; after < 50; i++) {
          const int32_t got = add(i, handle);
          CHECK(got == i + 1 || got == kOnError);
          if (got == kOnError) after++;
          if (got == kOnError && after == 1) closed++;
        }
        running--;
      });
      while (left > 0 && !c.closed()) c.drain();
      if (c.closed()) return;
      trampolines_forget(c.number);
      CHECK(c.close());
    }).join();
    threads.join();
    CHECK(running.load() == 0 && closed.load() == kThreads);
  }
}

void forked_child() {
  say("a forked child");
  Consumer c;
  const haft_handle handle = c.create(kind());
  const auto add = reinterpret_cast<Add>(take(spec_of_add(), c.number));
  const auto post = reinterpret_cast<Add>(take(spec_of_add(kModePost, -1), c.number));
  trampolines_report_to(c.number, handle, op(kAdd + 1));
  std::atomic<bool> done{false};
  c.handler = [&](const Message &m) {
    Answer answer;
    answer.type = HAFT_I32;
    answer.bits = (uint32_t)m.bits[0];
    return answer;
  };
  Threads threads;
  threads.start(2, [&](int) {
    for (int i = 0; !done.load(); i++) {
      const int32_t got = add(i, handle);
      CHECK(got == i);
    }
  });
  for (int i = 0; i < amount(20); i++) {
    for (int k = 0; k < 20; k++) c.drain();
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      alarm(kSecondsMost);
      _Exit(add(1, handle) == kOnError && add(1, 0) == kOnError && post(1, handle) == kOnError ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  done = true;
  while (waiting_now(c.number) > 0) c.drain();
  c.linger_looks = 0;
  std::thread stopper([&] {
    threads.join();
    c.stop();
  });
  c.run();
  stopper.join();
}

// Last: what is taken is never given back.
void pool_exhausted() {
  say("the pool is used up");
  Consumer c;
  const haft_handle handle = c.create(kind());
  c.handler = [&](const Message &m) {
    Answer answer;
    answer.type = HAFT_I32;
    answer.bits = (uint32_t)m.bits[0];
    return answer;
  };
  TrampolineSpec spec = spec_of_add();
  std::vector<void *> pointers(kThunks), again(kThunks);
  std::atomic<int> refused{0};
  // Alike in everything is one, whoever asks and when.
  for (std::vector<void *> *into : {&pointers, &again}) {
    Threads threads;
    threads.start(4, [&](int) {
      for (uint32_t i = 0; i < kThunks; i++) {
        TrampolineSpec one = spec_of_add();
        one.on_error = 1'000'000 + i;
        void *pointer = nullptr;
        const haft_status status = trampoline_take(one, c.number, &pointer);
        CHECK(status == HAFT_OK || status == HAFT_E_SLOTS);
        if (status == HAFT_E_SLOTS) refused++;
        void *before = __atomic_exchange_n(&(*into)[i], pointer, __ATOMIC_RELAXED);
        CHECK(before == nullptr || before == pointer);
      }
    });
  }
  CHECK(refused.load() > 0);
  CHECK(pointers == again);
  for (uint32_t i = 0; i < kThunks; i++) {
    if (!pointers[i]) continue;
    CHECK(reinterpret_cast<Add>(pointers[i])(0, 0) == (int32_t)(1'000'000 + i));
    CHECK(reinterpret_cast<Add>(pointers[i])((int32_t)i, handle) == (int32_t)i);
  }
  spec.on_error = 5'000'000;
  void *pointer = nullptr;
  CHECK_STATUS(trampoline_take(spec, c.number, &pointer), HAFT_E_SLOTS);
  CHECK(pointer == nullptr);
  CHECK(take(spec_of_add(), c.number) != nullptr);  // one that was there before
}

}  // namespace

int main() {
  arguments();
  on_error();
  live_stale_forged();
  posts();
  closing_under_calls();
  forked_child();
  pool_exhausted();
}
