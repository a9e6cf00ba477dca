/* Section 6: values, in and out, and who owns them. */
#include "suite.h"

#include <math.h>

static haft_value echoed(const char *op, haft_value in) {
  haft_value out;
  memset(&out, 0x55, sizeof out);
  EXPECT(call(target("echo", op), &in, 1, &out), HAFT_OK);
  EQUAL(out.type, in.type);
  return out;
}

CASE(6, 1, BOTH, "f64: every double goes in and out unchanged, NaN and -0 as well.") {
  const double numbers[] = {0.0, -0.0, 1.5, -1e308, 5e-324, INFINITY, -INFINITY, 9007199254740993.0, 4503599627370496.0};
  for (size_t i = 0; i < COUNT(numbers); i++) {
    const haft_value out = echoed("f64", haft_value_f64(numbers[i]));
    CHECK(memcmp(&out.as.f64, &numbers[i], sizeof(double)) == 0);
    EQUAL(out.length, 0);
  }
  CHECK(isnan(echoed("f64", haft_value_f64(NAN)).as.f64));
}

CASE(6, 2, BOTH, "i32 and u32 go in and out unchanged.") {
  const int32_t numbers[] = {0, 1, -1, 65536, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < COUNT(numbers); i++) {
    EQUAL(echoed("i32", haft_value_i32(numbers[i])).as.i32, numbers[i]);
    EQUAL(echoed("u32", haft_value_u32((uint32_t)numbers[i])).as.u32, (uint32_t)numbers[i]);
  }
}

CASE(6, 3, BOTH, "i64 goes in and out unchanged, beyond 2^53 as well.") {
  const int64_t numbers[] = {0, 1, -1, INT64_MAX, INT64_MIN, (1ll << 53) + 1, -(1ll << 53) - 1, 1ll << 62};
  for (size_t i = 0; i < COUNT(numbers); i++) CHECK(echoed("i64", haft_value_i64(numbers[i])).as.i64 == numbers[i]);
}

CASE(6, 4, BOTH, "bool goes in and out unchanged.") {
  CHECK(echoed("bool", haft_value_bool(true)).as.b == true);
  CHECK(echoed("bool", haft_value_bool(false)).as.b == false);
}

CASE(6, 5, BOTH, "void is undefined in JavaScript: the result is HAFT_VOID, of length 0.") {
  haft_value out;
  memset(&out, 0x55, sizeof out);
  EXPECT(call(target("echo", "nothing"), NULL, 0, &out), HAFT_OK);
  EQUAL(out.type, HAFT_VOID);
  EQUAL(out.length, 0);
}

CASE(6, 6, BOTH, "In JavaScript f64, i32 and u32 are numbers, i64 a bigint, bool a boolean, str a string, bytes a Uint8Array.") {
  const haft_value args[] = {haft_value_f64(1.5), haft_value_i32(-2), haft_value_u32(4294967295u), haft_value_i64(INT64_MIN),
                             haft_value_bool(true), haft_value_str("gr\xc3\xbcn", 5), haft_value_bytes("\0\xff", 2)};
  haft_value out;
  EXPECT(call(target("echo", "types"), args, COUNT(args), &out), HAFT_OK);
  TEXT(out.as.str, "number 1.5, number -2, number 4294967295, bigint -9223372036854775808, boolean true, "
                   "string gr\xc3\xbcn, Uint8Array 2");
  haft_value_free(&out);
}

CASE(6, 7, BOTH, "In JavaScript a handle is a number.") {
  const haft_value arg = haft_value_handle(target("counter", "add").handle);
  haft_value out;
  EXPECT(call(target("echo", "typeOfHandle"), &arg, 1, &out), HAFT_OK);
  TEXT(out.as.str, "number");
  haft_value_free(&out);
}

/* ---- Strings and bytes ---- */

static void same(const char *op, haft_value in) {
  haft_value out = echoed(op, in);
  EQUAL(out.length, in.length);
  CHECK(in.length == 0 || memcmp(out.as.bytes, in.as.bytes, in.length) == 0);
  if (in.type == HAFT_STR) EQUAL(out.as.str[out.length], 0);
  haft_value_free(&out);
}

CASE(6, 8, BOTH, "Strings are UTF-8 and counted: they may contain NUL; of a result one more follows, which `length` does not count.") {
#define SAME(literal) same("str", haft_value_str(literal, sizeof literal - 1))
  SAME("");
  SAME("a");
  SAME("\0");
  SAME("a\0b\0");
  SAME("gr\xc3\xbcn");
  SAME("\xef\xbb\xbfwith a byte order mark");
  SAME("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x90\xa2 \xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80");
  SAME("\xc3\xbf\xc4\x80");
}

CASE(6, 9, BOTH, "A string or bytes of length 0 may be NULL.") {
  same("str", haft_value_str(NULL, 0));
  same("bytes", haft_value_bytes(NULL, 0));
}

