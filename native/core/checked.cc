// See checked.h. A report is one write of lines of at most 100 columns, so that those of several threads do not mix.
#include "checked.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "checks.h"
#include "error.h"
#include "history.h"
#include "kinds.h"
#include "labels.h"
#include "process.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

constexpr uint32_t kReportsMost = 32;  // a breach in a loop must not fill a disk
constexpr size_t kColumns = 100;
constexpr size_t kLinesOfStack = 6;
constexpr const char *kMargin = "           ";  // as wide as a heading

const haft_api *beneath;

// ---- The report ----

bool is_inside(char c) { return ((unsigned char)c & 0xc0) == 0x80; }  // of a letter of several bytes

// A line of at most kColumns, cut in its middle: a frame has its name before and its place behind.
std::string line_of(const std::string &text) {
  constexpr size_t kBefore = 40;
  if (text.size() <= kColumns) return text + '\n';
  size_t before = kBefore, after = text.size() - (kColumns - kBefore - 3);
  while (is_inside(text[before])) before--;
  while (after < text.size() && is_inside(text[after])) after++;
  return text.substr(0, before) + "..." + text.substr(after) + '\n';
}

// A text over as many lines as it needs.
std::string paragraph(const char *heading, const std::string &text) {
  std::string lines;
  std::string line = heading;
  line.resize(sizeof "           " - 1, ' ');
  const size_t margin = line.size();
  size_t from = 0;
  while (from < text.size()) {
    size_t to = text.find(' ', from);
    if (to == std::string::npos) to = text.size();
    if (line.size() > margin && line.size() + 1 + to - from > kColumns) {
      lines += line_of(line);
      line = kMargin;
    }
    if (line.size() > margin) line += ' ';
    line += text.substr(from, to - from);
    from = to + 1;
  }
  return lines + line_of(line);
}

std::string what_of(const char *function, haft_op op) {
  return op == 0 ? function : std::string(function) + '(' + op_text(op) + ')';
}

std::string stack_of(const char *heading, const std::vector<std::string> &frames) {
  std::string lines;
  for (size_t i = 0; i < frames.size() && i < kLinesOfStack; i++) {
    std::string line = i == 0 ? heading : "";
    line.resize(sizeof "           " - 1, ' ');
    lines += line_of(line + frames[i]);
  }
  return lines;
}

std::string deed_lines(const char *heading, const Deed &deed, int64_t now) {
  char text[128];
  snprintf(text, sizeof text, ", %.3f s ago, on thread %" PRIu64, (double)(now - deed.at) / 1e9, deed.thread);
  std::string lines = paragraph(heading, what_of(deed.what, deed.op) + text);
  std::vector<std::string> frames;
  for (size_t from = 0; from < deed.script.size();) {
    size_t to = deed.script.find('\n', from);
    if (to == std::string::npos) to = deed.script.size();
    frames.push_back("at " + deed.script.substr(from, to - from));
    from = to + 1;
  }
  for (std::string &frame : trace_lines(deed.native)) frames.push_back("in " + frame);
  return lines + stack_of("", frames);
}

std::string handle_text(haft_handle handle) {
  char text[128];
  if (handle >> 52 != 1) {
    snprintf(text, sizeof text, "0x%" PRIx64 ", which is in no range of handles", handle);
    return text;
  }
  const uint32_t index = (uint32_t)(handle & kIndexMask);
  snprintf(text, sizeof text, "%" PRIu64 " (%u:%u@%" PRIu64 ")", handle, index >> kBlockBits,
           index & (kBlockSlots - 1), handle_generation(handle));
  return text;
}

std::string kind_text(haft_kind kind) {
  if (kind == 0) return "no kind";
  return "kind " + kind_name(kind);
}

