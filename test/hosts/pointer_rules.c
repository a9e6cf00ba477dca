/* Breaks the pointer rules, one way after the other, and prints what haft says of each: "name: STATUS N next step". With
** a name as its argument only that one. docs/pointer-rules.md has the rules, ../pointer-rules.test.ts what must be said. */
#include "check.h"

#include <sys/wait.h>

/* By the thread that broke the rule, right behind it. */
static void say(const char *name, haft_status status) {
  const haft_error *e = haft_last_error();
  if (status == HAFT_OK) printf("%s: HAFT_OK 0\n", name);
  else printf("%s: %s %u %s\n", name, haft_status_name(status), e->status == status ? e->rule : 999, e->next);
  fflush(stdout);
}

static haft_status post(haft_handle h, haft_op op, const haft_value *args, size_t count) {
  return haft_post(h, op, args, count, HAFT_BLOCK(WAIT));
}

/* ---- 1 to 4: handles, references, results ---- */

static haft_status cut(void) {
  Target t = target("bystander", "touch");
  return post((uint32_t)t.handle, t.op, NULL, 0);
}
static haft_status never_issued(void) {
  Target t = target("bystander", "touch");
  return haft_retain(t.handle + (1ull << 40));
}
static haft_status used_after_release(void) {
  Target t = target("bystander", "touch");
  const haft_handle mine = make("live");
  EXPECT(haft_release(mine), HAFT_OK);
  return post(mine, t.op, NULL, 0);
}
static haft_status kept_without_retain(void) {
  Target t = target("bystander", "touch");
  return post(ended("deleted"), t.op, NULL, 0);
}
static haft_status released_twice(void) {
  const haft_handle mine = make("live");
  EXPECT(haft_release(mine), HAFT_OK);
  return haft_release(mine);
}
static haft_status not_ours(void) { return haft_release(target("spare", "touch").handle); }
static haft_status other_label(void) {
  const haft_handle mine = make("live");
  EXPECT(haft_retain_as(mine, "connection"), HAFT_OK);
  const haft_status status = haft_release_as(mine, "timer");
  say("another label", status);
  EXPECT(haft_release_as(mine, "connection"), HAFT_OK);
  EXPECT(haft_release(mine), HAFT_OK);
  return HAFT_E_OWNER;
}

/* haft_value_free has no status, and without the check of level 1 this is free(3) of what is not malloc's. */
static haft_status freed(haft_value *value) {
  if (haft_check_level() == 0) return HAFT_OK;
  haft_value_free(value);
  CHECK(value->type == HAFT_VOID);
  return haft_last_error()->status;
}
static haft_status own_memory(void) {
  haft_value mine = text("not a result");
  return freed(&mine);
}
static haft_status freed_twice(void) {
  haft_value result, copy;
  EXPECT(call(function("text"), NULL, 0, &result), HAFT_OK);
  copy = result;
  haft_value_free(&result);
  return freed(&copy);
}

/* ---- 5 to 8: ops and arguments ---- */

static haft_status other_kind(void) { return post(target("stranger", "touch").handle, target("bystander", "touch").op, NULL, 0); }
static haft_status no_op(void) {
  Target t = target("bystander", "touch");
  return post(t.handle, HAFT_OP(t.kind, 99), NULL, 0);
}
static haft_status no_such_name(void) {
  haft_op op;
  return haft_op_find(target("bystander", "touch").kind, "tuch", &op);
}
static haft_status too_few(void) {
  Target t = target("bystander", "note");
  return post(t.handle, t.op, NULL, 0);
}
static haft_status other_type(void) {
  Target t = target("bystander", "note");
  haft_value word = text("one");
  return post(t.handle, t.op, &word, 1);
}
static haft_status other_type_called(void) {
  haft_value word = text("one");
  return call(target("bystander", "add"), &word, 1, NULL);
}
static haft_status latin1(void) {
  haft_value word = text("Z\xfcrich");
  return call(function("length"), &word, 1, NULL);
}

/* ---- 9, 10: realms, results ---- */

static haft_status of_another_realm(void) {
  haft_value other = haft_value_handle(make("other"));
  Target t = target("bystander", "take");
  return post(t.handle, t.op, &other, 1);
}
static haft_status blocked_elsewhere(void) { return haft_blocking(realm, true); }
static haft_status other_result(void) { return call(function("wrong result"), NULL, 0, NULL); }

/* ---- 11 to 14: memory, weak handles, moves, versions ---- */