CASE(6, 10, BOTH, "Strings and bytes of every length up to 200, and round the powers of 2 after that, go in and out.") {
  static char buffer[70000];
  for (size_t i = 0; i < sizeof buffer; i++) buffer[i] = (char)('a' + i % 23);
  for (size_t n = 0; n <= 200; n++) same("bytes", haft_value_bytes(buffer, n));
  for (size_t n = 0; n <= 200; n++) same("str", haft_value_str(buffer, n));
  for (size_t n = 256; n <= 65536; n *= 2) {
    for (size_t d = 0; d < 3; d++) {
      same("bytes", haft_value_bytes(buffer, n - 1 + d));
      same("str", haft_value_str(buffer, n - 1 + d));
    }
  }
}

CASE(6, 11, BOTH, "HAFT_PAYLOAD_MAX bytes go in one call, and come in one result.") {
  static char big[HAFT_PAYLOAD_MAX];
  for (size_t i = 0; i < sizeof big; i++) big[i] = (char)('a' + i % 23);
  same("bytes", haft_value_bytes(big, sizeof big));
  same("str", haft_value_str(big, sizeof big));
}

CASE(6, 12, BOTH, "A result beyond HAFT_PAYLOAD_MAX is HAFT_E_TOO_LARGE.") {
  const haft_value most = haft_value_f64(HAFT_PAYLOAD_MAX), more = haft_value_f64(HAFT_PAYLOAD_MAX + 1.0);
  haft_value out;
  EXPECT(call(target("echo", "textOf"), &most, 1, &out), HAFT_OK);
  EQUAL(out.length, HAFT_PAYLOAD_MAX);
  haft_value_free(&out);
  EXPECT(call(target("echo", "textOf"), &more, 1, &out), HAFT_E_TOO_LARGE);
  EQUAL(out.type, HAFT_VOID);
  EXPECT(call(target("echo", "bytesOf"), &more, 1, &out), HAFT_E_TOO_LARGE);
}

CASE(6, 13, BOTH, "A string longer than 4 GiB - 1 is cut to a length that is refused as HAFT_E_TOO_LARGE.") {
  const haft_value in = haft_value_str("x", (size_t)1 << 32), bytes = haft_value_bytes("x", SIZE_MAX);
  EQUAL(in.length, UINT32_MAX);
  EXPECT(call(target("echo", "str"), &in, 1, NULL), HAFT_E_TOO_LARGE);
  EXPECT(call(target("echo", "bytes"), &bytes, 1, NULL), HAFT_E_TOO_LARGE);
}

CASE(6, 14, BOTH, "Nobody lends memory to JavaScript: bytes are a copy.") {
  char mine[600];
  memset(mine, 7, sizeof mine);
  const haft_value arg = haft_value_bytes(mine, sizeof mine);
  EXPECT(call(target("echo", "change"), &arg, 1, NULL), HAFT_OK); /* fills what it has with 0 */
  for (size_t i = 0; i < sizeof mine; i++) EQUAL(mine[i], 7);
}

/* ---- Many arguments ---- */

CASE(6, 15, BOTH, "HAFT_ARGS_MAX arguments arrive in their order.") {
  haft_value args[HAFT_ARGS_MAX], out;
  for (int i = 0; i < HAFT_ARGS_MAX; i++) args[i] = haft_value_i32(i * 11);
  EXPECT(call(target("echo", "sixteen"), args, HAFT_ARGS_MAX, &out), HAFT_OK);
  TEXT(out.as.str, "0,11,22,33,44,55,66,77,88,99,110,121,132,143,154,165");
  haft_value_free(&out);
}

CASE(6, 16, BOTH, "Arguments of all types in one message arrive whole.") {
  const haft_value args[] = {
      haft_value_f64(0.5), haft_value_i32(-1), haft_value_u32(3000000000u), haft_value_i64(1ll << 60), haft_value_bool(false),
      haft_value_str("ab", 2), haft_value_bytes("\1\2", 2), haft_value_f64(-2), haft_value_i32(7), haft_value_u32(8),
      haft_value_i64(-9), haft_value_bool(true), haft_value_str("\xc3\xbc", 2), haft_value_bytes("\3", 1)};
  haft_value out;
  EXPECT(call(target("echo", "mixed"), args, COUNT(args), &out), HAFT_OK);
  TEXT(out.as.str, "0.5 -1 3000000000 1152921504606846976 false ab 1.2 -2 7 8 -9 true \xc3\xbc 3");
  haft_value_free(&out);
}

/* ---- Handles, and who owns them ---- */

