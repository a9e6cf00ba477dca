/*
** haft.hpp: haft.h for C++17. References that release themselves, results as values, and calls whose types the
** compiler knows.
**
** Header-only: it adds nothing to link, needs neither exceptions nor RTTI, and throws nothing of its own. Whatever
** haft.h promises holds here too; its rules of ownership, threads and time are not repeated.
**
** Both sides of a first program:
**
**     // logic.js
**     export default (registry) => {
**       const accepts = registry.fn({ args: ['str'], returns: 'bool' }, (path) => path.endsWith('.ts'));
**       registry.publish('accepts', accepts);
**     };
**
**     // host.cpp            c++ -std=c++17 -shared -fPIC -I"$(npx haft --include)" host.cpp -o host.so
**     #include <haft.hpp>
**     #include <cstdio>
**     HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
**       if (HAFT_PLUGIN(api) != HAFT_OK) return 1;
**       auto accepts = haft::fn<bool(std::string_view)>::find(realm, "accepts", 1000);
**       for (int i = 1; i < argc; i++) {
**         const haft::result<bool> yes = accepts(argv[i]);
**         if (!yes) return std::fprintf(stderr, "%s\n", yes.error().c_str()), 1;
**         std::printf("%s: %s\n", argv[i], yes.value() ? "accepted" : "refused");
**       }
**       return 0;
**     }
**
**     $ npx haft run ./host.so ./logic.js -- main.ts main.c
**     main.ts: accepted
**     main.c: refused
**
** TYPES. In the signatures of `fn`, `method` and `op`, and in `value::as`:
**
**     on the wire   in a signature                       an argument is given as     a result comes as
**     f64           double                               double                      double
**     i32           int32_t                              int32_t                     int32_t
**     u32           uint32_t                             uint32_t                    uint32_t
**     i64           int64_t                              int64_t                     int64_t
**     bool          bool                                 bool                        bool
**     handle        haft::ref or haft_handle             const ref & or haft_handle  haft::ref
**     str           std::string or std::string_view      std::string_view            std::string
**     bytes         haft::bytes or haft::bytes_view      bytes_view                  haft::bytes
**     void          void, as the result only                                         nothing
**
** Any other type is an error of compilation that says so.
**
** THREADS. An object of these classes is for one thread at a time, as a std::string is; its const functions may run
** on any number of threads at once. So one `fn` or `method` serves all threads. A `ref` may be moved to another thread.
*/
#ifndef HAFT_HPP
#define HAFT_HPP

#include "haft.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace haft {
inline namespace v1 {

/* A timeout that never ends: until there is a result or the realm closes. */
constexpr int64_t forever = -1;

/* "HAFT_E_STALE: the handle's object was released or deleted". */
inline std::string describe(haft_status status) {
  return std::string(haft_status_name(status)) + ": " + haft_status_message(status);
}

/* ---- Results ----------------------------------------------------------------------------------------- */

/* What a function returns instead of a result: converts to a `result` of any type. */
struct failure {
  haft_status status;
  std::string text; /* empty: the status says it all */

  failure(haft_status failed, std::string why) : status(failed), text(std::move(why)) {}

  /* With what haft_last_error() has to add: the name and the message of an exception, the argument that does not
  ** fit. Make it before the thread's next haft call. */
  explicit failure(haft_status failed) : status(failed) {
    const haft_error *last = haft_last_error();
    if (last->status != failed) return;
    if (failed != HAFT_E_EXCEPTION && std::strcmp(last->message, haft_status_message(failed)) == 0) return;
    text = std::string(last->name) + ": " + last->message;
  }
};

namespace detail {

class outcome {
 public:
  /* Whether there is a value. Of a result<bool> this is not the value: `if (yes && yes.value())`. */
  explicit operator bool() const noexcept { return status_ == HAFT_OK; }
  haft_status status() const noexcept { return status_; }

  /* What went wrong, for a person: "RangeError: no such key", "HAFT_E_STALE: the handle's ..."; empty if nothing did.
  ** It belongs to the result, and does not change with the thread's next haft call. */
  std::string error() const {
    if (status_ == HAFT_OK) return {};
    return text_.empty() ? describe(status_) : text_;
  }

 protected:
  outcome() = default;
  explicit outcome(failure &&why) : status_(why.status), text_(std::move(why.text)) {}

  void need_value() const {
    if (status_ == HAFT_OK) return;
    std::fprintf(stderr, "haft: value() of a result that has none (%s)\n", error().c_str());
    std::abort();
  }

 private:
  haft_status status_ = HAFT_OK;
  std::string text_;
};

}  // namespace detail

/* A status, and the value if that is HAFT_OK. */
template <class T>
class [[nodiscard]] result : public detail::outcome {
 public:
  result(T value) : value_(std::move(value)) {}
  result(failure why) : outcome(std::move(why)) {}

  /* The value. Ask first whether there is one: without one this ends the program. */
  const T &value() const & { return need_value(), *value_; }
  T &value() & { return need_value(), *value_; }
  T &&value() && { return need_value(), std::move(*value_); }

  T value_or(T otherwise) const & { return *this ? *value_ : std::move(otherwise); }
  T value_or(T otherwise) && { return *this ? std::move(*value_) : std::move(otherwise); }

 private:
  std::optional<T> value_;
};

/* Of what returns nothing: the status alone. */
template <>
class [[nodiscard]] result<void> : public detail::outcome {
 public:
  result() = default;
  result(failure why) : outcome(std::move(why)) {}
  void value() const { need_value(); }
};

/* ---- References -------------------------------------------------------------------------------------- */

namespace detail {

/* Gives one reference back, wherever the object has been moved meanwhile: one that is not given back is lost. */
inline haft_status give_back(haft_handle handle) noexcept {
  haft_status status = haft_release(handle);
  while (status == HAFT_E_MOVED) {
    haft_handle now = HAFT_NULL;
    status = haft_moved(handle, &now);
    if (status != HAFT_OK) return status;
    handle = now;
    status = haft_release(handle);
  }
  return status;
}

}  // namespace detail

/* Owns one reference, or none, and gives it back when it goes. Can be moved and not copied: `share` makes another.
**
** When JavaScript moves the object to another realm, this reference becomes one to the new handle. It is given back
** there without more ado; but to send to the object, or to share it, is HAFT_E_MOVED until `follow` has been called:
**     if (add.post(counter, 1) == HAFT_E_MOVED && counter.follow() == HAFT_OK) ... // again */
class ref {
 public:
  ref() noexcept = default;

  /* Takes over a reference that the caller has: of haft_find, or of a result. HAFT_NULL makes an empty ref. */
  [[nodiscard]] static ref adopt(haft_handle handle) noexcept {
    ref made;
    made.handle_ = handle;
    return made;
  }

  /* Adds a reference, to keep a handle that was only borrowed. Statuses as haft_retain. */
  static result<ref> retain(haft_handle handle);

  ref(ref &&other) noexcept : handle_(other.release()) {}
  ref &operator=(ref &&other) noexcept {
    if (this == &other) return *this;
    reset();
    handle_ = other.release();
    return *this;
  }
  ref(const ref &) = delete;
  ref &operator=(const ref &) = delete;
  ~ref() { reset(); }

  /* The handle, which stays this ref's; HAFT_NULL if it is empty. */
  haft_handle get() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != HAFT_NULL; }

  /* Gives the ownership away: the caller has the reference now, and this ref is empty. As in std::unique_ptr, this
  ** drops nothing; `reset` does. */
  [[nodiscard]] haft_handle release() noexcept { return std::exchange(handle_, HAFT_NULL); }

  /* Drops the reference now, wherever the object lives. What haft_release says, which the destructor cannot:
  ** HAFT_E_STALE means that somebody deleted the handle, or released once too often. */
  haft_status reset() noexcept {
    return handle_ == HAFT_NULL ? (haft_status)HAFT_OK : detail::give_back(release());
  }

  /* One more reference, for another owner. Statuses as haft_retain. */
  result<ref> share() const;

  /* Makes this the reference to where the object lives now, after one move or several; nothing changes if it was not
  ** moved. Soon after the move: haft_moved says how long the answer is kept. Statuses as haft_moved. */
  haft_status follow() noexcept;

 private:
  haft_handle handle_ = HAFT_NULL;
};

