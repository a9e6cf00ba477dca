// See trace.h. The format: "Trace Event Format", Google, the array form: "[", then events with a comma behind each. Its
// closing "]" is optional, so the file can be read at any moment.
//
// One buffer for all threads, under a lock: who traces pays for it. It is written when it is full or 100 ms old, by one
// write to a file opened with O_APPEND: so there are only whole lines in the file, whoever else writes and whenever the
// process is killed. Nothing here has a destructor (P25), and a forked child comes to none of it (P26).
#include "trace.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "error.h"
#include "kinds.h"
#include "process.h"
#include "wait.h"

namespace haft {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr int64_t kFlushNanoseconds = 100 * 1000 * 1000;
constexpr uint64_t kMostMegabytes = 1000;
constexpr size_t kTextBytes = 256;  // of an op, a name or a label in an event
constexpr char kFullLine[] = "{\"ph\":\"i\",\"s\":\"g\",\"cat\":\"haft\",\"name\":\"the trace is full\",";

struct Trace {
  int file = -1;
  std::string problem;
  uint64_t most = 0;     // bytes of the file
  uint64_t written = 0;  // of them so far
  int64_t flushed_at = 0;
  std::mutex lock;
  size_t used = 0;
  char buffer[kBufferBytes];
  haft_api inner;  // the functions that do the work
};

std::string path_of(const char *given) {
  std::string path = given;
  const std::string pid = std::to_string(getpid());
  for (size_t at = path.find("%p"); at != std::string::npos; at = path.find("%p", at + pid.size()))
    path.replace(at, 2, pid);
  return path;
}

// What is no number is told by JavaScript (src/debugging/trace.ts), before a realm opens.
uint64_t most_bytes() {
  const char *text = getenv("HAFT_TRACE_MEGABYTES");
  const long long given = text ? atoll(text) : 0;
  return (given > 0 ? (uint64_t)given : kMostMegabytes) * 1000 * 1000;
}

// Takes back what was written of a line that has found no room.
void cut_line(int file, const char *lines, size_t written) {
  const int why = errno;
  size_t whole = written;
  while (whole > 0 && lines[whole - 1] != '\n') whole--;
  struct stat now;
  if (whole < written && fstat(file, &now) == 0 && S_ISREG(now.st_mode) &&
      ftruncate(file, now.st_size - (off_t)(written - whole)) != 0) {
    // it stays, and the reader has to do without it
  }
  errno = why;
}

// Whole lines; false, and errno, when there is no room for all of them.
bool write_all(int file, const char *lines, size_t count) {
  for (size_t written = 0; written < count;) {
    const ssize_t now = write(file, lines + written, count - written);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) {
      cut_line(file, lines, written);
      return false;
    }
    written += (size_t)now;
  }
  return true;
}

Trace *start() {
  const char *given = getenv("HAFT_TRACE");
  if (!given || !*given) return nullptr;
  process_prepare();  // a child is known before the first realm opens too (P26)
  atexit(trace_flush);  // in a program that embeds nobody else does
  Trace *t = new Trace;
  const std::string path = path_of(given);
  t->file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (t->file < 0 || !write_all(t->file, "[\n", 2)) {
    t->problem = path + ": " + strerror(errno);
    t->file = -1;
  }
  t->most = most_bytes();
  t->written = 2;
  t->flushed_at = now_nanoseconds();
  return t;
}

Trace *trace() {
  static Trace *const started = start();  // once, by whichever thread is first
  return started;
}

int32_t thread_number() {
  static thread_local const int32_t number = (int32_t)syscall(SYS_gettid);
  return number;
}

thread_local bool named;

// ---- Text of events ----

void append_escaped(std::string *to, const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    const unsigned char c = (unsigned char)text[i];
    char escaped[8];
    if (c == '"' || c == '\\') {
      *to += '\\';
      *to += (char)c;
    } else if (c < 0x20) {
      snprintf(escaped, sizeof escaped, "\\u%04x", c);
      *to += escaped;
    } else {
      *to += (char)c;
    }
  }
}

// A text of C's: of a length that an event can have, and ASCII only, since it may be no UTF-8.
std::string readable(const char *text) {
  std::string copy(text ? text : "", text ? strnlen(text, kTextBytes) : 0);
  for (char &c : copy)
    if ((unsigned char)c >= 0x80) c = '?';
  return copy;
}

// `,"ts":1234.567`
void append_time(std::string *to, const char *key, int64_t nanoseconds) {
  char text[64];
  snprintf(text, sizeof text, ",\"%s\":%lld.%03lld", key, (long long)(nanoseconds / 1000),
           (long long)(nanoseconds % 1000));
  *to += text;
}

void append_ids(std::string *to) {
  char text[64];
  snprintf(text, sizeof text, "\"pid\":%d,\"tid\":%d", (int)getpid(), thread_number());
  *to += text;
}

// ---- The file ----

