/* Written by `haft header` from the kinds of a module: change them, not this file. docs/header.md is the manual.
** In C++ it needs C++17, and has a class for each kind beside what C has. */
#include <haft_typed.h>
#ifdef __cplusplus
#include <haft.hpp>
#endif

/* ---- Counter ------------------------------------------------------------------------------------------- */

#if defined(HAFT_HEADER_COUNTER) && HAFT_HEADER_COUNTER != 0x4b0fb78297a5757bu
#error "two headers declare counter, and not the same one: write them anew, one with --prefix"
#elif !defined(HAFT_HEADER_COUNTER)
#define HAFT_HEADER_COUNTER 0x4b0fb78297a5757bu

#define COUNTER_KIND_NAME "Counter"
#define COUNTER_KIND_SIGNATURES \
  "add(f64):f64;" \
  "describe(str):str;" \
  "reset():void"
#define COUNTER_KIND_FINGERPRINT 0x3e00da5d5ee72147u

/* A handle of an object of this kind. The compiler tells it from those of other kinds; to copy it adds no
** reference. */
typedef struct counter {
  haft_handle handle;
} counter;

/* The positions of the ops: counter_op makes an op of one. */
enum {
  COUNTER_ADD = 0,
  COUNTER_DESCRIBE = 1,
  COUNTER_RESET = 2
};

HAFT_TYPED_SHARED haft_kind counter_known = 0;

/* The op at a position, for the functions of haft.h. Statuses as counter_bind. Nothing is owned, on any
** thread. */
static inline haft_status counter_op(uint32_t position, haft_op *op) {
  static const char signatures[] = COUNTER_KIND_SIGNATURES;
  haft_kind kind;
  const haft_status status = haft_typed_bind(&counter_known, COUNTER_KIND_NAME, signatures,
      COUNTER_KIND_FINGERPRINT, &kind);
  *op = HAFT_OP(kind, position);
  return status;
}
/* Looks the kind up, once a library; every function here does it by itself. HAFT_E_NOT_FOUND: JavaScript has
** made no object of this kind so far; HAFT_E_ABI: the kind has other ops than this header, and
** haft_last_error()->message names the first that differs; HAFT_E_UNSUPPORTED: before HAFT_PLUGIN. */
static inline haft_status counter_bind(void) {
  haft_op op;
  return counter_op(0, &op);
}
/* The handle as one of this kind, if it is one. Adds no reference and takes none. Statuses as haft_check and
** counter_bind; on any error `self->handle` is HAFT_NULL. */
static inline haft_status counter_from(haft_handle handle, struct counter *self) {
  haft_op op;
  const haft_status bound = counter_op(0, &op);
  const haft_status status = haft_typed_check(bound, handle, HAFT_OP_KIND(op));
  self->handle = status == HAFT_OK ? handle : HAFT_NULL;
  return status;
}
/* What JavaScript published under `name`, with a reference, which is the caller's: counter_release. Statuses
** as haft_find and counter_from; on any error `self->handle` is HAFT_NULL. */
static inline haft_status counter_find(haft_realm realm, const char *name, int64_t timeout_ms, struct counter *self) {
  haft_handle found = HAFT_NULL;
  haft_status status = haft_find(realm, name, 0, timeout_ms, &found);
  self->handle = HAFT_NULL;
  if (status != HAFT_OK) return status;
  status = counter_from(found, self);
  if (status != HAFT_OK) haft_release(found);
  return status;
}
/* Adds one reference, and gives one back. Statuses as haft_retain and haft_release. */
static inline haft_status counter_retain(counter self) {
  return haft_retain(self.handle);
}
static inline haft_status counter_release(counter self) {
  return haft_release(self.handle);
}

