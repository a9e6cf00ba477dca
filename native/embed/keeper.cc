// See keeper.h. What runs in the keeper and in its child until that executes its program shares memory and thread-local
// storage with the thread that started it, which may end meanwhile: it makes system calls and nothing else.
#include "keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "descriptors.h"

// No instrumentation and no stack protector: both use thread-local storage.
#if defined(__clang__)
#define HAFT_UNWATCHED __attribute__((no_sanitize("address", "thread", "undefined"), no_stack_protector))
#else
#define HAFT_UNWATCHED \
  __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined, optimize("no-stack-protector")))
#endif
#define HAFT_BARE HAFT_UNWATCHED __attribute__((noinline))
#define HAFT_BARE_INLINE HAFT_UNWATCHED __attribute__((always_inline)) inline

namespace haft {
namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr int kAside = kFirstDescriptor + kMostDescriptors;  // descriptors are first moved out of the way of their places

struct Both {  // the two stacks, and what the keeper knows
  alignas(16) char keepers[kStackBytes];
  alignas(16) char childs[kStackBytes];
  const Launch *launch;
  int news, commands;
  // The child writes these before its program runs: the memory is shared.
  volatile KeptWord failed_as;
  volatile int32_t failed;  // errno, 0: none
};

// A system call that leaves errno alone: negative results are errors.
#if defined(__x86_64__)
HAFT_BARE_INLINE long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
HAFT_BARE_INLINE long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
  return x0;
}
#else
#error "libhaft_embed knows x64 and arm64"
#endif

HAFT_BARE_INLINE void close_from(long first) {
#if defined(SYS_close_range)
  if (call(SYS_close_range, first, ~0u, 0) == 0) return;
#endif
  for (long descriptor = first; descriptor < 65536; descriptor++) call(SYS_close, descriptor);
}

HAFT_BARE_INLINE long aside(long descriptor) { return call(SYS_fcntl, descriptor, F_DUPFD, kAside); }

HAFT_BARE_INLINE void forget_signal(int number) {
  const struct {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
  } standard = {nullptr, 0, nullptr, 0};
  call(SYS_rt_sigaction, number, (long)&standard, 0, 8);
}

// Every signal as a program finds it that a shell starts.
HAFT_BARE_INLINE void forget_signals() {
  for (int number = 1; number < 65; number++) forget_signal(number);
  const uint64_t none = 0;
  call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8);
}

HAFT_BARE int child_main(void *data) {
  Both *both = static_cast<Both *>(data);
  const Launch *launch = both->launch;
  call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);  // P29: its parent is the keeper, which has one thread
  long moved[3 + kMostDescriptors];
  int count = 0;
  long status = 0;
  for (int i = 0; i < 3; i++) moved[count++] = aside(launch->standard[i]);
  for (int i = 0; i < kMostDescriptors && launch->given[i] >= 0; i++) moved[count++] = aside(launch->given[i]);
  for (int i = 0; i < count && status >= 0; i++) status = moved[i] < 0 ? moved[i] : call(SYS_dup3, moved[i], i, 0);
  close_from(count);
  both->failed_as = KeptWord::kNoProcess;
  if (status >= 0) {
    both->failed_as = KeptWord::kNoDirectory;
    status = launch->directory ? call(SYS_chdir, (long)launch->directory) : 0;
  }
  if (status >= 0) {
    both->failed_as = KeptWord::kNoProgram;
    forget_signals();
    status = call(SYS_execve, (long)launch->program, (long)launch->arguments, (long)launch->environment);
  }
  both->failed = (int32_t)-status;
  call(SYS_exit_group, 127);
  return 0;
}

HAFT_BARE_INLINE void tell(long news, KeptWord word, long number) {
  const KeptNews text = {word, (int32_t)number};
  call(SYS_write, news, (long)&text, sizeof text);
}

HAFT_BARE_INLINE long wait_for(long pid, siginfo_t *info) {
  return call(SYS_waitid, P_PID, pid, (long)info, WEXITED, 0);
}