inline result<ref> ref::retain(haft_handle handle) {
  const haft_status status = haft_retain(handle);
  if (status != HAFT_OK) return failure(status);
  return ref::adopt(handle);
}

inline result<ref> ref::share() const { return retain(handle_); }

inline haft_status ref::follow() noexcept {
  haft_handle now = HAFT_NULL;
  haft_status status = haft_moved(handle_, &now);
  while (status == HAFT_OK && now != handle_) {
    handle_ = now;
    status = haft_moved(handle_, &now);
  }
  return status;
}

/* A handle as an argument: valid until the call returns. Of a haft_handle or of a ref, which keeps its reference; of
** no other integer, since a computed value is not a handle. */
class borrow {
 public:
  template <class T, class = std::enable_if_t<std::is_same_v<T, haft_handle>>>
  borrow(T handle) noexcept : handle_(handle) {}
  borrow(const ref &owner) noexcept : handle_(owner.get()) {}
  haft_handle get() const noexcept { return handle_; }

 private:
  haft_handle handle_;
};

/* haft_kind_find as a result. */
inline result<haft_kind> kind_find(const char *name, uint64_t fingerprint = 0) {
  haft_kind kind = 0;
  const haft_status status = haft_kind_find(name, fingerprint, &kind);
  if (status != HAFT_OK) return failure(status);
  return kind;
}

/* haft_find as a result, with its reference. */
inline result<ref> find(haft_realm realm, const char *name, haft_kind kind, int64_t timeout_ms) {
  haft_handle handle = HAFT_NULL;
  const haft_status status = haft_find(realm, name, kind, timeout_ms, &handle);
  if (status != HAFT_OK) return failure(status);
  return ref::adopt(handle);
}

/* haft_kind_match as a result: for exactly the ops "add(f64):f64;name():str". */
inline result<haft_kind> kind_match(const char *name, const char *signatures) {
  haft_kind kind = 0;
  const haft_status status = haft_kind_match(name, signatures, &kind);
  if (status != HAFT_OK) return failure(status);
  return kind;
}

/* Memory of a buffer that JavaScript pinned or transferred; it is not this object's. */
struct memory {
  void *data = nullptr;
  uint64_t size = 0;
};

/* haft_memory as a result. */
inline result<memory> memory_of(borrow handle) {
  memory found;
  const haft_status status = haft_memory(handle.get(), &found.data, &found.size);
  if (status != HAFT_OK) return failure(status);
  return found;
}

/* A reference with a label, which says in registry.report() what it is for; as `ref` otherwise. The label is to live as
** long: a literal. */
class labelled_ref {
 public:
  labelled_ref() noexcept = default;

