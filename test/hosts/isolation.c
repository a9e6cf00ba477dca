/* Neighbours: a handle whose handlers are slow, fail, never answer, or whose mailbox is full, beside one whose callers
** must not notice. */
#include "check.h"

enum { SHARDS = 16, PRODUCERS = 6, CALLS = 200 };

static Target victim, culprit;
static atomic_bool stop;

/* The shard of a handle is its lowest bits. */
static bool same_shard(haft_handle a, haft_handle b) { return a % SHARDS == b % SHARDS; }

/* Objects of the logic's kind `Neighbour`, until one has (not) the same shard as another. */
static haft_handle neighbour(haft_handle of, bool same) {
  for (int i = 0; i < 1000; i++) {
    const haft_handle h = make("neighbour");
    if (same_shard(h, of) == same) return h;
  }
  failed(__FILE__, __LINE__, "no handle of that shard");
  return HAFT_NULL;
}

static void setup(const char *what_the_culprit_does, bool same) {
  culprit = target("culprit", what_the_culprit_does);
  victim = target("neighbour", "add");
  victim.handle = neighbour(culprit.handle, same);
}

/* ---- Culprits: producers that keep a mailbox busy until they are stopped ---- */

static void *post_again(void *unused) {
  haft_value one = haft_value_f64(1);
  while (!stop) {
    const haft_status status = haft_post(culprit.handle, culprit.op, &one, 1, HAFT_BLOCK(1));
    if (status != HAFT_OK && status != HAFT_E_FULL) EXPECT(status, HAFT_OK);
  }
  return unused;
}
static void *call_again(void *unused) {
  haft_value one = haft_value_f64(1);
  while (!stop) {
    const haft_status status = haft_call(culprit.handle, culprit.op, &one, 1, 2, NULL);
    if (status != HAFT_OK && status != HAFT_E_EXCEPTION && status != HAFT_E_RESULT) EXPECT(status, HAFT_E_TIMEOUT);
  }
  return unused;
}

/* Every call of the victim is answered, with the right result, while the culprit has its way. */
static void beside(const char *what, bool same, void *(*producer)(void *)) {
  pthread_t producers[PRODUCERS];
  haft_value one = haft_value_f64(1), result;
  setup(what, same);
  stop = false;
  for (int i = 0; i < PRODUCERS; i++) CHECK(pthread_create(&producers[i], NULL, producer, NULL) == 0);
  while (ask_number("culprit calls") < 20) usleep(500); /* it has begun */
  for (int i = 1; i <= CALLS; i++) {
    EXPECT(haft_call(victim.handle, victim.op, &one, 1, WAIT, &result), HAFT_OK);
    CHECK(result.type == HAFT_F64 && result.as.f64 == i);
    if (failures) break;
  }
  CHECK(ask_number("turns") > 0); /* timers of the event loop have their turn too */
  stop = true;
  for (int i = 0; i < PRODUCERS; i++) pthread_join(producers[i], NULL);
}

static void failing_posts(void) { beside("fail", false, post_again); }
static void failing_posts_same_shard(void) { beside("fail", true, post_again); }
static void failing_calls(void) { beside("fail", false, call_again); }
static void failing_calls_same_shard(void) { beside("fail", true, call_again); }
static void rejecting(void) { beside("reject", true, call_again); }
static void wrong(void) { beside("wrong", true, call_again); }
static void flood(void) { beside("add", false, post_again); }
static void never(void) { beside("never", true, call_again); }
static void slow(void) { beside("slow", false, call_again); }

/* ---- Full mailboxes ---- */

/* JavaScript stands at the gate: one shard has no room left, all others take posts without waiting, and have them. */
static void full_shard(void) {
  haft_value one = haft_value_f64(1), result;
  haft_handle others[SHARDS];
  setup("add", false);
  for (unsigned i = 0; i < SHARDS; i++) {
    do others[i] = make("neighbour");
    while (others[i] % SHARDS != i);
  }
  close_gate();
  haft_status status;
  while ((status = haft_post(culprit.handle, culprit.op, &one, 1, HAFT_FAIL)) == HAFT_OK) continue;
  EXPECT(status, HAFT_E_FULL);
  for (int n = 0; n < 300; n++) {
    for (unsigned i = 0; i < SHARDS; i++) {
      status = haft_post(others[i], victim.op, &one, 1, HAFT_FAIL);
      if (status != (same_shard(others[i], culprit.handle) ? HAFT_E_FULL : HAFT_OK)) EXPECT(status, HAFT_OK);
    }
  }
  open_gate();
  for (unsigned i = 0; i < SHARDS; i++) {
    if (same_shard(others[i], culprit.handle)) continue;
    EXPECT(haft_call(others[i], victim.op, &one, 1, WAIT, &result), HAFT_OK);
    CHECK(result.as.f64 == 301);
  }
}

