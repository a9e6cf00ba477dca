// Fuzzes the table of functions that C receives (haft_api), without Node: an input is a program of steps over a few realms,
// and a model of handles, references and messages says after each what must hold. Built and run by scripts/fuzz.mjs, at the
// level that HAFTCHECK says.
//
// JavaScript's part is played by Consumer, on the main thread, the own thread of all realms; a step of C runs there too, as
// C that JavaScript called, or on the thread `Native`, with the main one at rest or draining meanwhile. So one thing happens
// at a time, and an input does the same each time.
#define HAFT_FUZZ
#include <cmath>
#include <deque>
#include <optional>
#include <set>

#include "../native/support.h"
#include "checks.h"
#include "history.h"
#include "labels.h"
#include "message.h"
#include "pins.h"
#include "results.h"

using namespace test;

namespace {

// ---- The input ----

class Input {
 public:
  Input(const uint8_t *data, size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  uint8_t byte() { return empty() ? 0 : *at_++; }
  uint32_t below(uint32_t n) { return byte() % n; }
  bool once_in(uint32_t n) { return below(n) == n - 1; }
  uint64_t word() {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word = word << 8 | byte();
    return word;
  }

 private:
  const uint8_t *at_, *end_;
};

// ---- The other thread ----

class Native {
 public:
  // Runs `work` there and waits; `meanwhile` runs here again and again until then.
  template <class Work, class Meanwhile>
  void run(Work work, Meanwhile meanwhile) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = work;
      done_.store(false);
      changed_.notify_all();
    }
    while (!done_.load()) {
      meanwhile();
      sched_yield();
    }
  }

 private:
  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return (bool)work_; });
      work_();
      work_ = nullptr;
      done_.store(true);
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;
  std::atomic<bool> done_{true};
  std::thread thread_{[this] { loop(); }};
};

Native &native() {
  static Native *const one = new Native;  // never ended: it waits for work when the process exits
  return *one;
}

// ---- What there is in every run ----

constexpr int kSlotsOfRealms = 3;
constexpr int kDepthMost = 2;
constexpr const char *kLabelsOfC[] = {"connection", "timer", ""};
constexpr const char *kNamesOfHandles[] = {"first", "second", "third"};
constexpr const char kSignatures[] = "none():void;value(f64,i64):i64;echo(str):str;same(handle):handle;fail(bytes,bool,i32,u32):void";
enum Op { kNone, kValue, kEcho, kSame, kFail, kOps };

struct KindsOfRun {
  haft_kind typed, untyped;  // of the second no types are known
};

// The names or the signatures, each ended by NUL.
std::string parts(bool signatures) {
  std::string out;
  for (const char *at = kSignatures; *at;) {
    const std::string op(at, strcspn(at, ";"));
    at += op.size() + (at[op.size()] == ';');
    const size_t split = op.find('(');
    out += (signatures ? op.substr(split) : op.substr(0, split)) + '\0';
  }
  return out;
}

const KindsOfRun &kinds() {
  static const KindsOfRun made = [] {
    KindsOfRun k = {};
    CHECK(arena_open());
    const std::string names = parts(false), types = parts(true);
    const uint64_t fingerprint = hash_bytes(kSignatures, strlen(kSignatures));
    CHECK_STATUS(kind_define("Typed", 5, fingerprint, names.data(), names.size(), &k.typed, types.data(), types.size()), HAFT_OK);
    CHECK_STATUS(kind_define("Untyped", 7, 1, names.data(), names.size(), &k.untyped), HAFT_OK);
    return k;
  }();
  return made;
}

std::vector<uint32_t> declared(uint32_t position) {
  switch (position) {
    case kValue: return {HAFT_F64, HAFT_I64};
    case kEcho: return {HAFT_STR};
    case kSame: return {HAFT_HANDLE};
    case kFail: return {HAFT_BYTES, HAFT_BOOL, HAFT_I32, HAFT_U32};
    default: return {};
  }
}

// ---- The model ----

enum class State { kAlive, kReleased, kDeleted, kMovedAway };

struct Object {
  haft_realm realm;
  int at;  // of World::realms
  haft_kind kind;
  uint64_t value;
  State state = State::kAlive;
  bool forgotten = false;   // of one that moved away
  uint32_t references = 1;  // all
  uint32_t ours = 0;        // those that C was given
  std::map<std::string, uint32_t> labels;
  haft_handle now = HAFT_NULL;
  std::deque<std::string> posts;  // what must come to the handler, in this order
  bool pinned = false;
  bool realm_closed = false;
  uint64_t creates_at_close = 0;
};

struct Async {  // a call without a waiting thread
  haft_handle handle;
  haft_queue queue;  // 0: to a function
  bool ended = false, answered = false;
  haft_handle given = HAFT_NULL;  // the result, a reference on its way
};

struct Outgoing {  // a message that is to be sent: its arguments, and the memory that they point to
  std::vector<haft_value> args;
  std::deque<std::string> texts;
  const haft_value *data() const { return args.empty() ? nullptr : args.data(); }
};

// What a message holds, as text, on both sides.
std::string show(uint32_t type, uint64_t bits, const std::string &text) {
  return std::to_string(type) + ":" + (type == HAFT_STR || type == HAFT_BYTES ? text : std::to_string(bits)) + ";";
}

class World {
 public:
  explicit World(Input input) : in_(input) {
    open(0);
    open(1);
  }

  void run() {
    for (int i = 0; i < 300 && !in_.empty(); i++) {
      step();
      resolve_closed_queues();
      if (i % 16 == 0) check_all();
    }
    end();
  }

 private:
  // ---- Realms ----

  void open(int at) {
    auto made = std::make_unique<Consumer>();
    made->chaos = false;
    made->handler = [this, at](const Message &m) { return handle(at, m); };
    realms_[at] = std::move(made);
    ids_.push_back(realms_[at]->id);
  }
  Consumer *realm(int at) { return realms_[at] && !realms_[at]->closed() ? realms_[at].get() : nullptr; }
  Consumer *some_realm() { return realm((int)in_.below(kSlotsOfRealms)); }

  void close(int at) {
    Consumer *c = realm(at);
    if (!c) return;
    CHECK(c->close());
    if (check_level() == 2) history_forget(c->id);
    for (auto &[handle, object] : objects_) {
      if (object.realm != c->id) continue;
      object.realm_closed = true;
      object.creates_at_close = creates_;
      if (object.pinned) pin_remove(handle);
      object.pinned = false;
    }
  }

  // ---- Handles ----

  haft_handle create(int at, haft_kind kind) {
    const uint64_t value = ++creates_;
    const haft_handle handle = realm(at)->create(kind, value);
    CHECK(handle >> 52 == 1);
    CHECK(objects_.count(handle) == 0);  // never the same again
    Object object = {};
    object.realm = realm(at)->id;
    object.at = at;
    object.kind = kind;
    object.value = value;
    objects_[handle] = object;
    handles_.push_back(handle);
    if (check_level() == 2) history_create(handle, object.realm, false, script_deed("create", "made (fuzz.js:1:1)"));
    return handle;
  }

