/* Section 3: kinds, ops and published handles, by name. */
#include "suite.h"

static haft_status publish(const char *name, haft_handle handle) {
  const haft_value args[] = {text(name), haft_value_handle(handle)};
  return call(target("maker", "publish"), args, 2, NULL);
}
static haft_status unpublish(const char *name) {
  const haft_value arg = text(name);
  return call(target("maker", "unpublish"), &arg, 1, NULL);
}

/* ---- haft_kind_find ---- */

CASE(3, 1, BOTH, "haft_kind_find: the number of the kind that JavaScript defined with this name; fingerprint 0 accepts any.") {
  haft_kind counter, notes;
  EXPECT(haft_kind_find("Counter", 0, &counter), HAFT_OK);
  EXPECT(haft_kind_find("Notes", 0, &notes), HAFT_OK);
  CHECK(counter != notes && counter >= 1 && counter <= 8191 && notes >= 1 && notes <= 8191);
  EQUAL(counter, target("counter", "add").kind);
}

CASE(3, 2, BOTH, "haft_kind_find accepts the fingerprint of the kind's signatures.") {
  haft_kind any, kind;
  EXPECT(haft_kind_find("Counter", 0, &any), HAFT_OK);
  EXPECT(haft_kind_find("Counter", (uint64_t)ask_i64("maker", "fingerprint"), &kind), HAFT_OK);
  EQUAL(kind, any);
}

CASE(3, 3, BOTH, "haft_kind_find: HAFT_E_ABI when the name is defined, with other signatures.") {
  haft_kind kind;
  const uint64_t fingerprint = (uint64_t)ask_i64("maker", "fingerprint");
  EXPECT(haft_kind_find("Counter", fingerprint + 1, &kind), HAFT_E_ABI);
  EXPECT(haft_kind_find("Counter", 1, &kind), HAFT_E_ABI);
  EXPECT(haft_kind_find("Counter", (uint32_t)fingerprint, &kind), HAFT_E_ABI);
}

CASE(3, 4, BOTH, "haft_kind_find: HAFT_E_NOT_FOUND for a name that nobody defined.") {
  haft_kind kind;
  EXPECT(haft_kind_find("Nobody", 0, &kind), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_find("counter", 0, &kind), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_find("Counter ", 0, &kind), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_find("Counte", 0, &kind), HAFT_E_NOT_FOUND);
}

CASE(3, 5, BOTH, "haft_kind_find: HAFT_E_ARGUMENT without a name or a place for the kind.") {
  haft_kind kind;
  EXPECT(haft_kind_find(NULL, 0, &kind), HAFT_E_ARGUMENT);
  EXPECT(haft_kind_find("Counter", 0, NULL), HAFT_E_ARGUMENT);
}

CASE(3, 6, BOTH, "The kind of a plain function is named by its signature, and its op is named \"call\".") {
  haft_kind kind;
  haft_op op;
  haft_value n = haft_value_f64(5), result;
  const Target half = target("half", "call");
  EXPECT(haft_kind_find("fn(f64):f64", 0, &kind), HAFT_OK);
  EQUAL(kind, half.kind);
  EXPECT(haft_op_find(kind, "call", &op), HAFT_OK);
  EXPECT(haft_call(half.handle, op, &n, 1, WAIT, &result), HAFT_OK);
  EQUAL(result.as.f64, 2.5);
}

CASE(3, 7, BOTH, "A kind's number is the same in the whole process: of one kind in two realms.") {
  haft_kind here, there;
  const haft_handle other = (haft_handle)ask_i64("maker", "other");
  EXPECT(haft_kind_of(other, &there), HAFT_OK);
  EXPECT(haft_kind_find("Counter", 0, &here), HAFT_OK);
  EQUAL(here, there);
  EXPECT(haft_release(other), HAFT_OK);
}

/* ---- haft_op_find ---- */

