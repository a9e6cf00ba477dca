/* Values: of all types, in and out; how many; strings and bytes of all sizes; what does not fit. */
#include "check.h"

#include <math.h>

#define MIB (1024u * 1024u)

static haft_value i32(int32_t x) { return haft_value_i32(x); }

/* The text that JavaScript made of its arguments. */
static void says(Target t, const haft_value *args, size_t count, const char *wanted, int line) {
  haft_value result;
  EXPECT(call(t, args, count, &result), HAFT_OK);
  if (result.type != HAFT_STR || result.length != strlen(wanted) || strcmp(result.as.str, wanted) != 0) {
    char what[600];
    snprintf(what, sizeof what, "got \"%.*s\", not \"%s\"", result.type == HAFT_STR ? (int)result.length : 1,
             result.type == HAFT_STR ? result.as.str : "?", wanted);
    failed(__FILE__, line, what);
  }
  haft_value_free(&result);
  CHECK(result.type == HAFT_VOID);
}
#define SAYS(t, value, wanted)                 \
  do {                                         \
    haft_value argument = value;               \
    says(t, &argument, 1, wanted, __LINE__);   \
  } while (0)

static void numbers(void) {
  const double doubles[] = {0.0, -0.0, 1.5, -1e308, 5e-324, INFINITY, -INFINITY, 9007199254740993.0};
  const int32_t ints[] = {0, 1, -1, INT32_MAX, INT32_MIN};
  const int64_t longs[] = {0, -1, INT64_MAX, INT64_MIN, 1ll << 53};
  haft_value in, out;
  for (size_t i = 0; i < COUNT(doubles); i++) {
    in = haft_value_f64(doubles[i]);
    EXPECT(call(function("echo f64"), &in, 1, &out), HAFT_OK);
    CHECK(out.type == HAFT_F64 && memcmp(&out.as.f64, &doubles[i], 8) == 0 && out.length == 0);
  }
  in = haft_value_f64(NAN);
  EXPECT(call(function("echo f64"), &in, 1, &out), HAFT_OK);
  CHECK(out.type == HAFT_F64 && isnan(out.as.f64));
  for (size_t i = 0; i < COUNT(ints); i++) {
    in = haft_value_i32(ints[i]);
    EXPECT(call(function("echo i32"), &in, 1, &out), HAFT_OK);
    CHECK(out.type == HAFT_I32 && out.as.i32 == ints[i]);
    in = haft_value_u32((uint32_t)ints[i]);
    EXPECT(call(function("echo u32"), &in, 1, &out), HAFT_OK);
    CHECK(out.type == HAFT_U32 && out.as.u32 == (uint32_t)ints[i]);
  }
  for (size_t i = 0; i < COUNT(longs); i++) {
    in = haft_value_i64(longs[i]);
    EXPECT(call(function("echo i64"), &in, 1, &out), HAFT_OK);
    CHECK(out.type == HAFT_I64 && out.as.i64 == longs[i]);
  }
  for (int i = 0; i < 2; i++) {
    in = haft_value_bool(i);
    EXPECT(call(function("echo bool"), &in, 1, &out), HAFT_OK);
    CHECK(out.type == HAFT_BOOL && out.as.b == (bool)i);
  }
  SAYS(function("show f64"), haft_value_f64(1.5), "number 1.5");
  SAYS(function("show i32"), haft_value_i32(-7), "number -7");
  SAYS(function("show u32"), haft_value_u32(4294967295u), "number 4294967295");
  SAYS(function("show i64"), haft_value_i64(INT64_MIN), "bigint -9223372036854775808");
  SAYS(function("show bool"), haft_value_bool(true), "boolean true");
  EXPECT(call(function("nothing"), NULL, 0, &out), HAFT_OK);
  CHECK(out.type == HAFT_VOID && out.length == 0);
}

static void handles(void) {
  const haft_handle mine = make("live");
  haft_value in = haft_value_handle(mine), out;
  /* A handle that is returned carries one reference. */
  EXPECT(call(function("retained"), &in, 1, &out), HAFT_OK);
  CHECK(out.type == HAFT_HANDLE && out.as.handle == mine);
  EXPECT(haft_release(mine), HAFT_OK);
  EXPECT(haft_release(mine), HAFT_OK);
  EXPECT(haft_release(mine), HAFT_E_STALE);
  /* With the result not wanted, the reference is given back. */
  const haft_handle dropped = make("live");
  in = haft_value_handle(dropped);
  EXPECT(call(function("retained"), &in, 1, NULL), HAFT_OK);
  EXPECT(haft_release(dropped), HAFT_OK);
  EXPECT(haft_check(dropped, 0), HAFT_E_STALE);
  EXPECT(call(function("no handle"), NULL, 0, &out), HAFT_OK);
  CHECK(out.type == HAFT_HANDLE && out.as.handle == HAFT_NULL);
}

