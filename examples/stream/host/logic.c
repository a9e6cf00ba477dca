/* logic.c: the application's objects, held by handle, and calls to them. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* How long JavaScript may take to publish its objects. */
enum { READY_MS = 10000 };

static bool find(haft_realm realm, const char *name, const char *method, haft_handle *handle, haft_op *op) {
  haft_kind kind;
  haft_status status = haft_find(realm, name, 0, READY_MS, handle);
  if (status != HAFT_OK) {
    *handle = HAFT_NULL;
    return complain("no '%s' was published: %s.", name, haft_status_message(status));
  }
  status = haft_kind_of(*handle, &kind);
  if (status == HAFT_OK) status = haft_op_find(kind, method, op);
  return status == HAFT_OK || complain("'%s' has no %s(): %s.", name, method, haft_status_message(status));
}

bool logic_find(struct logic *logic, haft_realm realm) {
  *logic = (struct logic){0};
  if (find(realm, "decoder", "decode", &logic->decoder, &logic->decode) &&
      find(realm, "partition", "partition", &logic->partition, &logic->route) &&
      find(realm, "states", "state", &logic->states, &logic->state) &&
      find(realm, "computation", "compute", &logic->computation, &logic->compute) &&
      find(realm, "encoder", "encode", &logic->encoder, &logic->encode)) {
    return true;
  }
  logic_release(logic);
  return false;
}

void logic_release(struct logic *logic) {
  const haft_handle held[] = {logic->decoder, logic->partition, logic->states, logic->computation, logic->encoder};
  for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
    if (held[i] != HAFT_NULL) haft_release(held[i]);
  }
  *logic = (struct logic){0};
}

static bool lacks_room(haft_status status) {
  return status == HAFT_E_FULL || status == HAFT_E_NO_MEMORY || status == HAFT_E_BUSY;
}

void logic_call(haft_request *requests, size_t count) {
  haft_call_many(requests, count, -1);
  /* Alone, with growing pauses, up to 10 seconds: by then others have been answered, unless it can never fit. */
  for (size_t i = 0; i < count; i++) {
    long pause = 10000;
    for (int64_t waited = 0; lacks_room(requests[i].status) && waited < 10000000000; waited += pause) {
      nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
      if (pause < 20000000) pause *= 2;
      haft_call_many(&requests[i], 1, -1);
    }
  }
}

void logic_reason(const haft_request *request, char *reason, size_t size) {
  const haft_value *result = &request->result;
  const char *text = haft_status_message(request->status);
  size_t length = strlen(text);
  if (result->type == HAFT_STR) {
    text = result->as.str;
    length = result->length;
  }
  if (length >= size) {
    length = size - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--; /* not within a character */
  }
  for (size_t i = 0; i < length; i++) reason[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
  reason[length] = 0;
}
