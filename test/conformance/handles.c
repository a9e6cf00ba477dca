/* Section 2: handles, their references, and integers that are no handles. */
#include "suite.h"

#define MOST_REFERENCES 4194303

/* ---- Handles ---- */

CASE(2, 1, BOTH, "A handle is always in [2^52, 2^53), an exact number in JavaScript too.") {
  const haft_handle h = make("counter");
  CHECK(h >= (haft_handle)1 << 52 && h < (haft_handle)1 << 53);
  const Target number_of = target("maker", "numberOf");
  const haft_value arg = haft_value_handle(h);
  haft_value result;
  EXPECT(call(number_of, &arg, 1, &result), HAFT_OK);
  EQUAL(result.as.f64, (double)h);
  EXPECT(haft_release(h), HAFT_OK);
}

CASE(2, 2, BOTH, "HAFT_NULL is never a handle.") {
  haft_kind kind;
  haft_realm of;
  EXPECT(haft_retain(HAFT_NULL), HAFT_E_FORGED);
  EXPECT(haft_release(HAFT_NULL), HAFT_E_FORGED);
  EXPECT(haft_check(HAFT_NULL, 0), HAFT_E_FORGED);
  EXPECT(haft_kind_of(HAFT_NULL, &kind), HAFT_E_FORGED);
  EXPECT(haft_realm_of(HAFT_NULL, &of), HAFT_E_FORGED);
}

/* ---- haft_retain ---- */

