// P25: a process that ends while native threads are at work in the core: no crash, no hang, its own exit code.
// builds: plain asan
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

extern char **environ;

using namespace test;

namespace {

constexpr int kExitCode = 7;

std::atomic<int> heard{0};

// Runs behind the closing of the realms: whoever waited without a limit must have heard of it.
void check_heard() {
  for (int i = 0; i < 20'000 && heard.load() < 3; i++) usleep(1000);
  if (heard.load() < 3) fail_at(__FILE__, __LINE__, "P25: a thread that waits was not told of the end");
}

int child(int variant) {
  const haft_kind kind = define_kind("exit");
  Consumer *c = new Consumer();
  if (variant != 0) {
    atexit(check_heard);
    atexit([] { realms_close_all(1000); });
  }
  const haft_handle handle = c->create(kind), full = c->create(kind);
  static std::atomic<int> working{0};
  for (int i = 0; i < 4; i++) {
    std::thread([=] {
      working++;
      bool told = false;
      for (uint64_t n = 0;; n++) {
        const haft_value arg = haft_value_i64((int64_t)n);
        haft_status status = HAFT_OK;
        if (i == 0) status = call(handle, HAFT_OP(kind, 0), &arg, 1, -1, nullptr);
        if (i == 1) status = post(full, HAFT_OP(kind, 0), &arg, 1, HAFT_BLOCK(-1));
        if (i == 2) status = slot_retain(handle) == HAFT_OK ? slot_release(handle) : HAFT_E_CLOSED;
        haft_handle found;
        if (i == 3) status = name_find(c->id, "nobody", 0, -1, &found);
        CHECK(status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_STALE);
        if (status == HAFT_OK) continue;
        if (!told && i != 2) heard++;
        told = true;
        usleep(50);  // and on: a host may be slow to notice
      }
    }).detach();
  }
  while (working.load() < 4) sched_yield();
  for (int i = 0; i < 20; i++) c->drain();
  exit(kExitCode);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc > 1) return child(atoi(argv[1]));
  say("P25 exit under working threads");
  const int rounds = amount(30);
  for (int i = 0; i < rounds; i++) {
    const std::string variant = std::to_string(i % 2);
    char *args[] = {argv[0], const_cast<char *>(variant.c_str()), nullptr};
    pid_t pid;
    CHECK(posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, args, environ) == 0);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status)) fail_at(__FILE__, __LINE__, "a child crashed", strsignal(WTERMSIG(status)));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == kExitCode);
  }
}
