/* Section 11: labels of references, memory that C keeps, and weak handles. */
#include "suite.h"

/* ---- haft_retain_as, haft_release_as ---- */

CASE(11, 1, BOTH, "haft_retain_as adds a reference, and haft_release_as gives it back by its label.") {
  const haft_handle h = make("counter");
  EXPECT(haft_retain_as(h, "connection"), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_release_as(h, "connection"), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(11, 2, BOTH, "haft_release_as: HAFT_E_OWNER for a label that the handle has no reference of, and nothing changed.") {
  const haft_handle h = make("counter");
  EXPECT(haft_release_as(h, "connection"), HAFT_E_OWNER);
  CHECK(haft_last_error()->handle == h && strstr(haft_last_error()->message, "connection"));
  EXPECT(haft_retain_as(h, "connection"), HAFT_OK);
  EXPECT(haft_release_as(h, "other"), HAFT_E_OWNER);
  EXPECT(haft_release_as(h, "connection"), HAFT_OK);
  EXPECT(haft_release_as(h, "connection"), HAFT_E_OWNER);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(11, 3, BOTH, "A label is text of 1 to 63 bytes, which is copied; else HAFT_E_ARGUMENT.") {
  const haft_handle h = make("counter");
  char label[65];
  memset(label, 'x', 64);
  label[64] = 0;
  EXPECT(haft_retain_as(h, label), HAFT_E_ARGUMENT);
  EXPECT(haft_release_as(h, label), HAFT_E_ARGUMENT);
  EXPECT(haft_retain_as(h, ""), HAFT_E_ARGUMENT);
  EXPECT(haft_retain_as(h, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_release_as(h, NULL), HAFT_E_ARGUMENT);
  label[63] = 0;
  EXPECT(haft_retain_as(h, label), HAFT_OK);
  label[0] = 'y';
  EXPECT(haft_release_as(h, label), HAFT_E_OWNER);
  label[0] = 'x';
  EXPECT(haft_release_as(h, label), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
}

CASE(11, 4, BOTH, "haft_retain_as and haft_release_as: HAFT_E_FORGED, HAFT_E_STALE and HAFT_E_CLOSED, as haft_retain.") {
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(target("counter", "add").handle, values);
  for (size_t i = 0; i < n; i++) {
    EXPECT(haft_retain_as(values[i], "label"), HAFT_E_FORGED);
    EXPECT(haft_release_as(values[i], "label"), HAFT_E_FORGED);
  }
  EXPECT(haft_retain_as(ended("released"), "label"), HAFT_E_STALE);
  EXPECT(haft_release_as(ended("deleted"), "label"), HAFT_E_STALE);
  EXPECT(haft_retain_as(ended("closed"), "label"), HAFT_E_CLOSED);
  EXPECT(haft_release_as(ended("closed"), "label"), HAFT_E_CLOSED);
}

/* ---- haft_memory ---- */

CASE(11, 5, BOTH | ONE_PROCESS, "haft_memory: the memory of a buffer that JavaScript transferred, until the last release.") {
  const haft_handle h = make("memory");
  void *data;
  uint64_t size;
  EXPECT(haft_memory(h, &data, &size), HAFT_OK);
  EQUAL(size, 8);
  for (int i = 0; i < 8; i++) EQUAL(((unsigned char *)data)[i], i + 1);
  memset(data, 9, 8);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_memory(h, &data, &size), HAFT_E_STALE);
  CHECK(data == NULL && size == 0);
}

CASE(11, 6, BOTH | ONE_PROCESS, "haft_memory: of a pinned buffer both sides see what the other writes, until JavaScript unpins it.") {
  const haft_handle h = make("pin");
  void *data;
  uint64_t size;
  EXPECT(haft_memory(h, &data, &size), HAFT_OK);
  EQUAL(size, 16);
  EQUAL(((unsigned char *)data)[15], 1);
  memset(data, 2, 16);
  EQUAL(ask("maker", "pinnedSum"), 32);
  tell("maker", "unpin");
  EXPECT(haft_memory(h, &data, &size), HAFT_E_STALE);
  EXPECT(haft_release(h), HAFT_E_STALE);
}

CASE(11, 7, BOTH | ONE_PROCESS, "haft_memory: HAFT_E_KIND for a handle that names no memory, HAFT_E_ARGUMENT without a place for the answer.") {
  const haft_handle h = make("counter"), memory = make("memory");
  void *data;
  uint64_t size;
  EXPECT(haft_memory(h, &data, &size), HAFT_E_KIND);
  CHECK(data == NULL && size == 0 && haft_last_error()->handle == h);
  EXPECT(haft_memory(memory, NULL, &size), HAFT_E_ARGUMENT);
  EXPECT(haft_memory(memory, &data, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_memory(HAFT_NULL, &data, &size), HAFT_E_FORGED);
  EXPECT(haft_memory(ended("closed"), &data, &size), HAFT_E_CLOSED);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(memory), HAFT_OK);
}

CASE(11, 8, BOTH, "The kind of memory is haft.memory, and has no ops.") {
  const haft_handle h = make("memory");
  haft_kind kind;
  haft_op op;
  EXPECT(haft_kind_find("haft.memory", 0, &kind), HAFT_OK);
  EXPECT(haft_check(h, kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "length", &op), HAFT_E_OP);
  EXPECT(haft_release(h), HAFT_OK);
}

/* ---- Weak handles ---- */

CASE(11, 9, BOTH, "A weak handle serves as any other while its object is there.") {
  const haft_handle h = make("weak");
  const Target t = {h, target("counter", "add").kind, target("counter", "add").op};
  const haft_value two = haft_value_f64(2);
  haft_value before, after;
  EXPECT(haft_check(h, t.kind), HAFT_OK);
  EXPECT(call(t, &two, 1, &before), HAFT_OK);
  EXPECT(call(t, &two, 1, &after), HAFT_OK);
  EQUAL(after.as.f64 - before.as.f64, 2);
  EXPECT(haft_retain(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(11, 10, BOTH, "A weak handle whose object was collected is HAFT_E_COLLECTED to all but release, and its last release ends it.") {
  static haft_handle h;
  const Target t = target("counter", "add");
  const haft_value two = haft_value_f64(2);
  haft_value result;
  haft_kind kind;
  haft_realm of;
  if (first_turn()) {
    h = make("collected");
    EXPECT(haft_retain(h), HAFT_OK);
    EXPECT(haft_retain_as(h, "label"), HAFT_OK);
  }
  if (haft_check(h, 0) == HAFT_OK) tell("maker", "collectGarbage");
  AWAIT(haft_check(h, 0) == HAFT_E_COLLECTED);
  EXPECT(haft_check(h, t.kind), HAFT_E_COLLECTED);
  CHECK(haft_last_error()->handle == h && haft_last_error()->rule == 12);
  const haft_value argument = haft_value_handle(h);
  EXPECT(haft_retain(h), HAFT_E_COLLECTED);
  EXPECT(haft_retain_as(h, "label"), HAFT_E_COLLECTED);
  EXPECT(haft_kind_of(h, &kind), HAFT_E_COLLECTED);
  EXPECT(haft_realm_of(h, &of), HAFT_E_COLLECTED);
  EXPECT(haft_post(h, t.op, &two, 1, HAFT_FAIL), HAFT_E_COLLECTED);
  EXPECT(haft_call(h, t.op, &two, 1, WAIT, &result), HAFT_E_COLLECTED);
  EXPECT(haft_post(target("maker", "look").handle, target("maker", "look").op, &argument, 1, HAFT_FAIL), HAFT_E_COLLECTED);
  CHECK(!has(h));
  EXPECT(haft_release_as(h, "label"), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_COLLECTED);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
  EXPECT(haft_release(h), HAFT_E_STALE);
}

CASE(11, 11, FOREIGN | TWO_PROCESSES, "haft_memory: HAFT_E_UNSUPPORTED where JavaScript is another process, whose addresses say nothing here.") {
  const haft_handle memory = make("memory");
  void *data = &data;
  uint64_t size = 55;
  EXPECT(haft_memory(memory, &data, &size), HAFT_E_UNSUPPORTED);
  CHECK(data == NULL && size == 0 && haft_last_error()->handle == memory);
  EXPECT(haft_memory(memory, NULL, &size), HAFT_E_ARGUMENT);
  EXPECT(haft_memory(HAFT_NULL, &data, &size), HAFT_E_FORGED);
  EXPECT(haft_memory(ended("closed"), &data, &size), HAFT_E_CLOSED);
  EXPECT(haft_release(memory), HAFT_OK);
}

CASE(11, 12, BOTH, "Of several references JavaScript gives away what it transfers, and keeps the others, whoever gives back first.") {
  const haft_handle h = (haft_handle)ask_i64("maker", "share");
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  tell_handle("maker", "release", h);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}
