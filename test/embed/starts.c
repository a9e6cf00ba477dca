/* haft_embed_start: what each option does, and each way in which a start can fail. */
#include "embed.h"

#include <sys/resource.h>
#include <sys/utsname.h>

/* Starts what must fail; what haft_last_error() told. */
static char told[32768];
static haft_status fails(haft_embed_options *options, const char *says) {
  haft_realm started = 1;
  haft_embed_options none = options_for("no-such-logic.mjs");
  EXPECT(haft_embed_start(&none, &started), HAFT_E_NOT_FOUND); /* what a program has once is there now */
  const int threads = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
  const haft_status status = haft_embed_start(options, &started);
  CHECK(started == 0);
  CHECK(status == haft_last_error()->status);
  snprintf(told, sizeof told, "%s\n%s", haft_last_error()->message, haft_last_error()->stack);
  if (!strstr(told, says)) {
    fprintf(stderr, "no word of \"%s\" in: %s\n", says, told);
    failures++;
  }
  UNTIL(entries("/proc/self/task") <= threads); /* nothing is left of it */
  UNTIL(entries("/proc/self/fd") <= descriptors);
  CHECK(ends == 0 && restarts == 0);
  return status;
}

static haft_status with_args(const char *first, const char *second, const char *says) {
  const char *args[] = {first, second, NULL};
  haft_embed_options options = options_for(LOGIC);
  options.args = args;
  return fails(&options, says);
}

/* A script of these lines. */
static const char *script_of(const char *source) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/script.mjs", arguments[2]);
  FILE *file = fopen(path, "w");
  if (!file || fputs(source, file) < 0 || fclose(file) != 0) exit(97);
  return path;
}

static haft_status with_script(const char *source, const char *says) {
  haft_embed_options options = options_for(script_of(source));
  options.package = ".";
  options.output = HAFT_EMBED_DISCARD;
  return fails(&options, says);
}

static void refused_options(void) {
  haft_realm started;
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  EXPECT(haft_embed_start(NULL, &started), HAFT_E_ARGUMENT);
  EXPECT(haft_embed_start(&options, NULL), HAFT_E_ARGUMENT);
  EXPECT(fails(&options, "options.script"), HAFT_E_ARGUMENT);
  options = options_for("");
  EXPECT(fails(&options, "options.script"), HAFT_E_ARGUMENT);
  options = options_for(LOGIC);
  options.size = 8;
  EXPECT(fails(&options, "HAFT_EMBED_OPTIONS"), HAFT_E_ARGUMENT);
  options = options_for(LOGIC);
  options.output = (haft_embed_output)9;
  EXPECT(fails(&options, "options.output"), HAFT_E_ARGUMENT);
  options.output = HAFT_EMBED_FILE;
  EXPECT(fails(&options, "options.output_file"), HAFT_E_ARGUMENT);
  options.output = HAFT_EMBED_LINES;
  EXPECT(fails(&options, "options.line"), HAFT_E_ARGUMENT);
  options = options_for(LOGIC);
  options.restart = (haft_embed_restart)7;
  EXPECT(fails(&options, "options.restart"), HAFT_E_ARGUMENT);
  options = options_for(LOGIC);
  options.oldest_node = "new";
  EXPECT(fails(&options, "options.oldest_node"), HAFT_E_ARGUMENT);
  const haft_embed_function nameless[] = {{"lookup", NULL, NULL}, {NULL, NULL, NULL}};
  options = options_for(LOGIC);
  options.functions = nameless;
  EXPECT(fails(&options, "lookup"), HAFT_E_ARGUMENT);
}