std::string history_lines(haft_handle handle) {
  History history;
  if (!history_of(handle, &history)) return paragraph("  handle", handle_text(handle));
  const int64_t now = now_nanoseconds();
  std::string lines = paragraph("  handle", handle_text(handle) + ", " + kind_text(history.kind));
  if (!history.ended && !history.own && !attached) {
    char text[96];
    snprintf(text, sizeof text, "JavaScript has %" PRIu32 " of its references, native code %" PRIu32,
             script_references(history), history.native);
    lines += paragraph("  owners", text);
  }
  lines += deed_lines("  created", history.created, now);
  if (!history.references.empty())
    lines += deed_lines(history.ended ? "  ended" : "  latest", history.references.back(), now);
  if (history.last_use.what[0]) lines += deed_lines("  last use", history.last_use, now);
  return lines;
}

void write_all(const std::string &text) {
  for (size_t from = 0; from < text.size();) {
    const ssize_t n = write(STDERR_FILENO, text.data() + from, text.size() - from);
    if (n <= 0) return;
    from += (size_t)n;
  }
}

// Whether this one is still told.
bool may_report() {
  static std::atomic<uint32_t> reports{0};
  const uint32_t number = reports.fetch_add(1, std::memory_order_relaxed);
  if (number == kReportsMost) write_all("haft: further breaches are not told\n");
  return number < kReportsMost;
}

// The latest error of the thread is the breach, and stays that.
void report(const char *function, haft_op op, haft_handle handle, const Trace *here) {
  if (may_report()) {
    std::unique_ptr<KeptError> kept(new KeptError);
    keep_error(kept.get());
    const haft_error e = *last_error();
    char head[256];
    snprintf(head, sizeof head, "haft: pointer rule %" PRIu32 " broken: %s in %s on thread %ld", e.rule,
             status_name(e.status), what_of(function, op).c_str(), (long)syscall(SYS_gettid));
    std::string text = line_of(head) + paragraph("  what", e.message);
    // P26: the locks of the histories may be held by a thread that the child does not have.
    const bool child = forked.load(std::memory_order_relaxed);
    const haft_handle of = e.handle != HAFT_NULL ? e.handle : handle;
    if (here && !child) text += stack_of("  here", trace_lines(*here));
    if (of != HAFT_NULL && !child) text += history_lines(of);
    text += paragraph("  next", status_next(e.status));
    text += "  see      docs/pointer-rules.md, rule " + std::to_string(e.rule) + '\n';
    write_all(text);
    restore_error(*kept);
  }
  if (checks_abort()) abort();
}

// A breach is the status of a pointer rule; not one that a correct program meets too.
bool is_breach(haft_status status) {
  switch (status) {
    case HAFT_OK:
    case HAFT_E_CLOSED:
    case HAFT_E_OVERFLOW:
    case HAFT_E_COLLECTED:
    case HAFT_E_MOVED:
      return false;
    default:
      return true;
  }
}

// Reports what a function came to, if it is a breach; returns it.
haft_status told(haft_status status, const char *function, haft_op op, haft_handle handle, const Trace &here) {
  if (is_breach(status)) {
    const haft_error *e = last_error();
    if (e->status == status && e->rule != 0) report(function, op, handle, &here);
  }
  return status;
}

bool is_child() { return forked.load(std::memory_order_relaxed); }

// ---- The functions ----

#define CALLER __builtin_return_address(0)

void used(haft_handle handle, const Deed &deed) {
  if (!is_child()) history_use(handle, deed);
}

// A result that has reached its receiver.
void received(const haft_value *result, const Deed &deed) {
  if (result && result->type == HAFT_HANDLE && result->as.handle != HAFT_NULL)
    history_receive(result->as.handle, deed);
}

haft_status retain(haft_handle handle) {
  const Deed deed = native_deed("haft_retain", CALLER);
  const auto act = [=] { return beneath->retain(handle); };
  return told(history_change(handle, Side::kNative, 1, deed, act), deed.what, 0, handle, deed.native);
}