// With the lock held.
void write_lines(Trace *t, const char *lines, size_t bytes) {
  if (t->file < 0 || write_all(t->file, lines, bytes)) return;
  fprintf(stderr, "haft: HAFT_TRACE: the trace ends here, the file cannot be written: %s\n", strerror(errno));
  t->file = -1;
}

// With the lock held.
void flush(Trace *t) {
  t->flushed_at = now_nanoseconds();
  if (t->used > 0) write_lines(t, t->buffer, t->used);
  t->used = 0;
}

// With the lock held: the last event, where the file has as much as it may.
void end_full(Trace *t) {
  std::string line = kFullLine;
  append_ids(&line);
  append_time(&line, "ts", now_nanoseconds());
  line += ",\"args\":{}},\n";
  flush(t);
  if (t->file >= 0) write_all(t->file, line.data(), line.size());
  fprintf(stderr, "haft: HAFT_TRACE: the trace ends here, it has %llu MB; HAFT_TRACE_MEGABYTES allows more\n",
          (unsigned long long)(t->most / 1000 / 1000));
  t->file = -1;
}

void put(Trace *t, const char *lines, size_t bytes) {
  if (t->file < 0) return;
  if (t->written + bytes > t->most) {
    end_full(t);
    return;
  }
  t->written += bytes;
  if (t->used + bytes > kBufferBytes) flush(t);
  if (bytes > kBufferBytes) {
    write_lines(t, lines, bytes);
    return;
  }
  memcpy(t->buffer + t->used, lines, bytes);
  t->used += bytes;
}

// ---- Events ----

void name_thread(Trace *t, const std::string &name) {
  std::string line = "{\"ph\":\"M\",\"cat\":\"__metadata\",\"name\":\"thread_name\",";
  append_ids(&line);
  line += ",\"ts\":0,\"args\":{\"name\":\"";
  append_escaped(&line, name.data(), name.size());
  line += "\"}},\n";
  const std::lock_guard<std::mutex> guard(t->lock);
  put(t, line.data(), line.size());
}

// What the system knows the thread as: mostly the program's own name, so with the thread's number.
void name_native_thread(Trace *t) {
  char name[32] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  name_thread(t, std::string("native ") + readable(name) + " " + std::to_string(thread_number()));
}

// One call of a function, from `began` until now.
class Event {
 public:
  Event() : began_(now_nanoseconds()) {}

  void text(const char *key, const std::string &value) {
    arguments_ += std::string(",\"") + key + "\":\"";
    append_escaped(&arguments_, value.data(), value.size());
    arguments_ += '"';
  }
  void number(const char *key, uint64_t value) { arguments_ += std::string(",\"") + key + "\":" + std::to_string(value); }
  // As text: not every integer that C may pass is a number of JSON's readers.
  void handle(haft_handle value) { text("handle", std::to_string(value)); }

  haft_status end(const std::string &name, haft_status status) {
    const int64_t ended = now_nanoseconds();
    Trace *t = trace();
    if (!named) {
      named = true;
      name_native_thread(t);
    }
    std::string line = "{\"ph\":\"X\",\"cat\":\"native\",\"name\":\"";
    append_escaped(&line, name.data(), name.size());
    line += "\",";
    append_ids(&line);
    append_time(&line, "ts", began_);
    append_time(&line, "dur", ended - began_);
    line += std::string(",\"args\":{\"status\":\"") + status_name(status) + "\"" + arguments_ + "}},\n";
    const std::lock_guard<std::mutex> guard(t->lock);
    put(t, line.data(), line.size());
    if (ended - t->flushed_at > kFlushNanoseconds) flush(t);
    return status;
  }

 private:
  const int64_t began_;
  std::string arguments_;
};

bool in_child() { return forked.load(std::memory_order_relaxed); }  // P26
const haft_api &inner() { return trace()->inner; }

haft_status traced_retain(haft_handle handle) {
  if (in_child()) return inner().retain(handle);
  Event event;
  const haft_status status = inner().retain(handle);
  event.handle(handle);
  return event.end("retain", status);
}

haft_status traced_release(haft_handle handle) {
  if (in_child()) return inner().release(handle);
  Event event;
  const haft_status status = inner().release(handle);
  event.handle(handle);
  return event.end("release", status);
}

haft_status traced_retain_as(haft_handle handle, const char *label) {
  if (in_child()) return inner().retain_as(handle, label);
  Event event;
  const haft_status status = inner().retain_as(handle, label);
  event.handle(handle);
  event.text("label", readable(label));
  return event.end("retain", status);
}

haft_status traced_release_as(haft_handle handle, const char *label) {
  if (in_child()) return inner().release_as(handle, label);
  Event event;
  const haft_status status = inner().release_as(handle, label);
  event.handle(handle);
  event.text("label", readable(label));
  return event.end("release", status);
}