// Until the child has ended: kills it when this is asked for, or the host is gone.
HAFT_BARE_INLINE void keep(long pid, int child, int commands, int host) {
  pollfd watched[3] = {{child, POLLIN, 0}, {commands, POLLIN, 0}, {host, POLLIN, 0}};
  for (;;) {
    call(SYS_ppoll, (long)watched, 3, 0, 0, 8);
    if (watched[0].revents != 0) return;
    if (watched[1].revents == 0 && watched[2].revents == 0) continue;
    call(SYS_kill, pid, SIGKILL);
    watched[1].fd = watched[2].fd = -1;
  }
}

HAFT_BARE int keeper_main(void *data) {
  Both *both = static_cast<Both *>(data);
  call(SYS_setpgid, 0, 0);
  forget_signal(SIGCHLD);  // where the program ignores it, a child's end would be told to nobody
  int child = -1;
  const int pid = clone(child_main, both->childs + kStackBytes, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, both,
                        &child);
  long moved[4] = {aside(both->news), aside(both->commands), aside(both->launch->host), pid < 0 ? -1 : aside(child)};
  siginfo_t info = {};
  if (pid < 0) {
    tell(both->news, KeptWord::kNoProcess, EAGAIN);
  } else if (both->failed != 0) {
    wait_for(pid, &info);
    tell(both->news, both->failed_as, both->failed);
  } else if (moved[0] < 0 || moved[1] < 0 || moved[2] < 0 || moved[3] < 0) {
    call(SYS_kill, pid, SIGKILL);
    wait_for(pid, &info);
    tell(both->news, KeptWord::kNoProcess, EMFILE);
  } else {
    for (int i = 0; i < 4; i++) call(SYS_dup3, moved[i], i, 0);
    close_from(4);
    tell(0, KeptWord::kStarted, pid);
    keep(pid, 3, 1, 2);
    wait_for(pid, &info);
    tell(0, info.si_code == CLD_EXITED ? KeptWord::kExited : KeptWord::kKilled, info.si_status);
  }
  call(SYS_exit_group, 0);
  return 0;
}

void close_both(int *pair) {
  close_one(&pair[0]);
  close_one(&pair[1]);
}

}  // namespace

bool keeper_start(Keeper *keeper, const Launch *launch) {
  int news[2], commands[2];
  // Sockets, where a write raises no SIGPIPE (P29).
  if (!open_sockets(SOCK_STREAM, news)) return false;
  if (!open_sockets(SOCK_STREAM, commands)) {
    const int error = errno;
    close_both(news);
    errno = error;
    return false;
  }
  void *memory = mmap(nullptr, sizeof(Both), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int pid = -1;
  if (memory != MAP_FAILED) {
    Both *both = static_cast<Both *>(memory);
    both->launch = launch;
    both->news = news[1];
    both->commands = commands[1];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // the keeper has this mask as long as it lives
    pid = clone(keeper_main, both->keepers + kStackBytes, CLONE_VM, both);
    const int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error;
  }
  if (pid < 0) {
    const int error = errno;
    close_both(news);
    close_both(commands);
    if (memory != MAP_FAILED) munmap(memory, sizeof(Both));
    errno = error;
    return false;
  }
  // The keeper has these in a table of its own.
  close(news[1]);
  close(commands[1]);
  pollfd first = {news[0], POLLIN, 0};
  while (poll(&first, 1, -1) < 0 && errno == EINTR) {
  }
  *keeper = {news[0], commands[0], pid, memory};
  return true;
}

void keeper_kill(const Keeper &keeper) {
  const char now = 0;
  send(keeper.commands, &now, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void keeper_reap(Keeper *keeper) {
  if (keeper->pid < 0) return;
  while (waitpid(keeper->pid, nullptr, __WCLONE) < 0 && errno == EINTR) {
  }
  close(keeper->news);
  close(keeper->commands);
  munmap(keeper->memory, sizeof(Both));
  *keeper = {};
}

}  // namespace haft
