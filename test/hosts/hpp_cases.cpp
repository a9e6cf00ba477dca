// Every class of haft.hpp, used as a host does. argv[1] names the case; the exit code is the line of the first check
// that failed, or 0. The objects and functions are those of test/hpp.test.ts.
#include <haft.hpp>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition);    \
      return __LINE__;                                                                 \
    }                                                                                  \
  } while (0)

namespace {

using std::string_view;

// Names, made by the compiler.
static_assert(haft::fn<void()>::kind_name == "fn():void");
static_assert(haft::fn<bool(double, string_view)>::kind_name == "fn(f64,str):bool");
static_assert(haft::fn<std::string(const std::string &, const haft::bytes &)>::kind_name == "fn(str,bytes):str");
static_assert(haft::fn<haft::ref(haft_handle, haft::ref)>::kind_name == "fn(handle,handle):handle");
static_assert(haft::fn<haft_handle(int32_t, uint32_t, int64_t)>::kind_name == "fn(i32,u32,i64):handle");
static_assert(haft::fn<void()>::kind_name.data()[9] == '\0', "it goes to C as it is");

// Owners move and are not copied.
static_assert(!std::is_copy_constructible_v<haft::ref> && std::is_nothrow_move_constructible_v<haft::ref>);
static_assert(!std::is_copy_assignable_v<haft::ref> && std::is_nothrow_move_assignable_v<haft::ref>);
static_assert(!std::is_copy_constructible_v<haft::value> && std::is_nothrow_move_constructible_v<haft::value>);
static_assert(!std::is_copy_constructible_v<haft::fn<void()>> && std::is_move_constructible_v<haft::fn<void()>>);
static_assert(std::is_copy_constructible_v<haft::method<void()>>);
static_assert(!std::is_copy_constructible_v<haft::queue> && std::is_nothrow_move_constructible_v<haft::queue>);
static_assert(!std::is_copy_assignable_v<haft::queue> && std::is_nothrow_move_assignable_v<haft::queue>);
static_assert(!std::is_copy_constructible_v<haft::completion> && std::is_move_constructible_v<haft::completion>);
static_assert(!std::is_copy_constructible_v<haft::blocking> && !std::is_move_constructible_v<haft::blocking>);

// A handle is a haft_handle or a ref: no other integer becomes one.
static_assert(std::is_convertible_v<haft_handle, haft::borrow>);
static_assert(std::is_convertible_v<const haft::ref &, haft::borrow>);
static_assert(!std::is_convertible_v<int, haft::borrow> && !std::is_convertible_v<double, haft::borrow>);
static_assert(!std::is_convertible_v<bool, haft::borrow> && !std::is_convertible_v<int64_t, haft::borrow>);

constexpr uint64_t kCounter =
    haft::fingerprint(haft::op<double(double)>("add"), haft::op<void()>("reset"), haft::op<std::string()>("name"),
                      haft::op<haft::ref()>("twin"), haft::op<void()>("fail"), haft::op<int32_t()>("wrong"));
static_assert(haft::fingerprint() == 0xcbf29ce484222325u);

// ---- Cases ----

int without_plugin(haft_realm realm) {
  CHECK(haft::ref::retain(1).status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::find(realm, "x", 0, 0).status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::kind_find("Counter").status() == HAFT_E_UNSUPPORTED);
  const haft::fn<void()> f(haft::ref::adopt(1));
  CHECK(f.status() == HAFT_E_UNSUPPORTED);
  CHECK(f().status() == HAFT_E_UNSUPPORTED);
  CHECK(f.post() == HAFT_E_UNSUPPORTED);
  const auto answer = haft::call((haft_handle)1, 1, {}, 0);
  CHECK(answer.status() == HAFT_E_UNSUPPORTED);
  CHECK(answer.error() == "HAFT_E_UNSUPPORTED: HAFT_PLUGIN(api) has not been called");
  CHECK(haft::queue::open().status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::moved((haft_handle)1).status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::wait(realm, HAFT_EVENT_EMPTY, 0).status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::counters(realm).status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::serve(realm, 0) == HAFT_E_UNSUPPORTED && haft::signal(realm, HAFT_EVENT_USER(0)) == HAFT_E_UNSUPPORTED);
  CHECK(haft::blocking(realm).status() == HAFT_E_UNSUPPORTED);
  CHECK(haft::call_async((haft_handle)1, 1, {}, 1, [](haft::result<haft::value>) {}) == HAFT_E_UNSUPPORTED);
  return 0;
}

int labels(haft_realm realm) {
  haft_kind kind = 0;
  CHECK(haft::kind_match("Counter", "add(f64):f64").status() == HAFT_E_ABI);
  CHECK(haft::kind_match("Nobody", "").status() == HAFT_E_NOT_FOUND);
  CHECK(haft_kind_find("Counter", 0, &kind) == HAFT_OK);
  auto counter = haft::find(realm, "counter", kind, 1000);
  CHECK(counter);
  CHECK(haft::memory_of(counter.value()).status() == HAFT_E_KIND);
  CHECK(!haft::labelled_ref() && haft::labelled_ref().reset() == HAFT_OK);
  auto first = haft::labelled_ref::retain(counter.value(), "connection");
  auto second = haft::labelled_ref::retain(counter.value(), "cache");
  CHECK(first && second && first.value().get() == counter.value().get());
  CHECK(std::string(second.value().label()) == "cache");
  second.value() = std::move(first.value());  // "cache" is given back
  CHECK(!first.value() && std::string(second.value().label()) == "connection");
  CHECK(haft_release_as(counter.value().get(), "cache") == HAFT_E_OWNER);
  CHECK(second.value().reset() == HAFT_OK && !second.value() && second.value().reset() == HAFT_OK);
  CHECK(haft_release_as(counter.value().get(), "connection") == HAFT_E_OWNER);
  CHECK(haft::labelled_ref::retain(counter.value(), "").status() == HAFT_E_ARGUMENT);
  {
    const auto scoped = haft::labelled_ref::retain(counter.value(), "scope");
    CHECK(scoped);
  }
  CHECK(haft_release_as(counter.value().get(), "scope") == HAFT_E_OWNER);
  return 0;
}

int references(haft_realm realm) {
  const haft_kind any = 0;
  haft_handle raw = HAFT_NULL;
  {
    haft::ref empty;
    CHECK(!empty && empty.get() == HAFT_NULL);
    CHECK(empty.reset() == HAFT_OK);
    CHECK(empty.share().status() == HAFT_E_FORGED);
    CHECK(haft::ref::adopt(HAFT_NULL).release() == HAFT_NULL);
  }
  {
    auto found = haft::find(realm, "object", any, 1000);  // 2 references: JavaScript's and ours
    CHECK(found);
    haft::ref a = std::move(found).value();
    CHECK(a && !found.value());  // moved out: empty, and still a result
    raw = a.get();
    haft::ref b = std::move(a);
    CHECK(!a && b.get() == raw);  // NOLINT: what moved-from means is what we test
    haft::ref &self = b;
    b = std::move(self);
    CHECK(b.get() == raw);
    auto shared = b.share();  // 3
    CHECK(shared && shared.value().get() == raw);
    haft::ref c = std::move(shared).value();
    c = std::move(b);  // 2: c's former reference was given back
    CHECK(c.get() == raw && !b);
    CHECK(haft::ref::retain(raw).value().reset() == HAFT_OK);
    const haft_handle given = c.release();  // ours by hand now
    CHECK(given == raw && !c && haft_check(raw, 0) == HAFT_OK);
    CHECK(haft_release(given) == HAFT_OK);  // 1
  }
  CHECK(haft_check(raw, 0) == HAFT_OK);  // JavaScript's is left
  {
    std::vector<haft::ref> many;
    for (int i = 0; i < 1000; i++) many.push_back(haft::ref::retain(raw).value());
    many.erase(many.begin(), many.begin() + 500);
  }
  CHECK(haft_check(raw, 0) == HAFT_OK);
  CHECK(haft::ref::retain(12345).status() == HAFT_E_FORGED);
  CHECK(haft::ref::retain(12345).error() == "HAFT_E_FORGED: the value was never issued as a handle");
  return 0;  // JavaScript checks that its reference is the last
}

int results(haft_realm) {
  haft::result<int> seven = 7;
  CHECK(seven && seven.status() == HAFT_OK && seven.value() == 7 && seven.value_or(1) == 7 && seven.error().empty());
  seven.value() = 8;
  CHECK(seven.value() == 8);
  haft::result<int> none = haft::failure(HAFT_E_FULL, "");
  CHECK(!none && none.status() == HAFT_E_FULL && none.value_or(1) == 1);
  CHECK(none.error() == "HAFT_E_FULL: the mailbox is full");
  none = seven;
  CHECK(none && none.value() == 8);
  haft::result<std::string> text = std::string("long enough to lie on the heap, surely");
  const std::string taken = std::move(text).value();
  CHECK(taken.size() == 38 && text && text.value().empty());
  CHECK(haft::result<std::string>(haft::failure(HAFT_E_BUSY, "x")).value_or("otherwise") == "otherwise");
  haft::result<void> done;
  CHECK(done && done.error().empty());
  done.value();
  done = haft::failure(HAFT_E_STALE, "");
  CHECK(!done && done.status() == HAFT_E_STALE);
  CHECK(haft::describe(HAFT_OK) == "HAFT_OK: success");
  CHECK(haft::describe(-99) == "HAFT_E_UNKNOWN: unknown status");
  // The text is the result's own: the thread's next error does not change it.
  const auto forged = haft::ref::retain(1);
  const auto closed = haft::find(1 << 20, "x", 0, 0);
  CHECK(forged.error() == "HAFT_E_FORGED: the value was never issued as a handle");
  CHECK(closed.status() == HAFT_E_CLOSED);
  return 0;
}

template <class T, class Given>
bool echoes(haft_realm realm, const char *name, const Given &given) {
  const auto echo = haft::fn<T(T)>::find(realm, name, 1000);
  const auto answer = echo(given);
  if (!answer) std::fprintf(stderr, "%s: %s%s\n", name, echo.error().c_str(), answer.error().c_str());
  return answer && answer.value() == given;
}

int values(haft_realm realm) {
  for (const double x : {0.0, -1.5, 1e308, 5e-324, std::numeric_limits<double>::infinity()})
    CHECK(echoes<double>(realm, "f64", x));
  const auto nan = haft::fn<double(double)>::find(realm, "f64", 0)(std::numeric_limits<double>::quiet_NaN());
  CHECK(nan && nan.value() != nan.value());
  for (const int32_t x : {0, -1, INT32_MIN, INT32_MAX}) CHECK(echoes<int32_t>(realm, "i32", x));
  for (const uint32_t x : {0u, 1u, UINT32_MAX}) CHECK(echoes<uint32_t>(realm, "u32", x));
  for (const int64_t x : {(int64_t)0, (int64_t)-1, INT64_MIN, INT64_MAX}) CHECK(echoes<int64_t>(realm, "i64", x));
  for (const bool x : {true, false}) CHECK(echoes<bool>(realm, "bool", x));
  for (const size_t n : {0, 1, 24, 25, 208, 209, 1000, 5000, 100000}) {
    CHECK(echoes<std::string>(realm, "str", std::string(n, 'x')));
    haft::bytes bytes(n);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(i * 7);
    CHECK(echoes<haft::bytes>(realm, "bytes", bytes));
  }
  CHECK(echoes<string_view>(realm, "str", string_view("a\0b", 3)));
  CHECK(echoes<std::string>(realm, "str", std::string("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80")));
  CHECK(echoes<string_view>(realm, "str", string_view("as it stands")));
  const auto text = haft::fn<std::string(string_view)>::find(realm, "str", 0);
  CHECK(text("a literal").value() == "a literal");
  CHECK(text("\xff").status() == HAFT_E_UTF8);
  const auto bytes = haft::fn<haft::bytes(haft::bytes_view)>::find(realm, "bytes", 0);
  CHECK(bytes({"\x01\xff", 2}).value() == (haft::bytes{1, 255}));
  CHECK(bytes({}).value().empty());

  // A handle: borrowed on the way there, with a reference of its own on the way back.
  const auto same = haft::fn<haft::ref(haft::ref)>::find(realm, "handle", 0);
  haft::ref object = haft::find(realm, "object", 0, 0).value();
  auto back = same(object);
  CHECK(back && back.value().get() == object.get() && back.value().reset() == HAFT_OK);
  CHECK(same(object.get()).value().get() == object.get());
  CHECK(same((haft_handle)HAFT_NULL).status() == HAFT_E_EXCEPTION);  // it arrives, and cannot be retained
  const auto nothing = haft::fn<haft_handle()>::find(realm, "null handle", 0);
  auto null = nothing();
  CHECK(null && !null.value());

  const auto sixteen = haft::fn<double(double, double, double, double, double, double, double, double, double, double,
                                       double, double, double, double, double, double)>::find(realm, "sum16", 0);
  CHECK(sixteen(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16).value() == 136);
  using Mixed = haft::fn<std::string(bool, int32_t, uint32_t, int64_t, double, string_view, haft::bytes_view)>;
  const Mixed mixed = Mixed::find(realm, "mixed", 0);
  CHECK(mixed(true, -1, 2, -3, 0.5, "text", {"\x05", 1}).value() == "true -1 2 -3 0.5 text 5");
  return 0;
}

int functions(haft_realm realm) {
  using Half = haft::fn<double(double)>;
  Half half = Half::find(realm, "half", 1000);
  CHECK(half && half.status() == HAFT_OK && half.error().empty() && half.get() != HAFT_NULL);
  CHECK(half(3).value() == 1.5);
  CHECK(half.call(3, 1000).value() == 1.5);
  CHECK(half.post(3) == HAFT_OK);
  CHECK(half.post(3, HAFT_BLOCK(1000)) == HAFT_OK);

  // Moved: the new one calls, the old one names nothing.
  Half moved = std::move(half);
  CHECK(!half && half.status() == HAFT_E_FORGED && half.get() == HAFT_NULL);  // NOLINT
  CHECK(half(1).status() == HAFT_E_FORGED && half.post(1) == HAFT_E_FORGED);
  CHECK(moved(3).value() == 1.5);
  half = std::move(moved);
  CHECK(half(3).value() == 1.5 && !moved);
  const Half never;
  CHECK(!never && never(1).status() == HAFT_E_FORGED);
  CHECK(never.error() == "HAFT_E_FORGED: the value was never issued as a handle");

  // Another signature: one that others have, one that nobody has, and an object of a class.
  haft::fn<bool(string_view)> other(haft::ref::retain(half.get()).value());
  CHECK(!other && other.status() == HAFT_E_KIND);
  CHECK(other.error() == "HAFT_E_KIND: the handle names no fn(str):bool");
  CHECK(other("x").status() == HAFT_E_KIND && other("x").error() == other.error() && other.post("x") == HAFT_E_KIND);
  haft::fn<void(int64_t, int64_t, bool)> unheard(haft::ref::retain(half.get()).value());
  CHECK(unheard.status() == HAFT_E_KIND);
  CHECK(Half::find(realm, "object", 0).status() == HAFT_E_KIND);
  CHECK(Half::find(realm, "nobody", 0).status() == HAFT_E_NOT_FOUND);
  CHECK(Half(haft::ref::adopt(77)).status() == HAFT_E_FORGED);
  CHECK((haft::fn<void(bool, bool, bool)>(haft::ref::adopt(77)).status() == HAFT_E_FORGED));

  // Errors.
  const auto fails = haft::fn<double(string_view)>::find(realm, "fails", 0);
  const auto failed = fails("why");
  CHECK(failed.status() == HAFT_E_EXCEPTION && failed.error() == "RangeError: why");
  CHECK(fails("").error() == "RangeError: ");
  const auto liar = haft::fn<int32_t()>::find(realm, "liar", 0)();
  CHECK(liar.status() == HAFT_E_RESULT && liar.error().find("returned 1.5, not i32") != std::string::npos);
  CHECK(failed.error() == "RangeError: why");  // its own text, after other errors
  const auto slow = haft::fn<void()>::find(realm, "slow", 0);
  CHECK(slow.call(20).status() == HAFT_E_TIMEOUT);
  const auto soon = haft::fn<std::string()>::find(realm, "soon", 0);
  CHECK(soon().value() == "settled");

  // Stale under its owner.
  auto gone = haft::fn<void()>::find(realm, "gone", 0);
  CHECK(gone);
  CHECK((haft::fn<void()>::find(realm, "delete gone", 0)()));
  CHECK(gone().status() == HAFT_E_STALE);
  return 0;
}

int methods(haft_realm realm) {
  const haft_kind kind = haft::kind_find("Counter", kCounter).value();
  const haft::ref counter = haft::find(realm, "counter", kind, 1000).value();
  const haft::method<double(double)> add(kind, "add");
  const haft::method<void()> reset("Counter", "reset");
  const haft::method<std::string()> name("Counter", "name");
  const haft::method<haft::ref()> twin("Counter", "twin");
  CHECK(add && reset && name && twin && HAFT_OP_KIND(add.op()) == kind);
  CHECK(reset(counter));
  CHECK(add(counter, 2).value() == 2);
  CHECK(add(counter.get(), 3).value() == 5);
  CHECK(add.call(counter, 1, 1000).value() == 6);
  CHECK(add.post(counter, 4) == HAFT_OK);
  CHECK(add.post(counter, 4, HAFT_BLOCK(1000)) == HAFT_OK);
  CHECK(add(counter, 0).value() == 14);
  CHECK(name(counter).value() == "Counter");
  const haft::method<double(double)> copied = add;
  CHECK(copied(counter, 0).value() == 14);
  {
    const haft::ref other = twin(counter).value();
    CHECK(add(other, 1).value() == 1);
  }
  // A result that nobody wants is given back: a string, and a handle with its reference.
  CHECK((haft::method<void()>("Counter", "name")(counter)));
  CHECK((haft::method<void()>("Counter", "twin")(counter)));

  // What does not fit.
  CHECK(haft::kind_find("Counter", kCounter + 1).status() == HAFT_E_ABI);
  CHECK(haft::kind_find("Nobody").status() == HAFT_E_NOT_FOUND);
  const haft::method<void()> nobody("Nobody", "x");
  CHECK(!nobody && nobody.status() == HAFT_E_NOT_FOUND && nobody(counter).status() == HAFT_E_NOT_FOUND);
  CHECK(haft::method<void()>("Counter", "subtract").status() == HAFT_E_OP);
  CHECK(haft::method<void()>()(counter).status() == HAFT_E_OP);
  CHECK(haft::method<void()>().post(counter) == HAFT_E_OP);
  const haft::ref object = haft::find(realm, "object", 0, 0).value();
  CHECK(add(object, 1).status() == HAFT_E_KIND);
  CHECK(add((haft_handle)5, 1).status() == HAFT_E_FORGED);
  const auto misfit = haft::method<double(string_view)>("Counter", "add")(counter, "2");
  CHECK(misfit.status() == HAFT_E_ARGUMENT);
  CHECK(misfit.error().find("argument 1 of Counter.add is str, not f64") != std::string::npos);
  CHECK(haft::method<double()>("Counter", "add")(counter).status() == HAFT_E_ARGUMENT);
  CHECK(haft::method<double(int32_t)>("Counter", "add")(counter, 1).value() == 15);  // nothing is lost
  const auto other = haft::method<int32_t(double)>("Counter", "add")(counter, 0);
  CHECK(other.status() == HAFT_E_ABI && other.error() == "HAFT_E_ABI: the result is f64, not i32");
  CHECK(haft::method<double()>("Counter", "name")(counter).status() == HAFT_E_ABI);   // its string is freed
  CHECK(haft::method<double()>("Counter", "twin")(counter).status() == HAFT_E_ABI);   // its handle is released
  CHECK(haft::method<haft::ref()>("Counter", "name")(counter).status() == HAFT_E_ABI);
  CHECK(haft::method<void()>("Counter", "fail")(counter).error() == "Error: on purpose");
  CHECK(haft::method<int32_t()>("Counter", "wrong")(counter).status() == HAFT_E_RESULT);
  return 0;  // JavaScript checks that no twin is left
}

int dynamic(haft_realm realm) {
  const haft::ref counter = haft::find(realm, "counter", 0, 1000).value();
  const haft_kind kind = haft::kind_find("Counter").value();
  haft_op add, name, twin, reset;
  CHECK(haft_op_find(kind, "add", &add) == HAFT_OK && haft_op_find(kind, "name", &name) == HAFT_OK);
  CHECK(haft_op_find(kind, "twin", &twin) == HAFT_OK && haft_op_find(kind, "reset", &reset) == HAFT_OK);
  CHECK(haft::call(counter, reset, {}, 1000).value().type() == HAFT_VOID);
  const haft::value total = haft::call(counter, add, {haft::arg(2.0)}, 1000).value();
  CHECK(total.type() == HAFT_F64 && total.as<double>().value() == 2);
  CHECK(total.as<int32_t>().status() == HAFT_E_ABI);
  CHECK(total.as<std::string>().error() == "HAFT_E_ABI: the result is f64, not str");
  CHECK(haft::call(counter, add, {haft::arg(1.0)}, 1000).value().as<double>().value() == 3);

  haft::value text = haft::call(counter, name, {}, 1000).value();
  CHECK(text.as<string_view>().value() == "Counter" && text.as<std::string>().value() == "Counter");
  CHECK(text.as<haft::bytes>().status() == HAFT_E_ABI && text.take_ref().status() == HAFT_E_ABI);
  CHECK(text.get().as.str[text.get().length] == '\0');
  haft::value moved = std::move(text);
  CHECK(text.type() == HAFT_VOID && moved.as<string_view>().value() == "Counter");  // NOLINT
  haft::value &self = moved;
  moved = std::move(self);
  CHECK(moved.as<string_view>().value() == "Counter");
  text = std::move(moved);
  CHECK(moved.type() == HAFT_VOID);
  haft_value raw = text.release();
  CHECK(text.type() == HAFT_VOID && raw.type == HAFT_STR && raw.length == 7);
  haft_value_free(&raw);

  haft::value made = haft::call(counter, twin, {}, 1000).value();
  const haft_handle handle = made.as<haft_handle>().value();
  CHECK(haft_check(handle, kind) == HAFT_OK);
  {
    haft::ref taken = made.take_ref().value();
    CHECK(taken.get() == handle && made.type() == HAFT_VOID);
  }
  CHECK(haft_check(handle, kind) == HAFT_E_STALE);
  { const auto dropped = haft::call(counter, twin, {}, 1000); }

  CHECK(haft::arg("text").type == HAFT_STR && haft::arg("text").length == 4);
  CHECK(haft::arg(std::string("text")).type == HAFT_STR && haft::arg(string_view("ab")).length == 2);
  CHECK(haft::arg(haft::bytes{1, 2, 3}).type == HAFT_BYTES && haft::arg(haft::bytes_view("abc", 3)).length == 3);
  CHECK(haft::arg(1).type == HAFT_I32 && haft::arg(1u).type == HAFT_U32 && haft::arg((int64_t)1).type == HAFT_I64);
  CHECK(haft::arg(true).type == HAFT_BOOL && haft::arg(counter).type == HAFT_HANDLE);
  CHECK(haft::arg(counter.get()).as.handle == counter.get());
  return 0;
}

int threads(haft_realm realm) {
  constexpr int kThreads = 4, kCalls = 2000;
  const auto half = haft::fn<double(double)>::find(realm, "half", 1000);
  const haft::ref counter = haft::find(realm, "counter", 0, 0).value();
  const haft::method<double(double)> add("Counter", "add");
  std::atomic<int> wrong{0};
  std::vector<std::thread> running;
  for (int t = 0; t < kThreads; t++) {
    // Each thread owns a reference of its own, moved to it.
    running.emplace_back([&, mine = counter.share().value(), t] {
      for (int i = 0; i < kCalls; i++) {
        const auto answer = half(t * kCalls + i);
        if (!answer || answer.value() != (t * kCalls + i) / 2.0) wrong++;
        if (add.post(mine, 1, HAFT_BLOCK(haft::forever)) != HAFT_OK) wrong++;
      }
    });
  }
  for (std::thread &thread : running) thread.join();
  CHECK(wrong == 0);
  CHECK(add(counter, 0).value() == kThreads * kCalls);
  return 0;
}

// ---- Calls without a waiting thread ----

// Waits for completions, in the callables' own words.
template <class Done>
bool soon(const Done &done) {
  for (int i = 0; i < 20000; i++) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// Counts how often it is run, and how many of it are left: exactly one run, and nothing left over.
struct Counted {
  std::atomic<int> &runs, &lives;
  std::unique_ptr<int> alone = std::make_unique<int>(1);  // cannot be copied
  Counted(std::atomic<int> &r, std::atomic<int> &l) : runs(r), lives(l) { lives++; }
  Counted(Counted &&other) : runs(other.runs), lives(other.lives), alone(std::move(other.alone)) { lives++; }
  ~Counted() { lives--; }
  void operator()(haft::result<double>) { runs += *alone; }
};

int callables(haft_realm realm) {
  const auto half = haft::fn<double(double)>::find(realm, "half", 1000);
  const auto fails = haft::fn<double(string_view)>::find(realm, "fails", 0);
  const auto slow = haft::fn<void()>::find(realm, "slow", 0);
  const auto late = haft::fn<std::string()>::find(realm, "soon", 0);
  const auto same = haft::fn<haft::ref(haft::ref)>::find(realm, "handle", 0);
  const haft::ref object = haft::find(realm, "object", 0, 0).value();
  std::atomic<int> ended{0}, wrong{0};
  const auto check = [&](bool right) {
    if (!right) wrong++;
    ended++;
  };

  CHECK(half.call_async(3, 20000, [&](haft::result<double> x) { check(x && x.value() == 1.5); }) == HAFT_OK);
  CHECK(half.call_async(5, haft::forever, [&](const haft::result<double> &x) { check(x.value() == 2.5); }) == HAFT_OK);
  CHECK(late.call_async(20000, [&](haft::result<std::string> x) { check(x && x.value() == "settled"); }) == HAFT_OK);
  CHECK(fails.call_async("why", 20000, [&](haft::result<double> x) {
    check(x.status() == HAFT_E_EXCEPTION && x.error() == "RangeError: why");
  }) == HAFT_OK);
  CHECK(slow.call_async(30, [&](haft::result<void> x) {
    check(x.status() == HAFT_E_TIMEOUT && x.error() == "HAFT_E_TIMEOUT: the time ran out");
  }) == HAFT_OK);
  CHECK(same.call_async(object, 20000, [&, own = std::make_unique<int>(7)](haft::result<haft::ref> x) {
    check(x && x.value() && *own == 7);  // its reference goes with x
  }) == HAFT_OK);
  CHECK(soon([&] { return ended == 6; }) && wrong == 0);

  // Of a kind, and with types that only the run knows; a result of another type is freed.
  const haft::ref counter = haft::find(realm, "counter", 0, 0).value();
  const haft::method<double(double)> add("Counter", "add");
  const haft::method<double()> misread("Counter", "twin");
  CHECK(add.call_async(counter, 2, 20000, [&](haft::result<double> x) { check(x.value() == 2); }) == HAFT_OK);
  CHECK(misread.call_async(counter, 20000, [&](haft::result<double> x) { check(x.status() == HAFT_E_ABI); }) == HAFT_OK);
  CHECK(haft::call_async(counter, add.op(), {haft::arg(1.0)}, 20000, [&](haft::result<haft::value> x) {
    check(x && x.value().as<double>().value() == 3);
  }) == HAFT_OK);
  CHECK(soon([&] { return ended == 9; }) && wrong == 0);

  // Exactly once, or not at all; and no callable is left over.
  std::atomic<int> runs{0}, lives{0};
  int sent = 0;
  for (int i = 0; i < 2000; i++) {
    const haft_status status = half.call_async(i, 20000, Counted(runs, lives));
    CHECK(status == HAFT_OK || status == HAFT_E_FULL || status == HAFT_E_BUSY);
    if (status == HAFT_OK) sent++;
  }
  CHECK(sent > 0 && soon([&] { return runs == sent && lives == 0; }));
  CHECK(half.call_async(1, 0, Counted(runs, lives)) == HAFT_E_ARGUMENT);  // no time is no call
  CHECK(haft::fn<double(double)>().call_async(1, 1000, Counted(runs, lives)) == HAFT_E_FORGED);
  CHECK((haft::method<double(double)>().call_async(counter, 1, 1000, Counted(runs, lives)) == HAFT_E_OP));
  CHECK(add.call_async(object, 1, 1000, Counted(runs, lives)) == HAFT_E_KIND);
  CHECK(runs == sent && lives == 0);

  // A lambda that stays where it is sent from: only the copy runs.
  const auto stays = [&](haft::result<double> x) { check(x.value() == 4); };
  CHECK(half.call_async(8, 20000, stays) == HAFT_OK && half.call_async(8, 20000, stays) == HAFT_OK);
  CHECK(soon([&] { return ended == 11; }) && wrong == 0);
  return 0;  // JavaScript checks that no reference is left
}

int queues(haft_realm realm) {
  const auto half = haft::fn<double(double)>::find(realm, "half", 1000);
  const auto text = haft::fn<std::string(string_view)>::find(realm, "str", 0);
  const auto fails = haft::fn<double(string_view)>::find(realm, "fails", 0);
  const auto same = haft::fn<haft::ref(haft::ref)>::find(realm, "handle", 0);
  const haft::ref object = haft::find(realm, "object", 0, 0).value();
  int users[3] = {0, 1, 2};

  haft::queue none;
  CHECK(!none && none.get() == 0 && none.descriptor() == -1);
  CHECK(none.next(0).status() == HAFT_E_FORGED && none.close() == HAFT_OK);
  CHECK(half.call_async(1, 1000, none, nullptr) == HAFT_E_FORGED);

  haft::queue answers = haft::queue::open().value();
  CHECK(answers && answers.next(0).status() == HAFT_E_TIMEOUT && answers.next(5).status() == HAFT_E_TIMEOUT);
  pollfd readable = {answers.descriptor(), POLLIN, 0};
  CHECK(poll(&readable, 1, 0) == 0);
  CHECK(half.call_async(3, 20000, answers, &users[0]) == HAFT_OK);
  CHECK(poll(&readable, 1, 20000) == 1);
  {
    haft::result<haft::completion> next = answers.next(0);
    CHECK(next && next.value().user == &users[0] && next.value().take<double>().value() == 1.5);
  }
  CHECK(poll(&readable, 1, 0) == 0);

  // Each type, in the order of their ends; what does not fit is HAFT_E_ABI.
  CHECK(text.call_async(std::string(5000, 'x'), 20000, answers, &users[0]) == HAFT_OK);
  CHECK(answers.next(20000).value().take<std::string>().value() == std::string(5000, 'x'));
  CHECK(fails.call_async("why", 20000, answers, &users[1]) == HAFT_OK);
  {
    auto failed = answers.next(20000).value();
    CHECK(failed.user == &users[1] && failed.answer.status() == HAFT_E_EXCEPTION);
    CHECK(failed.take<double>().error() == "RangeError: why");
  }
  CHECK(same.call_async(object, 20000, answers, &users[2]) == HAFT_OK);
  CHECK(answers.next(20000).value().take<haft::ref>().value().get() == object.get());
  CHECK(same.call_async(object, 20000, answers, nullptr) == HAFT_OK);
  CHECK(answers.next(20000).value().take<double>().status() == HAFT_E_ABI);
  CHECK(same.call_async(object, 20000, answers, nullptr) == HAFT_OK);
  CHECK(answers.next(20000).value().take<void>());
  const haft::method<std::string()> name("Counter", "name");
  const haft::ref counter = haft::find(realm, "counter", 0, 0).value();
  CHECK(name.call_async(counter, 20000, answers, nullptr) == HAFT_OK);
  CHECK(answers.next(20000).value().answer.value().as<std::string>().value() == "Counter");
  CHECK(haft::call_async(counter, name.op(), {}, 20000, answers, nullptr) == HAFT_OK);
  CHECK(answers.next(20000).value().take<haft::value>().value().type() == HAFT_STR);

  // Moved, it is the same queue.
  CHECK(half.call_async(8, 20000, answers, nullptr) == HAFT_OK);
  haft::queue moved = std::move(answers);
  CHECK(!answers && answers.next(0).status() == HAFT_E_FORGED);  // NOLINT
  CHECK(moved.next(20000).value().take<double>().value() == 4);
  haft::queue &self = moved;
  moved = std::move(self);
  CHECK(moved && moved.next(0).status() == HAFT_E_TIMEOUT);

  // What it holds, and what is still to come, is given back when it goes.
  CHECK(same.call_async(object, 20000, moved, nullptr) == HAFT_OK);
  readable.fd = moved.descriptor();
  CHECK(poll(&readable, 1, 20000) == 1);
  const auto slow = haft::fn<void()>::find(realm, "slow", 0);
  CHECK(slow.call_async(20, moved, nullptr) == HAFT_OK);
  const haft_queue closed = moved.get();
  moved = haft::queue();
  haft_completion dropped;
  CHECK(haft_queue_next(closed, 0, &dropped) == HAFT_E_FORGED);
  std::this_thread::sleep_for(std::chrono::milliseconds(40));

  // Two that take from one queue have each completion once.
  const haft::queue shared = haft::queue::open().value();
  std::atomic<int> left{200};
  double sums[2] = {};
  std::vector<std::thread> takers;
  for (double &sum : sums) {
    takers.emplace_back([&] {
      while (left > 0) {
        auto next = shared.next(20);
        if (!next) continue;
        left--;
        sum += next.value().take<double>().value_or(-1e9);
      }
    });
  }
  for (int i = 0; i < 200; i++) CHECK(half.call_async(2, 20000, shared, nullptr) == HAFT_OK);
  for (std::thread &taker : takers) taker.join();
  CHECK(left == 0 && sums[0] + sums[1] == 200);
  return 0;
}

// ---- Waiting, counters, moving ----

int events(haft_realm realm) {
  const auto half = haft::fn<double(double)>::find(realm, "half", 1000);
  CHECK(half.post(1) == HAFT_OK);
  CHECK(haft::wait(realm, HAFT_EVENT_EMPTY, 20000).value() == HAFT_EVENT_EMPTY);
  CHECK(haft::wait(realm, HAFT_EVENT_USER(3), 5).status() == HAFT_E_TIMEOUT);
  CHECK(haft::wait(realm, 0, 5).status() == HAFT_E_ARGUMENT);
  CHECK(haft::signal(realm, HAFT_EVENT_EMPTY) == HAFT_E_ARGUMENT);
  std::atomic<bool> heard{false};
  std::thread signals([&] {
    while (!heard) haft::signal(realm, HAFT_EVENT_USER(3));
  });
  const auto happened = haft::wait(realm, HAFT_EVENT_USER(3) | HAFT_EVENT_CLOSING, 20000);
  heard = true;
  signals.join();
  CHECK(happened && happened.value() == HAFT_EVENT_USER(3));

  const haft_counters before = haft::counters(realm).value();
  for (int i = 0; i < 10; i++) CHECK(half(1));
  const haft_counters after = haft::counters(realm).value();
  CHECK(after.delivered == before.delivered + 10 && after.sent == before.sent + 10);
  const haft_counters shard = haft::counters(realm, (uint32_t)(half.get() & 15)).value();
  CHECK(shard.delivered >= 10 && shard.delivered <= after.delivered);
  CHECK(haft::counters(realm, 16).status() == HAFT_E_ARGUMENT);
  CHECK(haft::counters(1 << 20).status() == HAFT_E_CLOSED);

  // Another thread than the realm's own: it runs functions of the host, and JavaScript calls none.
  const haft_status served = haft::serve(realm, 0);
  CHECK(served == HAFT_OK || served == HAFT_E_TIMEOUT);  // a signal of before it came ends its first
  CHECK(haft::serve(realm, 0) == HAFT_E_TIMEOUT);
  CHECK(haft::serve_until(realm, [] { return false; }, 1) == HAFT_E_TIMEOUT);
  CHECK(haft::serve_until(realm, [] { return true; }) == HAFT_OK);
  CHECK(haft::blocking(realm).status() == HAFT_E_REALM);
  return 0;
}

// Every call that was sent comes to its end, when the realm does at the latest.
int closing(haft_realm realm) {
  const auto slow = haft::fn<void()>::find(realm, "slow", 1000);
  const auto close = haft::fn<void()>::find(realm, "close", 1000);
  const haft::queue answers = haft::queue::open().value();
  std::atomic<int> ended{0}, wrong{0};
  const auto check = [&](haft::result<void> answer) {
    if (answer.status() != HAFT_E_CLOSED) wrong++;
    ended++;
  };
  CHECK(slow.call_async(haft::forever, check) == HAFT_OK && slow.call_async(20000, check) == HAFT_OK);
  CHECK(slow.call_async(20000, answers, nullptr) == HAFT_OK);
  CHECK(close().status() == HAFT_E_CLOSED);
  CHECK(soon([&] { return ended == 2; }) && wrong == 0);
  CHECK(answers.next(20000).value().take<void>().status() == HAFT_E_CLOSED);
  CHECK(slow.call_async(20000, check) == HAFT_E_CLOSED && ended == 2);
  CHECK(haft::wait(realm, HAFT_EVENT_CLOSING, 20000).value() == HAFT_EVENT_CLOSING);
  CHECK(haft::wait(realm, HAFT_EVENT_EMPTY, 20000).status() == HAFT_E_CLOSED);
  CHECK(haft::signal(realm, HAFT_EVENT_USER(0)) == HAFT_E_CLOSED && haft::counters(realm).status() == HAFT_E_CLOSED);
  return 0;
}

int moves(haft_realm realm) {
  const haft::method<double(double)> add("Note", "add");
  const auto move = haft::fn<void()>::find(realm, "move note", 1000);
  haft::ref note = haft::find(realm, "note", 0, 0).value();
  haft::ref lost = note.share().value();                       // goes without follow
  haft::value kept = haft::value::adopt(haft_value_handle(note.share().value().release()));
  CHECK(add(note, 1).value() == 1);
  const haft_handle before = note.get();
  CHECK(note.follow() == HAFT_OK && note.get() == before);     // it was not moved
  CHECK(haft::moved(note).value() == before);
  CHECK(move());                                               // to another realm, and to a third
  CHECK(add(note, 1).status() == HAFT_E_MOVED && add.post(note, 1) == HAFT_E_MOVED);
  CHECK(note.share().status() == HAFT_E_MOVED);
  const haft_handle next = haft::moved(note).value();
  CHECK(next != before && haft::moved(next).value() != next);  // one step each
  CHECK(note.follow() == HAFT_OK && note.get() != before && haft::moved(note).value() == note.get());
  CHECK(add(note, 1).value() == 2);
  CHECK(lost.reset() == HAFT_OK);
  CHECK(haft::ref().follow() == HAFT_E_FORGED && haft::moved((haft_handle)5).status() == HAFT_E_FORGED);
  return 0;  // JavaScript checks that only its reference is left
}

// ---- On JavaScript's own thread, called through koffi ----

int serves(haft_realm realm) {
  const auto half = haft::fn<double(double)>::find(realm, "half", 0);
  CHECK(half(3).value() == 1.5);  // our own call needs no serving
  CHECK(haft::serve(realm, 0) == HAFT_E_TIMEOUT);
  CHECK(haft::serve_until(realm, [] { return false; }, 0) == HAFT_E_TIMEOUT);
  CHECK(haft::serve_until(realm, [] { return false; }, 25) == HAFT_E_TIMEOUT);
  std::atomic<int> running{2}, wrong{0};
  std::vector<std::thread> workers;
  for (int t = 0; t < 2; t++) {
    workers.emplace_back([&] {
      for (int i = 0; i < 100; i++) {
        const auto answer = half.call(i, 20000);
        if (!answer || answer.value() != i / 2.0) wrong++;
      }
      running--;
      haft::signal(realm, HAFT_EVENT_USER(0));
    });
  }
  const haft_status served = haft::serve_until(realm, [&] { return running == 0; });
  for (std::thread &worker : workers) worker.join();
  CHECK(served == HAFT_OK && wrong == 0);
  return 0;
}

int blocks(haft_realm realm) {
  const auto half = haft::fn<double(double)>::find(realm, "half", 0);
  haft_status refused = HAFT_OK;
  {
    const haft::blocking guard(realm);
    CHECK(guard.status() == HAFT_OK);
    std::thread worker([&] { refused = half.call(1, haft::forever).status(); });
    worker.join();
  }
  CHECK(refused == HAFT_E_DEADLOCK);
  std::atomic<bool> over{false};
  std::thread worker([&] {
    refused = half.call(1, 20000).status();
    over = true;
  });
  CHECK(haft::serve_until(realm, [&] { return over.load(); }) == HAFT_OK);
  worker.join();
  CHECK(refused == HAFT_OK);  // the guard is gone
  return 0;
}

int abort_without_value(haft_realm) { return haft::result<int>(haft::failure(HAFT_E_STALE, "")).value(); }

int run_case(haft_realm realm, string_view wanted) {
  constexpr struct {
    string_view name;
    int (*run)(haft_realm);
  } cases[] = {{"references", references}, {"results", results}, {"values", values},   {"functions", functions},
               {"methods", methods},       {"dynamic", dynamic}, {"threads", threads}, {"callables", callables},
               {"queues", queues},         {"events", events},   {"moves", moves},     {"closing", closing},
               {"serves", serves},         {"blocks", blocks},   {"labels", labels},
               {"abort", abort_without_value}};
  for (const auto &one : cases) {
    if (one.name == wanted) return one.run(realm);
  }
  return -2;
}

}  // namespace

HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  const string_view wanted = argc > 1 ? argv[1] : "";
  if (wanted == "without plugin") return without_plugin(realm);
  if (HAFT_PLUGIN(api) != HAFT_OK) return -1;
  return run_case(realm, wanted);
}

// The same on the thread that calls it.
extern "C" HAFT_EXPORT int hpp_run_here(const haft_api *api, haft_realm realm, const char *wanted) {
  if (HAFT_PLUGIN(api) != HAFT_OK) return -1;
  return run_case(realm, wanted);
}