  /* Adds a reference. Statuses as haft_retain_as. */
  static result<labelled_ref> retain(borrow handle, const char *label) {
    const haft_status status = haft_retain_as(handle.get(), label);
    if (status != HAFT_OK) return failure(status);
    labelled_ref made;
    made.handle_ = handle.get();
    made.label_ = label;
    return made;
  }

  labelled_ref(labelled_ref &&other) noexcept : handle_(std::exchange(other.handle_, HAFT_NULL)), label_(other.label_) {}
  labelled_ref &operator=(labelled_ref &&other) noexcept {
    if (this == &other) return *this;
    reset();
    handle_ = std::exchange(other.handle_, HAFT_NULL);
    label_ = other.label_;
    return *this;
  }
  labelled_ref(const labelled_ref &) = delete;
  labelled_ref &operator=(const labelled_ref &) = delete;
  ~labelled_ref() { reset(); }

  haft_handle get() const noexcept { return handle_; }
  const char *label() const noexcept { return label_; }
  explicit operator bool() const noexcept { return handle_ != HAFT_NULL; }

  /* Drops the reference now: what haft_release_as says. */
  haft_status reset() noexcept {
    const haft_handle handle = std::exchange(handle_, HAFT_NULL);
    if (handle == HAFT_NULL) return HAFT_OK;
    const haft_status status = haft_release_as(handle, label_);
    return status == HAFT_E_MOVED ? detail::give_back(handle) : status;  // a move keeps references, not labels
  }

 private:
  haft_handle handle_ = HAFT_NULL;
  const char *label_ = "";
};

/* haft_moved as a result: the new handle is borrowed, as `handle` was. A `ref` has `follow`. */
inline result<haft_handle> moved(borrow handle) {
  haft_handle now = HAFT_NULL;
  const haft_status status = haft_moved(handle.get(), &now);
  if (status != HAFT_OK) return failure(status);
  return now;
}

/* ---- Types on the wire ------------------------------------------------------------------------------- */

/* The bytes of a result, a copy of one's own. */
using bytes = std::vector<uint8_t>;

/* Bytes of somebody else's: a pointer and a length. */
class bytes_view {
 public:
  constexpr bytes_view() noexcept = default;
  constexpr bytes_view(const void *data, size_t size) noexcept : data_(data), size_(size) {}
  bytes_view(const bytes &owner) noexcept : data_(owner.data()), size_(owner.size()) {}

  const uint8_t *data() const noexcept { return static_cast<const uint8_t *>(data_); }
  constexpr size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  const uint8_t *begin() const noexcept { return data(); }
  const uint8_t *end() const noexcept { return data() + size_; }
  uint8_t operator[](size_t i) const noexcept { return data()[i]; }

 private:
  const void *data_ = nullptr;
  size_t size_ = 0;
};

namespace detail {

template <class>
constexpr bool never = false;

/* Of each C++ type that travels: its name in a signature, its tag, what an argument is given as, what a result comes
** as, and the way into a haft_value and out of one. */
template <class T>
struct wire {
  static_assert(never<T>, "haft: this type does not travel; use double, int32_t, uint32_t, int64_t, bool, haft::ref, "
                          "std::string_view or haft::bytes_view");
};

template <class T>
struct wire<const T &> : wire<T> {};

template <>
struct wire<void> {
  static constexpr std::string_view name = "void";
  using out = void;
};

template <class T, haft_type Tag>
struct wire_number {
  static constexpr haft_type tag = Tag;
  using arg = T;
  using out = T;
};

template <>
struct wire<double> : wire_number<double, HAFT_F64> {
  static constexpr std::string_view name = "f64";
  static haft_value make(double x) { return haft_value_f64(x); }
  static double read(const haft_value &v) { return v.as.f64; }
};

template <>
struct wire<int32_t> : wire_number<int32_t, HAFT_I32> {
  static constexpr std::string_view name = "i32";
  static haft_value make(int32_t x) { return haft_value_i32(x); }
  static int32_t read(const haft_value &v) { return v.as.i32; }
};

template <>
struct wire<uint32_t> : wire_number<uint32_t, HAFT_U32> {
  static constexpr std::string_view name = "u32";
  static haft_value make(uint32_t x) { return haft_value_u32(x); }
  static uint32_t read(const haft_value &v) { return v.as.u32; }
};

template <>
struct wire<int64_t> : wire_number<int64_t, HAFT_I64> {
  static constexpr std::string_view name = "i64";
  static haft_value make(int64_t x) { return haft_value_i64(x); }
  static int64_t read(const haft_value &v) { return v.as.i64; }
};

template <>
struct wire<bool> : wire_number<bool, HAFT_BOOL> {
  static constexpr std::string_view name = "bool";
  static haft_value make(bool x) { return haft_value_bool(x); }
  static bool read(const haft_value &v) { return v.as.b; }
};

template <>
struct wire<haft_handle> {
  static constexpr std::string_view name = "handle";
  static constexpr haft_type tag = HAFT_HANDLE;
  using arg = borrow;
  using out = ref;
  static haft_value make(borrow x) { return haft_value_handle(x.get()); }
  static haft_handle read(const haft_value &v) { return v.as.handle; }
};

template <>
struct wire<ref> : wire<haft_handle> {};

template <>
struct wire<std::string_view> {
  static constexpr std::string_view name = "str";
  static constexpr haft_type tag = HAFT_STR;
  using arg = std::string_view;
  using out = std::string;
  static haft_value make(std::string_view x) { return haft_value_str(x.data(), x.size()); }
  static std::string_view read(const haft_value &v) { return {v.as.str, v.length}; }
};

template <>
struct wire<std::string> : wire<std::string_view> {};

template <>
struct wire<bytes_view> {
  static constexpr std::string_view name = "bytes";
  static constexpr haft_type tag = HAFT_BYTES;
  using arg = bytes_view;
  using out = bytes;
  static haft_value make(bytes_view x) { return haft_value_bytes(x.data(), x.size()); }
  static bytes_view read(const haft_value &v) { return {v.as.bytes, v.length}; }
};

template <>
struct wire<bytes> : wire<bytes_view> {};

template <class T>
using arg_of = typename wire<T>::arg;
template <class T>
using out_of = typename wire<T>::out;

inline std::string_view type_name(uint32_t type) {
  constexpr std::string_view names[] = {"void", "f64", "i32", "u32", "i64", "bool", "handle", "str", "bytes"};
  return type < sizeof names / sizeof *names ? names[type] : "unknown";
}

/* The two sides do not agree about the type of a result. */
inline failure other_type(uint32_t is, haft_type expected) {
  return {HAFT_E_ABI, "HAFT_E_ABI: the result is " + std::string(type_name(is)) + ", not " +
                          std::string(type_name(expected))};
}

}  // namespace detail