/* Producers wait for room in one mailbox, each handler of which takes longer than a drain may: all others are served. */
static void *block_again(void *unused) {
  haft_value one = haft_value_f64(1);
  haft_status status;
  while ((status = haft_post(culprit.handle, culprit.op, &one, 1, HAFT_BLOCK(-1))) == HAFT_OK) continue;
  CHECK(status == HAFT_E_CLOSED);
  return unused;
}
static void full_and_slow(void) {
  haft_handle others[SHARDS];
  haft_value one = haft_value_f64(1), result;
  pthread_t producer;
  setup("slow", false);
  for (unsigned i = 0; i < SHARDS; i++) {
    do others[i] = make("neighbour");
    while (others[i] % SHARDS != i);
  }
  CHECK(pthread_create(&producer, NULL, block_again, NULL) == 0);
  while (haft_post(culprit.handle, culprit.op, &one, 1, HAFT_FAIL) == HAFT_OK) continue;
  for (int round = 1; round <= 3 && failures == 0; round++) {
    for (unsigned i = 0; i < SHARDS && failures == 0; i++) {
      if (same_shard(others[i], culprit.handle)) continue;
      EXPECT(haft_call(others[i], victim.op, &one, 1, WAIT, &result), HAFT_OK);
      CHECK(result.as.f64 == round);
    }
  }
  exit(failures); /* what waits in the mailbox would take seconds */
}

/* No memory is left for strings: messages without go on, on every shard. */
static void full_heap(void) {
  static char big[1 << 20];
  haft_value one = haft_value_f64(1), text_value = haft_value_bytes(big, sizeof big), result;
  setup("text", false);
  close_gate();
  haft_status status;
  while ((status = haft_post(culprit.handle, culprit.op, &text_value, 1, HAFT_FAIL)) == HAFT_OK) continue;
  EXPECT(status, HAFT_E_NO_MEMORY);
  for (int n = 0; n < 300; n++) EXPECT(haft_post(victim.handle, victim.op, &one, 1, HAFT_FAIL), HAFT_OK);
  open_gate();
  EXPECT(haft_call(victim.handle, victim.op, &one, 1, WAIT, &result), HAFT_OK);
  CHECK(result.as.f64 == 301);
  EXPECT(haft_post(culprit.handle, culprit.op, &text_value, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
}

/* No reply is left: promises of the culprit have all that there are. Posts go on, and calls as soon as one gives up. */
static void *wait_for_promises(void *data) {
  haft_request *requests = data;
  const haft_status status = haft_call_many(requests, 250, 500);
  CHECK(status == HAFT_E_TIMEOUT || status == HAFT_E_BUSY);
  return NULL;
}
static void no_reply_left(void) {
  static haft_request requests[17][250];
  haft_value one = haft_value_f64(1), result;
  pthread_t callers[17];
  setup("never", false);
  for (int i = 0; i < 17; i++) {
    for (int n = 0; n < 250; n++) requests[i][n] = (haft_request){culprit.handle, &one, 1, culprit.op, 0, 0, {0}};
    CHECK(pthread_create(&callers[i], NULL, wait_for_promises, requests[i]) == 0);
  }
  EXPECT(haft_post(victim.handle, victim.op, &one, 1, HAFT_BLOCK(WAIT)), HAFT_OK);
  int busy = 0;
  for (int i = 0; i < 17; i++) {
    pthread_join(callers[i], NULL);
    for (int n = 0; n < 250; n++) {
      if (requests[i][n].status == HAFT_E_BUSY) busy++;
      else CHECK(requests[i][n].status == HAFT_E_TIMEOUT);
    }
  }
  CHECK(busy >= 0 && busy < 17 * 250);
  EXPECT(haft_call(victim.handle, victim.op, &one, 1, WAIT, &result), HAFT_OK);
  CHECK(result.as.f64 == 2);
}

/* Each of the sixteen mailboxes is kept full by a producer of its own: a call of each gets in, and is answered. */
static haft_handle all_shards[SHARDS];
static void *fill_one(void *data) {
  haft_value one = haft_value_f64(1);
  while (!stop) EXPECT(haft_post(*(haft_handle *)data, victim.op, &one, 1, HAFT_BLOCK(-1)), HAFT_OK);
  return NULL;
}
static void all_full(void) {
  pthread_t producers[SHARDS];
  haft_value one = haft_value_f64(1), result;
  setup("slow", false);
  const Target turns = function("turns");
  for (unsigned i = 0; i < SHARDS; i++) {
    do all_shards[i] = make("neighbour");
    while (all_shards[i] % SHARDS != i);
  }
  for (unsigned i = 0; i < SHARDS; i++) CHECK(pthread_create(&producers[i], NULL, fill_one, &all_shards[i]) == 0);
  for (int round = 0; round < 3 && failures == 0; round++) {
    for (unsigned i = 0; i < SHARDS; i++) {
      EXPECT(haft_call(all_shards[i], victim.op, &one, 1, WAIT, &result), HAFT_OK);
      CHECK(result.as.f64 > round);
    }
  }
  EXPECT(call(turns, NULL, 0, &result), HAFT_OK);
  CHECK(result.as.f64 > 0);
  stop = true;
  for (unsigned i = 0; i < SHARDS; i++) pthread_join(producers[i], NULL);
}

CASES({"failing posts", failing_posts}, {"failing posts, same shard", failing_posts_same_shard},
      {"failing calls", failing_calls}, {"failing calls, same shard", failing_calls_same_shard},
      {"rejecting", rejecting}, {"wrong", wrong}, {"flood", flood}, {"never", never}, {"slow", slow},
      {"full shard", full_shard}, {"full and slow", full_and_slow}, {"full heap", full_heap},
      {"no reply left", no_reply_left}, {"all full", all_full})
