/* Every function of haft.h on every sort of handle: its own status, nothing changed, no crash. */
#include "check.h"

#include <sys/wait.h>

static haft_value seven(void) { return haft_value_f64(7); }

/* All functions that take a handle answer `status`, and `in_argument` where it is an argument of a message. */
static void refused(haft_handle handle, haft_status status, haft_status in_argument) {
  const Target good = target("bystander", "add");
  const Target take = target("bystander", "take");
  const double live = ask_number("live"), calls = ask_number("bystander calls");
  haft_value n = seven(), argument = haft_value_handle(handle), result;
  haft_kind kind = 77;
  haft_realm of = 77;
  EXPECT(haft_retain(handle), status);
  CHECK(haft_last_error()->handle == handle);
  EXPECT(haft_release(handle), status);
  CHECK(haft_last_error()->handle == handle);
  EXPECT(haft_check(handle, 0), status);
  EXPECT(haft_check(handle, good.kind), status);
  EXPECT(haft_kind_of(handle, &kind), status);
  CHECK(kind == 0);
  EXPECT(haft_realm_of(handle, &of), status);
  CHECK(of == 0);
  EXPECT(haft_post(handle, good.op, &n, 1, HAFT_FAIL), status);
  EXPECT(haft_post(handle, good.op, &n, 1, HAFT_DROP_NEWEST), status);
  EXPECT(haft_post(handle, good.op, &n, 1, HAFT_BLOCK(-1)), status);
  memset(&result, 0x55, sizeof result);
  EXPECT(haft_call(handle, good.op, &n, 1, -1, &result), status);
  CHECK(result.type == HAFT_VOID && haft_last_error()->handle == handle);
  EXPECT(haft_call(handle, good.op, &n, 1, 0, NULL), status);
  haft_request requests[3] = {
      {good.handle, &n, 1, good.op, 55, 0, {0}},
      {handle, &n, 1, good.op, 55, 0, {0}},
      {good.handle, &n, 1, good.op, 55, 0, {0}},
  };
  EXPECT(haft_call_many(requests, 3, WAIT), status);
  CHECK(requests[0].status == HAFT_OK && requests[0].result.as.f64 == calls + 7);
  CHECK(requests[1].status == status && requests[1].result.type == HAFT_VOID);
  CHECK(requests[2].status == HAFT_OK && requests[2].result.as.f64 == calls + 14);
  /* As an argument; HAFT_NULL is no object there. */
  if (handle == HAFT_NULL) return;
  EXPECT(haft_post(take.handle, take.op, &argument, 1, HAFT_FAIL), in_argument);
  CHECK(haft_last_error()->handle == handle);
  EXPECT(haft_call(take.handle, take.op, &argument, 1, WAIT, &result), in_argument);
  CHECK(haft_last_error()->handle == handle);
  CHECK(ask_number("live") == live && ask_number("bystander calls") == calls + 14);
}

static void forged(void) {
  const haft_handle live = target("bystander", "touch").handle;
  const haft_handle bit = 1;
  const haft_handle values[] = {
      0, 1, 2, 42, (haft_handle)-1, (haft_handle)-2, INT64_MAX, (haft_handle)INT64_MIN, UINT32_MAX,
      bit << 52, (bit << 52) - 1, (bit << 53) - 1, bit << 53, bit << 63,
      (uint32_t)live, (haft_handle)(int64_t)(int32_t)live, live | bit << 63, live | bit << 53, live << 1, live >> 1,
      live ^ bit << 52, live + (bit << 52), (haft_handle)(float)live | 1, ~live, (haft_handle)(uintptr_t)&live,
      live + ((haft_handle)1 << 45), live ^ ((haft_handle)1 << 40)};
  for (size_t i = 0; i < COUNT(values); i++) {
    if (values[i] != live) refused(values[i], HAFT_E_FORGED, HAFT_E_FORGED);
  }
  haft_handle random = 88172645463325252ull;
  for (int i = 0; i < 200000; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    CHECK(haft_check(random, 0) == HAFT_E_FORGED || random >> 52 == 1);
    const haft_status status = haft_check(bit << 52 | random >> 12, 0);
    CHECK(status == HAFT_E_FORGED || status == HAFT_E_STALE);
  }
}

