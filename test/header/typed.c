/* Every function of a generated header, as a plugin on JavaScript's thread and as a host on others. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kinds.h"

#define CHECK(x)                                                                                                  \
  do {                                                                                                            \
    if (!(x)) {                                                                                                   \
      fprintf(stderr, "typed.c:%d: %s; the latest error: %s\n", __LINE__, #x, haft_last_error()->message);        \
      return HAFT_E_INTERNAL;                                                                                     \
    }                                                                                                             \
  } while (0)

static report reports;

static haft_status tell(const char *text) { return report_call_post(reports, text, strlen(text), HAFT_FAIL); }

static haft_status numbers(types t) {
  double f64 = 1;
  int32_t i32 = 1;
  uint32_t u32 = 1;
  int64_t i64 = 1;
  bool yes = false;
  CHECK(types_echo_f64(t, -0.5, -1, &f64) == HAFT_OK && f64 == -0.5);
  CHECK(types_echo_i32(t, INT32_MIN, -1, &i32) == HAFT_OK && i32 == INT32_MIN);
  CHECK(types_echo_u32(t, UINT32_MAX, -1, &u32) == HAFT_OK && u32 == UINT32_MAX);
  CHECK(types_echo_i64(t, INT64_MIN, -1, &i64) == HAFT_OK && i64 == INT64_MIN);
  CHECK(types_echo_bool(t, true, -1, &yes) == HAFT_OK && yes);
  CHECK(types_echo_bool(t, false, -1, &yes) == HAFT_OK && !yes);
  CHECK(types_echo_f64(t, 1, -1, NULL) == HAFT_OK);
  CHECK(types_sum(t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, -1, &f64) == HAFT_OK && f64 == 136);
  CHECK(types_add(t, 2, -1) == HAFT_OK && types_count(t, -1, &f64) == HAFT_OK && f64 == 2);
  return HAFT_OK;
}

static haft_status memory(types t) {
  haft_str text;
  haft_bytes bytes;
  CHECK(types_echo_str(t, "caf\xc3\xa9", 5, -1, &text) == HAFT_OK);
  CHECK(text.length == 5 && strcmp(text.data, "caf\xc3\xa9") == 0);
  haft_str_free(&text);
  CHECK(text.data == NULL && text.length == 0);
  haft_str_free(&text);
  haft_str_free(NULL);
  CHECK(types_echo_str(t, "a\0b", 3, -1, &text) == HAFT_OK && text.length == 3 && memcmp(text.data, "a\0b", 4) == 0);
  haft_str_free(&text);
  CHECK(types_echo_str(t, "", 0, -1, &text) == HAFT_OK && text.length == 0);
  haft_str_free(&text);
  CHECK(types_echo_str(t, "dropped", 7, -1, NULL) == HAFT_OK);
  CHECK(types_echo_bytes(t, "\x00\xff", 2, -1, &bytes) == HAFT_OK);
  CHECK(bytes.length == 2 && bytes.data[0] == 0 && bytes.data[1] == 255);
  haft_bytes_free(&bytes);
  CHECK(bytes.data == NULL && bytes.length == 0);
  haft_bytes_free(&bytes);
  haft_bytes_free(NULL);
  CHECK(types_join(t, 0.5, -1, 2, 3, true, "x", 1, "\x01\x02", 2, -1, &text) == HAFT_OK);
  CHECK(strcmp(text.data, "0.5 -1 2 3 true x [1,2]") == 0);
  haft_str_free(&text);
  CHECK(types_op_find(t, -1, &text) == HAFT_OK && strcmp(text.data, "find") == 0);
  haft_str_free(&text);
  CHECK(types_op_delete(t, -1, &text) == HAFT_OK && strcmp(text.data, "delete") == 0);
  haft_str_free(&text);
  CHECK(types_op_2nd(t, -1, &text) == HAFT_OK && strcmp(text.data, "2nd") == 0);
  haft_str_free(&text);
  return HAFT_OK;
}

static haft_status handles(haft_realm realm, types t) {
  haft_handle same = 1;
  types as_types;
  other as_other;
  CHECK(types_echo_handle(t, t.handle, -1, &same) == HAFT_OK && same == t.handle);
  CHECK(types_from(same, &as_types) == HAFT_OK && as_types.handle == same);
  CHECK(types_release(as_types) == HAFT_OK);
  CHECK(types_echo_handle(t, HAFT_NULL, -1, &same) == HAFT_OK && same == HAFT_NULL);
  CHECK(types_retain(t) == HAFT_OK && types_release(t) == HAFT_OK);
  CHECK(other_from(t.handle, &as_other) == HAFT_E_KIND && as_other.handle == HAFT_NULL);
  CHECK(other_find(realm, "types", 0, &as_other) == HAFT_E_KIND && as_other.handle == HAFT_NULL);
  CHECK(other_find(realm, "nobody", 0, &as_other) == HAFT_E_NOT_FOUND && as_other.handle == HAFT_NULL);
  CHECK(other_find(realm, "other", 0, &as_other) == HAFT_OK && other_release(as_other) == HAFT_OK);
  CHECK(types_from(42, &as_types) == HAFT_E_FORGED);
  return HAFT_OK;
}

static haft_status failures(types t) {
  haft_str text = {"left", 4};
  double number = 1;
  const types none = {HAFT_NULL};
  never nobody = {t.handle};
  CHECK(types_fail(t, "why", 3, -1, &text) == HAFT_E_EXCEPTION && text.data == NULL && text.length == 0);
  CHECK(strcmp(haft_last_error()->message, "why") == 0);
  CHECK(types_echo_f64(none, 1, -1, &number) == HAFT_E_FORGED && number == 0);
  CHECK(types_add_post(none, 1, HAFT_FAIL) == HAFT_E_FORGED);
  CHECK(types_echo_str(t, "\xff", 1, -1, &text) == HAFT_E_UTF8);
  /* A kind of which JavaScript has made nothing: any handle is of another. */
  CHECK(never_bind() == HAFT_E_NOT_FOUND);
  CHECK(never_from(t.handle, &nobody) == HAFT_E_KIND && nobody.handle == HAFT_NULL);
  nobody.handle = t.handle;
  CHECK(never_nothing(nobody, -1) == HAFT_E_NOT_FOUND && never_nothing_post(nobody, HAFT_FAIL) == HAFT_E_NOT_FOUND);
  return HAFT_OK;
}