  // Mostly one that was issued, in whatever state; else whatever a program may come up with.
  haft_handle some_handle() {
    const uint8_t choice = in_.byte();
    const haft_handle issued = handles_.empty() ? HAFT_NULL : handles_[in_.byte() % handles_.size()];
    if (choice < 0xd0) return issued;
    switch (choice % 8) {
      case 0: return HAFT_NULL;
      case 1: return (uint32_t)issued;                  // truncated
      case 2: return (uint64_t)(int32_t)issued;         // sign-extended
      case 3: return issued + (1ull << kGenerationShift);  // the next life
      case 4: return issued - (1ull << kGenerationShift);  // the one before
      case 5: return issued ^ 1ull << in_.below(64);
      case 6: return kHandleBase | (in_.word() & (kHandleBase - 1));
      default: return in_.word();
    }
  }

  Object *find(haft_handle handle) {
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : &found->second;
  }
  bool alive(haft_handle handle) {
    const Object *o = find(handle);
    return o && !o->realm_closed && o->state == State::kAlive;
  }

  // What a function may say of the handle.
  std::set<haft_status> verdicts(haft_handle handle) {
    if (handle >> 52 != 1) return {HAFT_E_FORGED};
    const Object *o = find(handle);
    // By chance one of an earlier run of the process.
    if (!o) return {HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_CLOSED};
    if (o->realm_closed) {
      // P24: CLOSED until another realm has the slot. By intent never OK.
      if (o->creates_at_close == creates_) return {HAFT_E_CLOSED};
      return {HAFT_E_CLOSED, HAFT_E_STALE};
    }
    if (o->state == State::kAlive) return {HAFT_OK};
    if (o->state == State::kMovedAway && !o->forgotten) return {HAFT_E_MOVED};
    return {HAFT_E_STALE};
  }

  void expect_one_of(haft_status got, const std::set<haft_status> &wanted, const char *what) {
    if (wanted.count(got) != 0) {
      if (got != HAFT_OK && !on_native_) CHECK(haft_last_error()->status == got && *haft_last_error()->message);
      return;
    }
    std::string text = std::string(what) + " is " + status_name(got) + " (" + haft_last_error()->message + "), not";
    for (const haft_status status : wanted) text += std::string(" ") + status_name(status);
    fail_at(__FILE__, __LINE__, text.c_str());
  }
#define EXPECT(got, wanted) expect_one_of((got), (wanted), #got)

  // In the model: one reference fewer.
  void dropped(haft_handle handle) {
    Object *o = find(handle);
    while (o && o->state == State::kMovedAway && !o->realm_closed) o = find(o->now);
    if (!o || o->realm_closed || o->state != State::kAlive) return;
    CHECK(o->references > 0);
    if (--o->references == 0) o->state = State::kReleased;
  }
  void received(haft_handle handle) {
    if (Object *o = find(handle)) o->ours++;
  }

  // ---- C: on which thread ----

  enum class Where { kOwn, kNative, kNativeAnswered };

  Where somewhere() {
    if (depth_ > 0 || in_native_) return Where::kOwn;
    switch (in_.below(4)) {
      case 0: return Where::kNative;
      case 1: return Where::kNativeAnswered;
      default: return Where::kOwn;
    }
  }

  template <class Work>
  void in_c(Where where, Work work) {
    on_native_ = where != Where::kOwn;
    if (where == Where::kOwn) return work();
    in_native_ = true;
    native().run(work, [&] {
      if (where == Where::kNativeAnswered) drain_everything();
    });
    in_native_ = false;
  }

  void drain_everything() {
    for (int at = 0; at < kSlotsOfRealms; at++) {
      if (realm(at)) realm(at)->drain();
    }
  }

  // While the other thread waits for answers nothing else is on its way.
  class Quiet {
   public:
    Quiet(World *world, bool quiet, bool one_call) : world_(quiet ? world : nullptr) {
      if (!quiet) return;
      world->quiet_ = true;
      world->drain_everything();
      world->one_call_ = one_call;
    }
    ~Quiet() {
      if (!world_) return;
      world_->one_call_ = false;
      world_->drain_everything();
      world_->quiet_ = false;
    }
    Quiet(const Quiet &) = delete;
    Quiet &operator=(const Quiet &) = delete;

   private:
    World *const world_;
  };

  // ---- Messages ----

