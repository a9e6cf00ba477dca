/* See counts.h. A table of fixed size: when there are more clients than it holds, the least busy are forgotten. */
#include "counts.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ADDRESS_BYTES = 64, ROWS = 4096, PLACES = 8 }; /* so many places for the clients of one row */

struct client {
  char address[ADDRESS_BYTES];
  time_t minute; /* `requests` is of this one */
  uint32_t requests;
};

static struct client table[ROWS][PLACES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static time_t this_minute(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec / 60 + 1; /* never the 0 of a place that was not used yet */
}

static struct client *row_of(const char *address) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (; *address; address++) hash = (hash ^ (unsigned char)*address) * 16777619u;
  return table[hash % ROWS];
}

static uint32_t requests_of(const struct client *client, time_t minute) {
  return client->minute == minute ? client->requests : 0;
}

void counts_add(const char *address) {
  const time_t minute = this_minute();
  struct client *row = row_of(address), *place = row;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < PLACES; i++) {
    if (strcmp(row[i].address, address) == 0) {
      place = &row[i];
      break;
    }
    if (requests_of(&row[i], minute) < requests_of(place, minute)) place = &row[i];
  }
  if (place->minute != minute || strcmp(place->address, address) != 0) {
    snprintf(place->address, ADDRESS_BYTES, "%s", address);
    place->minute = minute;
    place->requests = 0;
  }
  place->requests++;
  pthread_mutex_unlock(&lock);
}

haft_status counts_tell(void *user, const haft_value *args, size_t count, haft_reply *reply) {
  (void)user;
  if (count != 1 || args[0].type != HAFT_STR) {
    haft_reply_error(reply, "requests takes an address");
    return HAFT_E_ARGUMENT;
  }
  const struct client *row = row_of(args[0].as.str);
  const time_t minute = this_minute();
  uint32_t requests = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < PLACES; i++) {
    if (strcmp(row[i].address, args[0].as.str) == 0) requests = requests_of(&row[i], minute);
  }
  pthread_mutex_unlock(&lock);
  const haft_value value = haft_value_u32(requests);
  return haft_reply_value(reply, &value);
}