/* Numbers stand for one another where nothing is lost; all else is HAFT_E_ARGUMENT, which names the argument. */
static void conversions(void) {
  haft_value out;
  SAYS(function("show f64"), haft_value_i32(-5), "number -5");
  SAYS(function("show f64"), haft_value_u32(4294967295u), "number 4294967295");
  SAYS(function("show i32"), haft_value_f64(-5), "number -5");
  SAYS(function("show i32"), haft_value_u32(5), "number 5");
  SAYS(function("show u32"), haft_value_i32(5), "number 5");
  SAYS(function("show u32"), haft_value_f64(4294967295.0), "number 4294967295");
  struct {
    const char *name;
    haft_value value;
    const char *says;
  } misfits[] = {
      {"show i32", haft_value_f64(0.5), "argument 1 of fn(i32):str.call is f64, not i32"},
      {"show i32", haft_value_f64(NAN), "is f64, not i32"},
      {"show i32", haft_value_f64(2147483648.0), "is f64, not i32"},
      {"show i32", haft_value_u32(2147483648u), "is u32, not i32"},
      {"show u32", haft_value_i32(-1), "is i32, not u32"},
      {"show u32", haft_value_f64(4294967296.0), "is f64, not u32"},
      {"show u32", haft_value_bool(true), "is bool, not u32"},
      {"show f64", text("1"), "is str, not f64"},
      {"show f64", haft_value_handle(function("make").handle), "is handle, not f64"},
      {"show bool", haft_value_i32(1), "is i32, not bool"},
      {"show i64", haft_value_f64(0.5), "is f64, not i64"},
      {"show str", haft_value_bytes("x", 1), "is bytes, not str"},
      {"show bytes", text("x"), "is str, not bytes"},
      {"show handle", haft_value_f64((double)function("make").handle), "is f64, not handle"},
      {"show f64", haft_value_make(HAFT_VOID, 0), "is void, not f64"},
  };
  for (size_t i = 0; i < COUNT(misfits); i++) {
    EXPECT(call(function(misfits[i].name), &misfits[i].value, 1, &out), HAFT_E_ARGUMENT);
    CHECK(out.type == HAFT_VOID);
    if (!strstr(haft_last_error()->message, misfits[i].says)) failed(__FILE__, (int)i, haft_last_error()->message);
  }
}

/* 0 to 16 arguments; one too few or too many says so. */
static void counts(void) {
  for (int n = 0; n <= 16; n++) {
    char name[40], wanted[400] = "";
    haft_value args[17];
    for (int i = 0; i < 17; i++) {
      args[i] = i32(i * 11);
      if (i < n) snprintf(wanted + strlen(wanted), 20, "%s%d", i ? "," : "", i * 11);
    }
    snprintf(name, sizeof name, "sum of %d", n);
    const Target t = function(name);
    says(t, args, (size_t)n, wanted, __LINE__);
    haft_value out;
    char says_count[60];
    if (n > 0) {
      EXPECT(call(t, args, (size_t)n - 1, &out), HAFT_E_ARGUMENT);
      snprintf(says_count, sizeof says_count, "takes %d arguments, not %d", n, n - 1);
      CHECK(strstr(haft_last_error()->message, says_count) || n == 1);
    }
    EXPECT(call(t, args, (size_t)n + 1, &out), HAFT_E_ARGUMENT);
    CHECK(out.type == HAFT_VOID);
  }
}