/* add(f64):f64: calls, and waits. Statuses as haft_call and counter_bind. NULL for `result` drops it; on any
** error it is 0 or empty. */
static inline haft_status counter_add(counter self, double arg1, int64_t timeout_ms, double *result) {
  const haft_value args[] = {haft_value_f64(arg1)};
  haft_op op;
  haft_value raw = haft_value_make(HAFT_VOID, 0);
  haft_status status = counter_op(COUNTER_ADD, &op);
  if (status == HAFT_OK) status = haft_call(self.handle, op, args, 1, timeout_ms, result ? &raw : NULL);
  return haft_take_f64(status, &raw, result);
}
/* Posts, and goes on. Statuses as haft_post and counter_bind. Nobody has anything to free. */
static inline haft_status counter_add_post(counter self, double arg1, haft_full when_full) {
  const haft_value args[] = {haft_value_f64(arg1)};
  haft_op op;
  const haft_status status = counter_op(COUNTER_ADD, &op);
  return status == HAFT_OK ? haft_post(self.handle, op, args, 1, when_full) : status;
}
/* Calls, and goes on. Statuses as haft_call_async and counter_bind: HAFT_OK, and the completer hears of it
** once. counter_add_result reads what it is given. */
static inline haft_status counter_add_async(counter self, double arg1, int64_t timeout_ms,
    const haft_completer *completer) {
  const haft_value args[] = {haft_value_f64(arg1)};
  haft_op op;
  const haft_status status = counter_op(COUNTER_ADD, &op);
  if (status != HAFT_OK) return status;
  return haft_call_async(self.handle, op, args, 1, timeout_ms, completer);
}
/* What counter_add_async has ended with: `status` and `*from` are the completion's. Returns `status`. Unless
** it is HAFT_OK, `*from` stays as it is, with the text that says why: haft_value_free. */
static inline haft_status counter_add_result(haft_status status, haft_value *from, double *result) {
  return haft_take_f64(status, from, result);
}

/* describe(str):str: calls, and waits. Statuses as haft_call and counter_bind. Memory is copied. The result
** is the caller's: haft_str_free. NULL for `result` drops it; on any error it is 0 or empty. */
static inline haft_status counter_describe(counter self, const char *arg1, size_t arg1_length,
    int64_t timeout_ms, haft_str *result) {
  const haft_value args[] = {haft_value_str(arg1, arg1_length)};
  haft_op op;
  haft_value raw = haft_value_make(HAFT_VOID, 0);
  haft_status status = counter_op(COUNTER_DESCRIBE, &op);
  if (status == HAFT_OK) status = haft_call(self.handle, op, args, 1, timeout_ms, result ? &raw : NULL);
  return haft_take_str(status, &raw, result);
}
/* Posts, and goes on. Statuses as haft_post and counter_bind. Memory is copied. Nobody has anything to
** free. */
static inline haft_status counter_describe_post(counter self, const char *arg1, size_t arg1_length,
    haft_full when_full) {
  const haft_value args[] = {haft_value_str(arg1, arg1_length)};
  haft_op op;
  const haft_status status = counter_op(COUNTER_DESCRIBE, &op);
  return status == HAFT_OK ? haft_post(self.handle, op, args, 1, when_full) : status;
}
/* Calls, and goes on. Statuses as haft_call_async and counter_bind: HAFT_OK, and the completer hears of it
** once. Memory is copied. counter_describe_result reads what it is given. */
static inline haft_status counter_describe_async(counter self, const char *arg1, size_t arg1_length,
    int64_t timeout_ms, const haft_completer *completer) {
  const haft_value args[] = {haft_value_str(arg1, arg1_length)};
  haft_op op;
  const haft_status status = counter_op(COUNTER_DESCRIBE, &op);
  if (status != HAFT_OK) return status;
  return haft_call_async(self.handle, op, args, 1, timeout_ms, completer);
}
/* What counter_describe_async has ended with: `status` and `*from` are the completion's. Returns `status`.
** The result is the receiver's: haft_str_free. Unless it is HAFT_OK, `*from` stays as it is, with the text
** that says why: haft_value_free. */
static inline haft_status counter_describe_result(haft_status status, haft_value *from, haft_str *result) {
  return haft_take_str(status, from, result);
}

/* reset():void: calls, and waits. Statuses as haft_call and counter_bind. */
static inline haft_status counter_reset(counter self, int64_t timeout_ms) {
  haft_op op;
  haft_status status = counter_op(COUNTER_RESET, &op);
  if (status == HAFT_OK) status = haft_call(self.handle, op, NULL, 0, timeout_ms, NULL);
  return status;
}
/* Posts, and goes on. Statuses as haft_post and counter_bind. Nobody has anything to free. */
static inline haft_status counter_reset_post(counter self, haft_full when_full) {
  haft_op op;
  const haft_status status = counter_op(COUNTER_RESET, &op);
  return status == HAFT_OK ? haft_post(self.handle, op, NULL, 0, when_full) : status;
}
/* Calls, and goes on. Statuses as haft_call_async and counter_bind: HAFT_OK, and the completer hears of it
** once. The result has nothing to free. */
static inline haft_status counter_reset_async(counter self, int64_t timeout_ms,
    const haft_completer *completer) {
  haft_op op;
  const haft_status status = counter_op(COUNTER_RESET, &op);
  if (status != HAFT_OK) return status;
  return haft_call_async(self.handle, op, NULL, 0, timeout_ms, completer);
}