static void not_found(void) {
  haft_embed_options options = options_for("test/embed/no-such-logic.mjs");
  EXPECT(fails(&options, "test/embed/no-such-logic.mjs"), HAFT_E_NOT_FOUND);
  options = options_for("test/embed"); /* a folder */
  EXPECT(fails(&options, "test/embed"), HAFT_E_NOT_FOUND);
  options = options_for(LOGIC);
  options.node = "/no/such/node";
  EXPECT(fails(&options, "/no/such/node"), HAFT_E_NOT_FOUND);
  options.node = "no-such-node-in-path";
  EXPECT(fails(&options, "no-such-node-in-path in PATH"), HAFT_E_NOT_FOUND);
  options.node = "test/embed/embed.h"; /* not executable */
  EXPECT(fails(&options, "embed.h"), HAFT_E_NOT_FOUND);
  options = options_for(LOGIC);
  options.directory = "/no/such/folder";
  EXPECT(fails(&options, "/no/such/folder"), HAFT_E_NOT_FOUND);
  options = options_for(LOGIC);
  options.package = "/no/such/package";
  EXPECT(fails(&options, "/no/such/package"), HAFT_E_NOT_FOUND);
  options = options_for(LOGIC);
  options.output = HAFT_EMBED_FILE;
  options.output_file = "/no/such/folder/log";
  EXPECT(fails(&options, "/no/such/folder/log"), HAFT_E_INTERNAL);
  /* Executable, but no program that the system can run. */
  char path[4096];
  snprintf(path, sizeof path, "%s/no-program", arguments[2]);
  FILE *file = fopen(path, "w");
  if (!file || fputs("this is no program\n", file) < 0 || fclose(file) != 0 || chmod(path, 0755) != 0) exit(97);
  options = options_for(LOGIC);
  options.node = path;
  EXPECT(fails(&options, "no-program"), HAFT_E_NOT_FOUND);
}

static void no_package(void) {
  /* A script outside of any package finds none. */
  haft_embed_options options = options_for(script_of("export default () => {};"));
  unsetenv("HAFT_PACKAGE");
  options.output = HAFT_EMBED_DISCARD;
  haft_realm started = 0;
  const haft_status status = haft_embed_start(&options, &started);
  if (status == HAFT_OK) { /* the one that the library was built in */
    EXPECT(haft_embed_stop(started), HAFT_OK);
  } else {
    CHECK(status == HAFT_E_NOT_FOUND && strstr(haft_last_error()->message, "npm install haft"));
  }
  setenv("HAFT_PACKAGE", arguments[3], 1);
  EXPECT(haft_embed_start(&options, &started), HAFT_OK);
  EXPECT(haft_embed_stop(started), HAFT_OK);
}