/* All types at each of 16 places, inline and in the tail, short and long. */
static void mixed(void) {
  static char blob[5000];
  memset(blob, 'b', sizeof blob);
  for (int variant = 0; variant < 3; variant++) {
    const size_t length = variant == 0 ? 1 : variant == 1 ? 40 : sizeof blob;
    for (int shift = 0; shift < 8; shift++) {
      haft_value args[16];
      char name[20], wanted[1200] = "";
      for (int i = 0; i < 16; i++) {
        char one[60];
        switch ((i + shift) % 8) {
          case 0: args[i] = haft_value_f64(i + 0.5); snprintf(one, 60, "%d.5", i); break;
          case 1: args[i] = haft_value_i32(-i); snprintf(one, 60, "%d", -i); break;
          case 2: args[i] = haft_value_u32(3000000000u + (uint32_t)i); snprintf(one, 60, "%u", 3000000000u + (uint32_t)i); break;
          case 3: args[i] = haft_value_i64(-(1ll << 60) - i); snprintf(one, 60, "%lldn", -(1ll << 60) - i); break;
          case 4: args[i] = haft_value_bool(i & 1); snprintf(one, 60, i & 1 ? "true" : "false"); break;
          case 5: args[i] = haft_value_handle(function("make").handle); snprintf(one, 60, "make"); break;
          case 6: args[i] = haft_value_str(blob, length); snprintf(one, 60, "str %zu", length); break;
          default: args[i] = haft_value_bytes(blob, length); snprintf(one, 60, "bytes %zu", length);
        }
        snprintf(wanted + strlen(wanted), 70, "%s%s", i ? " " : "", one);
      }
      snprintf(name, sizeof name, "mixed %d", shift);
      says(function(name), args, 16, wanted, __LINE__);
    }
  }
}

/* ---- Strings and bytes ---- */

static void same(const char *name, haft_value in, int line) {
  haft_value out;
  EXPECT(call(function(name), &in, 1, &out), HAFT_OK);
  if (out.type != in.type || out.length != in.length || memcmp(out.as.str, in.as.str, in.length) != 0) {
    char what[100];
    snprintf(what, sizeof what, "%s of %u bytes came back otherwise, as %u", name, in.length, out.length);
    failed(__FILE__, line, what);
  }
  if (out.type == HAFT_STR && out.as.str[out.length] != 0) failed(__FILE__, line, "no NUL behind the string");
  haft_value_free(&out);
}
#define ECHO_STR(literal) same("echo str", haft_value_str(literal, sizeof literal - 1), __LINE__)

static void strings(void) {
  ECHO_STR("");
  ECHO_STR("a");
  ECHO_STR("\0");
  ECHO_STR("a\0b\0");
  ECHO_STR("gr\xc3\xbcn");
  ECHO_STR("\xef\xbb\xbfwith a byte order mark");
  ECHO_STR("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x90\xa2 \xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80");
  same("echo str", haft_value_str(NULL, 0), __LINE__);
  same("echo bytes", haft_value_bytes(NULL, 0), __LINE__);
  haft_value in = haft_value_str("a\0\xc3\xbc", 4);
  says(function("show str"), &in, 1, "string \"a\\u0000\xc3\xbc\"", __LINE__);
  in = haft_value_bytes("\0\xff\x80", 3);
  says(function("show bytes"), &in, 1, "bytes 0,255,128", __LINE__);
  /* Every size round the places where the way of transport changes, in letters of 1 to 4 bytes. */
  static char buffer[70000];
  static const char *const letters[] = {"x", "\xc3\xbc", "\xe6\x97\xa5", "\xf0\x9f\x90\xa2"};
  for (size_t l = 0; l < COUNT(letters); l++) {
    const size_t width = strlen(letters[l]);
    const size_t edges[] = {8, 24, 52, 64, 69, 104, 128, 208, 209, 256, 960, 1024, 2048, 4096, 8192, 65536};
    for (size_t e = 0; e < COUNT(edges); e++) {
      for (int d = -2; d <= 2; d++) {
        size_t n = 0;
        while (n + width <= edges[e] + (size_t)(d + 2) - 2) memcpy(buffer + n, letters[l], width), n += width;
        while (n < edges[e] + (size_t)(d + 2) - 2) buffer[n++] = '.';
        same("echo str", haft_value_str(buffer, n), __LINE__);
      }
    }
  }
  for (size_t n = 0; n <= 1200; n++) {
    buffer[n] = (char)(n * 7);
    same("echo bytes", haft_value_bytes(buffer, n), __LINE__);
  }
}