/* One argument for `call`, or for the functions of haft.h. Strings and bytes are borrowed: they must last until the
** call returns. A string literal is a str. */
template <class T>
haft_value arg(const T &x) {
  if constexpr (std::is_convertible_v<const T &, std::string_view>)
    return detail::wire<std::string_view>::make(x);
  else if constexpr (std::is_convertible_v<const T &, bytes_view>)
    return detail::wire<bytes_view>::make(x);
  else
    return detail::wire<T>::make(x);
}

/* Owns a result of any type: frees its memory and releases its handle when it goes. Can be moved and not copied. */
class value {
 public:
  value() noexcept : value_(haft_value_make(HAFT_VOID, 0)) {}

  /* Takes over a result that haft_call, haft_call_many or a completion has. Not for values that were made as
  ** arguments. */
  [[nodiscard]] static value adopt(const haft_value &from) noexcept {
    value made;
    made.value_ = from;
    return made;
  }

  value(value &&other) noexcept : value_(other.release()) {}
  value &operator=(value &&other) noexcept {
    if (this == &other) return *this;
    reset();
    value_ = other.release();
    return *this;
  }
  value(const value &) = delete;
  value &operator=(const value &) = delete;
  ~value() { reset(); }

  haft_type type() const noexcept { return (haft_type)value_.type; }
  const haft_value &get() const noexcept { return value_; }

  /* Gives the ownership away: rules 1 and 4 of haft.h are the caller's now, and this is HAFT_VOID. */
  [[nodiscard]] haft_value release() noexcept { return std::exchange(value_, haft_value_make(HAFT_VOID, 0)); }

  /* The value as exactly this type, else HAFT_E_ABI. std::string_view and bytes_view show the memory of this value and
  ** last as long as it; a haft_handle stays its own; std::string and bytes are copies. */
  template <class T>
  result<T> as() const & {
    using wire = detail::wire<T>;
    static_assert(!std::is_same_v<T, ref>, "haft: a reference leaves a value by take_ref()");
    if (value_.type != wire::tag) return detail::other_type(value_.type, wire::tag);
    const auto read = wire::read(value_);
    if constexpr (std::is_same_v<T, bytes>)
      return bytes(read.begin(), read.end());
    else
      return T(read);
  }
  template <class T>
  result<T> as() && {
    static_assert(!std::is_same_v<T, std::string_view> && !std::is_same_v<T, bytes_view> &&
                      !std::is_same_v<T, haft_handle>,
                  "haft: what this shows ends with the value; keep the value in a variable");
    return static_cast<const value &>(*this).as<T>();
  }

  /* The handle with its reference, which this value has no longer; else HAFT_E_ABI. */
  result<ref> take_ref() {
    if (value_.type != HAFT_HANDLE) return detail::other_type(value_.type, HAFT_HANDLE);
    return ref::adopt(release().as.handle);
  }

 private:
  void reset() noexcept {
    if (value_.type == HAFT_HANDLE && value_.as.handle != HAFT_NULL) detail::give_back(value_.as.handle);
    haft_value_free(&value_);
  }

  haft_value value_;
};

/* haft_call for ops whose types only the run knows:
**     haft::result<haft::value> total = haft::call(counter, add, {haft::arg(2.0)}, 1000); */
inline result<value> call(borrow target, haft_op op, std::initializer_list<haft_value> args, int64_t timeout_ms) {
  haft_value raw = haft_value_make(HAFT_VOID, 0);
  const haft_status status = haft_call(target.get(), op, args.begin(), args.size(), timeout_ms, &raw);
  if (status != HAFT_OK) return failure(status);
  return value::adopt(raw);
}

/* ---- Calls without a waiting thread ------------------------------------------------------------------ */

