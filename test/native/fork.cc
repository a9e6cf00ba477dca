// P26: a forked child uses nothing of its parent: every function says so at once, whatever other threads had locked,
// counted or waited for, and the end of the child closes no realm.
// builds: plain asan
// timeout: 60
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

using namespace test;

namespace {

constexpr unsigned kSecondsMost = 10;  // of a child: one that waits is ended by the alarm

haft_kind kind() {
  static const haft_kind defined = define_kind("fork", 2);
  return defined;
}
haft_op op(uint32_t position) { return HAFT_OP(kind(), position); }

haft_completer completer_for(haft_queue queue) {
  return {sizeof(haft_completer), nullptr, queue, nullptr};
}

// Everything that has a status.
void all_refused(haft_realm realm, haft_handle handle, haft_queue queue) {
  uint64_t word;
  Target target;
  haft_handle found;
  haft_value result;
  haft_queue other;
  int descriptor;
  haft_completion completion;
  haft_realm id;
  haft_counters counters = {};
  counters.size = sizeof counters;
  const haft_completer completer = completer_for(queue);
  CHECK_STATUS(slot_check(handle, 0, &word, &target), HAFT_E_FORKED);
  CHECK_STATUS(slot_retain(handle), HAFT_E_FORKED);
  CHECK_STATUS(slot_release(handle), HAFT_E_FORKED);
  CHECK_STATUS(slot_moved(handle, &found), HAFT_E_FORKED);
  CHECK_STATUS(post(handle, op(0), nullptr, 0, HAFT_BLOCK(-1)), HAFT_E_FORKED);
  CHECK_STATUS(call(handle, op(0), nullptr, 0, -1, &result), HAFT_E_FORKED);
  CHECK_STATUS(call_async(handle, op(0), nullptr, 0, -1, &completer), HAFT_E_FORKED);
  CHECK_STATUS(name_find(realm, "nobody", 0, -1, &found), HAFT_E_FORKED);
  CHECK_STATUS(wait_for(realm, HAFT_EVENT_CLOSING, -1, nullptr), HAFT_E_FORKED);
  CHECK_STATUS(signal_events(realm, HAFT_EVENT_USER(0)), HAFT_E_FORKED);
  CHECK_STATUS(counters_read(realm, 0, &counters), HAFT_E_FORKED);
  CHECK_STATUS(serve(realm, -1), HAFT_E_FORKED);
  CHECK_STATUS(blocking_set(realm, true), HAFT_E_FORKED);
  CHECK_STATUS(realm_check(realm), HAFT_E_FORKED);
  CHECK_STATUS(realm_open(nullptr, nullptr, nullptr, &id), HAFT_E_FORKED);
  CHECK_STATUS(queue_open(&other, &descriptor), HAFT_E_FORKED);
  CHECK_STATUS(queue_next(queue, -1, &completion), HAFT_E_FORKED);
  CHECK_STATUS(queue_close(queue), HAFT_E_FORKED);
  CHECK(!queue_is_open(queue));
}

// In the child, which has this thread only.
[[noreturn]] void child(haft_realm realm, haft_handle handle, haft_queue queue) {
  alarm(kSecondsMost);
  all_refused(realm, handle, queue);
  // As the addon does at exit. What others had counted never falls here.
  const int64_t began = now_nanoseconds();
  CHECK(!realm_close(realm, 5000));
  realms_close_all(5000);
  CHECK(now_nanoseconds() - began < 2500ll * 1000 * 1000);
  CHECK(arena()->realms[realm_number(realm)].life.load() == open_life(realm));
  _Exit(0);
}

void fork_among_threads(int rounds) {
  say("P26 a child that was forked among working threads");
  Consumer c;
  const haft_handle handle = c.create(kind()), held = c.create(kind());
  haft_handle full;
  do full = c.create(kind());
  while (shard_of(full) == shard_of(handle) || shard_of(full) == shard_of(held));
  haft_queue queue;
  int descriptor;
  CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
  while (post(full, op(1), nullptr, 0, HAFT_FAIL) == HAFT_OK) {
  }
  std::atomic<bool> done{false};
  Threads waiting, working;
  waiting.start(1, [&](int) { CHECK_STATUS(call(held, op(1), nullptr, 0, -1, nullptr), HAFT_E_CLOSED); });
  waiting.start(1, [&](int) { CHECK_STATUS(post(full, op(1), nullptr, 0, HAFT_BLOCK(-1)), HAFT_E_CLOSED); });
  waiting.start(1, [&](int) { CHECK_STATUS(wait_for(c.id, HAFT_EVENT_USER(1), -1, nullptr), HAFT_E_CLOSED); });
  working.start(2, [&](int me) {
    Random random(13'000 + me);
    while (!done.load()) {
      const haft_completer completer = completer_for(queue);
      const haft_status sent = call_async(handle, op(0), nullptr, 0, random.once_in(2) ? -1 : 60'000, &completer);
      CHECK(sent == HAFT_OK || sent == HAFT_E_FULL || sent == HAFT_E_BUSY);
      haft_completion completion;
      const haft_status taken = queue_next(queue, 0, &completion);
      CHECK(taken == HAFT_OK || taken == HAFT_E_TIMEOUT);
      haft_queue other;
      int of_other;
      CHECK_STATUS(queue_open(&other, &of_other), HAFT_OK);
      CHECK_STATUS(queue_close(other), HAFT_OK);
      if (slot_retain(handle) == HAFT_OK) CHECK_STATUS(slot_release(handle), HAFT_OK);
      jitter(random, 4);
    }
  });
  while (waiting_now(c.number) < 2 || c.realm->event_waiters.load() == 0) sched_yield();
  in_flight[c.number][3].count++;  // as of a thread that was in the midst of something
  Random random(13'100);
  for (int i = 0; i < rounds; i++) {
    jitter(random, 2);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) child(c.id, handle, queue);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status)) fail_at(__FILE__, __LINE__, "P26: a child waits or crashed", strsignal(WTERMSIG(status)));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STATUS(realm_check(c.id), HAFT_OK);
  }
  done = true;
  working.join();
  in_flight[c.number][3].count--;
  CHECK(c.close());
  waiting.join();
  CHECK_STATUS(queue_close(queue), HAFT_OK);
}

}  // namespace

int main() { fork_among_threads(amount(150)); }