static void invalid_utf8(void) {
#define BAD(literal) {literal, sizeof literal - 1}
  const struct {
    const char *s;
    size_t n;
  } bad[] = {BAD("\x80"), BAD("\xff"), BAD("abc\xc3"), BAD("\xc3("), BAD("\xc0\x80"), BAD("\xc1\xbf"), BAD("\xe0\x80\x80"),
             BAD("\xe0\x9f\xbf"), BAD("\xed\xa0\x80"), BAD("\xed\xbf\xbf"), BAD("\xf0\x80\x80\x80"), BAD("\xf0\x8f\xbf\xbf"),
             BAD("\xf4\x90\x80\x80"), BAD("\xf5\x80\x80\x80"), BAD("\xe6\x97"), BAD("\xf0\x9f\x90"), BAD("12345678\x80"),
             BAD("1234567\xc3"), BAD("\xc3\xbc\xbc"), BAD("\xf8\x88\x80\x80\x80")};
  const Target t = function("echo str");
  haft_value out;
  for (size_t i = 0; i < COUNT(bad); i++) {
    haft_value in = haft_value_str(bad[i].s, bad[i].n);
    EXPECT(call(t, &in, 1, &out), HAFT_E_UTF8);
    CHECK(out.type == HAFT_VOID);
    EXPECT(haft_post(t.handle, t.op, &in, 1, HAFT_FAIL), HAFT_E_UTF8);
    same("echo bytes", haft_value_bytes(bad[i].s, bad[i].n), __LINE__);
  }
}

/* 1 byte to 16 MiB, and one more is too large. */
static void large(void) {
  char *big = malloc(HAFT_PAYLOAD_MAX + 64);
  haft_value out, in;
  for (size_t i = 0; i < HAFT_PAYLOAD_MAX + 64; i++) big[i] = (char)('a' + i % 23);
  for (size_t n = 1; n <= HAFT_PAYLOAD_MAX; n *= 4) same("echo bytes", haft_value_bytes(big, n), __LINE__);
  for (size_t n = 1; n <= HAFT_PAYLOAD_MAX; n *= 4) same("echo str", haft_value_str(big, n), __LINE__);
  same("echo str", haft_value_str(big, HAFT_PAYLOAD_MAX - 1), __LINE__);
  const Target t = function("length of bytes"), two = function("length of two");
  for (int i = 1; i < 64; i += 31) {
    in = haft_value_bytes(big, HAFT_PAYLOAD_MAX + (size_t)i);
    EXPECT(call(t, &in, 1, &out), HAFT_E_TOO_LARGE);
    EXPECT(haft_post(t.handle, t.op, &in, 1, HAFT_FAIL), HAFT_E_TOO_LARGE);
  }
  in = haft_value_bytes(big, (size_t)1 << 40);
  CHECK(in.length == UINT32_MAX);
  in.as.bytes = big;
  EXPECT(call(t, &in, 1, &out), HAFT_E_TOO_LARGE);
  /* Together. */
  haft_value both[2] = {haft_value_str(big, HAFT_PAYLOAD_MAX / 2), haft_value_bytes(big, HAFT_PAYLOAD_MAX / 2)};
  EXPECT(call(two, both, 2, &out), HAFT_OK);
  CHECK(out.as.f64 == HAFT_PAYLOAD_MAX);
  both[1].length++;
  EXPECT(call(two, both, 2, &out), HAFT_E_TOO_LARGE);
  /* A result that is too large is HAFT_E_TOO_LARGE as well. */
  in = haft_value_f64(HAFT_PAYLOAD_MAX);
  EXPECT(call(function("string of"), &in, 1, &out), HAFT_OK);
  CHECK(out.length == HAFT_PAYLOAD_MAX);
  haft_value_free(&out);
  in = haft_value_f64(HAFT_PAYLOAD_MAX + 1);
  EXPECT(call(function("string of"), &in, 1, &out), HAFT_E_TOO_LARGE);
  CHECK(out.type == HAFT_VOID);
  free(big);
}

/* Nothing is lost by time: far more goes through than there is room for at once, in all sizes, and the largest fits
** after it as before. */
static void room(void) {
  static char big[9 * MIB];
  const Target length = function("length of bytes");
  haft_value out, in;
  memset(big, 'x', sizeof big);
  for (int i = 0; i < 40; i++) {
    in = haft_value_bytes(big, sizeof big);
    EXPECT(call(length, &in, 1, &out), HAFT_OK);
    CHECK(out.as.f64 == sizeof big);
    in = haft_value_str(big, sizeof big);
    EXPECT(call(function("drop str"), &in, 1, &out), HAFT_OK);
  }
  in = haft_value_f64(HAFT_PAYLOAD_MAX);
  EXPECT(call(function("string of"), &in, 1, &out), HAFT_OK);
  haft_value_free(&out);
}

