/* One round of scripts/rounds.mjs, in a process of its own: a logic, or the program, ends while four threads call.
**
**     rounds KIND NUMBER
**
** Says at its end "gone: PID...", the processes that must not live on, and is 0 only if each caller has ended with a result or
** HAFT_E_CLOSED and the end was told as it was. */
#include "embed.h"

#include <sys/mman.h>

enum { CALLERS = 4, EXIT_CODE = 7 };

static int number;
static Target sum, later, crash, leave;
static atomic_int calls_made;
static atomic_bool enough;
static int32_t logic_pid, keeper_pid;

/* Until the logic ends, or it is enough. */
static void call_on_and_on(int caller) {
  for (int i = 0; !enough; i++) {
    const double one = caller, other = i % 1000;
    const bool slow = i % 16 == 15;
    const haft_value args[2] = {haft_value_f64(one), haft_value_f64(slow ? 1 : other)};
    haft_value result;
    const Target to = slow ? later : sum;
    const haft_status status = haft_call(to.handle, to.op, args, 2, -1, &result);
    if (status == HAFT_E_CLOSED) return;
    if (status != HAFT_OK) {
      EXPECT(status, HAFT_E_CLOSED);
      return;
    }
    CHECK(result.as.f64 == (slow ? one : one + other));
    calls_made++;
  }
}

static pthread_t callers[CALLERS];
static void *run_caller(void *caller) {
  call_on_and_on((int)(intptr_t)caller);
  return NULL;
}
static void start_callers(void) {
  for (int i = 0; i < CALLERS; i++) {
    if (pthread_create(&callers[i], NULL, run_caller, (void *)(intptr_t)i) != 0) exit(97);
  }
}
static void join_callers(void) {
  for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
}

/* When this round's end comes: of ten, two when the callers have hardly begun, the others at some moment among calls. */
static void wait_for_moment(void) {
  const bool at_once = number % 10 >= 8;
  UNTIL(calls_made > (at_once ? 0 : 200));
  if (!at_once) usleep((useconds_t)(number * 7919 % 20000));
}

static int32_t parent_of(int32_t pid) {
  char path[64], line[512];
  int32_t parent = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (file && fgets(line, sizeof line, file) && strrchr(line, ')')) sscanf(strrchr(line, ')') + 4, "%d", &parent);
  if (file) fclose(file);
  return parent;
}

static void find_logic(void) {
  logic_pid = pid_of(realm);
  keeper_pid = parent_of(logic_pid);
  CHECK(keeper_pid > 0 && keeper_pid != getpid());
  sum = function("add");
  later = function("later");
  crash = function("crash");
  leave = function("exit");
}

static void say_gone(void) { printf("gone: %d %d\n", logic_pid, keeper_pid); }

static void expect_end(haft_embed_reason reason, int exit_code, int signal) {
  UNTIL(ends == 1);
  CHECK(latest_end.reason == reason && latest_end.exit_code == exit_code && latest_end.signal == signal);
  CHECK(latest_end.pid == logic_pid && latest_end.realm == realm && !latest_end.restarting);
  CHECK(!is_alive(logic_pid));
}

static void end_by_kill(void) {
  start_plain();
  find_logic();
  start_callers();
  wait_for_moment();
  if (number % 2 == 0)
    kill(logic_pid, SIGKILL);
  else
    haft_call(crash.handle, crash.op, NULL, 0, -1, NULL);
  join_callers();
  expect_end(HAFT_EMBED_KILLED, -1, SIGKILL);
  UNTIL(haft_embed_stop(realm) == HAFT_E_CLOSED); /* OK while its end is still being told */
}

static void end_by_exit(void) {
  start_plain();
  find_logic();
  start_callers();
  wait_for_moment();
  const haft_value code = haft_value_f64(EXIT_CODE);
  EXPECT(haft_call(leave.handle, leave.op, &code, 1, -1, NULL), HAFT_E_CLOSED);
  join_callers();
  expect_end(HAFT_EMBED_EXITED, EXIT_CODE, 0);
}

static void *start_and_end(void *data) {
  (void)data;
  start_plain();
  return NULL;
}