haft_status traced_find(haft_realm realm, const char *name, haft_kind kind, int64_t timeout_ms, haft_handle *found) {
  if (in_child()) return inner().find(realm, name, kind, timeout_ms, found);
  Event event;
  const haft_status status = inner().find(realm, name, kind, timeout_ms, found);
  event.number("realm", realm);
  if (status == HAFT_OK) event.handle(*found);
  return event.end("find " + readable(name), status);
}

haft_status traced_post(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full) {
  if (in_child()) return inner().post(handle, op, args, count, when_full);
  Event event;
  const haft_status status = inner().post(handle, op, args, count, when_full);
  event.handle(handle);
  return event.end("post " + op_text(op), status);
}

haft_status traced_call(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                        haft_value *result) {
  if (in_child()) return inner().call(handle, op, args, count, timeout_ms, result);
  Event event;
  const haft_status status = inner().call(handle, op, args, count, timeout_ms, result);
  event.handle(handle);
  return event.end("call " + op_text(op), status);
}

haft_status traced_call_many(haft_request *requests, size_t count, int64_t timeout_ms) {
  if (in_child()) return inner().call_many(requests, count, timeout_ms);
  Event event;
  const haft_status status = inner().call_many(requests, count, timeout_ms);
  event.number("calls", count);
  return event.end("call_many", status);
}

haft_status traced_call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                              const haft_completer *completer) {
  if (in_child()) return inner().call_async(handle, op, args, count, timeout_ms, completer);
  Event event;
  const haft_status status = inner().call_async(handle, op, args, count, timeout_ms, completer);
  event.handle(handle);
  return event.end("call_async " + op_text(op), status);
}

haft_status traced_queue_next(haft_queue queue, int64_t timeout_ms, haft_completion *completion) {
  if (in_child()) return inner().queue_next(queue, timeout_ms, completion);
  Event event;
  const haft_status status = inner().queue_next(queue, timeout_ms, completion);
  event.number("queue", queue);
  return event.end("queue_next", status);
}

haft_status traced_serve(haft_realm realm, int64_t timeout_ms) {
  if (in_child()) return inner().serve(realm, timeout_ms);
  Event event;
  const haft_status status = inner().serve(realm, timeout_ms);
  event.number("realm", realm);
  return event.end("serve", status);
}

haft_status traced_expose(haft_realm realm, const char *name, haft_function function, void *user) {
  if (in_child()) return inner().expose(realm, name, function, user);
  Event event;
  const haft_status status = inner().expose(realm, name, function, user);
  event.number("realm", realm);
  return event.end("expose " + readable(name), status);
}

haft_status traced_reply_value(haft_reply *reply, const haft_value *value) {
  if (in_child()) return inner().reply_value(reply, value);
  Event event;
  const haft_status status = inner().reply_value(reply, value);
  if (status == HAFT_OK && value->type == HAFT_HANDLE) event.handle(value->as.handle);
  return event.end("reply_value", status);
}

haft_status traced_reply_error(haft_reply *reply, const char *message) {
  if (in_child()) return inner().reply_error(reply, message);
  Event event;
  const haft_status status = inner().reply_error(reply, message);
  event.text("message", readable(message));
  return event.end("reply_error", status);
}

haft_status traced_wait(haft_realm realm, uint32_t events, int64_t timeout_ms, uint32_t *happened) {
  if (in_child()) return inner().wait(realm, events, timeout_ms, happened);
  Event event;
  const haft_status status = inner().wait(realm, events, timeout_ms, happened);
  event.number("realm", realm);
  event.number("events", events);
  return event.end("wait", status);
}

}  // namespace

bool trace_on() { return trace() && trace()->problem.empty(); }

const std::string &trace_problem() {
  static const std::string &none = *new std::string;
  return trace() ? trace()->problem : none;
}

const haft_api *trace_table(const haft_api *table) {
  static const haft_api *const made = [table] {
    trace()->inner = *table;
    haft_api *traced = new haft_api(*table);
    traced->retain = traced_retain;
    traced->release = traced_release;
    traced->retain_as = traced_retain_as;
    traced->release_as = traced_release_as;
    traced->find = traced_find;
    traced->post = traced_post;
    traced->call = traced_call;
    traced->call_many = traced_call_many;
    traced->call_async = traced_call_async;
    traced->queue_next = traced_queue_next;
    traced->serve = traced_serve;
    traced->wait = traced_wait;
    traced->expose = traced_expose;
    traced->reply_value = traced_reply_value;
    traced->reply_error = traced_reply_error;
    return traced;
  }();
  return made;
}

int32_t trace_thread(const std::string &name) {
  named = true;
  if (trace_on() && !in_child()) name_thread(trace(), name);
  return thread_number();
}

void trace_write(const char *lines, size_t bytes) {
  if (!trace_on() || in_child()) return;
  Trace *t = trace();
  const std::lock_guard<std::mutex> guard(t->lock);
  put(t, lines, bytes);
  flush(t);
}

void trace_flush() { trace_write("", 0); }

}  // namespace haft