/* Many messages of middle size at one time take all the room there is: HAFT_E_NO_MEMORY or HAFT_E_FULL to whoever
** comes then. When they have been handled, the largest message fits again. */
static void room_in_pieces(void) {
  static char big[16 * MIB];
  const Target length = function("length of bytes");
  memset(big, 'x', sizeof big);
  const size_t sizes[] = {7000, 3 * MIB, 1000};
  for (size_t s = 0; s < COUNT(sizes); s++) {
    haft_value in = haft_value_bytes(big, sizes[s]), out;
    int sent = 0;
    haft_status status = HAFT_OK;
    haft_handle targets[32]; /* two a mailbox */
    for (int i = 0; i < 32; i++) {
      char name[20];
      snprintf(name, sizeof name, "length %d", i);
      targets[i] = function(name).handle;
    }
    close_gate();
    for (int i = 0; i < 20000; i++) {
      status = haft_post(targets[i % 32], length.op, &in, 1, HAFT_FAIL);
      if (status == HAFT_OK) sent++;
      if (status == HAFT_E_NO_MEMORY) break;
    }
    CHECK(status == HAFT_E_NO_MEMORY || status == HAFT_E_FULL);
    CHECK(sent > 2);
    open_gate();
    haft_value most = haft_value_bytes(big, HAFT_PAYLOAD_MAX);
    /* Only what was sent before stands in the way. */
    status = haft_post(length.handle, length.op, &most, 1, HAFT_BLOCK(WAIT / 2));
    EXPECT(status, HAFT_OK);
    if (status != HAFT_OK) return;
    EXPECT(call(length, &most, 1, &out), HAFT_OK);
    CHECK(out.as.f64 == HAFT_PAYLOAD_MAX);
    most = haft_value_f64(HAFT_PAYLOAD_MAX);
    EXPECT(call(function("string of"), &most, 1, &out), HAFT_OK);
    haft_value_free(&out);
  }
}

/* What RFC 3629 says, in the plainest way. */
static bool is_utf8(const unsigned char *s, size_t n) {
  for (size_t i = 0; i < n;) {
    const unsigned char b = s[i];
    const size_t width = b < 0x80 ? 1 : b >= 0xc2 && b <= 0xdf ? 2 : b >= 0xe0 && b <= 0xef ? 3 : b >= 0xf0 && b <= 0xf4 ? 4 : 0;
    if (width == 0 || i + width > n) return false;
    for (size_t j = 1; j < width; j++)
      if ((s[i + j] & 0xc0) != 0x80) return false;
    if ((b == 0xe0 && s[i + 1] < 0xa0) || (b == 0xed && s[i + 1] > 0x9f) || (b == 0xf0 && s[i + 1] < 0x90) ||
        (b == 0xf4 && s[i + 1] > 0x8f))
      return false;
    i += width;
  }
  return true;
}
static void judge(Target t, const unsigned char *s, size_t n) {
  const haft_value in = haft_value_str((const char *)s, n);
  const haft_status wanted = is_utf8(s, n) ? HAFT_OK : HAFT_E_UTF8;
  const haft_status got = haft_post(t.handle, t.op, &in, 1, HAFT_BLOCK(WAIT));
  if (got == wanted) return;
  char what[120] = "";
  for (size_t i = 0; i < n && i < 16; i++) sprintf(what + strlen(what), "%02x ", s[i]);
  sprintf(what + strlen(what), "is %s, not %s", haft_status_name(got), haft_status_name(wanted));
  failed(__FILE__, __LINE__, what);
}

