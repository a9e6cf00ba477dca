// Every class of haft.hpp, used as a host does. argv[1] names the case; the exit code is the line of the first check
// that failed, or 0. The objects and functions are those of test/hpp.test.ts.
#include <haft.hpp>

#include <cstdio>
#include <limits>
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

int abort_without_value(haft_realm) { return haft::result<int>(haft::failure(HAFT_E_STALE, "")).value(); }

}  // namespace

HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  const string_view wanted = argc > 1 ? argv[1] : "";
  if (wanted == "without plugin") return without_plugin(realm);
  if (HAFT_PLUGIN(api) != HAFT_OK) return -1;
  constexpr struct {
    string_view name;
    int (*run)(haft_realm);
  } cases[] = {{"references", references}, {"results", results}, {"values", values},   {"functions", functions},
               {"methods", methods},       {"dynamic", dynamic}, {"threads", threads}, {"abort", abort_without_value}};
  for (const auto &one : cases) {
    if (one.name == wanted) return one.run(realm);
  }
  return -2;
}
