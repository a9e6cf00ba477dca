/* What C finds by name: published handles, kinds, ops. */
#include "check.h"

static void find(void) {
  haft_handle found = 1;
  haft_kind kind;
  EXPECT(haft_find(realm, "bystander", 0, 0, &found), HAFT_OK);
  EXPECT(haft_kind_find("Sample", 0, &kind), HAFT_OK);
  EXPECT(haft_check(found, kind), HAFT_OK);
  EXPECT(haft_find(realm, "bystander", kind, 0, &found), HAFT_OK);
  EXPECT(haft_find(realm, "stranger", kind, 0, &found), HAFT_E_KIND);
  CHECK(found == HAFT_NULL);
  EXPECT(haft_find(realm, "plain", 0, 0, &found), HAFT_OK);
  EXPECT(haft_find(realm, "plain", kind, 0, &found), HAFT_E_KIND);
  EXPECT(haft_find(realm, "nobody", 0, 0, &found), HAFT_E_NOT_FOUND);
  CHECK(found == HAFT_NULL);
  EXPECT(haft_find(realm, "nobody", 0, 30, &found), HAFT_E_NOT_FOUND);
  EXPECT(haft_find(realm, "bystande", 0, 0, &found), HAFT_E_NOT_FOUND);
  EXPECT(haft_find(realm, "bystander ", 0, 0, &found), HAFT_E_NOT_FOUND);
  char name[200];
  memset(name, 'x', sizeof name);
  name[112] = 0;
  EXPECT(haft_find(realm, name, 0, 0, &found), HAFT_E_NOT_FOUND);
  name[112] = 'x', name[113] = 0;
  EXPECT(haft_find(realm, name, 0, -1, &found), HAFT_E_ARGUMENT);
  EXPECT(haft_find(realm, "", 0, -1, &found), HAFT_E_ARGUMENT);
}

/* Each find gives one reference, and the name itself holds none. */
static void reference(void) {
  haft_value made = text("live"), name = text("short");
  haft_handle found;
  const haft_handle mine = make("live");
  haft_value args[2] = {name, haft_value_handle(mine)};
  EXPECT(call(function("publish"), args, 2, NULL), HAFT_OK);
  EXPECT(haft_find(realm, "short", 0, 0, &found), HAFT_OK);
  CHECK(found == mine);
  EXPECT(haft_release(mine), HAFT_OK);
  EXPECT(haft_check(found, 0), HAFT_OK);
  EXPECT(haft_release(found), HAFT_OK);
  EXPECT(haft_check(found, 0), HAFT_E_STALE);
  EXPECT(haft_find(realm, "short", 0, 0, &found), HAFT_E_NOT_FOUND);
  /* The name is free for the next. */
  const haft_handle next = make("live");
  args[1] = haft_value_handle(next);
  EXPECT(call(function("publish"), args, 2, NULL), HAFT_OK);
  EXPECT(haft_find(realm, "short", 0, 0, &found), HAFT_OK);
  CHECK(found == next);
  EXPECT(call(function("unpublish"), &name, 1, NULL), HAFT_OK);
  EXPECT(haft_find(realm, "short", 0, 0, &found), HAFT_E_NOT_FOUND);
  EXPECT(haft_check(next, 0), HAFT_OK);
  (void)made;
}

/* Threads wait for a name that is published later. */
static void wait_for_late(int number) {
  haft_handle found;
  haft_kind kind;
  EXPECT(haft_kind_find("Sample", 0, &kind), HAFT_OK);
  if (number == 3) {
    EXPECT(haft_find(realm, "late", 8000, -1, &found), HAFT_E_KIND);
    return;
  }
  EXPECT(haft_find(realm, "late", kind, number == 0 ? -1 : WAIT, &found), HAFT_OK);
  EXPECT(haft_check(found, kind), HAFT_OK);
}
static void *publish_late(void *unused) {
  usleep(120 * 1000); /* longer than two slices of sleep */
  haft_value args[2] = {text("late"), haft_value_handle(make("live"))};
  EXPECT(call(function("publish"), args, 2, NULL), HAFT_OK);
  return unused;
}
static void waits(void) {
  pthread_t publisher;
  CHECK(pthread_create(&publisher, NULL, publish_late, NULL) == 0);
  on_threads(4, wait_for_late);
  pthread_join(publisher, NULL);
}

/* A find that waits ends when the realm closes. */
static void wait_for_close(int number) {
  haft_handle found;
  EXPECT(haft_find(realm, "never", 0, number == 0 ? -1 : WAIT, &found), HAFT_E_CLOSED);
  EXPECT(haft_find(realm, "bystander", 0, -1, &found), HAFT_E_CLOSED);
  EXPECT(haft_realm_check(realm), HAFT_E_CLOSED);
}
static void *close_soon(void *unused) {
  usleep(60 * 1000);
  const Target close = function("close");
  EXPECT(haft_call(close.handle, close.op, NULL, 0, WAIT, NULL), HAFT_E_CLOSED);
  return unused;
}
static void closes(void) {
  pthread_t closer;
  EXPECT(haft_realm_check(realm), HAFT_OK);
  CHECK(pthread_create(&closer, NULL, close_soon, NULL) == 0);
  on_threads(3, wait_for_close);
  pthread_join(closer, NULL);
}