static void deleted(void) { refused(ended("deleted"), HAFT_E_STALE, HAFT_E_STALE); }
static void reused(void) { refused(ended("reused"), HAFT_E_STALE, HAFT_E_STALE); }
static void await_live(double live) { /* JavaScript drops the objects of released handles soon after */
  for (int i = 0; i < 20000 && ask_number("live") != live; i++) usleep(100);
  CHECK(ask_number("live") == live);
}
static void released(void) {
  const double live = ask_number("live");
  const haft_handle theirs = ended("released"), mine = make("live");
  EXPECT(haft_release(mine), HAFT_OK);
  await_live(live);
  refused(theirs, HAFT_E_STALE, HAFT_E_STALE);
  refused(mine, HAFT_E_STALE, HAFT_E_STALE);
}
static void closed(void) {
  refused(ended("closed"), HAFT_E_CLOSED, HAFT_E_CLOSED);
  refused(ended("closed and deleted before"), HAFT_E_CLOSED, HAFT_E_CLOSED);
  refused(ended("closed and its slot in use"), HAFT_E_STALE, HAFT_E_STALE);
}

/* Another realm's handle is good by itself, and no argument for ours. */
static void other_realm(void) {
  const haft_handle other = make("other");
  const Target take = target("bystander", "take");
  haft_value argument = haft_value_handle(other), result;
  haft_realm of;
  EXPECT(haft_retain(other), HAFT_OK);
  EXPECT(haft_realm_of(other, &of), HAFT_OK);
  CHECK(of != realm && of != 0);
  EXPECT(haft_realm_of(take.handle, &of), HAFT_OK);
  CHECK(of == realm);
  EXPECT(haft_post(take.handle, take.op, &argument, 1, HAFT_FAIL), HAFT_E_REALM);
  CHECK(haft_last_error()->handle == other);
  EXPECT(haft_call(take.handle, take.op, &argument, 1, WAIT, &result), HAFT_E_REALM);
  argument = haft_value_handle(take.handle);
  EXPECT(haft_call(other, take.op, &argument, 1, WAIT, &result), HAFT_E_REALM);
  EXPECT(haft_release(other), HAFT_OK);
  EXPECT(haft_check(other, take.kind), HAFT_OK);
  EXPECT(haft_release(other), HAFT_OK);
}

/* A good handle with an op that is not its own. */
static void wrong_kind(void) {
  const Target sample = target("bystander", "add"), stranger = target("stranger", "touch");
  const haft_handle plain = make("plain");
  haft_value n = seven(), result;
  haft_kind kind = 1;
  EXPECT(haft_check(sample.handle, stranger.kind), HAFT_E_KIND);
  EXPECT(haft_check(sample.handle, 8191), HAFT_E_KIND);
  EXPECT(haft_check(sample.handle, UINT32_MAX), HAFT_E_KIND);
  EXPECT(haft_check(sample.handle, sample.kind), HAFT_OK);
  EXPECT(haft_check(sample.handle, 0), HAFT_OK);
  EXPECT(haft_post(sample.handle, stranger.op, NULL, 0, HAFT_FAIL), HAFT_E_KIND);
  EXPECT(haft_call(sample.handle, stranger.op, NULL, 0, WAIT, &result), HAFT_E_KIND);
  EXPECT(haft_call(stranger.handle, sample.op, &n, 1, WAIT, &result), HAFT_E_KIND);
  CHECK(result.type == HAFT_VOID && haft_last_error()->handle == stranger.handle);
  /* An object of no kind can be held, and no more. */
  EXPECT(haft_kind_of(plain, &kind), HAFT_OK);
  CHECK(kind == 0);
  EXPECT(haft_retain(plain), HAFT_OK);
  EXPECT(haft_release(plain), HAFT_OK);
  EXPECT(haft_check(plain, sample.kind), HAFT_E_KIND);
  EXPECT(haft_call(plain, sample.op, &n, 1, WAIT, &result), HAFT_E_KIND);
  EXPECT(haft_call(plain, HAFT_OP(0, 0), NULL, 0, WAIT, &result), HAFT_E_OP);
  /* Ops that the kind does not have. */
  EXPECT(haft_post(sample.handle, HAFT_OP(sample.kind, 4), NULL, 0, HAFT_FAIL), HAFT_E_OP);
  EXPECT(haft_call(sample.handle, HAFT_OP(sample.kind, 4), NULL, 0, WAIT, &result), HAFT_E_OP);
  EXPECT(haft_call(sample.handle, HAFT_OP(sample.kind, 65535), NULL, 0, WAIT, &result), HAFT_E_OP);
  EXPECT(haft_post(sample.handle, 0, NULL, 0, HAFT_FAIL), HAFT_E_OP);
  EXPECT(haft_post(sample.handle, UINT32_MAX, NULL, 0, HAFT_FAIL), HAFT_E_KIND);
  CHECK(ask_number("bystander calls") == 0);
}