static void node_too_old(void) {
  haft_embed_options options = options_for(LOGIC);
  options.oldest_node = "99";
  EXPECT(fails(&options, "older than 99"), HAFT_E_ABI);
  options.oldest_node = "v20.1.0";
  EXPECT(haft_embed_start(&options, &realm), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static void throws(void) {
  EXPECT(with_args("throw", "a bad day", "a bad day"), HAFT_E_EXCEPTION);
  CHECK(strcmp(haft_last_error()->name, "RangeError") == 0);
  EXPECT(with_script("throw new TypeError('at the top');", "at the top"), HAFT_E_EXCEPTION);
  EXPECT(with_script("export default () => {\n  let x = ;\n};\n", "script.mjs:2"), HAFT_E_EXCEPTION);
  EXPECT(with_script("import './no-such-file.mjs';\n", "no-such-file.mjs"), HAFT_E_EXCEPTION);
  EXPECT(with_script("export const logic = () => {};\n", "default export"), HAFT_E_ARGUMENT);
  EXPECT(with_script("export default 7;\n", "default export"), HAFT_E_ARGUMENT);
  EXPECT(with_script("export default () => Promise.reject(new Error('not today'));\n", "not today"), HAFT_E_EXCEPTION);
  EXPECT(with_script("export default () => { throw undefined; };\n", "undefined"), HAFT_E_EXCEPTION);
  /* What is long comes as far as there is room for it. */
  EXPECT(with_script("export default () => { throw new Error('long '.repeat(1_000_000)); };\n", "long long"),
         HAFT_E_EXCEPTION);
  EXPECT(with_script("setImmediate(() => { throw new Error('behind the back'); });\nexport default () => new Promise((r) => setTimeout(r, 1e6));\n",
                     "behind the back"),
         HAFT_E_CLOSED);
}

static void ends_at_load(void) {
  EXPECT(with_args("exit", "3", "exited with code 3"), HAFT_E_CLOSED);
  EXPECT(with_args("exit", "0", "exited with code 0"), HAFT_E_CLOSED);
  EXPECT(with_script("process.kill(process.pid, 'SIGKILL');\nexport default () => {};\n", "signal 9"), HAFT_E_CLOSED);
  EXPECT(with_script("export default () => new Promise(() => {});\n", "never became ready"), HAFT_E_CLOSED);
  EXPECT(with_args("close", NULL, "closed its registry"), HAFT_E_CLOSED);
}

static void not_in_time(void) {
  const char *args[] = {"hang", NULL};
  haft_embed_options options = options_for(LOGIC);
  options.args = args;
  options.ready_ms = 700;
  EXPECT(fails(&options, "not ready after 700 ms"), HAFT_E_TIMEOUT);
  options = options_for(script_of("for (;;);\n"));
  options.package = ".";
  options.ready_ms = 700;
  EXPECT(fails(&options, "not ready after 700 ms"), HAFT_E_TIMEOUT);
}

static void no_memory_at_load(void) {
  const char *node_args[] = {"--max-old-space-size=30", NULL};
  haft_embed_options options = options_for(script_of("for (const kept = []; ; ) kept.push(new Array(10_000).fill({}));\n"));
  options.package = ".";
  options.node_args = node_args;
  options.output = HAFT_EMBED_DISCARD;
  EXPECT(fails(&options, "signal 6"), HAFT_E_CLOSED);
  CHECK(strstr(told, "heap")); /* node's own words */
}

static haft_value ask(const char *name, const char *what) {
  const haft_value argument = text(what);
  haft_value result = {0};
  EXPECT(call(function(name), &argument, 1, &result), HAFT_OK);
  return result;
}

static void expect_run(const char *source, const char *wanted) {
  haft_value result = ask("run", source);
  if (result.type != HAFT_STR || strcmp(result.as.str, wanted) != 0) {
    fprintf(stderr, "%s is %s, not %s\n", source, result.type == HAFT_STR ? result.as.str : "nothing", wanted);
    failures++;
  }
  haft_value_free(&result);
}

static void what_it_is_given(void) {
  const char *args[] = {"one", "two words", "", "--three", "\"4\"\n", NULL};
  const char *node_args[] = {"--inspect=0", "--expose-gc", NULL};
  const char *environment[] = {"HAFT_EMBED_OLDEST=0", "COLOUR=blue", getenv("TEST_PATH"), NULL};
  haft_embed_options options = options_for(LOGIC);
  options.args = args;
  options.node_args = node_args;
  options.environment = environment;
  options.directory = arguments[2];
  options.output = HAFT_EMBED_DISCARD;
  realm = start_logic(&options);
  haft_value result;
  EXPECT(call(function("args"), NULL, 0, &result), HAFT_OK);
  CHECK(strcmp(result.as.str, "[\"one\",\"two words\",\"\",\"--three\",\"\\\"4\\\"\\n\"]") == 0);
  haft_value_free(&result);
  expect_run("typeof gc", "function");
  expect_run("process.env.COLOUR", "blue");
  expect_run("Object.keys(process.env).filter((name) => name.startsWith('HAFT_') || name === 'HOME').length", "0");
  expect_run("process.cwd()", arguments[2]);
  expect_run("process.execArgv.includes('--inspect=0')", "true");
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static atomic_int lines_out, lines_error;
static atomic_size_t longest;
static char all_lines[4096];

static void note_line(void *user, haft_embed_stream stream, const char *line, size_t length) {
  (void)user;
  if (line[length] != 0 || (length < 1000 && strlen(line) != length)) failures++;
  if (length > longest) longest = length;
  if (strlen(all_lines) + length + 4 < sizeof all_lines)
    sprintf(all_lines + strlen(all_lines), "%d%s|", stream, line);
  if (stream == HAFT_EMBED_STDOUT) lines_out++;
  else lines_error++;
}

static void output_of(haft_embed_output output) {
  haft_embed_options options = options_for(LOGIC);
  char path[4096];
  snprintf(path, sizeof path, "%s/log", arguments[2]);
  options.output = output;
  options.output_file = output == HAFT_EMBED_FILE ? path : NULL;
  options.line = output == HAFT_EMBED_LINES ? note_line : NULL;
  realm = start_logic(&options);
  ask("say", "to standard output\n");
  ask("complain", "to standard error\n");
  ask("complain", "a last word");
  EXPECT(haft_embed_stop(realm), HAFT_OK);
  CHECK(strcmp(latest_text, "the logic's process exited with code 0\nto standard error\na last word") == 0);
}

static void output_inherited(void) { output_of(HAFT_EMBED_INHERIT); }
static void output_discarded(void) { output_of(HAFT_EMBED_DISCARD); }
static void output_to_file(void) { output_of(HAFT_EMBED_FILE); }

static void output_by_lines(void) {
  output_of(HAFT_EMBED_LINES);
  CHECK(strcmp(all_lines, "1to standard output|2to standard error|2a last word|") == 0 ||
        strcmp(all_lines, "2to standard error|1to standard output|2a last word|") == 0 ||
        strcmp(all_lines, "2to standard error|2a last word|1to standard output|") == 0);
  haft_embed_options options = options_for(LOGIC);
  options.output = HAFT_EMBED_LINES;
  options.line = note_line;
  lines_out = 0;
  realm = start_logic(&options);
  char *many = malloc(200001);
  memset(many, 'y', 200000);
  many[200000] = 0;
  ask("say", many);
  ask("say", "\n\n");
  free(many);
  EXPECT(haft_embed_stop(realm), HAFT_OK);

  CHECK(longest == 64 * 1024 && lines_out == 5); /* three whole parts, the rest, and an empty line */
}

/* Descriptors 0 to 2 are closed before the start: nothing of the library's may stand there. */
static void no_standard_descriptors(void) {
  for (int descriptor = 0; descriptor < 3; descriptor++) close(descriptor);
  haft_embed_options options = options_for(LOGIC);
  haft_realm started;
  if (haft_embed_start(&options, &started) != HAFT_OK) _exit(50);
  realm = started;
  struct stat about;
  for (int descriptor = 0; descriptor < 3; descriptor++) {
    if (fstat(descriptor, &about) == 0) _exit(51 + descriptor);
  }
  ask("say", "to nobody\n");
  ask("complain", "to nobody\n");
  haft_value result = ask("run", "process.getBuiltinModule ? [0, 1, 2].map((fd) => process.getBuiltinModule('fs').readlinkSync('/proc/self/fd/' + fd)).slice(0, 2).join() : '/dev/null,/dev/null'");
  if (result.type != HAFT_STR || strcmp(result.as.str, "/dev/null,/dev/null") != 0) _exit(55);
  if (haft_embed_stop(realm) != HAFT_OK) _exit(56);
  _exit(failures);
}

/* Many descriptors of the program's, and few that it may have. */
static void many_descriptors(void) {
  struct rlimit limit = {4096, 4096};
  getrlimit(RLIMIT_NOFILE, &limit);
  const int most = limit.rlim_cur < 5000 ? (int)limit.rlim_cur - 60 : 5000;
  while (dup(0) < most) {
  }
  start_plain();
  haft_value result;
  EXPECT(call(function("add"), (haft_value[2]){haft_value_f64(1), haft_value_f64(2)}, 2, &result), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static void few_descriptors(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t usual = limit.rlim_cur;
  int refused = 0;
  /* Each number of descriptors, from too few to enough: a status, and nothing is left. */
  for (rlim_t most = 4; most < 40; most++) {
    const haft_embed_options options = options_for(LOGIC);
    haft_realm started = 0;
    limit.rlim_cur = most;
    setrlimit(RLIMIT_NOFILE, &limit);
    const haft_status status = haft_embed_start(&options, &started);
    limit.rlim_cur = usual;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (status != HAFT_OK) {
      refused++;
      continue;
    }
    EXPECT(haft_embed_stop(started), HAFT_OK);
    break;
  }
  CHECK(refused > 3);
  start_plain();
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

/* Relative paths are those of the moment of the start, also for a later child. */
static void elsewhere(void) {
  haft_embed_options options = options_for(LOGIC);
  options.restart = HAFT_EMBED_ALWAYS;
  options.package = ".";
  realm = start_logic(&options);
  if (chdir("/") != 0) exit(96);
  haft_value code = haft_value_f64(1);
  call(function("exit"), &code, 1, NULL);
  UNTIL(restarts == 1);
  realm = restarted_realm;
  haft_value result;
  EXPECT(call(function("add"), (haft_value[2]){haft_value_f64(1), haft_value_f64(2)}, 2, &result), HAFT_OK);
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

static void *start_and_stop(void *data) {
  (void)data;
  const haft_embed_options options = options_for(LOGIC);
  haft_realm started;
  for (int i = 0; i < 2; i++) {
    EXPECT(haft_embed_start(&options, &started), HAFT_OK);
    EXPECT(haft_embed_stop(started), HAFT_OK);
  }
  return NULL;
}

static void by_several_threads(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, start_and_stop, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

/* As many as there may be at one time. In place of node, a program that never becomes ready. */
enum { MOST = 64 };
static atomic_int in_time, refused;
static haft_embed_options sleepers;
static void *start_sleeper(void *data) {
  (void)data;
  haft_realm started;
  const haft_status status = haft_embed_start(&sleepers, &started);
  if (status == HAFT_E_TIMEOUT) in_time++;
  if (status == HAFT_E_SLOTS) refused++;
  return NULL;
}
static void the_most(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/sleeper", arguments[2]);
  FILE *file = fopen(path, "w");
  if (!file || fputs("#!/bin/sh\nexec sleep 1000\n", file) < 0 || fclose(file) != 0 || chmod(path, 0755) != 0) exit(97);
  sleepers = options_for(LOGIC);
  sleepers.node = path;
  sleepers.ready_ms = 5000;
  pthread_t threads[MOST + 1];
  for (int i = 0; i <= MOST; i++) pthread_create(&threads[i], NULL, start_sleeper, NULL);
  for (int i = 0; i <= MOST; i++) pthread_join(threads[i], NULL);
  CHECK(in_time == MOST && refused == 1);
  start_plain();
  EXPECT(haft_embed_stop(realm), HAFT_OK);
}

EMBED_CASES({"refused options", refused_options}, {"not found", not_found}, {"no package", no_package},
            {"node too old", node_too_old}, {"throws", throws}, {"ends at load", ends_at_load},
            {"not in time", not_in_time}, {"no memory at load", no_memory_at_load},
            {"what it is given", what_it_is_given}, {"output inherited", output_inherited},
            {"output discarded", output_discarded}, {"output to a file", output_to_file},
            {"output by lines", output_by_lines}, {"no standard descriptors", no_standard_descriptors},
            {"many descriptors", many_descriptors}, {"few descriptors", few_descriptors}, {"elsewhere", elsewhere},
            {"by several threads", by_several_threads}, {"the most", the_most})