namespace detail {

/* What a call gives whose function returns R; of an op whose type only the run knows, R is `value`. */
template <class R>
struct answer_type {
  using type = out_of<R>;
};
template <>
struct answer_type<value> {
  using type = value;
};
template <class R>
using answer_of = result<typename answer_type<R>::type>;

template <class R>
answer_of<R> unpack(value answer) {
  if constexpr (std::is_void_v<R>)
    return {};
  else if constexpr (std::is_same_v<R, value>)
    return answer_of<R>(std::move(answer));
  else if constexpr (std::is_same_v<out_of<R>, ref>)
    return answer.take_ref();
  else
    return static_cast<const value &>(answer).as<out_of<R>>();
}

/* Of a call that has ended elsewhere: this thread's latest error says nothing about it. */
inline result<value> ended(haft_status status, const haft_value &raw) {
  value answer = value::adopt(raw);
  if (status == HAFT_OK) return result<value>(std::move(answer));
  return failure(status, answer.type() == HAFT_STR ? answer.as<std::string>().value() : std::string());
}

template <class R>
answer_of<R> unpack(result<value> answer) {
  if (!answer) return failure(answer.status(), answer.error());
  return unpack<R>(std::move(answer).value());
}

/* The end of a call with a callable, which was made for this call and goes with it. */
template <class R, class Done>
void run_done(void *user, haft_status status, haft_value *raw) noexcept {
  const std::unique_ptr<Done> done(static_cast<Done *>(user));
  (*done)(unpack<R>(ended(status, *raw)));
}

template <class R, class Done>
haft_status call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                       Done &&done) {
  using Own = std::decay_t<Done>;
  static_assert(std::is_invocable_v<Own &, answer_of<R>>,
                "haft: the callable takes the result, as in [](haft::result<double> total) {}");
  std::unique_ptr<Own> own(new (std::nothrow) Own(std::forward<Done>(done)));
  if (!own) return HAFT_E_NO_MEMORY;
  const haft_completer completer = {sizeof(haft_completer), run_done<R, Own>, 0, own.get()};
  const haft_status status = haft_call_async(handle, op, args, count, timeout_ms, &completer);
  if (status == HAFT_OK) (void)own.release();  // it may have run and gone by now
  return status;
}

}  // namespace detail

/* A call that has ended, as a queue gives it. */
struct completion {
  void *user;           /* what the call was sent with */
  result<value> answer; /* as haft::call returns it */

  /* The answer of a function that returns R, once: `done.take<double>()`, `done.take<haft::ref>()`,
  ** `done.take<void>()`. HAFT_E_ABI: it is of another type. */
  template <class R>
  detail::answer_of<R> take() {
    return detail::unpack<R>(std::move(answer));
  }
};

/* A queue of completions, open until it goes. Can be moved and not copied.
**     haft::result<haft::queue> opened = haft::queue::open();
**     haft::queue &answers = opened.value();
**     haft_status sent = half.call_async(3, 1000, answers, &request);
**     haft::result<haft::completion> done = answers.next(haft::forever);  // done.value().take<double>() */
class queue {
 public:
  /* None: to send into it is HAFT_E_FORGED. So is one that was moved from or closed. */
  queue() noexcept = default;

  /* Statuses as haft_queue_open. */
  static result<queue> open() {
    queue made;
    const haft_status status = haft_queue_open(&made.queue_, &made.descriptor_);
    if (status != HAFT_OK) return failure(status);
    return result<queue>(std::move(made));
  }

  queue(queue &&other) noexcept
      : queue_(std::exchange(other.queue_, 0)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  queue &operator=(queue &&other) noexcept {
    if (this == &other) return *this;
    close();
    queue_ = std::exchange(other.queue_, 0);
    descriptor_ = std::exchange(other.descriptor_, -1);
    return *this;
  }
  queue(const queue &) = delete;
  queue &operator=(const queue &) = delete;
  ~queue() { close(); }

  explicit operator bool() const noexcept { return queue_ != 0; }
  haft_queue get() const noexcept { return queue_; }

  /* Readable while there is a completion: for poll, epoll or an event loop. Neither read from it nor close it. */
  int descriptor() const noexcept { return descriptor_; }

  /* The oldest completion. HAFT_E_TIMEOUT: there is none; 0 looks and does not wait. */
  result<completion> next(int64_t timeout_ms) const {
    haft_completion raw;
    const haft_status status = haft_queue_next(queue_, timeout_ms, &raw);
    if (status != HAFT_OK) return failure(status);
    return completion{raw.user, detail::ended(raw.status, raw.result)};
  }

  /* Closes it now. Completions that nobody took, and those still to come, are dropped. No other thread may be in
  ** `next` of this object, as when it goes. */
  haft_status close() noexcept {
    if (queue_ == 0) return HAFT_OK;
    descriptor_ = -1;
    return haft_queue_close(std::exchange(queue_, 0));
  }

 private:
  haft_queue queue_ = 0;
  int descriptor_ = -1;
};

namespace detail {

inline haft_status call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                              const queue &into, void *user) {
  /* One that is not open: 0 is no queue, and HAFT_E_FORGED. */
  const haft_completer completer = {sizeof(haft_completer), nullptr, into.get(), user};
  return haft_call_async(handle, op, args, count, timeout_ms, &completer);
}

}  // namespace detail

/* haft_call_async for ops whose types only the run knows. HAFT_OK: the callable will run exactly once, with what
** `call` would have returned; any other status: it never will. It runs on whichever thread ends the call (see
** haft_done in haft.h), maybe before this returns: it must be quick and must not wait. It may be a lambda that owns
** what cannot be copied. An exception that leaves it ends the program.
**     haft_status sent = haft::call_async(counter, add, {haft::arg(2.0)}, 1000,
**                                         [](haft::result<haft::value> total) { ... }); */
template <class Done>
[[nodiscard]] haft_status call_async(borrow target, haft_op op, std::initializer_list<haft_value> args,
                                     int64_t timeout_ms, Done &&done) {
  return detail::call_async<value>(target.get(), op, args.begin(), args.size(), timeout_ms, std::forward<Done>(done));
}