CASE(2, 3, BOTH, "haft_retain adds one reference.") {
  const haft_handle h = make("counter");
  EXPECT(haft_retain(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(2, 4, BOTH, "haft_retain: HAFT_E_FORGED for what was never issued.") {
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(target("counter", "add").handle, values);
  for (size_t i = 0; i < n; i++) {
    EXPECT(haft_retain(values[i]), HAFT_E_FORGED);
    CHECK(haft_last_error()->handle == values[i]);
  }
}

CASE(2, 5, BOTH, "haft_retain: HAFT_E_STALE once the object was released or deleted.") {
  EXPECT(haft_retain(ended("deleted")), HAFT_E_STALE);
  EXPECT(haft_retain(ended("released")), HAFT_E_STALE);
}

CASE(2, 6, BOTH, "haft_retain: HAFT_E_CLOSED when the realm is closed.") {
  EXPECT(haft_retain(ended("closed")), HAFT_E_CLOSED);
}

CASE(2, 7, BOTH, "haft_retain: HAFT_E_OVERFLOW at 4,194,303 references, and nothing changed.") {
  if (haft_check_level() == 2) return; /* a stack for each of four million takes minutes */
  const Target saturate = target("maker", "saturate");
  const haft_handle h = make("counter");
  const haft_value arg = haft_value_handle(h);
  haft_value added;
  EXPECT(call(saturate, &arg, 1, &added), HAFT_OK);
  EQUAL(added.as.f64 + 1, MOST_REFERENCES);
  EXPECT(haft_retain(h), HAFT_E_OVERFLOW);
  CHECK(haft_last_error()->handle == h);
  EXPECT(haft_retain(h), HAFT_E_OVERFLOW);
  EXPECT(haft_check(h, target("counter", "add").kind), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK); /* one less, and there is room for one again */
  EXPECT(haft_retain(h), HAFT_OK);
  EXPECT(haft_retain(h), HAFT_E_OVERFLOW);
  tell_handle("maker", "delete", h);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

/* ---- haft_release ---- */

CASE(2, 8, BOTH, "haft_release: the last one ends the handle at once.") {
  const haft_handle h = make("counter");
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
  EXPECT(haft_retain(h), HAFT_E_STALE);
}

CASE(2, 9, BOTH, "JavaScript drops the object soon after the last release.") {
  static haft_handle h;
  if (first_turn()) {
    h = make("counter");
    CHECK(has(h));
    EXPECT(haft_release(h), HAFT_OK);
  }
  AWAIT(!has(h));
}

CASE(2, 10, BOTH, "haft_release: HAFT_E_STALE also for a release too many, if nobody else holds a reference.") {
  const haft_handle h = make("counter"), others[] = {make("counter"), make("counter"), make("counter")};
  EXPECT(haft_release(h), HAFT_OK);
  for (int i = 0; i < 10; i++) EXPECT(haft_release(h), HAFT_E_STALE);
  for (size_t i = 0; i < COUNT(others); i++) {
    EXPECT(haft_check(others[i], 0), HAFT_OK);
    EXPECT(haft_release(others[i]), HAFT_OK);
  }
}

CASE(2, 11, BOTH, "haft_release: HAFT_E_FORGED for what was never issued.") {
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(target("counter", "add").handle, values);
  for (size_t i = 0; i < n; i++) {
    EXPECT(haft_release(values[i]), HAFT_E_FORGED);
    CHECK(haft_last_error()->handle == values[i]);
  }
}

CASE(2, 12, BOTH, "haft_release: HAFT_E_STALE for a handle that JavaScript deleted, whatever its references.") {
  const haft_handle h = make("counter");
  EXPECT(haft_retain(h), HAFT_OK);
  tell_handle("maker", "delete", h);
  EXPECT(haft_release(h), HAFT_E_STALE);
  EXPECT(haft_release(h), HAFT_E_STALE);
}

CASE(2, 13, BOTH, "haft_release: HAFT_E_CLOSED when the realm is closed.") {
  EXPECT(haft_release(ended("closed")), HAFT_E_CLOSED);
}

CASE(2, 14, BOTH, "References of C and of JavaScript are counted together.") {
  const haft_handle h = make("counter");
  tell_handle("maker", "retain", h);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_retain(h), HAFT_OK);
  tell_handle("maker", "release", h);
  EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

/* ---- haft_check ---- */

CASE(2, 15, BOTH, "haft_check: whether the handle is valid and, unless `kind` is 0, of that kind.") {
  const Target counter = target("counter", "add"), notes = target("notes", "note");
  EXPECT(haft_check(counter.handle, 0), HAFT_OK);
  EXPECT(haft_check(counter.handle, counter.kind), HAFT_OK);
  EXPECT(haft_check(counter.handle, notes.kind), HAFT_E_KIND);
  EXPECT(haft_check(counter.handle, 8191), HAFT_E_KIND);
  EXPECT(haft_check(counter.handle, UINT32_MAX), HAFT_E_KIND);
  const haft_handle plain = make("plain");
  EXPECT(haft_check(plain, 0), HAFT_OK);
  EXPECT(haft_check(plain, counter.kind), HAFT_E_KIND);
  EXPECT(haft_release(plain), HAFT_OK);
}

CASE(2, 16, BOTH, "haft_check changes nothing.") {
  const haft_handle h = make("counter");
  for (int i = 0; i < 100; i++) EXPECT(haft_check(h, 0), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}

CASE(2, 17, BOTH, "haft_check: HAFT_E_FORGED, HAFT_E_STALE, HAFT_E_CLOSED.") {
  haft_handle values[FORGED_MOST];
  const Target t = target("counter", "add");
  const size_t n = forged_handles(t.handle, values);
  for (size_t i = 0; i < n; i++) {
    EXPECT(haft_check(values[i], 0), HAFT_E_FORGED);
    EXPECT(haft_check(values[i], t.kind), HAFT_E_FORGED);
    CHECK(haft_last_error()->handle == values[i]);
  }
  EXPECT(haft_check(ended("deleted"), t.kind), HAFT_E_STALE);
  EXPECT(haft_check(ended("released"), 0), HAFT_E_STALE);
  EXPECT(haft_check(ended("closed"), t.kind), HAFT_E_CLOSED);
}

/* ---- haft_kind_of, haft_realm_of ---- */

CASE(2, 18, BOTH, "haft_kind_of: the kind of a valid handle, 1 to 8191; 0 for an object without a kind.") {
  haft_kind by_name, kind = 77;
  const haft_handle h = make("counter"), plain = make("plain");
  EXPECT(haft_kind_find("Counter", 0, &by_name), HAFT_OK);
  EXPECT(haft_kind_of(h, &kind), HAFT_OK);
  EQUAL(kind, by_name);
  CHECK(kind >= 1 && kind <= 8191);
  EXPECT(haft_kind_of(plain, &kind), HAFT_OK);
  EQUAL(kind, 0);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(plain), HAFT_OK);
}

CASE(2, 19, BOTH, "haft_kind_of: statuses as haft_check.") {
  haft_kind kind;
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(target("counter", "add").handle, values);
  for (size_t i = 0; i < n; i++) EXPECT(haft_kind_of(values[i], &kind), HAFT_E_FORGED);
  EXPECT(haft_kind_of(ended("deleted"), &kind), HAFT_E_STALE);
  EXPECT(haft_kind_of(ended("closed"), &kind), HAFT_E_CLOSED);
}

CASE(2, 20, BOTH, "haft_realm_of: the realm of a valid handle.") {
  const haft_handle h = make("counter"), other = (haft_handle)ask_i64("maker", "other");
  haft_realm of = 77;
  EXPECT(haft_realm_of(h, &of), HAFT_OK);
  CHECK(of == realm);
  EXPECT(haft_realm_of(other, &of), HAFT_OK);
  CHECK(of != realm && of == (haft_realm)ask_i64("maker", "otherRealm"));
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(other), HAFT_OK);
}

CASE(2, 21, BOTH, "haft_realm_of: statuses as haft_check.") {
  haft_realm of;
  haft_handle values[FORGED_MOST];
  const size_t n = forged_handles(target("counter", "add").handle, values);
  for (size_t i = 0; i < n; i++) EXPECT(haft_realm_of(values[i], &of), HAFT_E_FORGED);
  EXPECT(haft_realm_of(ended("released"), &of), HAFT_E_STALE);
  EXPECT(haft_realm_of(ended("closed"), &of), HAFT_E_CLOSED);
}

/* ---- Any integer at all ---- */

static void never_valid(haft_handle value) {
  const haft_status status = haft_check(value, 0);
  const bool in_range = value >> 52 == 1;
  if (status != HAFT_E_FORGED && !(in_range && status == HAFT_E_STALE))
    failed(__FILE__, __LINE__, "haft_check(%#llx) is %s", (unsigned long long)value, haft_status_name(status));
}

CASE(2, 22, BOTH, "A value with any one bit changed never names an object.") {
  const haft_handle h = make("notes");
  for (int bit = 0; bit < 64; bit++) {
    haft_realm of;
    const haft_handle changed = h ^ (haft_handle)1 << bit;
    if (bit < 26 && haft_check(changed, 0) == HAFT_OK) { /* a neighbour, if it is another object's own handle */
      EXPECT(haft_realm_of(changed, &of), HAFT_OK);
      continue;
    }
    never_valid(changed);
  }
  EXPECT(haft_release(h), HAFT_OK);
}

CASE(2, 23, BOTH, "A computed value (one more, one less, so many times 2^26 more) never names the same object.") {
  const haft_handle h = make("counter");
  const haft_handle generation = (haft_handle)1 << 26;
  for (int i = 1; i <= 100; i++) {
    never_valid(h + (haft_handle)i * generation);
    never_valid(h - (haft_handle)i * generation);
  }
  const haft_handle beside[] = {h - 2, h - 1, h + 1, h + 2};
  for (size_t i = 0; i < COUNT(beside); i++) {
    const haft_status status = haft_check(beside[i], 0);
    CHECK(status == HAFT_E_FORGED || status == HAFT_E_STALE || status == HAFT_OK); /* somebody else's, if anyone's */
  }
  EXPECT(haft_release(h), HAFT_OK);
}

CASE(2, 24, BOTH, "A random integer of 64 bits is a status and never a crash.") {
  for (int i = 0; i < 3000; i++) {
    const uint64_t value = random64();
    if (value >> 52 == 1) continue;
    EXPECT(haft_check(value, 0), HAFT_E_FORGED);
    EXPECT(haft_retain(value), HAFT_E_FORGED);
    EXPECT(haft_release(value), HAFT_E_FORGED);
  }
}

CASE(2, 25, BOTH, "A random integer in the range of handles is HAFT_E_FORGED or HAFT_E_STALE.") {
  for (int i = 0; i < 3000; i++) never_valid((haft_handle)1 << 52 | random64() >> 12);
}

CASE(2, 26, BOTH, "A handle that outlived its object never names another object.") {
  enum { MANY = 200 };
  static haft_handle old[MANY], fresh[MANY];
  for (int i = 0; i < MANY; i++) {
    old[i] = make("counter");
    EXPECT(haft_release(old[i]), HAFT_OK);
    fresh[i] = make("counter"); /* in the slot of the former, mostly */
  }
  for (int i = 0; i < MANY; i++) {
    EXPECT(haft_check(old[i], 0), HAFT_E_STALE);
    EXPECT(haft_release(old[i]), HAFT_E_STALE);
    for (int j = 0; j < MANY; j++) CHECK(old[i] != fresh[j] && (i == j || fresh[i] != fresh[j]));
  }
  for (int i = 0; i < MANY; i++) EXPECT(haft_release(fresh[i]), HAFT_OK);
}

/* ---- Many threads ---- */

static haft_handle shared;
static atomic_int released;

static void retain_and_release(int thread) {
  (void)thread;
  for (int i = 0; i < 300; i++) {
    EXPECT(haft_retain(shared), HAFT_OK);
    EXPECT(haft_check(shared, 0), HAFT_OK);
    EXPECT(haft_release(shared), HAFT_OK);
  }
}
CASE(2, 27, FOREIGN, "Any thread may retain and release at any time: no reference is lost or made.") {
  shared = make("counter");
  on_threads(4, retain_and_release);
  EXPECT(haft_release(shared), HAFT_OK);
  EXPECT(haft_release(shared), HAFT_E_STALE);
}

static void release_once(int thread) {
  (void)thread;
  const haft_status status = haft_release(shared);
  if (status == HAFT_OK) released++;
  else EXPECT(status, HAFT_E_STALE);
}
CASE(2, 28, FOREIGN, "Of several threads that release one reference, one does; the others are HAFT_E_STALE.") {
  for (int i = 0; i < 50; i++) {
    shared = make("counter");
    released = 0;
    on_threads(4, release_once);
    EQUAL(released, 1);
  }
}

static void retain_until_stale(int thread) {
  haft_status status;
  for (int i = 0; (status = haft_retain(shared)) == HAFT_OK; i++) {
    EXPECT(haft_release(shared), HAFT_OK);
    if (thread == 0 && i == 20) EXPECT(haft_release(shared), HAFT_OK); /* the first reference */
    if (thread == 0 && i > 20) usleep(100);
  }
  EXPECT(status, HAFT_E_STALE);
}
CASE(2, 29, FOREIGN, "A retain that races the last release succeeds or is HAFT_E_STALE, and nothing between.") {
  for (int i = 0; i < 20; i++) {
    shared = make("counter");
    on_threads(2, retain_until_stale);
    EXPECT(haft_check(shared, 0), HAFT_E_STALE);
  }
}

CASE(2, 30, BOTH | ONE_PROCESS, "At HAFTCHECK=2 a release of a reference that native code does not own is HAFT_E_OWNER, and nothing changed.") {
  const haft_handle h = make("counter");
  const haft_value arg = haft_value_handle(h);
  EXPECT(call(target("maker", "retain"), &arg, 1, NULL), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  if (haft_check_level() == 2) {
    EXPECT(haft_release(h), HAFT_E_OWNER);
    CHECK(haft_last_error()->handle == h);
    EXPECT(haft_check(h, 0), HAFT_OK);
    EXPECT(call(target("maker", "release"), &arg, 1, NULL), HAFT_OK);
  } else {
    EXPECT(haft_release(h), HAFT_OK);
  }
  EXPECT(haft_check(h, 0), HAFT_E_STALE);
}
