// Level 2: who owns which reference, what is kept of each handle, and that neither grows without bounds.
// builds: tsan asan
#include "support.h"

#include <unistd.h>

#include "checked.h"
#include "checks.h"
#include "history.h"

using namespace test;

namespace {

const haft_api *api;

haft_handle create(Consumer &c, haft_kind kind) {
  const haft_handle handle = c.create(kind);
  history_create(handle, c.id, false, script_deed("create", "makeConnection (app.js:1:1)"));
  return handle;
}

haft_status script_release(haft_handle handle) {
  return history_change(handle, Side::kScript, -1, script_deed("release", ""), [=] { return slot_release(handle); });
}

// Each side gives back what it owns, once.
void owners() {
  say("owners");
  Consumer c;
  const haft_kind kind = define_kind("Owned");
  const haft_handle h = create(c, kind);
  CHECK_STATUS(api->release(h), HAFT_E_OWNER);
  CHECK(last_error()->rule == 3 && strstr(last_error()->message, "native code owns none of the 1 reference of"));
  CHECK_STATUS(api->release_as(h, "connection"), HAFT_E_OWNER);
  CHECK_STATUS(api->release_as(h, ""), HAFT_E_ARGUMENT);  // before who owns what
  CHECK_STATUS(api->retain(h), HAFT_OK);
  CHECK_STATUS(api->retain(h), HAFT_OK);
  CHECK_STATUS(script_release(h), HAFT_OK);
  CHECK_STATUS(script_release(h), HAFT_E_OWNER);
  CHECK_STATUS(api->release(h), HAFT_OK);
  History known;
  CHECK(history_of(h, &known) && !known.ended && known.native == 1 && script_references(known) == 0);
  CHECK_STATUS(api->release(h), HAFT_OK);
  CHECK_STATUS(api->release(h), HAFT_E_STALE);
  CHECK(history_of(h, &known) && known.ended && !strcmp(known.references.back().what, "haft_release"));

  const haft_handle given = create(c, kind);
  CHECK_STATUS(history_transfer(given, script_deed("transfer", "")), HAFT_OK);
  CHECK_STATUS(history_transfer(given, script_deed("transfer", "")), HAFT_E_OWNER);
  CHECK(history_may_give(given));  // the transferred one, as a handler's result
  history_receive(given, native_deed("haft_call", nullptr));
  CHECK(history_of(given, &known) && known.native == 1);
  CHECK(!history_may_give(given));
  CHECK_STATUS(script_release(given), HAFT_E_OWNER);
  CHECK_STATUS(api->release(given), HAFT_OK);

  const haft_handle own = c.create(kind);
  history_create(own, c.id, true, script_deed("create", ""));
  checked_destroy(own, nullptr);
  CHECK_STATUS(check(own), HAFT_E_STALE);
}

// What is kept, and how much of it.
void memory() {
  say("memory");
  Consumer c;
  const haft_kind kind = define_kind("Kept");
  const haft_handle h = create(c, kind);
  History known;
  CHECK(history_of(h, &known) && known.created.script == "makeConnection (app.js:1:1)");
  for (int i = 0; i < 100; i++) CHECK_STATUS(api->retain(h), HAFT_OK);
  haft_value one = haft_value_f64(1);
  CHECK_STATUS(api->post(h, HAFT_OP(kind, 0), &one, 1, HAFT_FAIL), HAFT_OK);
  CHECK(history_of(h, &known) && known.references.size() == kDeedsMost && known.native == 100);
  CHECK(!strcmp(known.last_use.what, "haft_post") && known.last_use.op == HAFT_OP(kind, 0));
  CHECK(known.last_use.thread == (uint64_t)gettid());
#if __has_include(<execinfo.h>)
  CHECK(known.last_use.native.count > 0 && !trace_lines(known.last_use.native).empty());
#endif
  const haft_handle first = create(c, kind);
  history_end(first, script_deed("delete", ""));
  for (size_t i = 0; i < 2 * kEndedMost; i++) {
    const haft_handle next = create(c, kind);
    CHECK_STATUS(script_release(next), HAFT_OK);
    if (i == 0) CHECK(history_of(first, &known) && known.ended);
  }
  CHECK(!history_of(first, &known));
  history_forget(c.id);
  CHECK(!history_of(h, &known));
}

// Threads retain, release and use what one thread creates: of the references none is lost, and no release of an owner's
// is refused.
void threads() {
  say("threads");
  constexpr int kThreads = 4, kPlaces = 8;
  Consumer c;
  const haft_kind kind = define_kind("Shared");
  haft_handle places[kPlaces];
  for (haft_handle &place : places) place = create(c, kind);
  Threads all;
  all.start(kThreads, [&](int me) {
    Random random(me);
    for (int i = 0; i < amount(2000); i++) {
      const haft_handle h = places[random.below(kPlaces)];
      CHECK_STATUS(api->retain(h), HAFT_OK);
      jitter(random, 8);
      History known;
      CHECK(history_of(h, &known) && known.native >= 1 && known.native <= kThreads);
      CHECK_STATUS(api->release(h), HAFT_OK);
    }
  });
  all.join();
  for (const haft_handle place : places) {
    History known;
    CHECK(history_of(place, &known) && known.native == 0 && script_references(known) == 1);
    CHECK_STATUS(api->release(place), HAFT_E_OWNER);
  }
}

}  // namespace

int main() {
  setenv("HAFTCHECK", "2", 1);
  CHECK(check_level() == 2);
  api = api_table();
  CHECK(freopen("/dev/null", "w", stderr) || true);
  owners();
  memory();
  threads();
  return 0;
}