/* The same into a queue. HAFT_OK: it will have a completion with `user`. */
[[nodiscard]] inline haft_status call_async(borrow target, haft_op op, std::initializer_list<haft_value> args,
                                            int64_t timeout_ms, const queue &into, void *user) {
  return detail::call_async(target.get(), op, args.begin(), args.size(), timeout_ms, into, user);
}

/* ---- Waiting, and the state of a realm --------------------------------------------------------------- */

/* haft_serve: on the realm's own thread, handles messages once, or waits for one so long. */
[[nodiscard]] inline haft_status serve(haft_realm realm, int64_t timeout_ms) { return haft_serve(realm, timeout_ms); }

/* Handles messages on the realm's own thread until `done()` is true: before C joins threads that call JavaScript.
**     haft_status served = haft::serve_until(realm, [&] { return running == 0; });
**     for (std::thread &worker : workers) worker.join();
** Looks after messages, after haft::signal, and every 10 ms. HAFT_OK: `done()` is true; HAFT_E_TIMEOUT; else as
** haft_serve. */
template <class Done>
[[nodiscard]] haft_status serve_until(haft_realm realm, Done &&done, int64_t timeout_ms = forever) {
  using clock = std::chrono::steady_clock;
  constexpr int64_t look_again = 10, most = 1000ll * 3600 * 24 * 365;
  const clock::time_point end = clock::now() + std::chrono::milliseconds(timeout_ms < most ? timeout_ms : most);
  for (;;) {
    if (done()) return HAFT_OK;
    int64_t wait = look_again;
    if (timeout_ms >= 0) {
      const int64_t left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
      if (left <= 0 && timeout_ms > 0) return HAFT_E_TIMEOUT;
      wait = left < 0 ? 0 : left < look_again ? left : look_again;
    }
    const haft_status status = haft_serve(realm, wait);
    if (status != HAFT_OK && status != HAFT_E_TIMEOUT) return status;
    if (timeout_ms == 0) return done() ? HAFT_OK : HAFT_E_TIMEOUT;
  }
}

/* While it lives, on the realm's own thread: C waits for something that haft does not know, and calls that would have
** to wait for the realm are HAFT_E_DEADLOCK (haft_blocking). Guards of one realm do not nest.
**     {
**       const haft::blocking guard(realm);
**       library_stop(library);  // joins threads that may be calling JavaScript
**     } */
class blocking {
 public:
  explicit blocking(haft_realm realm) noexcept : realm_(realm), status_(haft_blocking(realm, true)) {}
  ~blocking() {
    if (status_ == HAFT_OK) haft_blocking(realm_, false);
  }
  blocking(const blocking &) = delete;
  blocking &operator=(const blocking &) = delete;

  /* Whether the realm was told. */
  haft_status status() const noexcept { return status_; }

 private:
  haft_realm realm_;
  haft_status status_;
};

/* haft_wait as a result: which of the events, a mask of HAFT_EVENT_*, happened. */
inline result<uint32_t> wait(haft_realm realm, uint32_t events, int64_t timeout_ms) {
  uint32_t happened = 0;
  const haft_status status = haft_wait(realm, events, timeout_ms, &happened);
  if (status != HAFT_OK) return failure(status);
  return happened;
}

/* haft_signal: causes events of the user's, HAFT_EVENT_USER(0) to HAFT_EVENT_USER(7). */
inline haft_status signal(haft_realm realm, uint32_t events) { return haft_signal(realm, events); }

/* haft_counters_read as a result: of one shard, or of all together. */
inline result<haft_counters> counters(haft_realm realm, uint32_t shard = HAFT_ALL_SHARDS) {
  haft_counters now = {};
  now.size = sizeof now;
  const haft_status status = haft_counters_read(realm, shard, &now);
  if (status != HAFT_OK) return failure(status);
  return now;
}

/* ---- Signatures -------------------------------------------------------------------------------------- */

namespace detail {

constexpr uint64_t fnv_basis = 0xcbf29ce484222325u;

constexpr uint64_t fnv(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ (unsigned char)c) * 0x100000001b3u;
  return hash;
}

/* "fn(f64,str):bool", made by the compiler and ended by a NUL. */
template <class R, class... Args>
struct signature {
  static constexpr std::string_view prefix = "fn(";
  static constexpr size_t commas = sizeof...(Args) > 1 ? sizeof...(Args) - 1 : 0;
  static constexpr size_t length =
      prefix.size() + (wire<Args>::name.size() + ... + commas) + 2 + wire<R>::name.size();

  static constexpr std::array<char, length + 1> compose() {
    std::array<char, length + 1> text{};
    size_t at = 0;
    const auto put = [&](std::string_view part) {
      for (const char c : part) text[at++] = c;
    };
    [[maybe_unused]] bool first = true;
    [[maybe_unused]] const auto put_arg = [&](std::string_view name) {
      if (!first) put(",");
      first = false;
      put(name);
    };
    put(prefix);
    (put_arg(wire<Args>::name), ...);
    put("):");
    put(wire<R>::name);
    return text;
  }

  static constexpr std::array<char, length + 1> text = compose();
  static constexpr std::string_view kind_name{text.data(), length};
  static constexpr std::string_view types = kind_name.substr(2);  // "(f64,str):bool"
};

