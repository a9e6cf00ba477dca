/* Section 9: haft_last_error, and the names of statuses. */
#include "suite.h"

CASE(9, 1, BOTH, "haft_last_error is never NULL, nor are its strings; `size` is its bytes, as haft knows them.") {
  EXPECT(haft_check(42, 0), HAFT_E_FORGED);
  const haft_error *error = haft_last_error();
  CHECK(error != NULL && error->name && error->message && error->stack);
  CHECK(error->size >= offsetof(haft_error, next));
  if (error->size >= sizeof(haft_error)) CHECK(error->next != NULL);
}

CASE(9, 2, BOTH, "It has the status and the handle of the function that failed; `name` is the code's and `stack` is empty.") {
  EXPECT(haft_check(42, 0), HAFT_E_FORGED);
  const haft_error *error = haft_last_error();
  EQUAL(error->status, HAFT_E_FORGED);
  CHECK(error->handle == 42);
  TEXT(error->name, "HAFT_E_FORGED");
  TEXT(error->stack, "");
  CHECK(error->message[0] != 0);
  const haft_handle stale = ended("deleted");
  EXPECT(haft_release(stale), HAFT_E_STALE);
  error = haft_last_error();
  CHECK(error->handle == stale);
  TEXT(error->name, "HAFT_E_STALE");
}

CASE(9, 3, BOTH, "`next` says what to do about it, where `size` covers it.") {
  EXPECT(haft_check(42, 0), HAFT_E_FORGED);
  const haft_error *error = haft_last_error();
  if (error->size >= offsetof(haft_error, next) + sizeof error->next) CHECK(error->next[0] != 0);
}

CASE(9, 4, BOTH | MAY_LACK, "It is of the latest function that did not return HAFT_OK: what succeeds leaves it.") {
  const Target t = target("counter", "add");
  EXPECT(haft_check(42, 0), HAFT_E_FORGED);
  EXPECT(haft_check(t.handle, t.kind), HAFT_OK);
  EXPECT(haft_retain(t.handle), HAFT_OK);
  EXPECT(haft_release(t.handle), HAFT_OK);
  TOLD(haft_last_error()->status, HAFT_E_FORGED);
  CHECK(haft_last_error()->handle == 42);
}

CASE(9, 5, BOTH, "The handle is HAFT_NULL where none offended.") {
  haft_kind kind;
  EXPECT(haft_kind_find("Nobody", 0, &kind), HAFT_E_NOT_FOUND);
  CHECK(haft_last_error()->handle == HAFT_NULL);
  EXPECT(haft_realm_check(0), HAFT_E_CLOSED);
  CHECK(haft_last_error()->handle == HAFT_NULL);
}

CASE(9, 6, BOTH, "`name`, `message` and `stack` are the exception's for HAFT_E_EXCEPTION.") {
  EXPECT(call(target("faults", "throws"), NULL, 0, NULL), HAFT_E_EXCEPTION);
  const haft_error *error = haft_last_error();
  TEXT(error->name, "RangeError");
  TEXT(error->message, "out of reach");
  CHECK(strstr(error->stack, "out of reach") != NULL);
  CHECK(strstr(error->stack, "throws") != NULL); /* the handler's name */
}

CASE(9, 7, BOTH, "What is thrown may be anything: null is an exception too.") {
  EXPECT(call(target("faults", "throwsNull"), NULL, 0, NULL), HAFT_E_EXCEPTION);
  TEXT(haft_last_error()->message, "null");
}

static bool whole_letters(const char *s) {
  for (; *s; s += 2)
    if (memcmp(s, "\xc3\xbc", 2) != 0) return false;
  return true;
}
CASE(9, 8, BOTH, "Name, message and stack of an exception are together at most about 3,500 bytes, cut between letters.") {
  EXPECT(call(target("faults", "throwsLong"), NULL, 0, NULL), HAFT_E_EXCEPTION);
  const haft_error *error = haft_last_error();
  TEXT(error->name, "Error");
  const size_t length = strlen(error->message);
  CHECK(length > 500 && length + strlen(error->name) + strlen(error->stack) <= 4096);
  CHECK(whole_letters(error->message));
}

static void own_error(int thread) {
  const haft_error *error = haft_last_error();
  CHECK(error && error->name && error->message && error->stack); /* of a thread that has had none as well */
  for (int i = 0; i < 100; i++) {
    const haft_handle handle = (haft_handle)(thread + 1);
    TOLD(haft_check(handle, 0), HAFT_E_FORGED);
    error = haft_last_error();
    TOLD(error->status, HAFT_E_FORGED);
    CHECK(error->handle == handle);
  }
}
CASE(9, 9, FOREIGN | MAY_LACK, "The error is the thread's own.") {
  EXPECT(haft_check(77, 0), HAFT_E_FORGED);
  on_threads(4, own_error);
  TOLD(haft_last_error()->status, HAFT_E_FORGED);
  CHECK(haft_last_error()->handle == 77);
}

CASE(9, 10, BOTH, "Each status has its name and says what happened.") {
#define NAMED(name, number, message, next)                          \
  TEXT(haft_status_name(number), "HAFT_" #name);                    \
  TEXT(haft_status_message(HAFT_##name), message);
  HAFT_STATUS_MAP(NAMED)
#undef NAMED
}

CASE(9, 11, BOTH, "\"HAFT_E_UNKNOWN\" and \"unknown status\" for any other number.") {
  const haft_status none[] = {1, 42, -1000, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < COUNT(none); i++) {
    TEXT(haft_status_name(none[i]), "HAFT_E_UNKNOWN");
    TEXT(haft_status_message(none[i]), "unknown status");
  }
}

CASE(9, 12, BOTH, "The error is that of haft_call_many's own status too.") {
  const Target throws = target("faults", "throws"), echo = target("echo", "f64");
  const haft_value one = haft_value_f64(1);
  haft_request two[] = {{42, &one, 1, echo.op, 55, 0, {0}}, {throws.handle, NULL, 0, throws.op, 55, 0, {0}}};
  const haft_status status = haft_call_many(two, 2, WAIT);
  haft_value_free(&two[1].result);
  EQUAL(status, HAFT_E_FORGED);
  EQUAL(haft_last_error()->status, HAFT_E_FORGED);
  CHECK(haft_last_error()->handle == 42);
}
