/* See server.h. Each request is counted, then the rules are asked what becomes of it. */
#define _GNU_SOURCE /* asprintf */
#include "server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counts.h"
#include "files.h"
#include "rules.h"

enum {
  IDLE_SECONDS = 30, /* a connection without a request is closed after this */
  END_MS = 3000      /* so long may requests take that are under way at the end */
};

static struct MHD_Daemon *daemon_;
static bool is_open;
static atomic_bool ending;

/* ---- Answers ----------------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
  if (!response) return MHD_NO; /* out of memory: the connection ends */
  if (ending) MHD_add_response_header(response, "Connection", "close");
  const enum MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response); /* the connection has its own reference */
  return result;
}

static struct MHD_Response *text_response(const char *text) {
  char *line;
  const int length = asprintf(&line, "%s\n", text);
  if (length < 0) return NULL;
  struct MHD_Response *response = MHD_create_response_from_buffer((size_t)length, line, MHD_RESPMEM_MUST_FREE);
  if (response) MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
  else free(line);
  return response;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text) {
  return answer(connection, status, text_response(text));
}

static enum MHD_Result serve(struct MHD_Connection *connection, const char *method, const char *path) {
  if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
    return answer_text(connection, 405, "files can be read only");
  struct MHD_Response *file = files_response(path);
  return file ? answer(connection, 200, file) : answer_text(connection, 404, "there is no such page");
}

static enum MHD_Result undecided(struct MHD_Connection *connection, const char *method, const char *path) {
  if (is_open) return serve(connection, method, path);
  struct MHD_Response *response = text_response("nobody can decide about this now");
  if (response) MHD_add_response_header(response, "Retry-After", "1");
  return answer(connection, 503, response);
}

/* ---- Requests ---------------------------------------------------------------------------------------- */

/* The rules say "STATUS TEXT". What cannot be understood is no decision. */
static enum MHD_Result follow(struct MHD_Connection *connection, const struct question *question, const char *decision) {
  char *text;
  const long status = strtol(decision, &text, 10);
  if (*text == ' ') text++;
  if (status == 200 && files_is_path(text)) return serve(connection, question->method, text);
  if (status >= 400 && status <= 599) return answer_text(connection, (unsigned)status, text);
  if (status >= 300 && status <= 399 && *text) {
    struct MHD_Response *response = text_response("this has moved");
    if (response && MHD_add_response_header(response, "Location", text) == MHD_YES)
      return answer(connection, (unsigned)status, response);
    if (response) MHD_destroy_response(response);
  }
  fprintf(stderr, "gate: the rules answer \"%s\" for %s\n", decision, question->path);
  return undecided(connection, question->method, question->path);
}

static enum MHD_Result decide(struct MHD_Connection *connection, const struct question *question) {
  haft_value decision;
  counts_add(question->address);
  const haft_status status = rules_ask(question, &decision);
  if (status == HAFT_OK) {
    const enum MHD_Result result = follow(connection, question, decision.as.str);
    haft_value_free(&decision);
    return result;
  }
  if (status == HAFT_E_UTF8) return answer_text(connection, 400, "the request is no UTF-8");
  return undecided(connection, question->method, question->path);
}

static const char *address_of(struct MHD_Connection *connection, char *text, size_t size) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr_in *address = info ? (const struct sockaddr_in *)info->client_addr : NULL;
  const char *written = address ? inet_ntop(AF_INET, &address->sin_addr, text, (socklen_t)size) : NULL;
  return written ? written : "?";
}

/* libmicrohttpd calls this at the head of a request, for each part of its body, and at its end. */
static enum MHD_Result receive(void *unused, struct MHD_Connection *connection, const char *path, const char *method,
                               const char *version, const char *body, size_t *size, void **state) {
  static char begun;
  char address[INET_ADDRSTRLEN];
  (void)unused, (void)version, (void)body;
  if (!*state) {
    *state = &begun;
    return MHD_YES;
  }
  if (*size > 0) {
    *size = 0; /* bodies are read, and not looked at */
    return MHD_YES;
  }
  if (!files_is_path(path)) return answer_text(connection, 400, "this is no path");
  const char *agent = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_USER_AGENT);
  const struct question question = {method, path, address_of(connection, address, sizeof address), agent ? agent : ""};
  return decide(connection, &question);
}

/* ---- Start and end ----------------------------------------------------------------------------------- */

uint16_t server_start(const struct server_options *options) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(options->port)};
  if (inet_pton(AF_INET, options->address, &where.sin_addr) != 1) {
    fprintf(stderr, "gate: %s is no IPv4 address\n", options->address);
    return 0;
  }
  is_open = options->open;
  daemon_ = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL, receive, NULL,
                             MHD_OPTION_THREAD_POOL_SIZE, options->threads, MHD_OPTION_CONNECTION_TIMEOUT,
                             (unsigned)IDLE_SECONDS, MHD_OPTION_SOCK_ADDR, &where, MHD_OPTION_END);
  if (!daemon_) return 0; /* the library has said why */
  return MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void server_stop(void) {
  const struct timespec moment = {0, 10000000};
  const MHD_socket listening = MHD_quiesce_daemon(daemon_); /* no more connections */
  ending = true;
  /* Each answer closes its connection from now on. Those that stay have nothing under way, or are too slow. */
  for (int ms = 0; ms < END_MS; ms += 10) {
    if (MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections == 0) break;
    nanosleep(&moment, NULL);
  }
  MHD_stop_daemon(daemon_);
  if (listening != MHD_INVALID_SOCKET) close(listening); /* the library's threads have used it until now */
}
