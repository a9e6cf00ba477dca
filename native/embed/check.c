/* `make check`: a C program of the strictest kind links the library and calls into it. It needs no node. */
#include <haft_embed.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  haft_embed_options options = HAFT_EMBED_OPTIONS;
  haft_realm realm;
  haft_status status;
  options.script = "there/is/no/such/logic.mjs";
  status = haft_embed_start(&options, &realm);
  if (status != HAFT_E_NOT_FOUND || strlen(haft_last_error()->message) == 0) {
    fprintf(stderr, "starting a script that is not there: %s, %s\n", haft_status_name(status), haft_last_error()->message);
    return 1;
  }
  if (strcmp(haft_embed_reason_text(HAFT_EMBED_KILLED), "a signal ended it") != 0) return 1;
  printf("ok: %s\n", haft_last_error()->message);
  return 0;
}