CASE(3, 8, BOTH, "An op's number is the kind and the method's position in the kind's list of ops.") {
  static const char *const ops[] = {"add", "total", "never"};
  const haft_kind kind = target("counter", "add").kind;
  for (uint32_t i = 0; i < COUNT(ops); i++) {
    haft_op op = 0;
    EXPECT(haft_op_find(kind, ops[i], &op), HAFT_OK);
    EQUAL(op, HAFT_OP(kind, i));
    EQUAL(HAFT_OP_KIND(op), kind);
  }
}

CASE(3, 9, BOTH, "haft_op_find: HAFT_E_NOT_FOUND where there is no such kind.") {
  const haft_kind kinds[] = {0, 8191, 8192, 65536 + target("counter", "add").kind, INT32_MAX, UINT32_MAX};
  haft_op op;
  for (size_t i = 0; i < COUNT(kinds); i++) EXPECT(haft_op_find(kinds[i], "add", &op), HAFT_E_NOT_FOUND);
}

CASE(3, 10, BOTH, "haft_op_find: HAFT_E_OP where the kind has no such op.") {
  const haft_kind kind = target("counter", "add").kind;
  static const char *const names[] = {"subtract", "Add", "ad", "add ", "", "constructor", "toString", "sum"};
  haft_op op;
  for (size_t i = 0; i < COUNT(names); i++) EXPECT(haft_op_find(kind, names[i], &op), HAFT_E_OP);
}

CASE(3, 11, BOTH, "haft_op_find: HAFT_E_ARGUMENT without a name or a place for the op.") {
  const haft_kind kind = target("counter", "add").kind;
  haft_op op;
  EXPECT(haft_op_find(kind, NULL, &op), HAFT_E_ARGUMENT);
  EXPECT(haft_op_find(kind, "add", NULL), HAFT_E_ARGUMENT);
}

/* ---- haft_find ---- */

