/* What of the program is left alone, and who comes to the memory that it shares with its logics. */
#include "embed.h"

#include <grp.h>

/* ---- Its children and its signals ---- */

static atomic_int signals_seen;
static void note_signal(int number) {
  (void)number;
  signals_seen++;
}

static void live_and_die(void) {
  start_plain();
  kill(pid_of(realm), SIGKILL);
  UNTIL(ends == 1);
  start_plain();
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static void children(void) {
  signal(SIGCHLD, note_signal);
  live_and_die();
  start_plain();
  int status;
  CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
  CHECK(signals_seen == 0);
  /* Its own child is its own to wait for. */
  const pid_t own = fork();
  if (own == 0) _exit(33);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  CHECK(waitpid(-1, &status, 0) == own && WEXITSTATUS(status) == 33);
  CHECK(signals_seen == 1);
}

/* A program that ignores its children still hears how its logic ended. */
static void ignored_children(void) {
  signal(SIGCHLD, SIG_IGN);
  start_plain();
  kill(pid_of(realm), SIGKILL);
  UNTIL(ends == 1);
  CHECK(latest_end.reason == HAFT_EMBED_KILLED && latest_end.signal == SIGKILL);
  struct sigaction now;
  sigaction(SIGCHLD, NULL, &now);
  CHECK(now.sa_handler == SIG_IGN);
}

static void handlers(void) {
  struct sigaction before[65], after;
  sigset_t mask_before, mask_after;
  signal(SIGPIPE, note_signal);
  signal(SIGUSR1, SIG_IGN);
  for (int i = 1; i < 65; i++) sigaction(i, NULL, &before[i]);
  sigemptyset(&mask_before);
  sigaddset(&mask_before, SIGUSR2);
  sigprocmask(SIG_SETMASK, &mask_before, NULL);
  live_and_die();
  for (int i = 1; i < 65; i++) {
    if (sigaction(i, NULL, &after) != 0) continue;
    CHECK(after.sa_handler == before[i].sa_handler && after.sa_flags == before[i].sa_flags);
  }
  sigprocmask(SIG_SETMASK, NULL, &mask_after);
  CHECK(sigismember(&mask_after, SIGUSR2) == 1 && sigismember(&mask_after, SIGPIPE) == 0 &&
        sigismember(&mask_after, SIGTERM) == 0);
  CHECK(signals_seen == 0);
  /* The logic has none of it. */
  start_plain();
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", pid_of(realm));
  FILE *file = fopen(path, "r");
  bool seen = false;
  while (file && fgets(line, sizeof line, file)) {
    unsigned long long bits;
    if (sscanf(line, "SigBlk: %llx", &bits) == 1) {
      CHECK(bits == 0);
      seen = true;
    }
    if (sscanf(line, "SigIgn: %llx", &bits) == 1) CHECK((bits & 1ull << (SIGUSR1 - 1)) == 0);
  }
  CHECK(seen);
  if (file) fclose(file);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* As Ctrl-C at a terminal does. */
static void interrupt_of_its_group(void) {
  setpgid(0, 0);
  signal(SIGINT, note_signal);
  start_plain();
  kill(0, SIGINT);
  UNTIL(signals_seen >= 1);
  usleep(50000);
  const haft_value args[2] = {haft_value_f64(1), haft_value_f64(2)};
  EXPECT(call(function("add"), args, 2, NULL), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* ---- Descriptors ---- */

/* How many descriptors a program has that this one executes. */
static int descriptors_of_another(void) {
  int pair[2], status, lines = 0;
  CHECK(pipe2(pair, O_CLOEXEC) == 0);
  const pid_t other = fork();
  if (other == 0) {
    dup2(pair[1], 1);
    execl("/bin/ls", "ls", "/proc/self/fd", (char *)NULL);
    _exit(99);
  }
  close(pair[1]);
  for (char byte; read(pair[0], &byte, 1) == 1;) lines += byte == '\n';
  close(pair[0]);
  CHECK(waitpid(other, &status, 0) == other && status == 0 && lines >= 3);
  return lines;
}

static void other_programs(void) {
  const int before = descriptors_of_another();
  start_plain();
  CHECK(descriptors_of_another() == before);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* What the logic has of the program's: nothing but where its output goes, its end of the socket, its doorbell and the pidfd. */
static void of_the_logic(void) {
  char secret_path[4096], folder[64], link[64], target_of[4096];
  snprintf(secret_path, sizeof secret_path, "%s/secret", arguments[2]);
  const int secret = open(secret_path, O_CREAT | O_RDWR, 0600); /* not close-on-exec */
  int pair[2];
  CHECK(secret >= 0 && pipe(pair) == 0 && dup2(pair[0], 700) == 700);
  start_plain();
  const int32_t pid = pid_of(realm);
  snprintf(folder, sizeof folder, "/proc/%d/fd", pid);
  DIR *open_folder = opendir(folder);
  int sockets = 0, pidfds = 0;
  for (struct dirent *entry; open_folder && (entry = readdir(open_folder));) {
    snprintf(link, sizeof link, "/proc/%d/fd/%.16s", pid, entry->d_name);
    const ssize_t length = readlink(link, target_of, sizeof target_of - 1);
    if (length < 0) continue;
    target_of[length] = 0;
    if (strstr(target_of, "secret") || strstr(target_of, "memfd") || atoi(entry->d_name) >= 200) failures++;
    sockets += strncmp(target_of, "socket:", 7) == 0;
    pidfds += strstr(target_of, "pidfd") != NULL;
  }
  if (open_folder) closedir(open_folder);
  CHECK(sockets == 2 && pidfds == 1); /* to the program, and the doorbell */
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* ---- Its memory ---- */

static int find_arena(void) {
  char link[64], target_of[256];
  for (int descriptor = 0; descriptor < 64; descriptor++) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t length = readlink(link, target_of, sizeof target_of - 1);
    if (length < 0) continue;
    target_of[length] = 0;
    if (strstr(target_of, "memfd:haft")) return descriptor;
  }
  return -1;
}

static bool is_mapped(int32_t pid) {
  char path[64], line[1024];
  bool found = false;
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) found = found || strstr(line, "memfd:haft");
  if (file) fclose(file);
  return found;
}

static void sealed(void) {
  start_plain();
  const int arena = find_arena();
  CHECK(arena > 2);
  CHECK(is_mapped(pid_of(realm)) && is_mapped(getpid()));
  CHECK(ftruncate(arena, 4096) == -1 && errno == EPERM);
  CHECK(ftruncate(arena, (off_t)1 << 40) == -1 && errno == EPERM);
  CHECK(fcntl(arena, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
  struct stat about;
  CHECK(fstat(arena, &about) == 0 && about.st_nlink == 0); /* it has no name */
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* As somebody else, where this user may become one. */
enum { SKIPPED = 77, SOMEBODY = 65534 };
static int opens(const char *format, int32_t pid, int descriptor, int how) {
  char path[64];
  snprintf(path, sizeof path, format, pid, descriptor);
  const int opened = open(path, how);
  if (opened < 0) return errno == EACCES || errno == EPERM || errno == ENOENT ? 0 : 1;
  close(opened);
  fprintf(stderr, "another user opens %s\n", path);
  return 1;
}
static void another_user(void) {
  if (getuid() != 0) exit(SKIPPED);
  start_plain();
  const int arena = find_arena();
  const int32_t host = getpid(), child = pid_of(realm);
  CHECK(arena > 2);
  const pid_t other = fork();
  if (other == 0) {
    close(arena);
    if (setgroups(0, NULL) != 0 || setgid(SOMEBODY) != 0 || setuid(SOMEBODY) != 0) _exit(SKIPPED);
    int wrong = 0;
    wrong += opens("/proc/%d/fd/%d", host, arena, O_RDWR);
    wrong += opens("/proc/%d/fd/%d", host, arena, O_RDONLY);
    wrong += opens("/proc/%d/mem", host, 0, O_RDWR);
    wrong += opens("/proc/%d/mem", child, 0, O_RDWR);
    wrong += opens("/proc/%d/maps", child, 0, O_RDONLY);
    wrong += opens("/proc/%d/map_files", child, 0, O_RDONLY);
    for (int i = 0; i < 12; i++) wrong += opens("/proc/%d/fd/%d", child, i, O_RDWR);
    _exit(wrong);
  }
  int status;
  CHECK(waitpid(other, &status, 0) == other && WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* A pipe of the program's own, of which the logic writes: it stays as it was. */
static void its_output(void) {
  CHECK((fcntl(1, F_GETFL) & O_NONBLOCK) == 0 && (fcntl(2, F_GETFL) & O_NONBLOCK) == 0);
  start_plain();
  const haft_value line = text("a line\n");
  EXPECT(call(function("say"), &line, 1, NULL), HAFT_OK);
  EXPECT(call(function("complain"), &line, 1, NULL), HAFT_OK);
  CHECK((fcntl(1, F_GETFL) & O_NONBLOCK) == 0 && (fcntl(2, F_GETFL) & O_NONBLOCK) == 0);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* Nobody reads what the program writes: its logic waits, and the stop does not. */
static void full_output(void) {
  int pair[2];
  const int standard_error = dup(2);
  CHECK(pipe(pair) == 0 && dup2(pair[1], 2) == 2);
  haft_embed_options options = options_for(LOGIC);
  options.stop_ms = 500;
  realm = start_logic(&options);
  char *many = malloc(300001);
  memset(many, 'z', 300000);
  many[300000] = 0;
  const haft_value line = text(many);
  const Target complain = function("complain");
  EXPECT(haft_post(complain.handle, complain.op, &line, 1, HAFT_FAIL), HAFT_OK);
  usleep(200000);
  const haft_status status = haft_embed_stop(realm);
  CHECK(dup2(standard_error, 2) == 2);
  CHECK(status == HAFT_OK || status == HAFT_E_TIMEOUT);
  CHECK(ends == 1);
  free(many);
}

/* SIGPIPE where it would end the program: at rings, commands and output. */
static void broken_pipes(void) {
  signal(SIGPIPE, SIG_DFL);
  int pair[2];
  const int standard_error = dup(2);
  CHECK(pipe(pair) == 0 && dup2(pair[1], 2) == 2);
  close(pair[0]);
  close(pair[1]);
  start_plain();
  const haft_value line = text("to nobody\n"), args[2] = {haft_value_f64(1), haft_value_f64(2)};
  EXPECT(call(function("complain"), &line, 1, NULL), HAFT_OK);
  const Target sum = function("add");
  kill(pid_of(realm), SIGKILL);
  while (haft_post(sum.handle, sum.op, args, 2, HAFT_DROP_NEWEST) == HAFT_OK) {
  }
  UNTIL(ends == 1);
  dup2(standard_error, 2);
  close(standard_error);
}

EMBED_CASES({"children", children}, {"ignored children", ignored_children}, {"handlers", handlers},
            {"interrupt of its group", interrupt_of_its_group}, {"other programs", other_programs},
            {"of the logic", of_the_logic}, {"sealed", sealed}, {"another user", another_user},
            {"its output", its_output}, {"full output", full_output}, {"broken pipes", broken_pipes})