haft_status release(haft_handle handle) {
  const Deed deed = native_deed("haft_release", CALLER);
  const auto act = [=] { return beneath->release(handle); };
  return told(history_change(handle, Side::kNative, -1, deed, act), deed.what, 0, handle, deed.native);
}

haft_status retain_labelled(haft_handle handle, const char *label) {
  const Deed deed = native_deed("haft_retain_as", CALLER);
  const auto act = [=] { return beneath->retain_as(handle, label); };
  return told(history_change(handle, Side::kNative, 1, deed, act), deed.what, 0, handle, deed.native);
}

haft_status release_labelled(haft_handle handle, const char *label) {
  const Deed deed = native_deed("haft_release_as", CALLER);
  const auto act = [=] { return beneath->release_as(handle, label); };
  if (!is_label(label)) return act();  // before who owns what, as at every level
  return told(history_change(handle, Side::kNative, -1, deed, act), deed.what, 0, handle, deed.native);
}

haft_status find(haft_realm realm, const char *name, haft_kind kind, int64_t timeout_ms, haft_handle *found) {
  const haft_status status = beneath->find(realm, name, kind, timeout_ms, found);
  if (status == HAFT_OK) history_receive(*found, native_deed("haft_find", CALLER));
  return status;
}

haft_status post(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full when_full) {
  const Deed deed = native_deed("haft_post", CALLER, op);
  used(handle, deed);
  return told(beneath->post(handle, op, args, count, when_full), deed.what, op, handle, deed.native);
}

haft_status call(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                 haft_value *result) {
  Deed deed = native_deed("haft_call", CALLER, op);
  used(handle, deed);
  const haft_status status = beneath->call(handle, op, args, count, timeout_ms, result);
  if (status == HAFT_OK) received(result, deed);
  return told(status, deed.what, op, handle, deed.native);
}

haft_status call_many(haft_request *requests, size_t count, int64_t timeout_ms) {
  const Deed deed = native_deed("haft_call_many", CALLER);
  for (size_t i = 0; requests && i < count; i++) {
    Deed use = deed;
    use.op = requests[i].op;
    used(requests[i].handle, use);
  }
  const haft_status status = beneath->call_many(requests, count, timeout_ms);
  haft_op failed = 0;
  haft_handle handle = HAFT_NULL;
  for (size_t i = 0; requests && i < count; i++) {
    if (requests[i].status == HAFT_OK) {
      Deed got = deed;
      got.op = requests[i].op;
      if (!is_child()) received(&requests[i].result, got);
    } else if (handle == HAFT_NULL) {
      failed = requests[i].op;
      handle = requests[i].handle;
    }
  }
  return told(status, deed.what, failed, handle, deed.native);
}

// A completer's own, kept until the call ends.
struct Done {
  haft_done done;
  void *user;
  Deed deed;
};

void ended(void *user, haft_status status, haft_value *result) {
  const std::unique_ptr<Done> done(static_cast<Done *>(user));
  if (status == HAFT_OK) received(result, done->deed);
  done->done(done->user, status, result);
}

haft_status call_async(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                       const haft_completer *completer) {
  const Deed deed = native_deed("haft_call_async", CALLER, op);
  used(handle, deed);
  if (!completer || completer->size < sizeof(haft_completer) || !completer->done) {
    const haft_status status = beneath->call_async(handle, op, args, count, timeout_ms, completer);
    return told(status, deed.what, op, handle, deed.native);
  }
  std::unique_ptr<Done> done(new Done{completer->done, completer->user, deed});
  haft_completer noting = *completer;
  noting.done = ended;
  noting.user = done.get();
  const haft_status status = beneath->call_async(handle, op, args, count, timeout_ms, &noting);
  if (status == HAFT_OK) done.release();  // `ended` has it, and may be done with it by now
  return told(status, deed.what, op, handle, deed.native);
}

