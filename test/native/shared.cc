// One arena, two processes: this program, which makes it and calls, and children of its own, which attach and play the part
// of JavaScript.
// timeout: 60
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

using namespace test;

namespace {

constexpr int kArena = 3, kDoorbell = 4, kWords = 5;  // descriptors of a child
int arena_of_ours = -1;

// ---- A child ----

struct Child {
  pid_t pid = -1;
  haft_realm realm = 0;
  int doorbell = -1;
  int words = -1;  // what it tells: haft_handle
};

void ring_eventfd(void *descriptor) {
  const uint64_t one = 1;
  if (write((int)(intptr_t)descriptor, &one, sizeof one) < 0) CHECK(errno == EAGAIN);
}

// `role`, and what it is about: the first arguments of the child's main().
Child start(const char *role, uint64_t about = 0) {
  Child child;
  child.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  CHECK_STATUS(realm_reserve(ring_eventfd, (void *)(intptr_t)child.doorbell, &child.realm), HAFT_OK);
  int words[2];
  CHECK(pipe2(words, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int aside[3] = {fcntl(arena_of_ours, F_DUPFD_CLOEXEC, 20), fcntl(child.doorbell, F_DUPFD_CLOEXEC, 20),
                        fcntl(words[1], F_DUPFD_CLOEXEC, 20)};
  for (int i = 0; i < 3; i++) posix_spawn_file_actions_adddup2(&actions, aside[i], kArena + i);
  std::string id = std::to_string(child.realm), more = std::to_string(about);
  char *const argv[] = {const_cast<char *>("shared"), const_cast<char *>(role), &id[0], &more[0], nullptr};
  CHECK(posix_spawn(&child.pid, "/proc/self/exe", &actions, nullptr, argv, environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  for (const int descriptor : aside) close(descriptor);
  close(words[1]);
  child.words = words[0];
  return child;
}

uint64_t word_of(const Child &child) {
  uint64_t word = 0;
  CHECK(read(child.words, &word, sizeof word) == (ssize_t)sizeof word);
  return word;
}

int wait_for(const Child &child) {
  int status = 0;
  CHECK(waitpid(child.pid, &status, 0) == child.pid);
  return status;
}

void recycle(const Child &child, bool forget = false) {
  while (!realm_recycle(child.realm, forget)) sched_yield();
  close(child.doorbell);
  close(child.words);
}

void tell(uint64_t word) { CHECK(write(kWords, &word, sizeof word) == (ssize_t)sizeof word); }

// ---- What children do ----

// Answers every call with its first argument, until it is killed.
void serve_calls(haft_realm id) {
  const haft_kind kind = define_kind("shared", 1);
  Consumer consumer(id);
  consumer.handler = [](const Message &m) { return Answer::i64((int64_t)m.bits[0]); };
  tell(consumer.create(kind));
  std::thread doorbell([&] {
    for (;;) {
      pollfd rung = {kDoorbell, POLLIN, 0};
      poll(&rung, 1, -1);
      uint64_t count;
      if (read(kDoorbell, &count, sizeof count) > 0) consumer.ring_from_outside();
    }
  });
  consumer.run();
}

// Claims cells and dies before they are published.
void die_in_a_write(haft_realm id) {
  Consumer consumer(id);
  CHECK(claim(consumer.realm->rings[3], 1).cell);
  tell(1);
  raise(SIGKILL);
}

// P28: its own realm is all that it can reach.
void reach_out(haft_realm id, haft_handle others) {
  Consumer consumer(id);
  CHECK_STATUS(check(others), HAFT_E_REALM);
  CHECK_STATUS(slot_retain(others), HAFT_E_REALM);
  CHECK_STATUS(slot_release(others), HAFT_E_REALM);
  haft_value result;
  CHECK_STATUS(call(others, HAFT_OP(define_kind("shared", 1), 0), nullptr, 0, 1000, &result), HAFT_E_REALM);
  // Nobody can cut the memory short under the others.
  CHECK(ftruncate(kArena, 4096) != 0 && errno == EPERM);
  CHECK(ftruncate(kArena, (off_t)sizeof(Arena) + 4096) != 0 && errno == EPERM);
  const haft_handle mine = consumer.create(define_kind("shared", 1));
  CHECK_STATUS(check(mine), HAFT_OK);
  tell(1);
  CHECK(consumer.close());
  CHECK(consumer.realm->life.load() == (id << 8 | kRealmClosed));  // recycled by who made the arena, not here
  _exit(0);
}

// A word of the arena that is not in use: the last direct reply's text.
std::atomic<uint32_t> &spare_word(haft_realm id) {
  return reinterpret_cast<std::atomic<uint32_t> &>(arena()->realms[realm_number(id)].direct_reply.text[64]);
}

void sleep_for_a_wake_up(haft_realm id) {
  tell(1);
  sleep_on(spare_word(id), 0, 20'000'000'000);
  tell(1);
  _exit(0);
}

// ---- Tests ----

void sleepers_of_another_process_are_woken() {
  say("P30 sleepers of another process are woken");
  const Child child = start("sleep");
  word_of(child);
  const int64_t began = now_nanoseconds();
  for (pollfd awake = {child.words, POLLIN, 0}; poll(&awake, 1, 20) == 0;) wake_all(spare_word(child.realm));
  CHECK(now_nanoseconds() - began < 15'000'000'000);  // else its time has run out
  CHECK(wait_for(child) == 0);
  realm_end(child.realm);
  recycle(child);
}

// P28: the end of a child is an end to all who wait, with nothing of it left in flight; the next child's realm has the same
// number and is another.
void children_are_killed(int rounds) {
  say("P28 children are killed");
  constexpr int kThreads = 4;
  const haft_kind kind = define_kind("shared", 1);
  haft_handle before = HAFT_NULL;
  Random random(77);
  for (int round = 0; round < rounds; round++) {
    const Child child = start("serve");
    const haft_handle object = word_of(child);
    if (before != HAFT_NULL) {
      const haft_status status = check(before);
      CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
    }
    std::atomic<uint64_t> answered{0};
    Threads threads;
    threads.start(kThreads, [&](int me) {
      Random own(1000 + me);
      haft_status status = HAFT_OK;
      while (status == HAFT_OK) {
        const int64_t tag = (int64_t)own.next();
        const haft_value args[] = {haft_value_i64(tag)};
        haft_value result;
        status = call<0>(object, HAFT_OP(kind, 0), args, 1, -1, &result);
        if (status != HAFT_OK) break;
        CHECK(result.as.i64 == tag);
        answered++;
        if (own.once_in(50)) sleep_for(own.below(300'000));  // the realm falls asleep: the doorbell has to wake it
      }
      CHECK(status == HAFT_E_CLOSED || status == HAFT_E_STALE);
    });
    const uint64_t enough = 1 + random.below(2000);
    while (answered.load() < enough) sched_yield();
    CHECK(kill(child.pid, SIGKILL) == 0);
    const int status = wait_for(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    realm_end(child.realm);
    threads.join();
    CHECK(in_flight_now(realm_number(child.realm)) == 0 && waiting_now(realm_number(child.realm)) == 0);
    recycle(child, true);
    before = object;
  }
}

// What stands in the memory of this process is completed here: each call once, whoever ends it.
void answers_that_nobody_waits_for(int calls) {
  say("P28 answers that nobody waits for");
  const Child child = start("serve");
  const haft_handle object = word_of(child);
  const haft_kind kind = define_kind("shared", 1);
  haft_queue queue;
  int descriptor;
  CHECK_STATUS(queue_open(&queue, &descriptor), HAFT_OK);
  const haft_completer completer = {sizeof completer, nullptr, queue, nullptr};
  for (int i = 0; i < calls; i++) {
    const haft_value args[] = {haft_value_i64(i)};
    haft_completer mine = completer;
    mine.user = (void *)(intptr_t)i;
    haft_status sent;
    while ((sent = call_async<1>(object, HAFT_OP(kind, 0), args, 1, i % 2 ? -1 : 60'000, &mine)) == HAFT_E_FULL) sched_yield();
    CHECK_STATUS(sent, HAFT_OK);
    if (i % 16 != 0) continue;
    haft_completion completion;
    CHECK_STATUS(queue_next(queue, 60'000, &completion), HAFT_OK);
    CHECK_STATUS(completion.status, HAFT_OK);
    CHECK(completion.result.as.i64 == (int64_t)(intptr_t)completion.user);
  }
  for (int i = 0; i < calls - (calls + 15) / 16; i++) {
    haft_completion completion;
    CHECK_STATUS(queue_next(queue, 60'000, &completion), HAFT_OK);
    CHECK(completion.result.as.i64 == (int64_t)(intptr_t)completion.user);
  }
  // Those under way when the child dies end too.
  CHECK(kill(child.pid, SIGSTOP) == 0);
  for (int i = 0; i < 10; i++)
    CHECK_STATUS(call_async<1>(object, HAFT_OP(kind, 0), nullptr, 0, -1, &completer), HAFT_OK);
  CHECK(kill(child.pid, SIGKILL) == 0);
  wait_for(child);
  realm_end(child.realm);
  for (int i = 0; i < 10; i++) {
    haft_completion completion;
    CHECK_STATUS(queue_next(queue, 0, &completion), HAFT_OK);
    CHECK_STATUS(completion.status, HAFT_E_CLOSED);
  }
  CHECK_STATUS(queue_close(queue), HAFT_OK);
  recycle(child, true);
}

void a_ring_that_is_never_finished() {
  say("P28 a ring that is never finished");
  const Child child = start("die");
  word_of(child);
  wait_for(child);
  realm_end(child.realm);
  CHECK(!realm_recycle(child.realm, false));
  CHECK(realm_recycle(child.realm, true));
  CHECK_STATUS(realm_check(child.realm), HAFT_E_CLOSED);
  const Child next = start("serve");
  CHECK(realm_number(next.realm) != realm_number(child.realm));
  word_of(next);
  kill(next.pid, SIGKILL);
  wait_for(next);
  realm_end(next.realm);
  recycle(next, true);
}

void others_are_out_of_reach() {
  say("P28 others are out of reach");
  const Child one = start("serve");
  const haft_handle object = word_of(one);
  const Child other = start("reach", object);
  word_of(other);
  const int status = wait_for(other);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  realm_end(other.realm);
  recycle(other);
  CHECK_STATUS(check(object), HAFT_OK);
  kill(one.pid, SIGKILL);
  wait_for(one);
  realm_end(one.realm);
  CHECK_STATUS(check(object), HAFT_E_CLOSED);
  recycle(one, true);
}

void another_layout_is_refused() {
  say("another layout is refused");
  arena()->layout ^= 1;
  const Child child = start("attach");
  CHECK(word_of(child) == (uint64_t)(uint32_t)HAFT_E_ABI);
  arena()->layout ^= 1;
  CHECK(wait_for(child) == 0);
  realm_end(child.realm);
  recycle(child);
}

int child_main(const std::string &role, haft_realm id, uint64_t about) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const haft_status status = arena_attach(kArena);
  if (role == "attach") {
    tell((uint32_t)status);
    return 0;
  }
  CHECK_STATUS(status, HAFT_OK);
  if (role == "serve") serve_calls(id);
  if (role == "die") die_in_a_write(id);
  if (role == "reach") reach_out(id, about);
  if (role == "sleep") sleep_for_a_wake_up(id);
  return 1;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 4) return child_main(argv[1], strtoull(argv[2], nullptr, 10), strtoull(argv[3], nullptr, 10));
  process_prepare();
  CHECK(arena_share(&arena_of_ours));
  another_layout_is_refused();
  sleepers_of_another_process_are_woken();
  others_are_out_of_reach();
  answers_that_nobody_waits_for(amount(600));
  children_are_killed(amount(30));
  a_ring_that_is_never_finished();
}
