/* server.h: HTTP, on threads of libmicrohttpd. */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct server_options {
  const char *address; /* IPv4, where it listens */
  uint16_t port;       /* 0: any that is free */
  unsigned threads;
  bool open; /* what nobody decides about is served; else it is answered with 503 */
};

/* The port where it listens; 0: it does not, which has been said on standard error. */
uint16_t server_start(const struct server_options *options);

/* In order: clients that are busy get their answers, and are told to close. */
void server_stop(void);

#endif
