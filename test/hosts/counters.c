/* What becomes of each message, counted: every way to end moves one counter of one shard, and the sum. */
#include "check.h"

typedef struct {
  haft_handle handle;
  haft_op add, fail, wrong, later, reject, take, die, slow, end;
} Counted;

static haft_counters read_shard(uint32_t shard) {
  haft_counters counters;
  memset(&counters, 0x55, sizeof counters);
  counters.size = sizeof counters;
  EXPECT(haft_counters_read(realm, shard, &counters), HAFT_OK);
  CHECK(counters.size == sizeof counters);
  return counters;
}

/* An object whose shard no other message of the case uses. */
static Counted counted(void) {
  Counted c;
  haft_kind kind;
  haft_value result;
  const uint32_t gate = function("gate").handle & 15, maker = function("counted").handle & 15;
  int n = 0;
  do {
    EXPECT(call(function("counted"), NULL, 0, &result), HAFT_OK);
    c.handle = result.as.handle;
  } while (n++ < 32 && ((c.handle & 15) == gate || (c.handle & 15) == maker));
  EXPECT(haft_kind_of(c.handle, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "add", &c.add), HAFT_OK);
  EXPECT(haft_op_find(kind, "fail", &c.fail), HAFT_OK);
  EXPECT(haft_op_find(kind, "wrong", &c.wrong), HAFT_OK);
  EXPECT(haft_op_find(kind, "later", &c.later), HAFT_OK);
  EXPECT(haft_op_find(kind, "reject", &c.reject), HAFT_OK);
  EXPECT(haft_op_find(kind, "take", &c.take), HAFT_OK);
  EXPECT(haft_op_find(kind, "die", &c.die), HAFT_OK);
  EXPECT(haft_op_find(kind, "slow", &c.slow), HAFT_OK);
  EXPECT(haft_op_find(kind, "end", &c.end), HAFT_OK);
  return c;
}

/* What has changed since the last look, in the object's shard; nothing may be left over. */
static haft_counters before;
static void begin(Counted c) { before = read_shard(c.handle & 15); }
static void moved(Counted c, uint64_t sent, uint64_t delivered, uint64_t refused, uint64_t dropped, uint64_t expired,
                  int line) {
  const haft_counters now = read_shard(c.handle & 15);
  const uint64_t got[] = {now.sent - before.sent, now.delivered - before.delivered, now.refused - before.refused,
                          now.dropped - before.dropped, now.expired - before.expired};
  const uint64_t wanted[] = {sent, delivered, refused, dropped, expired};
  if (memcmp(got, wanted, sizeof got) != 0) {
    char text[200];
    snprintf(text, sizeof text, "sent %ld, delivered %ld, refused %ld, dropped %ld, expired %ld, not %ld %ld %ld %ld %ld",
             (long)got[0], (long)got[1], (long)got[2], (long)got[3], (long)got[4], (long)sent, (long)delivered,
             (long)refused, (long)dropped, (long)expired);
    failed(__FILE__, line, text);
  }
  before = now;
}
#define MOVED(c, sent, delivered, refused, dropped, expired) moved(c, sent, delivered, refused, dropped, expired, __LINE__)

static haft_value one = {HAFT_F64, 0, {1}};

static haft_status add(Counted c, haft_value *result) { return haft_call(c.handle, c.add, &one, 1, WAIT, result); }
static haft_status post_add(Counted c, haft_full full) { return haft_post(c.handle, c.add, &one, 1, full); }

/* ---- Each way ---- */