static void end_of_starter(void) {
  pthread_t starter;
  if (pthread_create(&starter, NULL, start_and_end, NULL) != 0) exit(97);
  pthread_join(starter, NULL);
  find_logic();
  start_callers();
  wait_for_moment();
  CHECK(is_alive(logic_pid) && ends == 0);
  enough = true;
  join_callers();
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  expect_end(HAFT_EMBED_STOPPED, 0, 0);
}

/* What the forked process does: each answer is HAFT_E_FORKED. */
static int in_forked_process(void) {
  const haft_value args[2] = {haft_value_f64(1), haft_value_f64(2)};
  haft_value result;
  haft_handle found;
  haft_realm other;
  int32_t pid;
  const haft_embed_options options = options_for(LOGIC);
  int wrong = 0;
  wrong += haft_call(sum.handle, sum.op, args, 2, -1, &result) != HAFT_E_FORKED;
  wrong += haft_post(sum.handle, sum.op, args, 2, HAFT_FAIL) != HAFT_E_FORKED;
  wrong += haft_find(realm, "add", 0, -1, &found) != HAFT_E_FORKED;
  wrong += haft_retain(sum.handle) != HAFT_E_FORKED;
  wrong += haft_embed_pid(realm, &pid) != HAFT_E_FORKED;
  wrong += haft_embed_realm(realm, -1, &other) != HAFT_E_FORKED;
  wrong += haft_embed_start(&options, &other) != HAFT_E_FORKED;
  wrong += haft_embed_stop(realm) != HAFT_E_FORKED;
  return wrong;
}

static void fork_among_calls(void) {
  int lives[2];
  start_plain();
  find_logic();
  if (pipe(lives) != 0) exit(97);
  start_callers();
  wait_for_moment();
  const bool lives_on = number % 2 == 0;
  const pid_t forked = fork();
  if (forked == 0) {
    const int wrong = in_forked_process();
    char byte = 0;
    close(lives[1]);
    if (lives_on && wrong == 0 && read(lives[0], &byte, 1) < 0) _exit(99);
    if (number % 4 < 2) _exit(wrong);
    exit(wrong); /* what runs at exit finds nothing to do */
  }
  close(lives[0]);
  CHECK(forked > 0);
  usleep(1000);
  enough = true;
  join_callers();
  EXPECT(haft_embed_stop(realm), HAFT_OK); /* although the forked process has copies of all descriptors */
  expect_end(HAFT_EMBED_STOPPED, 0, 0);
  int status = -1;
  if (lives_on) CHECK(waitpid(forked, &status, WNOHANG) == 0);
  close(lives[1]);
  CHECK(waitpid(forked, &status, 0) == forked && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* This process starts the program that is killed, and looks what is left. */
static void end_of_host(void) {
  int32_t *pids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t host = fork();
  if (host == 0) {
    start_plain();
    find_logic();
    start_callers();
    wait_for_moment();
    pids[1] = keeper_pid;
    __atomic_store_n(&pids[0], logic_pid, __ATOMIC_SEQ_CST);
    join_callers();
    _exit(96);
  }
  UNTIL(__atomic_load_n(&pids[0], __ATOMIC_SEQ_CST) != 0);
  usleep((useconds_t)(number * 7919 % 5000));
  logic_pid = pids[0];
  keeper_pid = pids[1];
  CHECK(is_alive(logic_pid) && is_alive(keeper_pid));
  kill(host, SIGKILL);
  int status = 0;
  CHECK(waitpid(host, &status, 0) == host && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  for (int left = 1000; left > 0 && (is_alive(logic_pid) || is_alive(keeper_pid)); left--) usleep(1000);
}

static const Case kinds[] = {{"embed-kill", end_by_kill},
                             {"embed-host-kill", end_of_host},
                             {"embed-exit", end_by_exit},
                             {"embed-starter", end_of_starter},
                             {"embed-fork", fork_among_calls}};

int main(int argc, char **argv) {
  if (argc != 3 || haft_plugin_keep(haft_embed_api()) != HAFT_OK) return 100;
  number = atoi(argv[2]);
  for (size_t i = 0; i < COUNT(kinds); i++) {
    if (strcmp(kinds[i].name, argv[1]) != 0) continue;
    kinds[i].run();
    say_gone();
    return failures > 90 ? 90 : failures;
  }
  return 101;
}