  Outgoing some_message(uint32_t position) {
    Outgoing m;
    const bool right = !in_.once_in(4);
    const std::vector<uint32_t> types = declared(position);
    const uint32_t count = right ? (uint32_t)types.size() : in_.below(HAFT_ARGS_MAX + 2);
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t type = right ? types[i] : in_.below(HAFT_BYTES + 2);
      m.args.push_back(some_value(type, m));
    }
    return m;
  }

  haft_value some_value(uint32_t type, Outgoing &m) {
    haft_value v = {type, 0, {0}};
    v.as.i64 = (int64_t)in_.word();
    if (type == HAFT_F64 && in_.once_in(8)) v.as.f64 = NAN;
    if (type == HAFT_HANDLE) v.as.handle = in_.once_in(4) ? HAFT_NULL : some_handle();
    if (type != HAFT_STR && type != HAFT_BYTES) return v;
    static const char *const texts[] = {"", "ascii", "z\xc3\xbcrich", "\xff\xfe", "\xed\xa0\x80", "\xf0\x9f\x90\x8c", "\xc3"};
    switch (in_.below(8)) {
      case 0:  // NULL, with a length or without
        v.length = in_.byte();
        v.as.str = nullptr;
        return v;
      case 1:  // for the heap
        m.texts.emplace_back(1000 + 64 * in_.byte(), 'x');
        break;
      case 2:  // never read
        m.texts.emplace_back("y");
        if (type == HAFT_BYTES) {
          v.length = HAFT_PAYLOAD_MAX + 1 + in_.byte();
          v.as.bytes = m.texts.back().data();
          return v;
        }
        break;
      case 3: {
        std::string bytes;
        for (uint32_t n = in_.below(40); n > 0; n--) bytes += (char)in_.byte();
        m.texts.push_back(bytes);
        break;
      }
      default:
        m.texts.emplace_back(texts[in_.below(sizeof texts / sizeof *texts)]);
    }
    v.length = (uint32_t)m.texts.back().size();
    v.as.str = m.texts.back().data();
    return v;
  }

  static bool is_utf8(const haft_value &v) {
    const unsigned char *s = reinterpret_cast<const unsigned char *>(v.as.str);
    for (uint32_t i = 0; i < v.length;) {
      const uint32_t n = s[i] < 0x80 ? 1 : s[i] < 0xc2 ? 0 : s[i] < 0xe0 ? 2 : s[i] < 0xf0 ? 3 : s[i] < 0xf5 ? 4 : 0;
      if (n == 0 || i + n > v.length) return false;
      uint32_t letter = n == 1 ? s[i] : s[i] & (0x7f >> n);
      for (uint32_t k = 1; k < n; k++) {
        if (s[i + k] >> 6 != 2) return false;
        letter = letter << 6 | (s[i + k] & 0x3f);
      }
      if ((n == 3 && letter < 0x800) || (n == 4 && letter < 0x10000) || letter > 0x10ffff ||
          (letter >= 0xd800 && letter < 0xe000))
        return false;
      i += n;
    }
    return true;
  }

  // Whether a number stands for the declared type without a loss (haft.h: numbers are converted where they fit).
  static bool fits(uint32_t declared, const haft_value &v) {
    if (v.type == declared) return true;
    if (v.type != HAFT_F64 && v.type != HAFT_I32 && v.type != HAFT_U32) return false;
    const double number = v.type == HAFT_F64 ? v.as.f64 : v.type == HAFT_I32 ? v.as.i32 : v.as.u32;
    if (declared == HAFT_F64) return true;
    if (std::isnan(number) || number != std::floor(number)) return false;
    if (declared == HAFT_I32) return number >= -2147483648.0 && number <= 2147483647.0;
    return declared == HAFT_U32 && number >= 0 && number <= 4294967295.0;
  }

  // What sending says of the message before it looks for room; {HAFT_OK} where nothing is wrong.
  std::set<haft_status> judged(haft_handle handle, haft_op op, const Outgoing &m, haft_realm realm) {
    if (!alive(handle)) return verdicts(handle);
    const Object &o = *find(handle);
    if (HAFT_OP_KIND(op) != 0 && HAFT_OP_KIND(op) != o.kind) return {HAFT_E_KIND};
    if (HAFT_OP_KIND(op) == 0 || (op & 0xffff) >= kOps) return {HAFT_E_OP};
    if (m.args.size() > HAFT_ARGS_MAX) return {HAFT_E_ARGUMENT};
    const bool typed = o.kind == kinds().typed;
    const std::vector<uint32_t> types = declared(op & 0xffff);
    if (check_level() >= 1 && typed && m.args.size() != types.size()) return {HAFT_E_ARGUMENT};
    uint64_t payload = 0;
    for (const haft_value &v : m.args) {
      if (v.type > HAFT_BYTES) return {HAFT_E_ARGUMENT};
      if (v.type == HAFT_HANDLE && v.as.handle != HAFT_NULL) {
        if (!alive(v.as.handle)) return verdicts(v.as.handle);
        if (check_level() >= 1 && find(v.as.handle)->realm != realm) return {HAFT_E_REALM};
      }
      if (v.type != HAFT_STR && v.type != HAFT_BYTES) continue;
      if (v.length != 0 && !v.as.str) return {HAFT_E_ARGUMENT};
      payload += v.length;
      if (payload > HAFT_PAYLOAD_MAX) return {HAFT_E_TOO_LARGE};
      if (v.type == HAFT_STR && !is_utf8(v)) return {HAFT_E_UTF8};
    }
    if (check_level() < 2 || !typed) return {HAFT_OK};
    if (m.args.size() != types.size()) return {HAFT_E_ARGUMENT};
    for (size_t i = 0; i < types.size(); i++) {
      if (!fits(types[i], m.args[i])) return {HAFT_E_ARGUMENT};
    }
    return {HAFT_OK};
  }
  std::set<haft_status> judged(haft_handle handle, haft_op op, const Outgoing &m) {
    const Object *o = find(handle);
    return judged(handle, op, m, o ? o->realm : 0);
  }

  haft_op some_op(haft_handle handle) {
    const Object *o = find(handle);
    const haft_kind kind = o && !in_.once_in(16) ? o->kind : (haft_kind)in_.word();
    return HAFT_OP(kind, in_.once_in(16) ? in_.byte() : in_.below(kOps));
  }

  static std::string sent(const Outgoing &m) {
    std::string text;
    for (const haft_value &v : m.args)
      text += show(v.type, wire_bits(v), v.length ? std::string(v.as.str, v.length) : std::string());
    return text;
  }
  static std::string arrived(const Message &m) {
    std::string text;
    for (uint32_t i = 0; i < m.count; i++)
      text += show(m.types[i], m.bits[i], m.types[i] == HAFT_STR || m.types[i] == HAFT_BYTES ? m.text((int)i) : "");
    return text;
  }

  // The part of a handler.
  Answer handle(int at, const Message &m) {
    resolve_closed_queues();
    Object *o = find(m.handle);
    CHECK(o && o->at == at);
    // P5: a last release leaves what was sent before it its object; only a delete or a move takes it.
    CHECK(m.gone == (o->state == State::kDeleted || o->state == State::kMovedAway));
    if (!m.gone) CHECK(m.value == o->value);
    const bool direct = direct_;
    direct_ = false;
    Async *async = direct ? nullptr : async_of(at, m);
    if (m.token == 0 && !direct) {
      CHECK(!o->posts.empty());
      CHECK(o->posts.front() == arrived(m));
      o->posts.pop_front();
    }
    const bool waited_for = m.token != 0 && !async;
    const bool may_step = !quiet_ || (waited_for && in_native_ && one_call_);
    if (depth_ < kDepthMost && may_step && in_.once_in(4)) {
      depth_++;
      step();
      depth_--;
    }
    if (m.gone) {
      answered(async);
      return Answer();
    }
    if (!realms_[at] || realms_[at]->closed()) return Answer();
    return answer(m, direct, async);
  }

  Answer answer(const Message &m, bool direct, Async *async) {
    Answer result;
    switch (m.op & 0xffff) {
      case kValue:
        result = Answer::i64((int64_t)m.value);
        break;
      case kEcho:
        result = Answer::str(m.count > 0 && m.types[0] == HAFT_STR ? m.text(0) : "none");
        break;
      case kSame:
        if ((direct || m.token != 0) && slot_retain(m.handle) == HAFT_OK) {
          find(m.handle)->references++;
          result = Answer::handle(m.handle);
          if (async) async->given = m.handle;
        } else {
          result = Answer::handle(HAFT_NULL);
        }
        break;
      case kFail:
        result = Answer::error(HAFT_E_EXCEPTION, "RangeError", "told to fail");
        break;
      default:
        break;
    }
    answered(async);
    return result;
  }

  // ---- Calls without a waiting thread ----

  static void done(void *user, haft_status status, haft_value *result) {
    World *world = running_;
    CHECK(world);
    world->completed((size_t)user, status, *result);
  }

  // Which of them a message is; NULL: none.
  Async *async_of(int at, const Message &m) {
    const auto found = tokens_.find({realms_[at]->id, m.token});
    return found == tokens_.end() ? nullptr : &asyncs_[found->second];
  }
  static void answered(Async *async) {
    if (async) async->answered = true;
  }

  void completed(size_t number, haft_status status, haft_value result) {
    CHECK(number < asyncs_.size());
    Async &async = asyncs_[number];
    CHECK(!async.ended);  // exactly once
    async.ended = true;
    forget_token(number);
    if (status == HAFT_OK && result.type == HAFT_HANDLE) {
      CHECK(result.as.handle == async.given);
      if (result.as.handle != HAFT_NULL) received(result.as.handle);
    } else if (async.given != HAFT_NULL) {
      dropped(async.given);  // discarded on its way
    }
    async.given = HAFT_NULL;
    keep_result(result);
  }

  void forget_token(size_t number) {
    for (auto it = tokens_.begin(); it != tokens_.end();) it = it->second == number ? tokens_.erase(it) : std::next(it);
  }

  // Completions for a queue that is closed are dropped, with the reference that they carry.
  void resolve_closed_queues() {
    for (size_t i = 0; i < asyncs_.size(); i++) {
      Async &async = asyncs_[i];
      if (async.ended || async.queue == 0 || queues_.count(async.queue) != 0) continue;
      const Object *o = find(async.handle);
      if (!async.answered && !(o && o->realm_closed)) continue;
      async.ended = true;
      forget_token(i);
      if (async.given != HAFT_NULL) dropped(async.given);
      async.given = HAFT_NULL;
    }
  }

    void keep_result(const haft_value &result) {
    if (result.type == HAFT_STR || result.type == HAFT_BYTES) {
      CHECK(result.as.str && result.as.str[result.length] == 0);
      results_.push_back(result);
    }
  }

  // ---- Steps ----

  void step() {
    switch (in_.below(depth_ > 0 ? 14 : 34)) {
      case 0: case 1: {
        const int at = (int)in_.below(kSlotsOfRealms);
        const uint32_t kind = in_.below(8);
        if (realm(at)) create(at, kind == 0 ? 0 : kind < 3 ? kinds().untyped : kinds().typed);
        return;
      }
      case 2: return remove();
      case 3: return retain();
      case 4: return release();
      case 5: return labels();
      case 6: return look();
      case 7: case 8: case 9: return post();
      case 10: case 11: return call();
      case 12: return publish();
      case 13: return depth_ > 0 && in_.once_in(4) ? close((int)in_.below(kSlotsOfRealms)) : memory();
      case 14: case 15: return drain();
      case 16: return call_many();
      case 17: case 18: case 19: return call_async();
      case 20: return queue();
      case 21: return take_completion();
      case 22: return find_name();
      case 23: case 24: return free_result();
      case 25: return match();
      case 26: return events();
      case 27: return move();
      case 28: return close_or_open();
      case 29: return foreign_arguments();
      case 30: return counters();
      case 31: case 32: return script();
      default: return drain();
    }
  }

  void remove() {
    const haft_handle handle = some_handle();
    Object *o = find(handle);
    Consumer *c = o ? realm(o->at) : some_realm();
    if (!c || (o && c->id != o->realm)) return;
    const haft_status status = c->remove(handle);
    if (!alive(handle)) {
      CHECK(status != HAFT_OK);
      return;
    }
    CHECK_STATUS(status, HAFT_OK);
    if (check_level() == 2) history_end(handle, script_deed("delete", ""));
    if (o->pinned) pin_remove(handle);
    o->pinned = false;
    o->state = State::kDeleted;
    o->references = 0;
  }

  void retain() {
    const haft_handle handle = some_handle();
    const auto wanted = verdicts(handle);
    haft_status status;
    in_c(somewhere_at_rest(), [&] { status = haft_retain(handle); });
    EXPECT(status, wanted);
    if (status != HAFT_OK) return;
    find(handle)->references++;
    find(handle)->ours++;
  }

  Where somewhere_at_rest() {
    const Where where = somewhere();
    return where == Where::kNativeAnswered ? Where::kNative : where;
  }

  // At level 2 a reference that C was not given is not C's to give back.
  void owners_only(haft_handle handle, std::set<haft_status> &wanted) {
    if (check_level() == 2 && alive(handle) && find(handle)->ours == 0) wanted = {HAFT_E_OWNER};
  }

  void release() {
    const haft_handle handle = some_handle();
    auto wanted = verdicts(handle);
    owners_only(handle, wanted);
    haft_status status;
    in_c(somewhere_at_rest(), [&] { status = haft_release(handle); });
    EXPECT(status, wanted);
    if (status != HAFT_OK) return;
    Object &o = *find(handle);
    if (o.ours > 0) o.ours--;
    dropped(handle);
  }

  // What JavaScript does with references at level 2 (native/checking.cc).
  void script() {
    const haft_handle handle = some_handle();
    History known;
    const bool is_known = history_of(handle, &known);
    if (check_level() < 2) CHECK(!is_known);
    if (check_level() < 2 || !alive(handle) || depth_ > 0) return;
    for (const Async &async : asyncs_) {
      if (async.given == handle) return;  // on its way to C, and JavaScript's until then
    }
    Object &o = *find(handle);
    CHECK(is_known && !known.ended && known.native == o.ours && script_references(known) == o.references - o.ours);
    CHECK(known.references.size() <= kDeedsMost && known.kind == o.kind);
    const haft_status owned = o.references > o.ours ? HAFT_OK : HAFT_E_OWNER;
    CHECK(history_may_give(handle) == (owned == HAFT_OK || known.transferred > 0));
    const auto change = [&](int by) {
      return history_change(handle, Side::kScript, by, script_deed(by > 0 ? "retain" : "release", ""),
                            [=] { return by > 0 ? slot_retain(handle) : slot_release(handle); });
    };
    switch (in_.below(3)) {
      case 0:
        CHECK_STATUS(change(1), HAFT_OK);
        o.references++;
        return;
      case 1:
        CHECK_STATUS(change(-1), owned);
        if (owned == HAFT_OK) dropped(handle);
        return;
      default:
        CHECK_STATUS(history_transfer(handle, script_deed("transfer", "")), owned);
        if (owned == HAFT_OK) o.ours++;
    }
  }

  void labels() {
    const haft_handle handle = some_handle();
    const uint32_t choice = in_.below(5);
    const char *label = choice == 4 ? nullptr : choice == 3 ? long_label() : kLabelsOfC[choice];
    const bool good = choice < 2;
    haft_status status;
    const Where where = somewhere_at_rest();
    if (in_.once_in(2)) {
      in_c(where, [&] { status = haft_retain_as(handle, label); });
      EXPECT(status, good ? verdicts(handle) : std::set<haft_status>{HAFT_E_ARGUMENT});
      if (status != HAFT_OK) return;
      Object &o = *find(handle);
      o.references++;
      o.ours++;
      o.labels[label]++;
      return;
    }
    in_c(where, [&] { status = haft_release_as(handle, label); });
    if (!good) return EXPECT(status, std::set<haft_status>{HAFT_E_ARGUMENT});
    auto wanted = verdicts(handle);
    const bool labelled = alive(handle) && find(handle)->labels[label] > 0;
    if (alive(handle) && !labelled) wanted = {HAFT_E_OWNER};
    if (labelled) owners_only(handle, wanted);
    EXPECT(status, wanted);
    if (status != HAFT_OK) return;
    Object &o = *find(handle);
    o.labels[label]--;
    if (o.ours > 0) o.ours--;
    dropped(handle);
  }
  static const char *long_label() {
    static const std::string label(64, 'l');
    return label.c_str();
  }

  void look() {
    const haft_handle handle = some_handle();
    const haft_kind asked = in_.below(3) == 0 ? 0 : in_.once_in(8) ? (haft_kind)in_.word() : kinds().typed;
    haft_status checked, kind_status, realm_status, moved_status;
    haft_kind kind = 77;
    haft_realm id = 77;
    haft_handle now = 77;
    const auto wanted = verdicts(handle);
    in_c(somewhere_at_rest(), [&] {
      checked = haft_check(handle, asked);
      kind_status = haft_kind_of(handle, &kind);
      realm_status = haft_realm_of(handle, &id);
      moved_status = haft_moved(handle, &now);
    });
    on_native_ = true;  // the last error is the last function's
    const Object *o = find(handle);
    const bool other = alive(handle) && asked != 0 && asked != o->kind;
    EXPECT(checked, other ? std::set<haft_status>{HAFT_E_KIND} : wanted);
    EXPECT(kind_status, wanted);
    EXPECT(realm_status, wanted);
    CHECK(kind == (kind_status == HAFT_OK ? o->kind : 0));
    CHECK(id == (realm_status == HAFT_OK ? o->realm : 0));
    if (wanted.count(HAFT_E_MOVED) != 0) {
      CHECK(moved_status == HAFT_OK && now == o->now);
    } else {
      EXPECT(moved_status, wanted);
      CHECK(now == (moved_status == HAFT_OK ? handle : HAFT_NULL));
    }
  }

  uint64_t dropped_of(haft_handle handle) {
    const Object *o = find(handle);
    return o && !o->realm_closed ? counters_of(o->realm, shard_of(handle)).dropped : 0;
  }

  void post() {
    const haft_handle handle = some_handle();
    const haft_op op = some_op(handle);
    const Outgoing m = some_message(op & 0xffff);
    const haft_full fulls[] = {HAFT_FAIL, HAFT_DROP_NEWEST, HAFT_BLOCK(0), HAFT_BLOCK(1)};
    const haft_full full = fulls[in_.below(4)];
    auto wanted = judged(handle, op, m);
    const bool right = wanted.count(HAFT_OK) != 0;
    const uint64_t before = dropped_of(handle);
    haft_status status;
    const Where where = somewhere_at_rest();
    in_c(where, [&] { status = haft_post(handle, op, m.data(), m.args.size(), full); });
    if (right && status != HAFT_OK && no_room(where, status)) return;
    EXPECT(status, wanted);
    if (status == HAFT_OK && dropped_of(handle) == before) find(handle)->posts.push_back(sent(m));
    if (status == HAFT_OK) undrained_++;
  }

  // Whether that many messages wait that there may be no room.
  bool no_room(Where where, haft_status status) {
    if (undrained_ < 20) return false;
    if (status == HAFT_E_DEADLOCK) return where == Where::kOwn || blocked_;  // it would wait for itself
    return status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY || status == HAFT_E_BUSY || status == HAFT_E_TIMEOUT;
  }

  // What a call that was sent may end with.
  std::set<haft_status> outcomes(Where where, haft_op op) {
    if (where == Where::kNative) return {blocked_ ? HAFT_E_DEADLOCK : HAFT_E_TIMEOUT, HAFT_E_TIMEOUT};
    return {(op & 0xffff) == kFail ? HAFT_E_EXCEPTION : HAFT_OK};
  }

  void check_result(haft_handle handle, haft_op op, const haft_value &result) {
    switch (op & 0xffff) {
      case kValue:
        CHECK(result.type == HAFT_I64 && find(handle)->value == (uint64_t)result.as.i64);
        return;
      case kEcho:
        CHECK(result.type == HAFT_STR);
        keep_result(result);
        return;
      case kSame:
        CHECK(result.type == HAFT_HANDLE && (result.as.handle == handle || result.as.handle == HAFT_NULL));
        if (result.as.handle != HAFT_NULL) received(handle);
        return;
      default:
        CHECK(result.type == HAFT_VOID);
    }
  }

  // The handler of a direct call may have done anything before it came back.
  bool ended_meanwhile(haft_handle handle, haft_status status) {
    const Object *o = find(handle);
    if (!o) return false;
    if (o->realm_closed) return status == HAFT_E_CLOSED || status == HAFT_E_EXCEPTION || status == HAFT_E_STALE;
    return o->state != State::kAlive && (status == HAFT_E_STALE || status == HAFT_E_MOVED);
  }

  void call() {
    const haft_handle handle = some_handle();
    const haft_op op = some_op(handle);
    const Outgoing m = some_message(op & 0xffff);
    Where where = somewhere();
    if (where == Where::kNativeAnswered && blocked_) where = Where::kNative;
    const bool wants = !in_.once_in(4);
    haft_value result = {};
    haft_status status;
    const Quiet quiet(this, where == Where::kNativeAnswered, true);
    const auto first = judged(handle, op, m);
    const bool right = first.count(HAFT_OK) != 0;
    if (where == Where::kOwn && right) direct_ = true;
    in_c(where, [&] {
      status = haft_call(handle, op, m.data(), m.args.size(), where == Where::kNativeAnswered ? -1 : 0, wants ? &result : nullptr);
    });
    direct_ = false;
    if (where == Where::kNative && right) undrained_++;
    if (status != HAFT_OK && right && (no_room(where, status) || ended_meanwhile(handle, status))) {
      CHECK(result.type == HAFT_VOID);
      return;
    }
    if (depth_ > 0 || where == Where::kNativeAnswered) on_native_ = true;
    EXPECT(status, right ? outcomes(where, op) : first);
    if (status != HAFT_OK) {
      CHECK(result.type == HAFT_VOID);
    } else if (wants) {
      check_result(handle, op, result);
    } else if ((op & 0xffff) == kSame) {
      dropped_result(handle);
    }
  }

  // A handle that nobody wanted has been given back, if the handler retained it.
  void dropped_result(haft_handle handle) {
    const Object *o = find(handle);
    if (!o || o->realm_closed || o->state != State::kAlive) return;
    // A handler whose object was deleted meanwhile returned HAFT_NULL; this one is alive.
    dropped(handle);
  }

  void call_many() {
    constexpr uint32_t kMost = 4;
    const uint32_t count = in_.below(kMost + 1);
    haft_request requests[kMost] = {};
    Outgoing messages[kMost];
    std::set<haft_status> wanted[kMost];
    Where where = somewhere();
    if (where == Where::kNativeAnswered && blocked_) where = Where::kNative;
    if (where == Where::kOwn) return;  // each is a direct call then
    const Quiet quiet(this, where == Where::kNativeAnswered, false);
    for (uint32_t i = 0; i < count; i++) {
      requests[i].handle = some_handle();
      requests[i].op = some_op(requests[i].handle);
      messages[i] = some_message(requests[i].op & 0xffff);
      requests[i].args = messages[i].data();
      requests[i].count = (uint32_t)messages[i].args.size();
      wanted[i] = judged(requests[i].handle, requests[i].op, messages[i]);
      if (wanted[i].count(HAFT_OK) == 0) continue;
      undrained_++;
      wanted[i] = outcomes(where, requests[i].op);
    }
    haft_status status;
    in_c(where, [&] { status = haft_call_many(requests, count, where == Where::kNativeAnswered ? -1 : 0); });
    on_native_ = true;
    haft_status first = HAFT_OK;
    for (uint32_t i = 0; i < count; i++) {
      if (first == HAFT_OK) first = requests[i].status;
      if (requests[i].status == HAFT_OK) {
        EXPECT(requests[i].status, wanted[i]);
        check_result(requests[i].handle, requests[i].op, requests[i].result);
        continue;
      }
      keep_result(requests[i].result);
      if (wanted[i].count(HAFT_E_TIMEOUT) != 0 && no_room(where, requests[i].status)) continue;
      EXPECT(requests[i].status, wanted[i]);
    }
    CHECK_STATUS(status, first);
  }

  void call_async() {
    const haft_handle handle = some_handle();
    const haft_op op = some_op(handle);
    const Outgoing m = some_message(op & 0xffff);
    haft_completer completer = {sizeof(haft_completer), done, 0, (void *)asyncs_.size()};
    bool good = true;
    int64_t timeout = -1;
    switch (in_.below(8)) {
      case 0:
        completer.size = in_.byte();
        good = completer.size >= sizeof completer;
        break;
      case 1:
        timeout = 0;
        good = false;
        break;
      case 2: case 3: case 4:
        completer.done = nullptr;
        completer.queue = some_queue();
        break;
      default:
        break;
    }
    const bool queued = completer.done == nullptr;
    std::set<haft_status> wanted = judged(handle, op, m);
    if (queued && queues_.count(completer.queue) == 0) wanted = {HAFT_E_FORGED};
    if (!good) wanted = {HAFT_E_ARGUMENT};
    const bool right = wanted.count(HAFT_OK) != 0;
    const size_t number = asyncs_.size();
    if (right) asyncs_.push_back({handle, queued ? completer.queue : 0});
    const std::set<uint32_t> before = right ? tokens_in_use(handle) : std::set<uint32_t>();
    haft_status status;
    const Where where = somewhere_at_rest();
    in_c(where, [&] { status = haft_call_async(handle, op, m.data(), m.args.size(), timeout, &completer); });
    if (right && status != HAFT_OK) {
      asyncs_.pop_back();
      if (no_room(where, status)) return;
    }
    EXPECT(status, wanted);
    if (status != HAFT_OK) return;
    undrained_++;
    for (const uint32_t token : tokens_in_use(handle)) {
      if (before.count(token) == 0) tokens_[{find(handle)->realm, token}] = number;
    }
  }

  // Tokens of the calls that wait in the mailbox of a handle.
  std::set<uint32_t> tokens_in_use(haft_handle handle) {
    std::set<uint32_t> tokens;
    const Object &o = *find(handle);
    Consumer *c = realm(o.at);
    const Ring &ring = c->realm->rings[shard_of(handle)];
    for (uint32_t at = c->head(shard_of(handle));;) {
      const Cell &cell = ring.cells[at & (kRingCells - 1)];
      if (cell.sequence.load() != at + 1) return tokens;
      if (cell.op.load() != 0 && cell.reply.load() != 0) tokens.insert(cell.reply.load());
      at += cell.shape.load() >> kShapeCellsShift & 31;
    }
  }

  haft_queue some_queue() {
    if (queues_.empty() || in_.once_in(8)) return in_.once_in(2) ? in_.word() : in_.byte();
    return *std::next(queues_.begin(), in_.byte() % queues_.size());
  }

  void queue() {
    if (queues_.size() < 4 && in_.once_in(2)) {
      haft_queue opened = 0;
      int descriptor = -1;
      CHECK_STATUS(haft_queue_open(&opened, &descriptor), HAFT_OK);
      CHECK(opened != 0 && descriptor >= 0 && queues_.count(opened) == 0 && old_queues_.count(opened) == 0);
      queues_.insert(opened);
      return;
    }
    const haft_queue closing = some_queue();
    const bool open = queues_.count(closing) != 0;
    CHECK_STATUS(haft_queue_close(closing), open ? HAFT_OK : HAFT_E_FORGED);
    if (!open) return;
    queues_.erase(closing);
    old_queues_.insert(closing);
  }

  void take_completion() {
    const haft_queue from = some_queue();
    const bool open = queues_.count(from) != 0;
    haft_completion completion;
    haft_status status;
    in_c(somewhere_at_rest(), [&] { status = haft_queue_next(from, 0, &completion); });
    if (!open) return EXPECT(status, std::set<haft_status>{HAFT_E_FORGED});
    EXPECT(status, (std::set<haft_status>{HAFT_OK, HAFT_E_TIMEOUT}));
    if (status != HAFT_OK) return;
    CHECK(asyncs_.at((size_t)completion.user).queue == from);
    completed((size_t)completion.user, completion.status, completion.result);
  }

  void publish() {
    Consumer *c = some_realm();
    const char *name = kNamesOfHandles[in_.below(3)];
    const haft_handle handle = in_.once_in(4) ? HAFT_NULL : some_handle();
    if (!c || (handle != HAFT_NULL && (!alive(handle) || find(handle)->realm != c->id))) return;
    CHECK_STATUS(name_publish(c->number, name, strlen(name), handle), HAFT_OK);
    names_[{c->id, name}] = handle;
  }

  void find_name() {
    const haft_realm id = in_.once_in(8) ? in_.word() : ids_[in_.byte() % ids_.size()];
    const uint32_t choice = in_.below(8);
    const char *name = choice == 7 ? nullptr : choice == 6 ? "" : choice == 5 ? long_name() : kNamesOfHandles[choice % 3];
    const haft_kind kind = in_.below(3) == 0 ? kinds().typed : 0;
    haft_handle found = 77;
    haft_status status;
    in_c(somewhere_at_rest(), [&] { status = haft_find(id, name, kind, 0, &found); });
    const Consumer *c = open_with(id);
    const auto published = choice >= 5 ? names_.end() : names_.find({id, name});
    const haft_handle handle = published == names_.end() ? HAFT_NULL : published->second;
    std::set<haft_status> wanted = {HAFT_E_NOT_FOUND};
    if (choice == 7) wanted = {HAFT_E_ARGUMENT};
    else if (!c) wanted = {HAFT_E_CLOSED};
    else if (choice >= 5) wanted = {HAFT_E_ARGUMENT};
    else if (handle != HAFT_NULL) wanted = verdicts(handle);
    if (wanted.count(HAFT_E_STALE) != 0) wanted = {HAFT_E_NOT_FOUND};
    if (wanted.count(HAFT_OK) != 0 && kind != 0 && find(handle)->kind != kind) wanted = {HAFT_E_KIND};
    EXPECT(status, wanted);
    if (choice == 7) return;
    CHECK(found == (status == HAFT_OK ? handle : HAFT_NULL));
    if (status != HAFT_OK) return;
    find(handle)->references++;
    find(handle)->ours++;
  }
  static const char *long_name() {
    static const std::string name(kNameBytes + 1, 'n');
    return name.c_str();
  }
  const Consumer *open_with(haft_realm id) {
    for (int at = 0; at < kSlotsOfRealms; at++) {
      if (realm(at) && realm(at)->id == id) return realm(at);
    }
    return nullptr;
  }

  void memory() {
    static char buffer[64];
    const haft_handle handle = some_handle();
    if (in_.once_in(3) && alive(handle)) {
      Object &o = *find(handle);
      if (!o.pinned) pin_add(handle, buffer, sizeof buffer);
      else pin_remove(handle);
      o.pinned = !o.pinned;
      return;
    }
    void *data = buffer;
    uint64_t size = 77;
    haft_status status;
    in_c(somewhere_at_rest(), [&] { status = haft_memory(handle, &data, &size); });
    auto wanted = verdicts(handle);
    if (alive(handle) && !find(handle)->pinned) wanted = {HAFT_E_KIND};
    EXPECT(status, wanted);
    if (status == HAFT_OK) CHECK(data == buffer && size == sizeof buffer);
    else CHECK(!data && size == 0);
  }

  void drain() {
    const uint32_t choice = in_.below(kSlotsOfRealms + 1);
    for (int at = 0; at < kSlotsOfRealms; at++) {
      if (realm(at) && (choice == (uint32_t)at || choice == kSlotsOfRealms)) realm(at)->drain();
    }
    if (choice == kSlotsOfRealms) undrained_ = 0;
  }

  void free_result() {
    const uint32_t choice = in_.below(4);
    if (choice == 0) haft_value_free(nullptr);
    if (choice <= 1) {  // one that holds no memory
      haft_value value = haft_value_handle(some_handle());
      haft_value_free(&value);
      CHECK(value.type == HAFT_VOID);
      return;
    }
    if (results_.empty()) return;
    haft_value value = results_.back(), copy = value;
    results_.pop_back();
    if (choice == 3 && check_level() >= 1) {  // memory of the caller's
      haft_value own = haft_value_str("mine", 4);
      haft_value_free(&own);
      CHECK(own.type == HAFT_VOID && haft_last_error()->status == HAFT_E_OWNER && haft_last_error()->rule == kRuleResults);
    }
    in_c(somewhere_at_rest(), [&] { haft_value_free(&value); });
    CHECK(value.type == HAFT_VOID);
    if (choice == 3 && check_level() >= 1) {  // a second time
      haft_value_free(&copy);
      CHECK(haft_last_error()->status == HAFT_E_OWNER);
    }
  }

  void match() {
    std::string signatures = kSignatures, name = in_.once_in(4) ? "Untyped" : "Typed";
    const bool changed = in_.once_in(2);
    if (changed) {
      for (uint32_t n = in_.below(4); n > 0; n--) {
        const uint32_t at = in_.byte() % (uint32_t)(signatures.size() + 1);
        if (in_.once_in(2)) signatures.insert(at, 1, (char)in_.byte());
        else signatures.resize(at);
      }
      if (in_.once_in(4)) name += (char)in_.byte();
    }
    haft_kind kind = 0;
    haft_op op = 0;
    const haft_status matched = haft_kind_match(name.c_str(), signatures.c_str(), &kind);
    if (matched == HAFT_OK) CHECK(strcmp(name.c_str(), "Typed") == 0 && strcmp(signatures.c_str(), kSignatures) == 0 && kind == kinds().typed);
    else EXPECT(matched, (std::set<haft_status>{HAFT_E_ABI, HAFT_E_NOT_FOUND}));
    if (matched == HAFT_E_ABI) CHECK(strcmp(haft_last_error()->message, status_message(HAFT_E_ABI)) != 0);
    const haft_kind number = in_.once_in(4) ? (haft_kind)in_.word() : kinds().typed;
    const haft_status op_status = haft_op_find(number, signatures.substr(0, signatures.find('(')).c_str(), &op);
    EXPECT(op_status, (std::set<haft_status>{HAFT_OK, HAFT_E_OP, HAFT_E_NOT_FOUND}));
    haft_kind by_name = 0;
    const uint64_t fingerprint = in_.once_in(2) ? 0 : in_.word();
    EXPECT(haft_kind_find(name.c_str(), fingerprint, &by_name),
           (std::set<haft_status>{HAFT_OK, HAFT_E_ABI, HAFT_E_NOT_FOUND}));
    EXPECT(haft_kind_match(in_.once_in(2) ? nullptr : "Typed", nullptr, &kind), std::set<haft_status>{HAFT_E_ARGUMENT});
  }

  void events() {
    const haft_realm id = in_.once_in(8) ? in_.word() : ids_[in_.byte() % ids_.size()];
    const bool open = open_with(id) != nullptr;
    const uint32_t mask = (uint32_t)in_.word();
    const uint32_t known = 0x3f | 0xffu * HAFT_EVENT_USER(0), users = 0xffu * HAFT_EVENT_USER(0);
    uint32_t happened = 77;
    haft_status waited, signalled, checked, served;
    const bool blocks = in_.once_in(2);
    in_c(somewhere_at_rest(), [&] {
      waited = haft_wait(id, mask, 0, &happened);
      signalled = haft_signal(id, mask);
      checked = haft_realm_check(id);
    });
    on_native_ = true;
    if (mask == 0 || (mask & ~known)) EXPECT(waited, std::set<haft_status>{HAFT_E_ARGUMENT});
    else if (!open) EXPECT(waited, std::set<haft_status>{mask & HAFT_EVENT_CLOSING ? HAFT_OK : HAFT_E_CLOSED});
    else EXPECT(waited, (std::set<haft_status>{HAFT_OK, HAFT_E_TIMEOUT, HAFT_E_DEADLOCK}));
    CHECK(waited == HAFT_OK ? (happened & mask) != 0 : happened == 0);
    if (mask == 0 || (mask & ~users)) EXPECT(signalled, std::set<haft_status>{HAFT_E_ARGUMENT});
    else EXPECT(signalled, std::set<haft_status>{open ? HAFT_OK : HAFT_E_CLOSED});
    CHECK_STATUS(checked, open ? HAFT_OK : HAFT_E_CLOSED);
    on_native_ = false;
    if (in_.once_in(2)) {
      served = haft_serve(id, 0);
      const bool still_open = open_with(id) != nullptr;
      EXPECT(served, still_open ? (std::set<haft_status>{HAFT_OK, HAFT_E_TIMEOUT}) : std::set<haft_status>{HAFT_E_CLOSED});
      return;
    }
    const haft_status blocking = haft_blocking(id, blocks);
    EXPECT(blocking, std::set<haft_status>{open ? HAFT_OK : HAFT_E_CLOSED});
    if (open && blocks) blocked_ = true;
  }

  void move() {
    const haft_handle handle = some_handle();
    const int to = (int)in_.below(kSlotsOfRealms);
    Object *o = find(handle);
    if (o && o->state == State::kMovedAway && !o->forgotten && !o->realm_closed) {
      realm(o->at)->forget_moved(handle);
      o->forgotten = true;
      return;
    }
    if (!alive(handle) || !realm(to) || to == o->at || o->pinned) return;
    const haft_handle now = create(to, o->kind);
    o = find(handle);
    CHECK_STATUS(realm(o->at)->move(handle, now), HAFT_OK);
    if (check_level() == 2) history_move(handle, now, script_deed("moveTo", ""));
    Object &next = *find(now);
    next.references = o->references;
    next.ours = o->ours;
    o->now = now;
    o->state = State::kMovedAway;
    o->references = 0;
  }

  void close_or_open() {
    const int at = (int)in_.below(kSlotsOfRealms);
    if (!realm(at)) {
      open(at);
      return;
    }
    if (in_.once_in(2)) close(at);
  }

  // Out parameters that are NULL, and counts without arguments.
  void foreign_arguments() {
    const haft_handle handle = some_handle();
    const std::set<haft_status> argument = {HAFT_E_ARGUMENT};
    EXPECT(haft_kind_of(handle, nullptr), argument);
    EXPECT(haft_realm_of(handle, nullptr), argument);
    EXPECT(haft_moved(handle, nullptr), argument);
    EXPECT(haft_memory(handle, nullptr, nullptr), argument);
    EXPECT(haft_call_many(nullptr, 3, 0), argument);
    EXPECT(haft_call_async(handle, 0, nullptr, 0, -1, nullptr), argument);
    EXPECT(haft_queue_open(nullptr, nullptr), argument);
    EXPECT(haft_queue_next(0, 0, nullptr), argument);
    EXPECT(haft_find(ids_[0], "first", 0, 0, nullptr), argument);
    EXPECT(haft_kind_find(nullptr, 0, nullptr), argument);
    EXPECT(haft_op_find(kinds().typed, nullptr, nullptr), argument);
    EXPECT(haft_counters_read(ids_[0], 0, nullptr), argument);
    if (!alive(handle) || find(handle)->kind != kinds().typed) return;
    const haft_op op = HAFT_OP(kinds().typed, kValue);
    EXPECT(haft_post(handle, op, nullptr, 1 + in_.byte(), HAFT_FAIL), argument);
    EXPECT(haft_post(handle, op, nullptr, SIZE_MAX, HAFT_FAIL), argument);
  }

  void counters() {
    const haft_realm id = ids_[in_.byte() % ids_.size()];
    const uint32_t shard = in_.once_in(4) ? HAFT_ALL_SHARDS : in_.below(kShards + 2);
    haft_counters read = {};
    read.size = in_.once_in(2) ? in_.byte() : (uint32_t)sizeof read;
    const bool good = read.size >= 4 && (shard < kShards || shard == HAFT_ALL_SHARDS);
    const haft_status status = haft_counters_read(id, shard, &read);
    EXPECT(status, std::set<haft_status>{!good ? HAFT_E_ARGUMENT : open_with(id) ? HAFT_OK : HAFT_E_CLOSED});
    if (status != HAFT_OK || read.size < sizeof read) return;
    CHECK(read.sent >= read.delivered + read.refused + read.dropped + read.expired);
  }

  // ---- What must hold all the time ----

  void check_all() {
    for (const auto &[handle, o] : objects_) {
      on_native_ = false;
      EXPECT(haft_check(handle, 0), verdicts(handle));
      if (!alive(handle)) continue;
      const uint32_t counted = word_references(arena()->slots[index_of(handle)].word.load());
      if (counted != o.references)
        fail_at(__FILE__, __LINE__, "references", std::to_string(counted) + ", not " + std::to_string(o.references));
      CHECK(realm(o.at)->has(handle));
    }
  }

  void end() {
    for (int at = 0; at < kSlotsOfRealms; at++) {
      // What they post to one another comes too, until nothing does.
      for (int round = 0; round < 8; round++) {
        for (int other = 0; other < kSlotsOfRealms; other++) {
          if (realm(other)) realm(other)->drain();
        }
      }
    }
    resolve_closed_queues();
    check_all();
    for (const auto &[handle, o] : objects_) {
      if (!o.realm_closed) CHECK(o.posts.empty());  // every post came to its handler
    }
    for (int at = 0; at < kSlotsOfRealms; at++) {
      if (!realm(at)) continue;
      const haft_counters c = counters_of(realm(at)->id);
      CHECK(c.sent == c.delivered + c.refused + c.dropped + c.expired);
      if (blocked_) CHECK_STATUS(haft_blocking(realm(at)->id, false), HAFT_OK);
      CHECK(heap_outstanding(realm(at)->number) == 0);
    }
    for (int at = 0; at < kSlotsOfRealms; at++) close(at);
    for (const haft_queue queue : queues_) CHECK_STATUS(haft_queue_close(queue), HAFT_OK);
    queues_.clear();
    resolve_closed_queues();
    for (const Async &async : asyncs_) CHECK(async.ended);  // each came to an end
    check_all();
    for (haft_value &result : results_) haft_value_free(&result);
    results_.clear();
    if (check_level() >= 1) CHECK(results_out() == 0);
    for (const auto &[handle, o] : objects_) {
      if (o.labels.size() > 0) labels_forget(handle);
    }
  }

 public:
  static World *running_;

 private:
  Input in_;
  std::unique_ptr<Consumer> realms_[kSlotsOfRealms];
  std::vector<haft_realm> ids_;
  std::map<haft_handle, Object> objects_;
  std::vector<haft_handle> handles_;
  std::map<std::pair<haft_realm, std::string>, haft_handle> names_;
  std::deque<Async> asyncs_;
  std::map<std::pair<haft_realm, uint32_t>, size_t> tokens_;  // of asyncs_ that are on their way
  std::set<haft_queue> queues_, old_queues_;
  std::vector<haft_value> results_;
  uint64_t creates_ = 0;
  uint32_t undrained_ = 0;  // at most so many messages wait
  int depth_ = 0;
  bool in_native_ = false, on_native_ = false, direct_ = false, blocked_ = false;
  // Handlers take no steps: the other thread is at work, and what they read from the input would depend on who is faster.
  // But for the handler of the one call that it waits for.
  bool quiet_ = false, one_call_ = false;
};

World *World::running_ = nullptr;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!haft_plugin_api) {
    CHECK_STATUS(HAFT_PLUGIN(api_table()), HAFT_OK);
    kinds();
  }
  World world(Input(data, size));
  World::running_ = &world;
  world.run();
  World::running_ = nullptr;
  return 0;
}