haft_status queue_next(haft_queue queue, int64_t timeout_ms, haft_completion *completion) {
  const Deed deed = native_deed("haft_queue_next", CALLER);
  const haft_status status = beneath->queue_next(queue, timeout_ms, completion);
  if (status == HAFT_OK && completion->status == HAFT_OK) received(&completion->result, deed);
  return told(status, deed.what, 0, HAFT_NULL, deed.native);
}

haft_status queue_close(haft_queue queue) {
  const Trace here = take_trace(CALLER);
  return told(beneath->queue_close(queue), "haft_queue_close", 0, HAFT_NULL, here);
}

haft_status expose(haft_realm realm, const char *name, haft_function function, void *user) {
  const Trace here = take_trace(CALLER);
  return told(beneath->expose(realm, name, function, user), "haft_expose", 0, HAFT_NULL, here);
}

// The reference of a handle is JavaScript's from then on.
haft_status reply_value(haft_reply *reply, const haft_value *value) {
  const Deed deed = native_deed("haft_reply_value", CALLER);
  const auto act = [=] { return beneath->reply_value(reply, value); };
  const haft_handle handle = value && value->type == HAFT_HANDLE ? value->as.handle : HAFT_NULL;
  const haft_status status =
      handle == HAFT_NULL ? act() : history_change(handle, Side::kNative, -1, deed, act);
  return told(status, deed.what, 0, handle, deed.native);
}

haft_status reply_error(haft_reply *reply, const char *message) {
  const Trace here = take_trace(CALLER);
  return told(beneath->reply_error(reply, message), "haft_reply_error", 0, HAFT_NULL, here);
}

haft_status serve(haft_realm realm, int64_t timeout_ms) {
  const Trace here = take_trace(CALLER);
  return told(beneath->serve(realm, timeout_ms), "haft_serve", 0, HAFT_NULL, here);
}

haft_status blocking(haft_realm realm, bool is_blocking) {
  const Trace here = take_trace(CALLER);
  return told(beneath->blocking(realm, is_blocking), "haft_blocking", 0, HAFT_NULL, here);
}

haft_status wait(haft_realm realm, uint32_t events, int64_t timeout_ms, uint32_t *happened) {
  const Trace here = take_trace(CALLER);
  return told(beneath->wait(realm, events, timeout_ms, happened), "haft_wait", 0, HAFT_NULL, here);
}

haft_status signal(haft_realm realm, uint32_t events) {
  const Trace here = take_trace(CALLER);
  return told(beneath->signal(realm, events), "haft_signal", 0, HAFT_NULL, here);
}

}  // namespace

// Functions that only ask (check, kind_of, find, ...) break no rule: their status is the answer.
const haft_api *checked_table(const haft_api *below) {
  static const haft_api *const table = [below] {
    beneath = below;
    haft_api *made = new haft_api(*below);
    made->retain = retain;
    made->release = release;
    made->retain_as = retain_labelled;
    made->release_as = release_labelled;
    made->find = find;
    made->post = post;
    made->call = call;
    made->call_many = call_many;
    made->call_async = call_async;
    made->queue_next = queue_next;
    made->queue_close = queue_close;
    made->expose = expose;
    made->reply_value = reply_value;
    made->reply_error = reply_error;
    made->serve = serve;
    made->blocking = blocking;
    made->wait = wait;
    made->signal = signal;
    return made;
  }();
  return table;
}

void checked_destroy(haft_handle handle, void *caller) {
  const auto act = [=] { return slot_release(handle); };
  history_change(handle, Side::kHaft, -1, native_deed("destroyNotify", caller), act);
}

void report_breach(const char *function, void *caller) {
  const Trace here = take_trace(caller);
  report(function, 0, HAFT_NULL, &here);
}

void report_broken(const char *text) {
  if (may_report()) write_all(line_of("haft: the table is broken") + paragraph("  what", text));
  if (checks_abort()) abort();
}

}  // namespace haft