/* Every pair of bytes, every four of those where the rules change, behind 0 to 8 others, and anywhere in a long text. */
static void any_bytes(void) {
  static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
                                        0xe1, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
  enum { EDGES = COUNT(edges) };
  const Target t = function("drop str");
  unsigned char s[16];
  for (int i = 0; i < 256; i++) {
    s[0] = (unsigned char)i;
    judge(t, s, 1);
    for (int j = 0; j < 256; j++) s[1] = (unsigned char)j, judge(t, s, 2);
  }
  for (int i = 0; i < EDGES * EDGES * EDGES * EDGES; i++) {
    const size_t before = (size_t)i % 9; /* so that it lies across words */
    memset(s, 'x', sizeof s);
    for (int j = 0, rest = i; j < 4; j++, rest /= EDGES) s[before + (size_t)j] = edges[rest % EDGES];
    judge(t, s, before + 4);
    if (failures) return;
  }
  static unsigned char long_text[5000];
  for (size_t at = 0; at < sizeof long_text - 3; at += at < 70 || at > sizeof long_text - 70 ? 1 : 37) {
    memset(long_text, 'x', sizeof long_text);
    judge(t, long_text, sizeof long_text);
    long_text[at] = 0xed;
    long_text[at + 1] = 0xa0; /* a surrogate */
    long_text[at + 2] = 0x80;
    judge(t, long_text, sizeof long_text);
    judge(t, long_text, at + 2);
    memcpy(long_text + at, "\xe6\x97\xa5", 3);
    judge(t, long_text, sizeof long_text);
    judge(t, long_text, at + 2); /* cut */
  }
  EXPECT(call(function("nothing"), NULL, 0, NULL), HAFT_OK);
}

/* Invalid in one of 16 arguments: whichever it is. */
static void one_of_many(void) {
  haft_value args[16], out;
  const Target t = function("16 texts");
  for (int bad = -1; bad < 16; bad++) {
    for (int i = 0; i < 16; i++) args[i] = i == bad ? haft_value_str("a\xffz", 3) : haft_value_str("a\0\xc3\xbcz", 5);
    EXPECT(call(t, args, 16, &out), bad < 0 ? HAFT_OK : HAFT_E_UTF8);
    EXPECT(haft_post(t.handle, t.op, args, 16, HAFT_FAIL), bad < 0 ? HAFT_OK : HAFT_E_UTF8);
    if (bad < 0) CHECK(out.as.f64 == 16 * 4);
  }
  /* 16 MiB in 16 arguments, NUL and letters of more bytes among them; one more byte in any is too large. */
  char *mib = malloc(MIB + 1);
  for (size_t i = 0; i + 4 <= MIB; i += 4) memcpy(mib + i, "\0\xc3\xbcx", 4);
  mib[MIB] = 'x';
  for (int i = 0; i < 16; i++) args[i] = haft_value_str(mib, MIB);
  EXPECT(call(t, args, 16, &out), HAFT_OK);
  CHECK(out.as.f64 == 16.0 * MIB / 4 * 3);
  for (int i = 0; i < 16; i += 5) {
    args[i].length++;
    EXPECT(call(t, args, 16, &out), HAFT_E_TOO_LARGE);
    EXPECT(haft_post(t.handle, t.op, args, 16, HAFT_FAIL), HAFT_E_TOO_LARGE);
    args[i].length--;
  }
  free(mib);
}

/* What is no Unicode in JavaScript arrives as the replacement character, as everywhere in Node. */
static void surrogates(void) {
  const struct {
    const char *name, *wanted;
  } cases[] = {{"lone high", "a\xef\xbf\xbdz"}, {"lone low", "\xef\xbf\xbd"}, {"swapped", "\xef\xbf\xbd\xef\xbf\xbd-"},
               {"pair", "\xf0\x9f\x90\xa2"}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    haft_value out;
    for (int times = 1; times <= 2000; times = times == 1 ? 10 : times == 10 ? 2000 : 3000) { /* in the reply, and not */
      haft_value n = haft_value_f64(times);
      EXPECT(call(function(cases[i].name), &n, 1, &out), HAFT_OK);
      const size_t each = strlen(cases[i].wanted);
      CHECK(out.type == HAFT_STR && out.length == each * (size_t)times);
      for (int at = 0; at < times; at++)
        if (memcmp(out.as.str + (size_t)at * each, cases[i].wanted, each) != 0) failed(cases[i].name, times, "another text"), at = times;
      haft_value_free(&out);
    }
  }
}

/* ---- Waiting for memory ---- */