/* The op of plain functions of this signature, looked up until it is found, and then no more: kinds keep their
** numbers for as long as the process lives. */
template <class R, class... Args>
haft_status function_op(haft_op *op) {
  static std::atomic<haft_op> known{0};
  *op = known.load(std::memory_order_relaxed);
  if (*op != 0) return HAFT_OK;
  haft_kind kind = 0;
  haft_status status = haft_kind_find(signature<R, Args...>::text.data(), 0, &kind);
  if (status == HAFT_OK) status = haft_op_find(kind, "call", op);
  if (status == HAFT_OK) known.store(*op, std::memory_order_relaxed);
  return status;
}

/* haft_call with C++ types. */
template <class R, class... Args>
result<out_of<R>> typed_call(haft_handle handle, haft_op op, int64_t timeout_ms, arg_of<Args>... args) {
  const haft_value values[sizeof...(Args) + 1] = {wire<Args>::make(args)..., haft_value_make(HAFT_VOID, 0)};
  if constexpr (std::is_void_v<R>) {
    const haft_status status = haft_call(handle, op, values, sizeof...(Args), timeout_ms, nullptr);
    if (status != HAFT_OK) return failure(status);
    return {};
  } else {
    haft_value raw = haft_value_make(HAFT_VOID, 0);
    const haft_status status = haft_call(handle, op, values, sizeof...(Args), timeout_ms, &raw);
    if (status != HAFT_OK) return failure(status);
    return unpack<R>(value::adopt(raw));
  }
}

template <class... Args>
haft_status typed_post(haft_handle handle, haft_op op, haft_full when_full, arg_of<Args>... args) {
  const haft_value values[sizeof...(Args) + 1] = {wire<Args>::make(args)..., haft_value_make(HAFT_VOID, 0)};
  return haft_post(handle, op, values, sizeof...(Args), when_full);
}

}  // namespace detail

/* One op of a kind, for `fingerprint`. */
template <class Signature>
class op;

template <class R, class... Args>
class op<R(Args...)> {
  static_assert(sizeof...(Args) <= HAFT_ARGS_MAX, "haft: a signature has at most 16 arguments");

 public:
  explicit constexpr op(std::string_view name) : name_(name) {}
  constexpr uint64_t hash(uint64_t before) const {
    return detail::fnv(detail::fnv(before, name_), detail::signature<R, Args...>::types);
  }

 private:
  std::string_view name_;
};

/* The fingerprint of a kind with exactly these ops in this order, for haft_kind_find: a kind that JavaScript defines
** otherwise is HAFT_E_ABI, before the first call.
**     constexpr uint64_t counter = haft::fingerprint(haft::op<double(double)>("add"), haft::op<void()>("reset"));
**     auto kind = haft::kind_find("Counter", counter); */
template <class... Ops>
constexpr uint64_t fingerprint(const Ops &...ops) {
  uint64_t hash = detail::fnv_basis;
  [[maybe_unused]] bool first = true;
  ((hash = ops.hash(first ? hash : detail::fnv(hash, ";")), first = false), ...);
  return hash == 0 ? 1 : hash;
}

/* ---- Functions --------------------------------------------------------------------------------------- */

/* A JavaScript function, as `registry.fn` makes handles for, with its signature in C++:
**     haft::fn<bool(double, std::string_view)>      // a handle of kind "fn(f64,str):bool"
** Owns a reference. Copied it cannot be; share the handle for another. */
template <class Signature>
class fn {
  static_assert(detail::never<Signature>, "haft: fn takes the type of a function, as in haft::fn<double(double)>");
};

template <class R, class... Args>
class fn<R(Args...)> {
  static_assert(sizeof...(Args) <= HAFT_ARGS_MAX, "haft: a signature has at most 16 arguments");

 public:
  using result_type = result<detail::out_of<R>>;
  static constexpr std::string_view kind_name = detail::signature<R, Args...>::kind_name;

  /* Names no function: every call is HAFT_E_FORGED. So does a fn that was moved from. */
  fn() noexcept = default;

  /* Takes the reference over, and checks that it names a function of this signature. `status` says whether it does:
  ** HAFT_E_KIND when it does not, and those of haft_check. */
  explicit fn(ref target) : target_(std::move(target)), status_(detail::function_op<R, Args...>(&op_)) {
    const bool unknown = status_ == HAFT_E_NOT_FOUND;  // nobody has made a function of this signature so far
    if (status_ == HAFT_OK || unknown) status_ = haft_check(target_.get(), HAFT_OP_KIND(op_));
    if (status_ == HAFT_OK && unknown) status_ = HAFT_E_KIND;
  }

  /* The function published under this name. `status` says whether there is one; also as haft_find. */
  static fn find(haft_realm realm, const char *name, int64_t timeout_ms) {
    result<ref> found = haft::find(realm, name, 0, timeout_ms);
    if (found) return fn(std::move(found).value());
    fn none;
    none.status_ = found.status();
    return none;
  }

  explicit operator bool() const noexcept { return status() == HAFT_OK; }
  haft_status status() const noexcept {
    return status_ == HAFT_OK && !target_ ? (haft_status)HAFT_E_FORGED : status_;
  }
  std::string error() const { return *this ? std::string() : why_not().text; }

  /* The handle, which stays this object's. */
  haft_handle get() const noexcept { return target_.get(); }

  /* Calls and waits for the result, `operator()` for ever. Statuses as haft_call, and HAFT_E_KIND. */
  result_type operator()(detail::arg_of<Args>... args) const { return call(args..., forever); }
  result_type call(detail::arg_of<Args>... args, int64_t timeout_ms) const {
    if (!*this) return why_not();
    return detail::typed_call<R, Args...>(target_.get(), op_, timeout_ms, args...);
  }

