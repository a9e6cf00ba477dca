/* What a trace is made of: argv[1] threads, each with a reference of its own, argv[2] posts and argv[3] calls. Then the
** same from a forked child, which no trace shows. With "hang" the host then waits to be killed. */
#include "check.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static haft_handle counter;
static haft_op note, add;
static int posts, calls;

static void work(int thread) {
  const haft_value one = haft_value_f64(1);
  haft_value result;
  char name[16];
  snprintf(name, sizeof name, "worker \"%d\"", thread); /* quotes have to be escaped */
  prctl(PR_SET_NAME, name);
  EXPECT(haft_retain_as(counter, "a \"label\"\n"), HAFT_OK);
  for (int i = 0; i < posts; i++) EXPECT(haft_post(counter, note, &one, 1, HAFT_BLOCK(-1)), HAFT_OK);
  for (int i = 0; i < calls; i++) EXPECT(haft_call(counter, add, &one, 1, WAIT, &result), HAFT_OK);
  EXPECT(haft_release_as(counter, "a \"label\"\n"), HAFT_OK);
}

static haft_status answer(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user;
  CHECK(count == 1);
  return haft_reply_value(reply, &args[0]);
}
static haft_status refuse(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user, (void)args, (void)count;
  EXPECT(haft_reply_error(reply, "of \"its\" own"), HAFT_OK);
  return HAFT_E_EXCEPTION;
}
static void functions_of_the_host(haft_realm realm) {
  EXPECT(haft_expose(realm, "answer", answer, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "refuse", refuse, NULL), HAFT_OK);
  EXPECT(haft_expose(realm, "", refuse, NULL), HAFT_E_ARGUMENT);
  haft_handle ask;
  haft_kind kind;
  haft_op op;
  haft_value result;
  EXPECT(haft_find(realm, "ask", 0, WAIT, &ask), HAFT_OK);
  EXPECT(haft_kind_of(ask, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "call", &op), HAFT_OK);
  EXPECT(haft_call(ask, op, NULL, 0, WAIT, &result), HAFT_OK);
  CHECK(result.type == HAFT_F64 && result.as.f64 == 5);
  EXPECT(haft_release(ask), HAFT_OK);
}

static void in_child(void) {
  const haft_value one = haft_value_f64(1);
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = haft_post(counter, note, &one, 1, HAFT_FAIL) == HAFT_E_FORKED;
    exit(refused ? 0 : 1); /* at the end of a process a trace is written */
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  haft_kind kind;
  haft_value result;
  uint32_t happened;
  posts = atoi(argv[2]);
  calls = atoi(argv[3]);
  if (HAFT_PLUGIN(api) != HAFT_OK) return 1;
  EXPECT(haft_kind_find("Counter", 0, &kind), HAFT_OK);
  EXPECT(haft_op_find(kind, "note", &note), HAFT_OK);
  EXPECT(haft_op_find(kind, "add", &add), HAFT_OK);
  EXPECT(haft_find(realm, "counter", kind, WAIT, &counter), HAFT_OK);
  on_threads(atoi(argv[1]), work);
  EXPECT(haft_wait(realm, HAFT_EVENT_EMPTY, WAIT, &happened), HAFT_OK);
  EXPECT(haft_check(counter, 0), HAFT_OK);
  EXPECT(haft_call(42, add, NULL, 0, 0, &result), HAFT_E_FORGED); /* no handle of anybody's */
  in_child();
  EXPECT(haft_release(counter), HAFT_OK);
  printf("done\n");
  fflush(stdout);
  if (argc > 4 && strcmp(argv[4], "functions") == 0) functions_of_the_host(realm);
  if (argc > 4 && strcmp(argv[4], "hang") == 0)
    for (;;) sleep(1000);
  return failures == 0 ? 0 : 1;
}