static void delivered(void) {
  const Counted c = counted();
  haft_value result;
  begin(c);
  EXPECT(add(c, &result), HAFT_OK);
  MOVED(c, 1, 1, 0, 0, 0);
  for (int i = 0; i < 10; i++) EXPECT(post_add(c, HAFT_FAIL), HAFT_OK);
  EXPECT(add(c, &result), HAFT_OK);
  CHECK(result.as.f64 == 12);
  MOVED(c, 11, 11, 0, 0, 0);
  /* Whatever the handler does. */
  EXPECT(haft_call(c.handle, c.fail, NULL, 0, WAIT, NULL), HAFT_E_EXCEPTION);
  EXPECT(haft_call(c.handle, c.wrong, NULL, 0, WAIT, NULL), HAFT_E_RESULT);
  MOVED(c, 2, 2, 0, 0, 0);
  EXPECT(haft_post(c.handle, c.fail, NULL, 0, HAFT_BLOCK(WAIT)), HAFT_OK);
  EXPECT(haft_post(c.handle, c.reject, NULL, 0, HAFT_DROP_NEWEST), HAFT_OK);
  EXPECT(haft_post(c.handle, c.wrong, NULL, 0, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_call(c.handle, c.reject, NULL, 0, WAIT, NULL), HAFT_E_EXCEPTION);
  EXPECT(haft_call(c.handle, c.later, &one, 1, WAIT, &result), HAFT_OK);
  MOVED(c, 5, 5, 0, 0, 0);
  haft_request requests[20];
  for (int i = 0; i < 20; i++) requests[i] = (haft_request){c.handle, &one, 1, c.add, 0, 0, {0}};
  EXPECT(haft_call_many(requests, 20, WAIT), HAFT_OK);
  MOVED(c, 20, 20, 0, 0, 0);
}

static atomic_int heard;
static void hear(void *user, haft_status status, haft_value *result) {
  *(haft_status *)user = status;
  haft_value_free(result);
  heard++;
}
static void wait_heard(int count) {
  for (int i = 0; i < WAIT && heard < count; i++) usleep(1000);
  CHECK(heard == count);
}

static void refused(void) {
  Counted c = counted();
  haft_value result, yes = haft_value_bool(true);
  begin(c);
  /* Arguments that do not fit the op. */
  EXPECT(haft_call(c.handle, c.add, &yes, 1, WAIT, &result), HAFT_E_ARGUMENT);
  EXPECT(haft_call(c.handle, c.add, NULL, 0, WAIT, &result), HAFT_E_ARGUMENT); /* too few: no message */
  EXPECT(haft_post(c.handle, c.add, &yes, 1, HAFT_FAIL), HAFT_OK);
  EXPECT(add(c, &result), HAFT_OK);
  MOVED(c, 3, 1, 2, 0, 0);
  /* No room in the mailbox. */
  close_gate();
  uint64_t posted = 0;
  while (post_add(c, HAFT_FAIL) == HAFT_OK) posted++;
  CHECK(posted == 1024);
  MOVED(c, posted + 1, 0, 1, 0, 0);
  EXPECT(post_add(c, HAFT_FAIL), HAFT_E_FULL);
  EXPECT(post_add(c, HAFT_BLOCK(1)), HAFT_E_FULL);
  haft_status status = 55;
  const haft_completer completer = {sizeof completer, hear, 0, &status};
  EXPECT(haft_call_async(c.handle, c.add, &one, 1, WAIT, &completer), HAFT_E_FULL);
  MOVED(c, 3, 0, 3, 0, 0);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  MOVED(c, 1, posted + 1, 0, 0, 0);
  /* No memory for bytes: 64 MiB. */
  static char big[16 << 20];
  const haft_value bytes = haft_value_bytes(big, sizeof big - 4096);
  close_gate();
  int sent = 0;
  for (; sent < 10; sent++)
    if (haft_post(c.handle, c.take, &bytes, 1, HAFT_FAIL) != HAFT_OK) break;
  CHECK(sent >= 3 && sent < 10);
  EXPECT(haft_post(c.handle, c.take, &bytes, 1, HAFT_DROP_NEWEST), HAFT_E_NO_MEMORY);
  EXPECT(haft_post(c.handle, c.take, &bytes, 1, HAFT_BLOCK(2)), HAFT_E_NO_MEMORY);
  EXPECT(haft_call(c.handle, c.take, &bytes, 1, 0, NULL), HAFT_E_NO_MEMORY);
  MOVED(c, (uint64_t)sent + 4, 0, 4, 0, 0);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  MOVED(c, 1, (uint64_t)sent + 1, 0, 0, 0);
  /* The object is gone when the message's turn comes. */
  close_gate();
  EXPECT(haft_post(c.handle, c.die, NULL, 0, HAFT_FAIL), HAFT_OK);
  EXPECT(post_add(c, HAFT_FAIL), HAFT_OK);
  heard = 0;
  EXPECT(haft_call_async(c.handle, c.add, &one, 1, WAIT, &completer), HAFT_OK);
  open_gate();
  wait_heard(1);
  CHECK(status == HAFT_E_STALE);
  MOVED(c, 3, 1, 2, 0, 0);
  EXPECT(post_add(c, HAFT_FAIL), HAFT_E_STALE);
  MOVED(c, 0, 0, 0, 0, 0);
  /* Too many calls under way. */
  c = counted();
  const Target never = function("never");
  begin(c);
  heard = 0;
  static haft_status statuses[4095];
  for (int i = 0; i < 4095; i++) {
    const haft_completer each = {sizeof each, hear, 0, &statuses[i]};
    haft_status sent_one;
    while ((sent_one = haft_call_async(never.handle, never.op, NULL, 0, 400, &each)) == HAFT_E_FULL) usleep(1000);
    EXPECT(sent_one, HAFT_OK);
  }
  if (heard == 0) { /* on a machine that is not held up for so long */
    EXPECT(add(c, &result), HAFT_E_BUSY);
    EXPECT(haft_call_async(c.handle, c.add, &one, 1, WAIT, &completer), HAFT_E_BUSY);
    MOVED(c, 2, 0, 2, 0, 0);
  }
  wait_heard(4095);
}

/* What never was a message counts nowhere. */
static void not_counted(void) {
  const Counted c = counted();
  static char big[(16 << 20) + 1];
  haft_value args[17], result;
  for (int i = 0; i < 17; i++) args[i] = one;
  const haft_value bad = haft_value_str("\xff", 1), large = haft_value_bytes(big, sizeof big);
  const haft_value foreign = haft_value_handle(make("other")), stale = haft_value_handle(ended("deleted"));
  const haft_op touch = target("stranger", "touch").op;
  const haft_counters sum = read_shard(HAFT_ALL_SHARDS);
  const haft_full fulls[] = {HAFT_FAIL, HAFT_DROP_NEWEST, HAFT_BLOCK(5)};
  for (int i = 0; i < 3; i++) {
    EXPECT(haft_post(42, c.add, &one, 1, fulls[i]), HAFT_E_FORGED);
    EXPECT(haft_post(stale.as.handle, c.add, &one, 1, fulls[i]), HAFT_E_STALE);
    EXPECT(haft_post(c.handle, touch, NULL, 0, fulls[i]), HAFT_E_KIND);
    EXPECT(haft_post(c.handle, c.end + 1, NULL, 0, fulls[i]), HAFT_E_OP);
    EXPECT(haft_post(c.handle, c.add, args, 17, fulls[i]), HAFT_E_ARGUMENT);
    EXPECT(haft_post(c.handle, c.add, &bad, 1, fulls[i]), HAFT_E_UTF8);
    EXPECT(haft_post(c.handle, c.add, &large, 1, fulls[i]), HAFT_E_TOO_LARGE);
    EXPECT(haft_post(c.handle, c.add, &foreign, 1, fulls[i]), HAFT_E_REALM);
    EXPECT(haft_post(c.handle, c.add, &stale, 1, fulls[i]), HAFT_E_STALE);
  }
  EXPECT(haft_call(42, c.add, &one, 1, WAIT, &result), HAFT_E_FORGED);
  EXPECT(haft_call(c.handle, touch, NULL, 0, WAIT, &result), HAFT_E_KIND);
  EXPECT(haft_call(c.handle, c.add, &bad, 1, WAIT, &result), HAFT_E_UTF8);
  EXPECT(haft_call(c.handle, c.add, &foreign, 1, WAIT, &result), HAFT_E_REALM);
  const haft_counters now = read_shard(HAFT_ALL_SHARDS);
  CHECK(memcmp(&sum, &now, sizeof sum) == 0);
}

static void dropped(void) {
  const Counted c = counted();
  haft_value result;
  close_gate();
  begin(c);
  for (int i = 0; i < 1500; i++) EXPECT(post_add(c, HAFT_DROP_NEWEST), HAFT_OK);
  MOVED(c, 1500, 0, 0, 476, 0);
  EXPECT(post_add(c, HAFT_FAIL), HAFT_E_FULL);
  MOVED(c, 1, 0, 1, 0, 0);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  CHECK(result.as.f64 == 1025);
  MOVED(c, 1, 1025, 0, 0, 0);
}

static void expired(void) {
  const Counted c = counted();
  haft_value result;
  haft_status status = 55;
  const haft_completer completer = {sizeof completer, hear, 0, &status};
  /* Not begun. */
  close_gate();
  begin(c);
  EXPECT(haft_call(c.handle, c.add, &one, 1, 0, &result), HAFT_E_TIMEOUT);
  EXPECT(haft_call(c.handle, c.add, &one, 1, 3, &result), HAFT_E_TIMEOUT);
  MOVED(c, 2, 0, 0, 0, 2);
  EXPECT(haft_call_async(c.handle, c.add, &one, 1, 3, &completer), HAFT_OK);
  wait_heard(1);
  CHECK(status == HAFT_E_TIMEOUT);
  MOVED(c, 1, 0, 0, 0, 1);
  /* Nor sent: the time runs out while it waits for room. */
  while (post_add(c, HAFT_FAIL) == HAFT_OK) {
  }
  begin(c);
  EXPECT(haft_call(c.handle, c.add, &one, 1, 3, &result), HAFT_E_TIMEOUT);
  EXPECT(haft_call(c.handle, c.add, &one, 1, 0, &result), HAFT_E_TIMEOUT);
  MOVED(c, 2, 0, 0, 0, 2);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  begin(c);
  /* Begun, and the answer comes late. */
  for (int i = 0; i < 10; i++) {
    gate_open = 0;
    EXPECT(haft_call(c.handle, c.slow, NULL, 0, 5, &result), HAFT_E_TIMEOUT);
    open_gate();
  }
  gate_open = 0;
  heard = 0;
  EXPECT(haft_call_async(c.handle, c.slow, NULL, 0, 5, &completer), HAFT_OK);
  wait_heard(1);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  MOVED(c, 12, 1, 0, 0, 11);
  const Target never = function("never");
  const Counted promise = {.handle = never.handle};
  begin(promise);
  EXPECT(haft_call(never.handle, never.op, NULL, 0, 5, &result), HAFT_E_TIMEOUT);
  MOVED(promise, 1, 0, 0, 0, 1);
}

/* A post that waits is sent and nothing else yet; a call counts when it has ended. */
static void waiting(void) {
  const Counted c = counted();
  haft_status status = 55;
  const haft_completer completer = {sizeof completer, hear, 0, &status};
  close_gate();
  begin(c);
  for (int i = 0; i < 100; i++) EXPECT(post_add(c, HAFT_FAIL), HAFT_OK);
  MOVED(c, 100, 0, 0, 0, 0);
  EXPECT(haft_call_async(c.handle, c.add, &one, 1, WAIT, &completer), HAFT_OK);
  MOVED(c, 0, 0, 0, 0, 0);
  open_gate();
  wait_heard(1);
  CHECK(status == HAFT_OK);
  MOVED(c, 1, 101, 0, 0, 0);
}

/* ---- How full, how long ---- */

static void extremes(void) {
  const Counted c = counted();
  haft_value result;
  const uint32_t shard = c.handle & 15;
  EXPECT(add(c, &result), HAFT_OK);
  haft_counters now = read_shard(shard);
  CHECK(now.longest_wait == 0 && now.highest_fill <= 1);
  close_gate();
  for (int i = 0; i < 200; i++) EXPECT(post_add(c, HAFT_FAIL), HAFT_OK);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  now = read_shard(shard);
  CHECK(now.longest_wait == 0 && now.highest_fill >= 184 && now.highest_fill <= 201);
  /* Cells, not messages: 900 bytes take 16. */
  static char text[900];
  const haft_value bytes = haft_value_bytes(text, sizeof text);
  close_gate();
  for (int i = 0; i < 40; i++) EXPECT(haft_post(c.handle, c.take, &bytes, 1, HAFT_FAIL), HAFT_OK);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  now = read_shard(shard);
  CHECK(now.highest_fill >= 300 && now.highest_fill <= 700);
  close_gate();
  while (post_add(c, HAFT_FAIL) == HAFT_OK) {
  }
  now = read_shard(shard);
  CHECK(now.highest_fill == 1024 && now.longest_wait == 0);
  /* Less than this no thread can have waited. */
  EXPECT(post_add(c, HAFT_BLOCK(30)), HAFT_E_FULL);
  now = read_shard(shard);
  CHECK(now.longest_wait >= 30 * 1000000);
  const uint64_t longest = now.longest_wait;
  EXPECT(post_add(c, HAFT_FAIL), HAFT_E_FULL);
  EXPECT(post_add(c, HAFT_DROP_NEWEST), HAFT_OK);
  CHECK(read_shard(shard).longest_wait == longest);
  CHECK(read_shard(HAFT_ALL_SHARDS).longest_wait == longest && read_shard(HAFT_ALL_SHARDS).highest_fill == 1024);
  EXPECT(haft_call(c.handle, c.add, &one, 1, 60, &result), HAFT_E_TIMEOUT);
  CHECK(read_shard(shard).longest_wait >= 60 * 1000000);
  open_gate();
  EXPECT(add(c, &result), HAFT_OK);
  /* They never fall, and other shards have their own. */
  CHECK(read_shard(shard).highest_fill == 1024 && read_shard(shard).longest_wait >= 60 * 1000000);
  for (uint32_t other = 0; other < 16; other++)
    if (other != shard) CHECK(read_shard(other).highest_fill < 1024 && read_shard(other).longest_wait == 0);
}

/* ---- The struct ---- */

static void sizes(void) {
  unsigned char bytes[128];
  haft_counters *counters = (haft_counters *)bytes;
  ask_number("live");
  const haft_counters whole = read_shard(HAFT_ALL_SHARDS);
  CHECK(whole.sent > 0);
  for (uint32_t size = 4; size <= 100; size++) {
    memset(bytes, 0x55, sizeof bytes);
    memcpy(bytes, &size, 4);
    EXPECT(haft_counters_read(realm, HAFT_ALL_SHARDS, counters), HAFT_OK);
    const uint32_t written = size < sizeof whole ? size : (uint32_t)sizeof whole;
    CHECK(counters->size == written);
    CHECK(memcmp(bytes + 4, (const char *)&whole + 4, written - 4) == 0);
    for (size_t i = written; i < sizeof bytes; i++) CHECK(bytes[i] == 0x55);
  }
  for (uint32_t size = 0; size < 4; size++) {
    memset(bytes, 0x55, sizeof bytes);
    memcpy(bytes, &size, 4);
    EXPECT(haft_counters_read(realm, 0, counters), HAFT_E_ARGUMENT);
    CHECK(bytes[4] == 0x55);
  }
  haft_counters all = {.size = sizeof all};
  EXPECT(haft_counters_read(realm, 0, NULL), HAFT_E_ARGUMENT);
  const uint32_t shards[] = {16, 17, 1000, INT32_MAX, UINT32_MAX - 1};
  for (size_t i = 0; i < COUNT(shards); i++) EXPECT(haft_counters_read(realm, shards[i], &all), HAFT_E_ARGUMENT);
  const haft_realm realms[] = {0, 1, 2, realm + 1, realm + 256, UINT64_MAX, realm | 1ull << 60};
  for (size_t i = 0; i < COUNT(realms); i++) EXPECT(haft_counters_read(realms[i], 0, &all), HAFT_E_CLOSED);
}

/* ---- Sums ---- */

static void add_up(const haft_counters *all) {
  haft_counters sum = {.size = sizeof sum};
  for (uint32_t shard = 0; shard < 16; shard++) {
    const haft_counters c = read_shard(shard);
    CHECK(c.sent == c.delivered + c.refused + c.dropped + c.expired);
    sum.sent += c.sent;
    sum.delivered += c.delivered;
    sum.refused += c.refused;
    sum.dropped += c.dropped;
    sum.expired += c.expired;
    if (c.highest_fill > sum.highest_fill) sum.highest_fill = c.highest_fill;
    if (c.longest_wait > sum.longest_wait) sum.longest_wait = c.longest_wait;
  }
  CHECK(memcmp(&sum, all, sizeof sum) == 0);
}

/* Eight threads send every sort of message to objects in all shards; each keeps account of what it was told. */
static haft_handle targets[16];
static atomic_llong told_sent, told_delivered, told_refused, told_expired, told_drop;
static void sender(int thread) {
  const Counted c = counted();
  const haft_value yes = haft_value_bool(true);
  unsigned seed = 12345u + (unsigned)thread;
  for (int i = 0; i < 3000; i++) {
    const haft_handle handle = targets[rand_r(&seed) % 16];
    haft_value result;
    haft_status status;
    told_sent++;
    switch (rand_r(&seed) % 6) {
      case 0: status = haft_post(handle, c.add, &one, 1, HAFT_FAIL); break;
      case 1: status = haft_post(handle, c.add, &one, 1, HAFT_BLOCK(-1)); break;
      case 2:
        EXPECT(haft_post(handle, c.add, &one, 1, HAFT_DROP_NEWEST), HAFT_OK);
        told_drop++;
        continue;
      case 3: status = haft_call(handle, c.add, &one, 1, rand_r(&seed) % 2, &result); break;
      case 4: status = haft_call(handle, c.fail, NULL, 0, WAIT, &result); break;
      default: status = haft_call(handle, c.add, &yes, 1, WAIT, &result);
    }
    if (status == HAFT_OK || status == HAFT_E_EXCEPTION)
      told_delivered++;
    else if (status == HAFT_E_TIMEOUT)
      told_expired++;
    else
      CHECK(status == HAFT_E_FULL || status == HAFT_E_ARGUMENT), told_refused++;
  }
}
static void threads(void) {
  const Counted c = counted();
  haft_value result;
  for (int n = 0; n < 16;) {
    EXPECT(call(function("counted"), NULL, 0, &result), HAFT_OK);
    if ((result.as.handle & 15) == (haft_handle)n) targets[n++] = result.as.handle;
  }
  const haft_counters first = read_shard(HAFT_ALL_SHARDS);
  on_threads(8, sender);
  for (int n = 0; n < 16; n++) EXPECT(haft_call(targets[n], c.add, &one, 1, WAIT, NULL), HAFT_OK);
  haft_counters last = read_shard(HAFT_ALL_SHARDS);
  add_up(&last);
  /* counted() of each thread makes calls of its own, all delivered: the rest is what the threads were told. */
  last.sent -= first.sent + 16, last.delivered -= first.delivered + 16;
  last.refused -= first.refused, last.dropped -= first.dropped, last.expired -= first.expired;
  const uint64_t own = last.sent - (uint64_t)told_sent;
  CHECK(own >= 8 && own <= 8 * 32);
  CHECK(last.refused == (uint64_t)told_refused && last.expired == (uint64_t)told_expired);
  CHECK(last.delivered + last.dropped == (uint64_t)told_delivered + (uint64_t)told_drop + own);
}

/* JavaScript reads the same. */
static void as_in_javascript(void) {
  const Target stats = function("stats");
  const uint32_t asked = stats.handle & 15;
  haft_value seen;
  EXPECT(call(stats, NULL, 0, &seen), HAFT_OK);
  char *line = strtok((char *)(uintptr_t)seen.as.str, "\n");
  for (uint32_t shard = 0; shard <= 16; shard++, line = strtok(NULL, "\n")) {
    haft_counters now = read_shard(shard < 16 ? shard : HAFT_ALL_SHARDS);
    if (shard == asked || shard == 16) now.sent--, now.delivered--; /* the call that asked */
    unsigned long long sent, delivered_, refused_, dropped_, expired_;
    unsigned fill;
    CHECK(line && sscanf(line, "%llu %llu %llu %llu %llu %u", &sent, &delivered_, &refused_, &dropped_, &expired_, &fill) == 6);
    if (!line) break;
    CHECK(sent == now.sent && delivered_ == now.delivered && refused_ == now.refused && dropped_ == now.dropped &&
          expired_ == now.expired && fill == now.highest_fill);
  }
  haft_value_free(&seen);
}
static void everything(void) {
  delivered();
  dropped();
  expired();
  threads();
  as_in_javascript();
}

/* ---- The end: what waits in the mailboxes, and calls that wait for an answer, are refused ---- */

static void ask_the_fourth(int thread) {
  const Target fourth = function("the fourth closes");
  haft_value result;
  EXPECT(haft_call(fourth.handle, fourth.op, NULL, 0, -1, &result), HAFT_E_CLOSED);
  (void)thread;
}
static void closed_while_calls_wait(void) {
  on_threads(4, ask_the_fourth);
  haft_counters all = {.size = sizeof all};
  EXPECT(haft_counters_read(realm, HAFT_ALL_SHARDS, &all), HAFT_E_CLOSED);
}
static void closed_with_posts(void) {
  const Counted c = counted();
  printf("shard %d\n", (int)(c.handle & 15));
  fflush(stdout);
  close_gate();
  for (int i = 0; i < 7; i++) EXPECT(haft_call(c.handle, c.add, &one, 1, 0, NULL), HAFT_E_TIMEOUT);
  for (int i = 0; i < 10; i++) EXPECT(post_add(c, HAFT_FAIL), HAFT_OK);
  EXPECT(haft_post(c.handle, c.end, NULL, 0, HAFT_FAIL), HAFT_OK);
  for (int i = 0; i < 100; i++) EXPECT(post_add(c, HAFT_FAIL), HAFT_OK);
  for (int i = 0; i < 3; i++) EXPECT(haft_call(c.handle, c.add, &one, 1, 0, NULL), HAFT_E_TIMEOUT);
  while (post_add(c, HAFT_DROP_NEWEST) == HAFT_OK && read_shard(c.handle & 15).dropped == 0) {
  }
  open_gate();
  while (haft_realm_check(realm) == HAFT_OK) usleep(1000);
  EXPECT(post_add(c, HAFT_FAIL), HAFT_E_CLOSED);
}

CASES({"delivered", delivered}, {"refused", refused}, {"not counted", not_counted}, {"dropped", dropped},
      {"expired", expired}, {"waiting", waiting}, {"extremes", extremes}, {"sizes", sizes}, {"threads", threads},
      {"as in JavaScript", everything}, {"closed while calls wait", closed_while_calls_wait},
      {"closed with posts", closed_with_posts})