/* A handle that a function of the logic tells as bytes. */
static haft_status told(const char *name, haft_handle *handle) {
  haft_value result;
  const haft_status status = call(function(name), NULL, 0, &result);
  if (status != HAFT_OK) return status;
  CHECK(result.length == sizeof *handle);
  memcpy(handle, result.as.bytes, sizeof *handle);
  haft_value_free(&result);
  return HAFT_OK;
}
static haft_status unpinned(void) {
  haft_handle memory;
  void *data = &data;
  uint64_t size;
  const haft_status status = told("unpinned", &memory);
  if (status != HAFT_OK) return status;
  const haft_status answer = haft_memory(memory, &data, &size);
  CHECK(data == NULL);
  return answer;
}
static haft_status never_pinned(void) {
  void *data = &data;
  uint64_t size;
  const haft_status status = haft_memory(target("bystander", "touch").handle, &data, &size);
  CHECK(data == NULL);
  return status;
}
static haft_status collected(void) {
  haft_handle weak;
  const haft_status status = told("weak", &weak);
  if (status != HAFT_OK) return status;
  for (int i = 0; i < WAIT && haft_check(weak, 0) == HAFT_OK; i++) usleep(1000);
  return post(weak, target("bystander", "touch").op, NULL, 0);
}
static haft_status moved(void) {
  haft_handle old;
  const haft_status status = told("moved", &old);
  if (status != HAFT_OK) return status;
  return post(old, target("movable", "touch").op, NULL, 0);
}
static haft_status other_signatures(void) {
  haft_kind kind;
  const haft_status status = haft_kind_match("Stranger", "touch(f64):void", &kind);
  CHECK(strstr(haft_last_error()->message, "touch():void") != NULL);
  return status;
}

/* ---- 15 to 18: waits, the end, forks, counts ---- */

/* The logic calls this through koffi, inside a handler: C on JavaScript's thread. */
static haft_status waited;
HAFT_EXPORT void wait_for_oneself(void);
HAFT_EXPORT void wait_for_oneself(void) {
  uint32_t happened;
  waited = haft_wait(realm, HAFT_EVENT_USER(0), WAIT, &happened);
  say("a wait for oneself", waited);
}
static haft_status own_wait(void) {
  EXPECT(call(function("wait there"), NULL, 0, NULL), HAFT_OK);
  return waited;
}
static haft_status after_close(void) {
  Target t = target("bystander", "touch");
  return post(ended("closed"), t.op, NULL, 0);
}
static haft_status in_a_child(void) {
  Target t = target("bystander", "touch");
  const pid_t child = fork();
  if (child == 0) {
    say("a forked child", haft_post(t.handle, t.op, NULL, 0, HAFT_FAIL));
    _exit(0);
  }
  int how = 0;
  CHECK(child > 0 && waitpid(child, &how, 0) == child);
  CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
  return HAFT_E_FORKED;
}
static haft_status never_released(void) {
  haft_value full;
  EXPECT(call(function("full"), NULL, 0, &full), HAFT_OK);
  return haft_retain(full.as.handle);
}

/* Those that say it themselves have no name. */
static const struct {
  const char *name;
  haft_status (*act)(void);
  bool says;
} breaches[] = {
    {"cut to 32 bits", cut, false},
    {"never issued", never_issued, false},
    {"used after the release", used_after_release, false},
    {"kept without a retain", kept_without_retain, false},
    {"released twice", released_twice, false},
    {"released for JavaScript", not_ours, false},
    {"another label", other_label, true},
    {"own memory freed", own_memory, false},
    {"freed twice", freed_twice, false},
    {"an object of another kind", other_kind, false},
    {"an op that is none", no_op, false},
    {"an op by a wrong name", no_such_name, false},
    {"too few arguments", too_few, false},
    {"another type, posted", other_type, false},
    {"another type, called", other_type_called, false},
    {"not UTF-8", latin1, false},
    {"an argument of another realm", of_another_realm, false},
    {"blocked on another thread", blocked_elsewhere, false},
    {"another result", other_result, false},
    {"memory that was unpinned", unpinned, false},
    {"memory that was never pinned", never_pinned, false},
    {"a collected object", collected, false},
    {"a moved object", moved, false},
    {"other signatures", other_signatures, false},
    {"a wait for oneself", own_wait, true},
    {"a closed realm", after_close, false},
    {"a forked child", in_a_child, true},
    {"never released", never_released, false},
};

static void breaks(void) {
  for (size_t i = 0; i < COUNT(breaches); i++) {
    if (arguments_count > 2 && strcmp(arguments[2], breaches[i].name) != 0) continue;
    /* At level 2 each of the four million retains keeps a stack, which takes minutes. */
    if (breaches[i].act == never_released && haft_check_level() == 2) continue;
    const haft_status status = breaches[i].act();
    if (!breaches[i].says) say(breaches[i].name, status);
  }
}

CASES({"breaks", breaks})
