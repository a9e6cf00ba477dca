/* A plugin that has a thread for each registry that loads it: its init calls JavaScript, the thread outlives it and
** posts until the realm is closed. */
#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_int inits, threads;

typedef struct {
  haft_realm realm;
  haft_handle heard;
  haft_op call;
} Watcher;

static void *watch(void *data) {
  Watcher *w = data;
  const haft_value text = haft_value_str("thread", 6);
  haft_status status = HAFT_OK;
  /* Each signal of JavaScript's is answered by a post. */
  while ((status = haft_wait(w->realm, HAFT_EVENT_USER(0), -1, NULL)) == HAFT_OK)
    if ((status = haft_post(w->heard, w->call, &text, 1, HAFT_BLOCK(-1))) != HAFT_OK) break;
  printf("thread ends: %s\n", haft_status_name(status));
  fflush(stdout);
  haft_release(w->heard);
  free(w);
  threads--;
  return NULL;
}

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  haft_status status = HAFT_PLUGIN(api);
  if (status != HAFT_OK) return status;
  Watcher *w = malloc(sizeof *w);
  haft_kind kind;
  char text[64];
  w->realm = realm;
  if ((status = haft_kind_find("fn(str):void", 0, &kind)) != HAFT_OK ||
      (status = haft_op_find(kind, "call", &w->call)) != HAFT_OK ||
      (status = haft_find(realm, "heard", kind, 0, &w->heard)) != HAFT_OK) {
    free(w);
    return status;
  }
  const haft_value said = haft_value_str(text, (size_t)snprintf(text, sizeof text, "init %d", ++inits));
  status = haft_call(w->heard, w->call, &said, 1, -1, NULL);
  pthread_t thread;
  if (status == HAFT_OK && pthread_create(&thread, NULL, watch, w) == 0) {
    threads++;
    pthread_detach(thread);
    return HAFT_OK;
  }
  haft_release(w->heard);
  free(w);
  return status == HAFT_OK ? HAFT_E_INTERNAL : status;
}

HAFT_EXPORT int threads_running(void);
HAFT_EXPORT int threads_running(void) { return threads; }