CASE(3, 12, BOTH, "haft_find: the handle that JavaScript published, with one reference for the caller.") {
  const haft_handle h = make("counter");
  haft_handle found = HAFT_NULL;
  EXPECT(publish("found", h), HAFT_OK);
  EXPECT(haft_find(realm, "found", 0, WAIT, &found), HAFT_OK);
  CHECK(found == h);
  EXPECT(haft_release(found), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
  EXPECT(unpublish("found"), HAFT_OK);
}

CASE(3, 13, BOTH, "haft_find: `kind` 0 is any kind; another one must be the handle's, or HAFT_E_KIND.") {
  const Target counter = target("counter", "add"), notes = target("notes", "note");
  haft_handle found;
  EXPECT(haft_find(realm, "counter", counter.kind, 0, &found), HAFT_OK);
  EXPECT(haft_release(found), HAFT_OK);
  EXPECT(haft_find(realm, "counter", notes.kind, 0, &found), HAFT_E_KIND);
  EXPECT(haft_find(realm, "counter", 8191, 0, &found), HAFT_E_KIND);
  EXPECT(haft_check(counter.handle, 0), HAFT_OK); /* the logic's own reference is all there */
}

CASE(3, 14, BOTH, "haft_find: HAFT_E_NOT_FOUND when nothing was published; with timeout 0 at once.") {
  haft_handle found;
  EXPECT(haft_find(realm, "nobody", 0, 0, &found), HAFT_E_NOT_FOUND);
  EXPECT(haft_find(realm, "Counter", 0, 0, &found), HAFT_E_NOT_FOUND);
  EXPECT(haft_find(realm, "counter ", 0, 0, &found), HAFT_E_NOT_FOUND);
}

CASE(3, 15, OWN, "haft_find: the realm's own thread does not wait.") {
  haft_handle found;
  EXPECT(haft_find(realm, "nobody", 0, -1, &found), HAFT_E_NOT_FOUND);
  EXPECT(haft_find(realm, "nobody", 0, WAIT, &found), HAFT_E_NOT_FOUND);
}

CASE(3, 16, FOREIGN | MAY_LACK, "haft_find waits for what is published later.") {
  haft_handle found = HAFT_NULL;
  const haft_handle h = make("counter");
  const haft_value args[] = {text("later"), haft_value_handle(h)};
  EXPECT(call(target("maker", "publishSoon"), args, 2, NULL), HAFT_OK);
  EXPECT(haft_find(realm, "later", 0, WAIT, &found), HAFT_OK);
  CHECK(found == h);
  EXPECT(haft_release(found), HAFT_OK);
  EXPECT(unpublish("later"), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
}

CASE(3, 17, FOREIGN | MAY_LACK, "haft_find waits up to its timeout, then it is HAFT_E_NOT_FOUND.") {
  haft_handle found;
  const double began = milliseconds();
  EXPECT(haft_find(realm, "nobody", 0, MOMENT, &found), HAFT_E_NOT_FOUND);
  CHECK(milliseconds() - began >= MOMENT - 1);
}

CASE(3, 18, BOTH, "haft_find: HAFT_E_NOT_FOUND once the name is taken back, or its handle has ended.") {
  const haft_handle h = make("counter");
  haft_handle found;
  EXPECT(publish("brief", h), HAFT_OK);
  EXPECT(unpublish("brief"), HAFT_OK);
  EXPECT(haft_find(realm, "brief", 0, 0, &found), HAFT_E_NOT_FOUND);
  EXPECT(publish("brief", h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK); /* a name holds no reference */
  EXPECT(haft_find(realm, "brief", 0, 0, &found), HAFT_E_NOT_FOUND);
  EXPECT(unpublish("brief"), HAFT_OK);
}

CASE(3, 19, BOTH, "haft_find: HAFT_E_OVERFLOW where the handle has no room for the caller's reference.") {
  if (haft_check_level() == 2) return; /* a stack for each of four million takes minutes */
  const haft_handle h = make("counter");
  const haft_value arg = haft_value_handle(h);
  haft_handle found;
  EXPECT(publish("loved", h), HAFT_OK);
  EXPECT(call(target("maker", "saturate"), &arg, 1, NULL), HAFT_OK);
  EXPECT(haft_find(realm, "loved", 0, 0, &found), HAFT_E_OVERFLOW);
  tell_handle("maker", "delete", h);
  EXPECT(unpublish("loved"), HAFT_OK);
}

CASE(3, 20, BOTH, "haft_find: HAFT_E_ARGUMENT without a name or a place for the handle.") {
  haft_handle found;
  EXPECT(haft_find(realm, NULL, 0, 0, &found), HAFT_E_ARGUMENT);
  EXPECT(haft_find(realm, "counter", 0, 0, NULL), HAFT_E_ARGUMENT);
}

CASE(3, 21, BOTH, "haft_find: HAFT_E_CLOSED for a realm that is closed, and for an integer that is none.") {
  haft_handle found;
  const haft_realm brief = brief_realm();
  EXPECT(haft_find(brief, "counter", 0, 0, &found), HAFT_E_NOT_FOUND);
  close_brief();
  const haft_realm none[] = {brief, 0, 1, (haft_realm)-1, realm + (1ull << 32), realm | 1ull << 60};
  for (size_t i = 0; i < COUNT(none); i++) EXPECT(haft_find(none[i], "counter", 0, -1, &found), HAFT_E_CLOSED);
}

CASE(3, 22, FOREIGN | MAY_LACK, "haft_find: a wait ends with HAFT_E_CLOSED when the realm closes.") {
  haft_handle found;
  const haft_realm brief = brief_realm();
  tell("maker", "closeBriefSoon");
  EXPECT(haft_find(brief, "nobody", 0, -1, &found), HAFT_E_CLOSED);
}

CASE(3, 23, BOTH, "A name published again finds the new handle.") {
  const haft_handle first = make("counter"), second = make("notes");
  haft_handle found;
  EXPECT(publish("again", first), HAFT_OK);
  EXPECT(publish("again", second), HAFT_OK);
  EXPECT(haft_find(realm, "again", 0, 0, &found), HAFT_OK);
  CHECK(found == second);
  EXPECT(haft_release(found), HAFT_OK);
  EXPECT(unpublish("again"), HAFT_OK);
  EXPECT(haft_release(first), HAFT_OK);
  EXPECT(haft_release(second), HAFT_OK);
}

/* ---- haft_realm_check ---- */

CASE(3, 24, BOTH, "haft_realm_check: HAFT_OK while the realm takes new work, then HAFT_E_CLOSED.") {
  const haft_realm brief = brief_realm();
  EXPECT(haft_realm_check(realm), HAFT_OK);
  EXPECT(haft_realm_check(brief), HAFT_OK);
  close_brief();
  EXPECT(haft_realm_check(brief), HAFT_E_CLOSED);
  EXPECT(haft_realm_check(realm), HAFT_OK);
}

CASE(3, 25, BOTH, "haft_realm_check: HAFT_E_CLOSED for any integer that is no realm.") {
  const haft_realm none[] = {0, 1, 42, INT32_MAX, UINT32_MAX, (haft_realm)-1, 1ull << 52, 1ull << 63, realm + (1ull << 32),
                             ~realm, target("counter", "add").handle, (haft_realm)(uintptr_t)&none};
  for (size_t i = 0; i < COUNT(none); i++)
    if (none[i] != realm) EXPECT(haft_realm_check(none[i]), HAFT_E_CLOSED);
  for (int i = 0; i < 500; i++) EXPECT(haft_realm_check(random64() | 1ull << 40), HAFT_E_CLOSED);
}

/* ---- haft_kind_match ---- */

CASE(3, 26, BOTH, "haft_kind_match: the kind of that name whose ops are exactly these, in their order.") {
  haft_kind kind = 0;
  EXPECT(haft_kind_match("Counter", "add(f64):f64;total():f64;never():f64", &kind), HAFT_OK);
  EQUAL(kind, target("counter", "add").kind);
  EXPECT(haft_kind_match("fn(f64):f64", "call(f64):f64", &kind), HAFT_OK);
}

CASE(3, 27, BOTH, "haft_kind_match: HAFT_E_ABI where they differ, with the first op that does, and how.") {
  haft_kind kind;
  EXPECT(haft_kind_match("Counter", "add(f64):f64;never():f64;total():f64", &kind), HAFT_E_ABI);
  TEXT(haft_last_error()->message, "op 1 of Counter is total():f64 in JavaScript, and never():f64 where C was built");
  EXPECT(haft_kind_match("Counter", "add(f64):f64;total():f64", &kind), HAFT_E_ABI);
  TEXT(haft_last_error()->message, "op 2 of Counter is never():f64 in JavaScript, where C was built without it");
  EXPECT(haft_kind_match("Counter", "add(f64):f64;total():f64;never():f64;more(str):void", &kind), HAFT_E_ABI);
  TEXT(haft_last_error()->message, "Counter has no op more(str):void in JavaScript, where C was built with it");
  EXPECT(haft_kind_match("Counter", "", &kind), HAFT_E_ABI);
}

CASE(3, 28, BOTH, "haft_kind_match: HAFT_E_NOT_FOUND for a name that nobody defined; HAFT_E_ARGUMENT for NULL.") {
  haft_kind kind;
  EXPECT(haft_kind_match("Nobody", "add(f64):f64", &kind), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_match(NULL, "", &kind), HAFT_E_ARGUMENT);
  EXPECT(haft_kind_match("Counter", NULL, &kind), HAFT_E_ARGUMENT);
  EXPECT(haft_kind_match("Counter", "", NULL), HAFT_E_ARGUMENT);
}