CASE(6, 17, BOTH, "Rule 1: a handle that a call returns carries one reference, which the receiver gives back.") {
  const haft_handle h = make("counter");
  const haft_value out = echoed("handle", haft_value_handle(h)); /* JavaScript adds one, and gives it away */
  CHECK(out.as.handle == h);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_release(out.as.handle), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(6, 18, BOTH, "Rule 1: where nobody receives the handle that a handler returns, haft gives its reference back.") {
  const haft_handle h = make("counter");
  const haft_value in = haft_value_handle(h);
  EXPECT(call(target("echo", "handle"), &in, 1, NULL), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(6, 19, BOTH, "Rule 2: a handle passed as an argument is borrowed; the callee retains it to keep it longer.") {
  const haft_handle h = make("counter");
  const haft_value arg = haft_value_handle(h);
  EXPECT(call(target("echo", "typeOfHandle"), &arg, 1, NULL), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  tell_handle("maker", "retain", h);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  tell_handle("maker", "release", h);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(6, 20, BOTH, "HAFT_NULL, as an argument or a result of type HAFT_HANDLE, stands for no object.") {
  haft_value out = echoed("handle", haft_value_handle(HAFT_NULL));
  CHECK(out.as.handle == HAFT_NULL);
  EXPECT(call(target("echo", "none"), NULL, 0, &out), HAFT_OK);
  EQUAL(out.type, HAFT_HANDLE);
  CHECK(out.as.handle == HAFT_NULL);
}

CASE(6, 21, BOTH, "Rule 4: a result of type HAFT_STR or HAFT_BYTES is memory of the receiver, whatever happens after.") {
  enum { MANY = 20 };
  haft_value texts[MANY];
  for (int i = 0; i < MANY; i++) {
    const haft_value length = haft_value_f64(i * 700);
    EXPECT(call(target("echo", i % 2 ? "textOf" : "bytesOf"), &length, 1, &texts[i]), HAFT_OK);
  }
  for (int i = 0; i < MANY; i++) {
    EQUAL(texts[i].length, i * 700);
    for (uint32_t k = 0; k < texts[i].length; k++) EQUAL(texts[i].as.str[k], i % 2 ? 'x' : 7);
    ((char *)(uintptr_t)texts[i].as.bytes)[0] = 1; /* ours to write */
    haft_value_free(&texts[i]);
  }
}

CASE(6, 22, BOTH, "haft_value_free frees a result and makes it HAFT_VOID; NULL is allowed, and so is what is freed already.") {
  haft_value out = echoed("str", text("some text"));
  haft_value_free(&out);
  EQUAL(out.type, HAFT_VOID);
  haft_value_free(&out);
  EQUAL(out.type, HAFT_VOID);
  haft_value_free(NULL);
}

CASE(6, 23, BOTH, "haft_value_free does not release a handle.") {
  const haft_handle h = make("counter");
  haft_value out = echoed("handle", haft_value_handle(h));
  haft_value_free(&out);
  EQUAL(out.type, HAFT_VOID);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_E_STALE);
}

static void free_there(void *value) { haft_value_free(value); }
CASE(6, 24, FOREIGN, "A result of one thread may be freed by another.") {
  static Thread other;
  static haft_value out;
  out = echoed("str", text("freed elsewhere"));
  begin_thread(&other, free_there, &out);
  end_thread(&other);
  EQUAL(out.type, HAFT_VOID);
}

CASE(6, 25, BOTH, "From HAFTCHECK=1 on haft_value_free leaves alone what is no result, or was freed: HAFT_E_OWNER, pointer rule 4.") {
  if (haft_check_level() < 1) return;
  char mine[] = "mine";
  const Target echo = target("echo", "str");
  haft_value own = haft_value_str(mine, 4), arg = text("a result"), result;
  haft_value_free(&own);
  EQUAL(own.type, HAFT_VOID);
  EQUAL(haft_last_error()->status, HAFT_E_OWNER);
  TEXT(mine, "mine");
  EXPECT(call(echo, &arg, 1, &result), HAFT_OK);
  haft_value copy = result;
  haft_value_free(&result);
  haft_value_free(&copy);
  EQUAL(copy.type, HAFT_VOID);
  EQUAL(haft_last_error()->status, HAFT_E_OWNER);
  if (haft_last_error()->size > offsetof(haft_error, rule)) EQUAL(haft_last_error()->rule, 4);
}

CASE(6, 26, BOTH, "From HAFTCHECK=1 on a message with another number of arguments is refused at once: HAFT_E_ARGUMENT, pointer rule 7.") {
  const Target add = make_counter("add");
  const haft_value two[] = {haft_value_f64(1), haft_value_f64(2)};
  if (haft_check_level() < 1) return;
  EXPECT(haft_post(add.handle, add.op, two, 2, HAFT_FAIL), HAFT_E_ARGUMENT);
  EQUAL(haft_last_error()->rule, 7);
  EXPECT(haft_post(add.handle, add.op, NULL, 0, HAFT_FAIL), HAFT_E_ARGUMENT);
  TEXT(haft_last_error()->message, "Counter.add takes 1 argument, not 0");
}