static void null_arguments(void) {
  const Target t = target("bystander", "add");
  haft_value n = seven(), result;
  haft_handle found;
  EXPECT(haft_kind_of(t.handle, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_realm_of(t.handle, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_kind_find(NULL, 0, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_kind_find("Sample", 0, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_op_find(t.kind, NULL, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_op_find(t.kind, "add", NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_find(realm, NULL, 0, 0, &found), HAFT_E_ARGUMENT);
  EXPECT(haft_find(realm, "bystander", 0, 0, NULL), HAFT_E_ARGUMENT);
  EXPECT(haft_find(realm, "", 0, 0, &found), HAFT_E_ARGUMENT);
  EXPECT(haft_post(t.handle, t.op, NULL, 1, HAFT_FAIL), HAFT_E_ARGUMENT);
  EXPECT(haft_call(t.handle, t.op, NULL, 1, WAIT, &result), HAFT_E_ARGUMENT);
  EXPECT(haft_call(t.handle, t.op, &n, 17, WAIT, &result), HAFT_E_ARGUMENT);
  EXPECT(haft_post(t.handle, t.op, &n, (size_t)-1, HAFT_FAIL), HAFT_E_ARGUMENT);
  EXPECT(haft_call_many(NULL, 1, WAIT), HAFT_E_ARGUMENT);
  EXPECT(haft_call_many(NULL, 0, WAIT), HAFT_OK);
  haft_value bad[] = {haft_value_make((haft_type)9, 0), haft_value_make((haft_type)255, 0), haft_value_str(NULL, 1),
                      haft_value_bytes(NULL, 1)};
  for (size_t i = 0; i < COUNT(bad); i++) {
    EXPECT(haft_post(t.handle, t.op, &bad[i], 1, HAFT_FAIL), HAFT_E_ARGUMENT);
    EXPECT(haft_call(t.handle, t.op, &bad[i], 1, WAIT, &result), HAFT_E_ARGUMENT);
  }
  /* The result is optional. */
  EXPECT(haft_call(t.handle, t.op, &n, 1, WAIT, NULL), HAFT_OK);
  CHECK(ask_number("bystander calls") == 7);
  haft_value_free(NULL);
}

/* ---- References ---- */

static void references(void) {
  const haft_handle h = make("live");
  for (int i = 0; i < 1000; i++) EXPECT(haft_retain(h), HAFT_OK);
  for (int i = 0; i < 1000; i++) EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_check(h, 0), HAFT_OK);
  const double live = ask_number("live");
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_E_STALE);
  EXPECT(haft_retain(h), HAFT_E_STALE);
  /* P4: nobody but the release itself wakes the realm, which then drops the object. */
  await_live(live - 1);
}

static void saturation(void) {
  const haft_handle h = make("live");
  int references = 1;
  haft_status status;
  while ((status = haft_retain(h)) == HAFT_OK) references++;
  EXPECT(status, HAFT_E_OVERFLOW);
  CHECK(references == 4194303);
  EXPECT(haft_retain(h), HAFT_E_OVERFLOW);
  CHECK(haft_last_error()->handle == h);
  const Target add = target("bystander", "add");
  EXPECT(haft_check(h, add.kind), HAFT_OK); /* the kind next to the count is untouched */
  while (references > 1) {
    if (haft_release(h) != HAFT_OK) break;
    references--;
  }
  CHECK(references == 1);
  EXPECT(haft_check(h, add.kind), HAFT_OK);
  EXPECT(haft_release(h), HAFT_OK);
  EXPECT(haft_release(h), HAFT_E_STALE);
}

/* Threads retain and release one handle, whose last reference goes away meanwhile: each retain that succeeded
** is followed by one release that succeeds, and after the end there is nothing but STALE. */
#define ROUNDS 300
static haft_handle contested[ROUNDS];
static atomic_int round_now, last_releases;
static void contest(int number) {
  for (int r = 0; r < ROUNDS; r++) {
    while (round_now < r) usleep(10);
    const haft_handle h = contested[r];
    for (int i = 0; i < 50; i++) {
      const haft_status retained = haft_retain(h);
      if (retained == HAFT_OK) {
        CHECK(haft_release(h) == HAFT_OK);
      } else {
        CHECK(retained == HAFT_E_STALE);
      }
      if (number == 0 && i == 25) CHECK(haft_release(h) == HAFT_OK); /* the first reference */
    }
    if (number == 0) round_now = r + 1;
  }
}
static void race(void) {
  const double live = ask_number("live");
  for (int r = 0; r < ROUNDS; r++) contested[r] = make("live");
  on_threads(4, contest);
  for (int r = 0; r < ROUNDS; r++) EXPECT(haft_check(contested[r], 0), HAFT_E_STALE);
  await_live(live);
}

/* Four threads release what has one reference: one of them succeeds. */
static void release_all(int number) {
  (void)number;
  for (int r = 0; r < ROUNDS; r++) {
    const haft_status status = haft_release(contested[r]);
    if (status == HAFT_OK)
      last_releases++;
    else
      CHECK(status == HAFT_E_STALE);
  }
}
static void double_release(void) {
  const double live = ask_number("live");
  for (int r = 0; r < ROUNDS; r++) contested[r] = make("live");
  on_threads(4, release_all);
  CHECK(last_releases == ROUNDS);
  await_live(live);
  /* The free list is whole: new handles are all different and all work. */
  const Target add = target("bystander", "add");
  haft_handle fresh[ROUNDS];
  haft_value n = seven(), result;
  for (int r = 0; r < ROUNDS; r++) fresh[r] = make("live");
  for (int r = 0; r < ROUNDS; r++) {
    EXPECT(haft_call(fresh[r], add.op, &n, 1, WAIT, &result), HAFT_OK);
    CHECK(result.as.f64 == 7); /* one object each */
    for (int q = 0; q < r; q++) CHECK(fresh[q] != fresh[r]);
  }
}

/* JavaScript deletes while threads release: nothing is freed twice. */
static void delete_race_release(int number) {
  for (int r = 0; r < ROUNDS; r++) {
    if (number == 0) {
      haft_value h = haft_value_handle(contested[r]);
      const haft_status status = call(function("end"), &h, 1, NULL);
      CHECK(status == HAFT_OK || status == HAFT_E_STALE || status == HAFT_E_EXCEPTION);
    } else {
      const haft_status status = haft_release(contested[r]);
      CHECK(status == HAFT_OK || status == HAFT_E_STALE);
    }
  }
}
static void delete_race(void) {
  const double live = ask_number("live");
  for (int r = 0; r < ROUNDS; r++) contested[r] = make("live");
  on_threads(3, delete_race_release);
  for (int r = 0; r < ROUNDS; r++) EXPECT(haft_check(contested[r], 0), HAFT_E_STALE);
  await_live(live);
}

/* ---- Names of statuses, and the last error ---- */

static void status_names(void) {
#define NAME(name, number, message, next)                             \
  CHECK(strcmp(haft_status_name(number), "HAFT_" #name) == 0);        \
  CHECK(strcmp(haft_status_message(HAFT_##name), message) == 0);      \
  CHECK(HAFT_##name == number && (number == 0 || number < 0));
  HAFT_STATUS_MAP(NAME)
#undef NAME
  const haft_status none[] = {1, -999, -1000, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < COUNT(none); i++) {
    CHECK(strcmp(haft_status_name(none[i]), "HAFT_E_UNKNOWN") == 0);
    CHECK(strcmp(haft_status_message(none[i]), "unknown status") == 0);
  }
}

static void own_error(int number) {
  const haft_error *error = haft_last_error();
  CHECK(error && error->name && error->message && error->stack);
  CHECK(error->status == HAFT_OK && error->size >= sizeof(haft_error)); /* a new thread has had none */
  for (int i = 0; i < 1000; i++) {
    EXPECT(haft_check((haft_handle)(number + 1), 0), HAFT_E_FORGED);
    CHECK(haft_last_error()->handle == (haft_handle)(number + 1));
  }
}
static void last_error(void) {
  on_threads(4, own_error);
  EXPECT(haft_check(5, 0), HAFT_E_FORGED);
  const haft_error *error = haft_last_error();
  CHECK(error->handle == 5 && strcmp(error->name, "HAFT_E_FORGED") == 0 && error->stack[0] == 0);
  CHECK(strcmp(error->message, haft_status_message(HAFT_E_FORGED)) == 0);
  /* What succeeds leaves it. */
  EXPECT(haft_check(target("bystander", "add").handle, 0), HAFT_OK);
  CHECK(haft_last_error()->status == HAFT_E_FORGED);
  EXPECT(haft_realm_check(12345), HAFT_E_CLOSED);
}

/* ---- The table ---- */

static void table(void) {
  const haft_api *const api = haft_plugin_api;
  haft_kind kind;
  haft_value value = haft_value_f64(1);
  haft_request request = {0};
  CHECK(api->size == sizeof(haft_api) && api->major == HAFT_VERSION_MAJOR && api->minor == HAFT_VERSION_MINOR);
  CHECK(haft_plugin_keep(NULL) == HAFT_E_ARGUMENT);
  CHECK(haft_plugin_api == api);
  haft_api other = *api;
  other.major = HAFT_VERSION_MAJOR + 1;
  CHECK(haft_plugin_keep(&other) == HAFT_E_ABI && haft_plugin_api == api);
  /* A table that ends before an entry does not have it. */
  haft_api shorter = *api;
  shorter.size = offsetof(haft_api, call_many);
  CHECK(haft_plugin_keep(&shorter) == HAFT_OK);
  CHECK(HAFT_HAS(call) && !HAFT_HAS(call_many) && !HAFT_HAS(status_message));
  CHECK(haft_call_many(&request, 1, 0) == HAFT_E_UNSUPPORTED);
  CHECK(haft_last_error()->status == HAFT_E_UNSUPPORTED);
  CHECK(haft_check(1, 0) == HAFT_E_FORGED);
  /* Before HAFT_PLUGIN there is none at all. */
  haft_plugin_api = NULL;
  CHECK(haft_retain(1) == HAFT_E_UNSUPPORTED && haft_release(1) == HAFT_E_UNSUPPORTED);
  CHECK(haft_check(1, 0) == HAFT_E_UNSUPPORTED && haft_kind_of(1, &kind) == HAFT_E_UNSUPPORTED);
  CHECK(haft_realm_of(1, NULL) == HAFT_E_UNSUPPORTED && haft_kind_find("x", 0, &kind) == HAFT_E_UNSUPPORTED);
  CHECK(haft_op_find(1, "x", NULL) == HAFT_E_UNSUPPORTED && haft_find(1, "x", 0, 0, NULL) == HAFT_E_UNSUPPORTED);
  CHECK(haft_realm_check(1) == HAFT_E_UNSUPPORTED && haft_post(1, 1, NULL, 0, 0) == HAFT_E_UNSUPPORTED);
  CHECK(haft_call(1, 1, NULL, 0, 0, NULL) == HAFT_E_UNSUPPORTED);
  haft_value_free(&value);
  CHECK(haft_last_error()->status == HAFT_E_UNSUPPORTED && haft_last_error()->message[0] != 0);
  CHECK(strcmp(haft_status_name(0), "HAFT_E_UNSUPPORTED") == 0 && haft_status_message(0)[0] != 0);
  CHECK(haft_plugin_keep(api) == HAFT_OK);
}

/* P26: in a forked child every function says so, and exit is quiet. */
static void forked(void) {
  const Target t = target("bystander", "add");
  haft_value n = seven(), result;
  haft_handle found;
  haft_kind kind;
  haft_realm of;
  const pid_t child = fork();
  if (child == 0) {
    failures = 0;
    EXPECT(haft_retain(t.handle), HAFT_E_FORKED);
    EXPECT(haft_release(t.handle), HAFT_E_FORKED);
    EXPECT(haft_check(t.handle, 0), HAFT_E_FORKED);
    EXPECT(haft_kind_of(t.handle, &kind), HAFT_E_FORKED);
    EXPECT(haft_realm_of(t.handle, &of), HAFT_E_FORKED);
    EXPECT(haft_post(t.handle, t.op, &n, 1, HAFT_BLOCK(-1)), HAFT_E_FORKED);
    EXPECT(haft_call(t.handle, t.op, &n, 1, -1, &result), HAFT_E_FORKED);
    EXPECT(haft_find(realm, "bystander", 0, -1, &found), HAFT_E_FORKED);
    EXPECT(haft_realm_check(realm), HAFT_E_FORKED);
    _exit(failures);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT(haft_call(t.handle, t.op, &n, 1, WAIT, &result), HAFT_OK);
  CHECK(result.as.f64 == 7);
}

CASES({"forged", forged}, {"deleted", deleted}, {"reused", reused}, {"released", released}, {"closed", closed},
      {"other realm", other_realm}, {"wrong kind", wrong_kind}, {"null arguments", null_arguments},
      {"references", references}, {"saturation", saturation}, {"race", race}, {"double release", double_release},
      {"delete race", delete_race}, {"status names", status_names}, {"last error", last_error}, {"table", table},
      {"forked", forked})