  /* Calls and goes on: the callable is run with the result, exactly once, or the queue has a completion with `user`;
  ** see haft::call_async. Statuses as haft_call_async, and HAFT_E_KIND: nothing was sent then.
  **     haft_status sent = half.call_async(3, 1000, [](haft::result<double> x) { ... }); */
  template <class Done>
  [[nodiscard]] haft_status call_async(detail::arg_of<Args>... args, int64_t timeout_ms, Done &&done) const {
    if (!*this) return status();
    const haft_value values[] = {detail::wire<Args>::make(args)..., haft_value_make(HAFT_VOID, 0)};
    return detail::call_async<R>(target_.get(), op_, values, sizeof...(Args), timeout_ms, std::forward<Done>(done));
  }
  [[nodiscard]] haft_status call_async(detail::arg_of<Args>... args, int64_t timeout_ms, const queue &into,
                                       void *user) const {
    if (!*this) return status();
    const haft_value values[] = {detail::wire<Args>::make(args)..., haft_value_make(HAFT_VOID, 0)};
    return detail::call_async(target_.get(), op_, values, sizeof...(Args), timeout_ms, into, user);
  }

  /* Sends and goes on. Statuses as haft_post, and HAFT_E_KIND. */
  [[nodiscard]] haft_status post(detail::arg_of<Args>... args, haft_full when_full = HAFT_FAIL) const {
    if (!*this) return status();
    return detail::typed_post<Args...>(target_.get(), op_, when_full, args...);
  }

 private:
  failure why_not() const {
    if (status() != HAFT_E_KIND) return {status(), describe(status())};
    return {HAFT_E_KIND, "HAFT_E_KIND: the handle names no " + std::string(kind_name)};
  }

  ref target_;
  haft_op op_ = 0;
  haft_status status_ = HAFT_E_FORGED;
};

/* ---- Methods ----------------------------------------------------------------------------------------- */

/* One op of a kind, with its signature in C++: calls that method of any object of the kind. Owns nothing.
**     const haft::method<double(double)> add("Counter", "add");
**     haft::result<double> total = add(counter, 2);
** The name of a kind does not say its signatures: what does not fit is found by the call. An argument that does not
** fit is HAFT_E_ARGUMENT, another type of result HAFT_E_ABI; as a signature's result, void takes any. To find it
** before the first call, look the kind up with its `fingerprint`. */
template <class Signature>
class method {
  static_assert(detail::never<Signature>,
                "haft: method takes the type of a function, as in haft::method<double(double)>");
};

template <class R, class... Args>
class method<R(Args...)> {
  static_assert(sizeof...(Args) <= HAFT_ARGS_MAX, "haft: a signature has at most 16 arguments");

 public:
  using result_type = result<detail::out_of<R>>;

  /* Names no method: every call is HAFT_E_OP. */
  method() noexcept = default;

  /* The op of this number, whose signature the caller knows: what a header of `haft header` passes. */
  explicit method(haft_op op) noexcept : op_(op), status_(HAFT_OK) {}

  /* Looks the op up. `status` says whether there is one: HAFT_E_NOT_FOUND without the kind, HAFT_E_OP without the
  ** op. */
  method(haft_kind kind, const char *name) : status_(haft_op_find(kind, name, &op_)) {}
  method(const char *kind_name, const char *name) {
    haft_kind kind = 0;
    status_ = haft_kind_find(kind_name, 0, &kind);
    if (status_ == HAFT_OK) status_ = haft_op_find(kind, name, &op_);
  }

  explicit operator bool() const noexcept { return status_ == HAFT_OK; }
  haft_status status() const noexcept { return status_; }
  haft_op op() const noexcept { return op_; }

  /* As those of `fn`, with the object first. HAFT_E_KIND: it is of another kind. */
  result_type operator()(borrow target, detail::arg_of<Args>... args) const { return call(target, args..., forever); }
  result_type call(borrow target, detail::arg_of<Args>... args, int64_t timeout_ms) const {
    if (!*this) return failure(status_, describe(status_));
    return detail::typed_call<R, Args...>(target.get(), op_, timeout_ms, args...);
  }
  template <class Done>
  [[nodiscard]] haft_status call_async(borrow target, detail::arg_of<Args>... args, int64_t timeout_ms,
                                       Done &&done) const {
    if (!*this) return status_;
    const haft_value values[] = {detail::wire<Args>::make(args)..., haft_value_make(HAFT_VOID, 0)};
    return detail::call_async<R>(target.get(), op_, values, sizeof...(Args), timeout_ms, std::forward<Done>(done));
  }
  [[nodiscard]] haft_status call_async(borrow target, detail::arg_of<Args>... args, int64_t timeout_ms,
                                       const queue &into, void *user) const {
    if (!*this) return status_;
    const haft_value values[] = {detail::wire<Args>::make(args)..., haft_value_make(HAFT_VOID, 0)};
    return detail::call_async(target.get(), op_, values, sizeof...(Args), timeout_ms, into, user);
  }
  [[nodiscard]] haft_status post(borrow target, detail::arg_of<Args>... args, haft_full when_full = HAFT_FAIL) const {
    if (!*this) return status_;
    return detail::typed_post<Args...>(target.get(), op_, when_full, args...);
  }

 private:
  haft_op op_ = 0;
  haft_status status_ = HAFT_E_OP;
};

}  // namespace v1
}  // namespace haft

#endif