static char sixteen[16 * MIB];
static atomic_int senders, senders_done;
static void send_when_there_is_room(int thread) {
  const Target length = function("length of bytes");
  haft_value in = haft_value_bytes(sixteen, 15 * MIB), out;
  senders++;
  if (thread % 2) {
    EXPECT(haft_post(length.handle, length.op, &in, 1, HAFT_BLOCK(thread == 1 ? -1 : WAIT)), HAFT_OK);
  } else {
    EXPECT(haft_call(length.handle, length.op, &in, 1, thread == 0 ? -1 : WAIT, &out), HAFT_OK);
    CHECK(out.as.f64 == 15 * MIB);
  }
  senders_done++;
}
static void *open_gate_later(void *unused) {
  while (senders < 6) usleep(1000);
  usleep(20 * 1000);
  CHECK(senders_done == 0);
  open_gate();
  return unused;
}
static void fill_memory(void) {
  const Target length = function("length of bytes");
  haft_value in = haft_value_bytes(sixteen, 15 * MIB);
  close_gate();
  for (int i = 0; i < 4; i++) EXPECT(haft_post(length.handle, length.op, &in, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_post(length.handle, length.op, &in, 1, HAFT_FAIL), HAFT_E_NO_MEMORY);
  EXPECT(haft_post(length.handle, length.op, &in, 1, HAFT_DROP_NEWEST), HAFT_E_NO_MEMORY);
  EXPECT(haft_post(length.handle, length.op, &in, 1, HAFT_BLOCK(10)), HAFT_E_NO_MEMORY);
  EXPECT(haft_call(length.handle, length.op, &in, 1, 0, NULL), HAFT_E_NO_MEMORY);
  EXPECT(haft_call(length.handle, length.op, &in, 1, 10, NULL), HAFT_E_NO_MEMORY);
  /* What needs none still goes. */
  const Target drop = function("drop str");
  const haft_value little = haft_value_str("little", 6);
  EXPECT(haft_post(drop.handle, drop.op, &little, 1, HAFT_FAIL), HAFT_OK);
}
static void waiting_for_memory(void) {
  pthread_t opener;
  fill_memory();
  CHECK(pthread_create(&opener, NULL, open_gate_later, NULL) == 0);
  on_threads(6, send_when_there_is_room);
  pthread_join(opener, NULL);
  CHECK(senders_done == 6);
}
static void *close_later(void *unused) {
  while (senders < 4) usleep(1000);
  usleep(20 * 1000);
  open_gate(); /* the next that is handled closes */
  return unused;
}
static Target held_length;
static void send_until_closed(int thread) {
  haft_value in = haft_value_bytes(sixteen, 15 * MIB);
  senders++;
  if (thread % 2)
    EXPECT(haft_post(held_length.handle, held_length.op, &in, 1, HAFT_BLOCK(-1)), HAFT_E_CLOSED);
  else
    EXPECT(haft_call(held_length.handle, held_length.op, &in, 1, -1, NULL), HAFT_E_CLOSED);
}
static void closed_while_waiting_for_memory(void) {
  pthread_t closer;
  held_length = function("length of bytes");
  senders = 0;
  const Target gate_and_close = function("gate and close");
  haft_value in = haft_value_bytes(sixteen, 15 * MIB);
  gate_open = 0;
  EXPECT(haft_post(gate_and_close.handle, gate_and_close.op, NULL, 0, HAFT_FAIL), HAFT_OK);
  while (!gate_reached) usleep(200);
  for (int i = 0; i < 4; i++) EXPECT(haft_post(held_length.handle, held_length.op, &in, 1, HAFT_FAIL), HAFT_OK);
  CHECK(pthread_create(&closer, NULL, close_later, NULL) == 0);
  on_threads(4, send_until_closed);
  pthread_join(closer, NULL);
}

/* ---- Results that are not of the declared type ---- */

static void results(void) {
  for (int i = 0;; i++) {
    haft_value n = haft_value_f64(i), name, out;
    EXPECT(call(function("name of result"), &n, 1, &name), HAFT_OK);
    if (name.length == 0) break;
    EXPECT(call(function(name.as.str), NULL, 0, &out), HAFT_E_RESULT);
    CHECK(out.type == HAFT_VOID);
    if (!strstr(haft_last_error()->message, " returned ")) failed(name.as.str, i, haft_last_error()->message);
    haft_value_free(&name);
  }
}

CASES({"numbers", numbers}, {"handles", handles}, {"conversions", conversions}, {"counts", counts}, {"mixed", mixed},
      {"strings", strings}, {"invalid UTF-8", invalid_utf8}, {"large", large}, {"room", room},
      {"room in pieces", room_in_pieces}, {"any bytes", any_bytes}, {"one of many", one_of_many},
      {"surrogates", surrogates}, {"waiting for memory", waiting_for_memory},
      {"closed while waiting for memory", closed_while_waiting_for_memory}, {"results", results})