#ifdef __cplusplus
/* Owns a reference to an object of this kind, or none: then every call is HAFT_E_FORGED. Can be moved and not copied. */
class Counter {
 public:
  Counter() noexcept = default;

  /* Takes the reference over, if it is one to an object of this kind. Statuses as counter_from. */
  static haft::result<Counter> from(haft::ref target) {
    ::counter self;
    const haft_status status = ::counter_from(target.get(), &self);
    if (status != HAFT_OK) return haft::failure(status);
    return Counter(std::move(target));
  }

  /* What JavaScript published under `name`. Statuses as counter_find. */
  static haft::result<Counter> find(haft_realm realm, const char *name, int64_t timeout_ms) {
    haft::result<haft::ref> found = haft::find(realm, name, 0, timeout_ms);
    if (!found) return haft::failure(found.status(), found.error());
    return from(std::move(found).value());
  }

  /* The handle, which stays this object's, and its reference: to share, to follow, or to give away. */
  haft_handle get() const noexcept { return reference_.get(); }
  haft::ref &reference() noexcept { return reference_; }
  explicit operator bool() const noexcept { return (bool)reference_; }

  /* add(f64):f64, as counter_add, which says errors and ownership. */
  haft::result<double> add(double arg1, int64_t timeout_ms = haft::forever) const {
    return method<double(double)>(COUNTER_ADD).call(reference_, arg1, timeout_ms);
  }
  [[nodiscard]] haft_status post_add(double arg1, haft_full when_full = HAFT_FAIL) const {
    return method<double(double)>(COUNTER_ADD).post(reference_, arg1, when_full);
  }
  template <class Done>
  [[nodiscard]] haft_status async_add(double arg1, int64_t timeout_ms, Done &&done) const {
    return method<double(double)>(COUNTER_ADD)
        .call_async(reference_, arg1, timeout_ms, std::forward<Done>(done));
  }
  [[nodiscard]] haft_status async_add(double arg1, int64_t timeout_ms, const haft::queue &into,
      void *user) const {
    return method<double(double)>(COUNTER_ADD).call_async(reference_, arg1, timeout_ms, into, user);
  }

  /* describe(str):str, as counter_describe, which says errors and ownership. */
  haft::result<std::string> describe(std::string_view arg1, int64_t timeout_ms = haft::forever) const {
    return method<std::string(std::string)>(COUNTER_DESCRIBE).call(reference_, arg1, timeout_ms);
  }
  [[nodiscard]] haft_status post_describe(std::string_view arg1, haft_full when_full = HAFT_FAIL) const {
    return method<std::string(std::string)>(COUNTER_DESCRIBE).post(reference_, arg1, when_full);
  }
  template <class Done>
  [[nodiscard]] haft_status async_describe(std::string_view arg1, int64_t timeout_ms, Done &&done) const {
    return method<std::string(std::string)>(COUNTER_DESCRIBE)
        .call_async(reference_, arg1, timeout_ms, std::forward<Done>(done));
  }
  [[nodiscard]] haft_status async_describe(std::string_view arg1, int64_t timeout_ms, const haft::queue &into,
      void *user) const {
    return method<std::string(std::string)>(COUNTER_DESCRIBE)
        .call_async(reference_, arg1, timeout_ms, into, user);
  }

  /* reset():void, as counter_reset, which says errors and ownership. */
  haft::result<void> reset(int64_t timeout_ms = haft::forever) const {
    return method<void()>(COUNTER_RESET).call(reference_, timeout_ms);
  }
  [[nodiscard]] haft_status post_reset(haft_full when_full = HAFT_FAIL) const {
    return method<void()>(COUNTER_RESET).post(reference_, when_full);
  }
  template <class Done>
  [[nodiscard]] haft_status async_reset(int64_t timeout_ms, Done &&done) const {
    return method<void()>(COUNTER_RESET).call_async(reference_, timeout_ms, std::forward<Done>(done));
  }
  [[nodiscard]] haft_status async_reset(int64_t timeout_ms, const haft::queue &into, void *user) const {
    return method<void()>(COUNTER_RESET).call_async(reference_, timeout_ms, into, user);
  }

 private:
  explicit Counter(haft::ref target) noexcept : reference_(std::move(target)) {}

  /* Known since there is an object; of one that names nothing, haft looks at the handle first. */
  template <class Signature>
  static haft::method<Signature> method(uint32_t position) {
    haft_op op = 0;
    (void)::counter_op(position, &op);
    return haft::method<Signature>(op);
  }

  haft::ref reference_;
};
#endif
#endif