static void realms(void) {
  const haft_realm none[] = {0, 1, 2, 255, realm + 1, realm ^ 256, realm + 256, realm | (haft_realm)1 << 63, (haft_realm)-1};
  haft_handle found;
  for (size_t i = 0; i < COUNT(none); i++) {
    EXPECT(haft_realm_check(none[i]), HAFT_E_CLOSED);
    EXPECT(haft_find(none[i], "bystander", 0, -1, &found), HAFT_E_CLOSED);
  }
  EXPECT(haft_realm_check(realm), HAFT_OK);
  /* A name belongs to its realm. */
  haft_realm other;
  EXPECT(haft_realm_of(make("other"), &other), HAFT_OK);
  EXPECT(haft_realm_check(other), HAFT_OK);
  EXPECT(haft_find(other, "bystander", 0, 0, &found), HAFT_E_NOT_FOUND);
}

static uint64_t fingerprint(const char *name) {
  haft_value n = text(name), result;
  EXPECT(call(function("fingerprint"), &n, 1, &result), HAFT_OK);
  return (uint64_t)result.as.i64;
}

static void kinds(void) {
  haft_kind kind = 0, same = 0, signature;
  haft_op op = 0;
  EXPECT(haft_kind_find("Sample", 0, &kind), HAFT_OK);
  CHECK(kind >= 1 && kind <= 8191);
  EXPECT(haft_kind_find("Sample", fingerprint("Sample"), &same), HAFT_OK);
  CHECK(same == kind);
  EXPECT(haft_kind_find("Sample", fingerprint("Sample") + 1, &same), HAFT_E_ABI);
  EXPECT(haft_kind_find("Sample", fingerprint("Stranger"), &same), HAFT_E_ABI);
  EXPECT(haft_kind_find("sample", 0, &same), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_find("Samples", 1, &same), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_find("", 0, &same), HAFT_E_NOT_FOUND);
  char longest[300];
  memset(longest, 'k', sizeof longest);
  longest[299] = 0;
  EXPECT(haft_kind_find(longest, 0, &same), HAFT_E_NOT_FOUND);
  EXPECT(haft_kind_find("fn(str):handle", 0, &signature), HAFT_OK);
  CHECK(signature == function("make").kind);
  EXPECT(haft_op_find(signature, "call", &op), HAFT_OK);
  CHECK(op == HAFT_OP(signature, 0) && HAFT_OP_KIND(op) == signature);
  const char *const ops[] = {"touch", "add", "take", "note"};
  for (size_t i = 0; i < COUNT(ops); i++) {
    EXPECT(haft_op_find(kind, ops[i], &op), HAFT_OK);
    CHECK(op == HAFT_OP(kind, i));
  }
  EXPECT(haft_op_find(kind, "constructor", &op), HAFT_E_OP);
  EXPECT(haft_op_find(kind, "tou", &op), HAFT_E_OP);
  EXPECT(haft_op_find(kind, "touch ", &op), HAFT_E_OP);
  EXPECT(haft_op_find(kind, "", &op), HAFT_E_OP);
  const haft_kind none[] = {0, 8191, 8192, 65536, UINT32_MAX};
  for (size_t i = 0; i < COUNT(none); i++) EXPECT(haft_op_find(none[i], "touch", &op), HAFT_E_NOT_FOUND);
}

/* Two definitions of one name are two kinds, each found by its fingerprint, and the latest without one. */
static void versions(void) {
  haft_kind first, second, any;
  haft_value which = haft_value_f64(1), one, two;
  EXPECT(call(function("define"), &which, 1, &one), HAFT_OK);
  EXPECT(haft_kind_find("Version", 0, &first), HAFT_OK);
  which = haft_value_f64(2);
  EXPECT(call(function("define"), &which, 1, &two), HAFT_OK);
  EXPECT(haft_kind_find("Version", (uint64_t)two.as.i64, &second), HAFT_OK);
  EXPECT(haft_kind_find("Version", (uint64_t)one.as.i64, &any), HAFT_OK);
  CHECK(any == first && first != second);
  EXPECT(haft_kind_find("Version", 12345, &any), HAFT_E_ABI);
  EXPECT(haft_kind_find("Version", 0, &any), HAFT_OK);
  CHECK(any == second); /* the latest */
  which = haft_value_f64(1);
  EXPECT(call(function("define"), &which, 1, &one), HAFT_OK); /* the first again, as after a restart */
  EXPECT(haft_kind_find("Version", 0, &any), HAFT_OK);
  CHECK(any == first);
  for (int i = 3; i < 18; i++) { /* wherever they come to stand in the table */
    which = haft_value_f64(i);
    EXPECT(call(function("define"), &which, 1, &two), HAFT_OK);
    EXPECT(haft_kind_find("Version", 0, &any), HAFT_OK);
    EXPECT(haft_kind_find("Version", (uint64_t)two.as.i64, &second), HAFT_OK);
    CHECK(any == second);
  }
}

/* A kind without ops exists all the same. */
static void no_ops(void) {
  haft_kind kind;
  haft_op op;
  EXPECT(haft_kind_find("Empty", 0, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "touch", &op), HAFT_E_OP);
}

CASES({"find", find}, {"reference", reference}, {"waits", waits}, {"closes", closes}, {"realms", realms},
      {"kinds", kinds}, {"versions", versions}, {"no ops", no_ops})
