/* Threads that never stop calling, whatever becomes of the process. They are not joined: that is the point. */
#include "check.h"

static Target add, echo, note;
static atomic_int calls_done;

/* Anything but these is a failure that the exit code must show. */
static void allow(haft_status status) {
  if (status == HAFT_OK || status == HAFT_E_CLOSED || status == HAFT_E_TIMEOUT || status == HAFT_E_FULL) return;
  fprintf(stderr, "unexpected %s\n", haft_status_name(status));
  _exit(50);
}

static void *never_stop(void *data) {
  const int number = (int)(intptr_t)data;
  haft_value n = haft_value_f64(1), result;
  static char big[3000];
  for (;;) {
    haft_status status = HAFT_OK;
    haft_handle found;
    switch (number % 4) {
      case 0:
        status = haft_call(add.handle, add.op, &n, 1, number < 4 ? -1 : 1, &result);
        break;
      case 1:
        status = haft_post(add.handle, add.op, &n, 1, HAFT_BLOCK(-1));
        break;
      case 2:
        status = haft_retain(add.handle);
        allow(status);
        if (status == HAFT_OK) status = haft_release(add.handle);
        break;
      default: {
        haft_value text_value = haft_value_str(big, sizeof big);
        status = haft_call(echo.handle, echo.op, &text_value, 1, 5, &result);
        if (status == HAFT_OK) haft_value_free(&result);
        allow(status);
        status = haft_find(realm, "bystander", 0, 1, &found);
        if (status == HAFT_OK) status = haft_release(found);
      }
    }
    allow(status);
    calls_done++;
    if (status == HAFT_E_CLOSED) usleep(100); /* and goes on */
  }
  return NULL;
}

int haft_host_main(const haft_api *api, haft_realm of, int argc, char **argv) {
  realm = of;
  arguments_count = argc, arguments = argv;
  if (HAFT_PLUGIN(api) != HAFT_OK) return 100;
  add = target("bystander", "add");
  echo = function("echo");
  (void)note;
  for (int i = 0; i < 6; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, never_stop, (void *)(intptr_t)i) != 0) return 99;
    pthread_detach(thread);
  }
  while (calls_done < 200) usleep(500);
  if (argc > 1 && strcmp(argv[1], "stay") == 0)
    for (;;) usleep(100000);
  return failures;
}
