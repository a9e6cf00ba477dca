/* logic.c: the application's objects, held by handle, and calls to them. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* How long JavaScript may take to publish its objects. */
enum { READY_MS = 10000 };

#define NO_ROOM_NS 10000000000u

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

/* Sends those of the requests that lacked room once more. Returns how many still do. */
static size_t call_again(haft_request *requests, size_t count) {
  haft_request again[WINDOW];
  size_t where[WINDOW], n = 0, left = 0;
  for (size_t i = 0; i < count; i++) {
    if (!lacks_room(requests[i].status)) continue;
    again[n] = requests[i];
    where[n++] = i;
  }
  if (n) haft_call_many(again, n, -1);
  for (size_t i = 0; i < n; i++) {
    requests[where[i]] = again[i];
    left += lacks_room(again[i].status);
  }
  return left;
}

void logic_call(haft_request *requests, size_t count) {
  uint64_t since = 0; /* when there was room for one of them the last time */
  haft_call_many(requests, count, -1);
  for (size_t before = count, left; (left = call_again(requests, count)) > 0; before = left) {
    /* Room comes as others are answered. What finds none for so long never fits. */
    if (left < before || since == 0) since = clock_now();
    if (clock_now() - since > NO_ROOM_NS) return;
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
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