/* A haft before 1.3 has no function that names the difference: the fingerprint alone decides. */
static haft_status older(const haft_api *api) {
  static haft_api short_table;
  haft_kind known = 0, kind = 0;
  short_table = *api;
  short_table.size = offsetof(haft_api, kind_match);
  haft_plugin_api = &short_table;
  const haft_status right = haft_typed_bind(&known, TYPES_KIND_NAME, TYPES_KIND_SIGNATURES, TYPES_KIND_FINGERPRINT, &kind);
  const haft_kind found = known;
  known = 0;
  const haft_status wrong = haft_typed_bind(&known, TYPES_KIND_NAME, "add(f64):f64", 1, &kind);
  haft_plugin_api = api;
  CHECK(right == HAFT_OK && found != 0);
  CHECK(wrong == HAFT_E_ABI && known == 0);
  return HAFT_OK;
}

static void echoed(void *user, haft_status status, haft_value *raw) {
  haft_str text;
  (void)user;
  status = types_echo_str_result(status, raw, &text);
  if (status == HAFT_OK) tell(text.data);
  haft_str_free(&text);
  if (types_echo_f64_result(HAFT_OK, raw, NULL) == HAFT_OK) tell("end");
  report_release(reports);
}

static void failed(void *user, haft_status status, haft_value *raw) {
  haft_str text;
  double number = 1;
  (void)user;
  if (types_fail_result(status, raw, &text) == HAFT_E_EXCEPTION && text.data == NULL && raw->type == HAFT_STR)
    tell(raw->as.str); /* it stays the value's */
  if (types_echo_f64_result(HAFT_OK, raw, &number) == HAFT_E_ABI && number == 0) tell("another type");
  haft_value_free(raw);
}

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  types t;
  const haft_completer to_echoed = {sizeof to_echoed, echoed, 0, NULL}, to_failed = {sizeof to_failed, failed, 0, NULL};
  CHECK(types_bind() == HAFT_E_UNSUPPORTED);
  CHECK(HAFT_PLUGIN(api) == HAFT_OK && types_bind() == HAFT_OK && types_bind() == HAFT_OK);
  CHECK(report_find(realm, "report", 0, &reports) == HAFT_OK && types_find(realm, "types", 0, &t) == HAFT_OK);
  if (numbers(t) || memory(t) || handles(realm, t) || failures(t) || older(api)) return HAFT_E_INTERNAL;
  CHECK(types_add_post(t, 3, HAFT_FAIL) == HAFT_OK);
  CHECK(types_fail_async(t, "later", 5, -1, &to_failed) == HAFT_OK);
  CHECK(types_echo_str_async(t, "echoed", 6, -1, &to_echoed) == HAFT_OK);
  CHECK(types_release(t) == HAFT_OK);
  return HAFT_OK;
}

static types shared;

static void *work(void *unused) {
  (void)unused;
  for (int i = 0; i < 100; i++) {
    double same = -1;
    if (types_echo_f64(shared, i, -1, &same) != HAFT_OK || same != i) return &shared;
    if (types_add_post(shared, 1, HAFT_BLOCK(-1)) != HAFT_OK) return &shared;
  }
  return NULL;
}

int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  pthread_t threads[4];
  double total = 0;
  int wrong = 0;
  (void)argc, (void)argv;
  if (HAFT_PLUGIN(api) != HAFT_OK || types_find(realm, "types", -1, &shared) != HAFT_OK) return 1;
  types_known = 0; /* so that all look the kind up at once */
  for (int i = 0; i < 4; i++)
    if (pthread_create(&threads[i], NULL, work, NULL) != 0) return 2;
  for (int i = 0; i < 4; i++) {
    void *failure = NULL;
    pthread_join(threads[i], &failure);
    wrong += failure != NULL;
  }
  if (wrong || types_count(shared, -1, &total) != HAFT_OK || total != 400) return 3;
  return types_release(shared) == HAFT_OK ? 0 : 4;
}
