/* See rules.h. Each load is a logic of its own: a process `node`, which knows nothing of the one before. */
#include "rules.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counts.h"

enum {
  READY_MS = 5000, /* to load */
  ASK_MS = 2000,   /* for one decision */
  STUCK_MS = 1000  /* an endless loop is ended after this, and the rules are started again */
};

struct rules {
  haft_realm realm;    /* the one of their start: names them, however often they have been started again */
  haft_realm found_in; /* the realm of `decide` */
  haft_handle decide;
  haft_op call;
  unsigned asking; /* threads that are about it; not to be stopped meanwhile */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of what is in the rules */
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;   /* some rules' `asking` is 0 */
static struct rules *current;

/* What JavaScript threw comes with the lines where. */
static void complain(const char *file, const char *what) {
  const haft_error *error = haft_last_error();
  fprintf(stderr, "gate: %s %s: %s\n", file, what, *error->stack ? error->stack : error->message);
}

static void ended(void *user, const haft_embed_end *end) {
  (void)user;
  if (end->reason == HAFT_EMBED_STOPPED) return;
  /* The first line says why. Behind it is what the rules wrote on standard error, which has gone to ours already. */
  fprintf(stderr, "gate: %.*s; %s\n", (int)strcspn(end->text, "\n"), end->text,
          end->restarting ? "the rules are started again" : "the rules stay down until their file is saved");
}

/* Finds the function of the realm that the rules have now. Under the lock, or before anybody else knows the rules. */
static haft_status find(struct rules *rules) {
  haft_realm now;
  haft_kind kind;
  haft_status status = haft_embed_realm(rules->realm, 0, &now);
  if (status != HAFT_OK || now == rules->found_in) return status;
  /* The handle before it is of a realm that is gone, and its reference with it. */
  status = haft_kind_find("fn(str,str,str,str):str", 0, &kind);
  if (status == HAFT_OK) status = haft_op_find(kind, "call", &rules->call);
  if (status == HAFT_OK) status = haft_find(now, "decide", kind, 0, &rules->decide);
  if (status == HAFT_OK) rules->found_in = now;
  return status;
}

/* NULL: they do not start, which has been said. */
static struct rules *start(const char *file) {
  const haft_embed_function functions[] = {{"requests", counts_tell, NULL}, {NULL, NULL, NULL}};
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  options.script = file;
  options.functions = functions;
  options.ready_ms = READY_MS;
  options.stuck_ms = STUCK_MS;
  options.restart = HAFT_EMBED_ALWAYS;
  options.ended = ended;

  struct rules *rules = calloc(1, sizeof *rules);
  if (!rules) {
    perror("gate");
    return NULL;
  }
  if (haft_embed_start(&options, &rules->realm) != HAFT_OK) {
    complain(file, "cannot be used");
  } else {
    if (find(rules) == HAFT_OK) return rules;
    complain(file, "publishes no `decide` that takes four texts and gives one");
    haft_embed_stop(rules->realm);
  }
  free(rules);
  return NULL;
}

bool rules_load(const char *file) {
  struct rules *rules = start(file);
  if (!rules) return false;
  pthread_mutex_lock(&lock);
  struct rules *before = current;
  current = rules;
  /* Whoever asks the ones before is answered by them. */
  while (before && before->asking > 0) pthread_cond_wait(&idle, &lock);
  pthread_mutex_unlock(&lock);
  if (before) haft_embed_stop(before->realm);
  free(before);
  return true;
}

haft_status rules_ask(const struct question *question, haft_value *decision) {
  const haft_value args[] = {haft_value_str(question->method, strlen(question->method)),
                             haft_value_str(question->path, strlen(question->path)),
                             haft_value_str(question->address, strlen(question->address)),
                             haft_value_str(question->agent, strlen(question->agent))};
  haft_status status;
  haft_realm asked;
  pthread_mutex_lock(&lock);
  struct rules *rules = current;
  rules->asking++;
  do {
    asked = rules->found_in;
    const haft_handle decide = rules->decide;
    const haft_op call = rules->call;
    pthread_mutex_unlock(&lock);
    status = haft_call(decide, call, args, 4, ASK_MS, decision);
    pthread_mutex_lock(&lock);
    /* These rules ended. If they run again already, they are asked again: to decide twice does no harm. */
  } while ((status == HAFT_E_CLOSED || status == HAFT_E_STALE) && find(rules) == HAFT_OK && rules->found_in != asked);
  if (--rules->asking == 0) pthread_cond_signal(&idle);
  pthread_mutex_unlock(&lock);
  /* Of those that ended `ended` has heard; and texts that are no UTF-8 are the client's fault. */
  if (status != HAFT_OK && status != HAFT_E_CLOSED && status != HAFT_E_STALE && status != HAFT_E_UTF8)
    complain(question->path, "is not decided");
  return status;
}

void rules_stop(void) {
  haft_embed_stop(current->realm);
  free(current);
  current = NULL;
}
