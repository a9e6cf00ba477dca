// See logic.h.
#include "logic.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "arena.h"
#include "descriptors.h"
#include "error.h"
#include "host_functions.h"
#include "link.h"
#include "process.h"
#include "program.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr int kRecycleMilliseconds = 5;
constexpr int64_t kServeNanoseconds = 2 * kMillisecond;
constexpr int kExitMilliseconds = 2000;  // for a child that said what failed to end, and node to write the rest
constexpr int kLooksAtProgress = 8;   // within stuck_ms
constexpr int kMessagesATurn = 256;   // of a child: one that never ends to talk shall not keep us from looking at the clock

int64_t in(int64_t milliseconds) {
  return milliseconds < 0 || milliseconds > INT64_MAX / kMillisecond / 2 ? 0
                                                                         : now_nanoseconds() + milliseconds * kMillisecond;
}

bool passed(int64_t time) { return time != 0 && now_nanoseconds() >= time; }

std::string system_text(const std::string &what) { return what + ": " + strerror(errno); }

uint64_t bits_of(const std::atomic<double> &number) {
  const double value = number.load(std::memory_order_relaxed);
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Everything that JavaScript does about messages changes this.
uint64_t progress_of(const Realm &r) {
  uint64_t sum = 0;
  for (const Ring &ring : r.rings) {
    sum += ring.head.load(std::memory_order_relaxed);
    sum += bits_of(ring.counters.delivered) + bits_of(ring.counters.declined);
  }
  return sum;
}

// Rung, and not yet back in its sleep; one that waits for the host is not busy.
bool is_busy(const Realm &r) {
  return r.armed.load(std::memory_order_relaxed) == 0 && r.serving.load(std::memory_order_relaxed) == 0;
}

// The logic whose callbacks run on this thread.
thread_local const Logic *of_thread = nullptr;

}  // namespace

void logic_own_thread(const Logic *logic) { of_thread = logic; }

Logic::Run::~Run() { close_one(&link); }

Logic::~Logic() { close_one(&wake_); }

// ---- Any thread ----

haft_status Logic::start(haft_realm *realm) {
  wake_ = open_event();
  if (wake_ < 0) return fail_with(HAFT_E_INTERNAL, HAFT_NULL, system_text("no descriptor for the logic"));
  self_ = shared_from_this();
  pthread_t thread;
  if (!start_thread(&thread, run_thread, this)) {
    self_.reset();
    return fail_with(HAFT_E_INTERNAL, HAFT_NULL, system_text("no thread for the logic"));
  }
  std::unique_lock<std::mutex> lock(mutex_);
  Deadline never(-1);
  while (realm_ == 0 && phase_ != Phase::kEnded) serve_start(lock, never.slice());
  if (realm_ != 0) {
    *realm = realm_;
    return HAFT_OK;
  }
  if (failure_.status != HAFT_E_EXCEPTION) return fail_with(failure_.status, HAFT_NULL, failure_.text);
  return fail_text(HAFT_E_EXCEPTION, HAFT_NULL, failure_.text.data(), (uint32_t)failure_.text.size());
}

// The logic may call functions of the host while it starts: then this is the thread that waits for it. For so long at most,
// and a function.
void Logic::serve_start(std::unique_lock<std::mutex> &lock, int64_t nanoseconds) {
  const haft_realm given = given_;
  if (given == 0) {
    changed_.wait_for(lock, std::chrono::nanoseconds(nanoseconds));
    return;
  }
  lock.unlock();
  const bool ran = host_run_one(given);
  lock.lock();
  if (!ran && phase_ == Phase::kStarting)
    changed_.wait_for(lock, std::chrono::nanoseconds(std::min(nanoseconds, kServeNanoseconds)));
}

// For the pool.
haft_realm Logic::next_given(haft_realm before) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return (given_ != before && given_ != 0) || phase_ == Phase::kEnded; });
  if (phase_ == Phase::kEnded) return 0;
  const haft_realm given = given_;
  lock.unlock();
  while (realm_is_reserved(given)) sleep_for(kMillisecond);  // the child opens it now
  return given;
}

haft_status Logic::stop() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (of_thread == this) return fail(HAFT_E_DEADLOCK, HAFT_NULL, "haft_embed_stop in a callback of the same logic");
  if (phase_ == Phase::kEnded) return fail(HAFT_E_CLOSED);
  stop_wanted_ = true;
  const uint64_t one = 1;
  if (write(wake_, &one, sizeof one) < 0) return fail(HAFT_E_INTERNAL);
  changed_.wait(lock, [&] { return phase_ == Phase::kEnded; });
  return stop_late_ ? fail(HAFT_E_TIMEOUT, HAFT_NULL, "the logic did not end in time, and was killed") : HAFT_OK;
}

haft_status Logic::realm_now(int64_t timeout_ms, haft_realm *now) {
  Deadline deadline(timeout_ms);
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (phase_ == Phase::kReady && realm_check(realm_) == HAFT_OK) {  // else its end is about to be noticed
      *now = realm_;
      return HAFT_OK;
    }
    if (phase_ == Phase::kEnded) return fail(HAFT_E_CLOSED);
    const int64_t slice = deadline.slice();
    if (slice == 0) return fail(HAFT_E_TIMEOUT);
    if (phase_ == Phase::kStarting)
      serve_start(lock, slice);
    else
      changed_.wait_for(lock, std::chrono::nanoseconds(slice));
  }
}

haft_status Logic::pid(int32_t *pid) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (phase_ == Phase::kEnded) return fail(HAFT_E_CLOSED);
  if (phase_ != Phase::kReady || realm_check(realm_) != HAFT_OK) return fail(HAFT_E_TIMEOUT);  // as realm_now
  *pid = pid_;
  return HAFT_OK;
}

// ---- The watching thread ----

void *Logic::run_thread(void *data) {
  pthread_detach(pthread_self());
  Logic *const logic = static_cast<Logic *>(data);
  std::shared_ptr<Logic> self;
  {
    const std::lock_guard<std::mutex> lock(logic->mutex_);
    self = std::move(logic->self_);
  }
  of_thread = logic;
  self->watch();
  return nullptr;
}

void Logic::watch() {
  if (pool_.start(settings_.given.pool, [this](haft_realm before) { return next_given(before); })) {
    while (watch_one()) restarts_++;
    left_over_.recycle();
  } else {
    const std::lock_guard<std::mutex> lock(mutex_);
    failure_ = {HAFT_E_INTERNAL, system_text("no thread for the pool")};
  }
  logic_leave(this);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    phase_ = Phase::kEnded;
  }
  changed_.notify_all();
  pool_.join();
  while (!left_over_.recycle()) sleep_for(kRecycleMilliseconds * kMillisecond);
}

bool Logic::launch(Run &run) {
  if (command_make(settings_, &run.command) != HAFT_OK) {
    run.failure = {last_error()->status, last_error()->message};
    return false;
  }
  int pair[2];
  if (!run.output.open(settings_)) {
    fail_start(run, HAFT_E_INTERNAL, system_text(settings_.given.output == HAFT_EMBED_FILE
                                                     ? "the output cannot go to " + settings_.output_file
                                                     : "no descriptors for the output"));
    return false;
  }
  if (!open_sockets(SOCK_SEQPACKET, pair)) {
    fail_start(run, HAFT_E_INTERNAL, system_text("no socket for the logic"));
    return false;
  }
  run.link = pair[0];
  int host = above_standard((int)syscall(SYS_pidfd_open, getpid(), 0));
  run.arguments = pointers_to(run.command.arguments);
  run.environment = pointers_to(run.command.environment);
  run.launch = {run.command.program.c_str(),
                run.arguments.data(),
                run.environment.data(),
                settings_.has_directory ? settings_.directory.c_str() : nullptr,
                {run.output.of_child(0), run.output.of_child(1), run.output.of_child(2)},
                {arena_descriptor(), pair[1], host, -1},
                host};
  const bool started = host >= 0 && keeper_start(&run.keeper, &run.launch);
  if (!started) fail_start(run, HAFT_E_INTERNAL, system_text("node cannot be started"));
  close_one(&host);
  close_one(&pair[1]);
  if (started && !run.output.start(this)) {
    fail_start(run, HAFT_E_INTERNAL, system_text("no thread for the output"));
    kill(run);
  }
  return started;
}

// One child, from its start to its end. True: another one is to follow.
bool Logic::watch_one() {
  Run run;
  if (launch(run)) watch_child(run);
  const bool again = tell_end(run);
  if (again) {
    const std::lock_guard<std::mutex> lock(mutex_);
    phase_ = Phase::kStarting;
    given_ = 0;
  }
  // Threads of the program may be at work in them, which need not keep the next child waiting.
  left_over_.take(&run.realms);
  return again;
}

void Logic::watch_child(Run &run) {
  run.ready_by = in(settings_.given.ready_ms);
  while (!run.over) {
    pollfd watched[3] = {{run.keeper.news, POLLIN, 0}, {run.link, POLLIN, 0}, {wake_, POLLIN, 0}};
    poll(watched, 3, timeout_of(run));
    if (watched[1].revents != 0) hear_child(run);
    if (watched[2].revents != 0) begin_stop(run);
    if (watched[0].revents != 0) hear_keeper(run);
    if (!run.over) look_at_clock(run);
    run.realms.recycle();
    left_over_.recycle();
  }
  run.realms.release_all();
  realms_restore();
  keeper_reap(&run.keeper);
  run.output.finish();
}

int Logic::timeout_of(const Run &run) const {
  int64_t next = INT64_MAX;
  const auto consider = [&](int64_t time) {
    if (time != 0 && time < next) next = time;
  };
  if (!run.ready) consider(run.ready_by);
  if (run.stopping) consider(run.stop_by);
  const int64_t now = now_nanoseconds();
  if (run.ready && settings_.given.stuck_ms > 0)
    consider(now + settings_.given.stuck_ms * kMillisecond / kLooksAtProgress);
  if (run.realms.has_ended() || left_over_.has_ended()) consider(now + kRecycleMilliseconds * kMillisecond);
  if (next == INT64_MAX) return -1;
  return next <= now ? 0 : (int)std::min<int64_t>((next - now) / kMillisecond + 1, INT_MAX);
}

void Logic::hear_keeper(Run &run) {
  KeptNews news;
  const ssize_t got = recv(run.keeper.news, &news, sizeof news, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got != (ssize_t)sizeof news) {  // the keeper is gone, and the child with it
    run.over = true;
    return;
  }
  switch (news.word) {
    case KeptWord::kStarted: {
      run.pid = news.number;
      const std::lock_guard<std::mutex> lock(mutex_);
      pid_ = news.number;
      return;
    }
    case KeptWord::kExited:
    case KeptWord::kKilled:
      run.end = news;
      run.end_known = true;
      hear_child(run);  // its last words
      run.over = true;
      return;
    case KeptWord::kNoDirectory:
      errno = news.number;
      fail_start(run, HAFT_E_NOT_FOUND, system_text("node cannot run in " + settings_.directory));
      return;
    case KeptWord::kNoProgram:
      errno = news.number;
      fail_start(run, HAFT_E_NOT_FOUND, system_text(run.command.program + " cannot be run"));
      return;
    case KeptWord::kNoProcess:
      errno = news.number;
      fail_start(run, HAFT_E_INTERNAL, system_text("the operating system refused a process"));
      return;
  }
}

void Logic::hear_child(Run &run) {
  char text[kLinkBytes + 1];
  int descriptor;
  for (int i = 0; run.link >= 0 && i < kMessagesATurn; i++) {
    const long length = link_receive(run.link, text, &descriptor);
    if (descriptor >= 0) close(descriptor);  // it has none to give
    if (length < 0) return;
    if (length == 0) {
      close_one(&run.link);
      return;
    }
    hear(run, text, (size_t)length);
  }
}

void Logic::hear(Run &run, const char *text, size_t length) {
  switch (text[0]) {
    case kLinkOpen:
      give_realm(run);
      return;
    case kLinkClosed: {
      char *end;
      const haft_realm id = strtoull(text + 1, &end, 10);
      run.realms.closed(id, strcmp(end, " 1") == 0);
      return;
    }
    case kLinkReady:
      if (run.realm != 0 && run.failure.status == HAFT_OK) become_ready(run);
      return;
    case kLinkFailed: {
      char *end;
      const long status = strtol(text + 1, &end, 10);
      const size_t from = (size_t)(end - text) + (*end == '\n');
      const bool is_status = status < 0 && strcmp(status_name((haft_status)status), "HAFT_E_UNKNOWN") != 0;
      fail_start(run, is_status ? (haft_status)status : HAFT_E_INTERNAL, std::string(text + from, length - from));
      run.ready_by = in(kExitMilliseconds);
      return;
    }
    default:
      return;  // nothing that haft says (P31)
  }
}

void Logic::give_realm(Run &run) {
  haft_realm id;
  int doorbell = -1;
  haft_status status = run.killed ? HAFT_E_CLOSED : run.realms.reserve(&id, &doorbell);
  if (status == HAFT_OK) logic_known_as(shared_from_this(), id);
  if (status == HAFT_OK && run.realm == 0) {
    run.realm = id;
    for (size_t i = 0; i < settings_.functions.size() && status == HAFT_OK; i++)
      status = host_expose_reserved(id, settings_.function_names[i].c_str(), settings_.functions[i].function,
                                    settings_.functions[i].user);
  }
  if (status != HAFT_OK) {
    const std::string refused = kLinkRefused + std::to_string(status);
    link_send(run.link, refused.data(), refused.size());
    close_one(&doorbell);
    return;
  }
  const std::string given = kLinkRealm + std::to_string(id);
  const bool sent = link_send(run.link, given.data(), given.size(), doorbell);
  close_one(&doorbell);
  if (!sent || run.realm != id) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    given_ = id;
  }
  changed_.notify_all();
}

void Logic::become_ready(Run &run) {
  if (run.ready) return;
  run.ready = true;
  const bool again = was_ready_;
  was_ready_ = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    realm_ = run.realm;
    phase_ = Phase::kReady;
  }
  changed_.notify_all();
  if (again && settings_.given.restarted) settings_.given.restarted(settings_.given.user, run.realm);
}

void Logic::fail_start(Run &run, haft_status status, const std::string &text) {
  if (!run.ready && run.failure.status == HAFT_OK) run.failure = {status, text};
}

void Logic::begin_stop(Run &run) {
  uint64_t rung;
  if (read(wake_, &rung, sizeof rung) < 0 || run.stopping) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stop_wanted_) return;
  }
  run.stopping = true;
  run.stop_by = in(settings_.given.stop_ms);
  const char stop = kLinkStop;
  if (!run.ready || run.link < 0 || !link_send(run.link, &stop, 1)) kill(run);
}

void Logic::look_at_clock(Run &run) {
  if (!run.ready && passed(run.ready_by)) {
    fail_start(run, HAFT_E_TIMEOUT,
               "the logic was not ready after " + std::to_string(settings_.given.ready_ms) + " ms");
    run.ready_by = 0;
    kill(run);
  }
  if (run.stopping && passed(run.stop_by)) {
    run.late = true;
    run.stop_by = 0;
    kill(run);
  }
  if (run.ready && !run.stuck && settings_.given.stuck_ms > 0) look_for_progress(run, now_nanoseconds());
}

// A realm that was rung and does not move on, for as long as it may take, is stuck.
void Logic::look_for_progress(Run &run, int64_t now) {
  std::map<haft_realm, Progress> progress;
  for (const haft_realm id : run.realms.open()) {
    const Realm &r = arena()->realms[realm_number(id)];
    const auto before = run.progress.find(id);
    const uint64_t count = progress_of(r);
    const bool same = before != run.progress.end() && before->second.count == count && is_busy(r);
    progress[id] = {count, same ? before->second.since : now};
    run.stuck = run.stuck || now - progress[id].since >= settings_.given.stuck_ms * kMillisecond;
  }
  run.progress = std::move(progress);
  if (!run.stuck) return;
  run.late = run.stopping;
  kill(run);
}

// The callers are told at once; the child may take its time to die.
void Logic::kill(Run &run) {
  run.killed = true;
  run.realms.end_all();
  keeper_kill(run.keeper);
}

// ---- The end of a child ----

namespace {

std::string with_words(std::string text, const std::string &words) {
  if (!words.empty()) text += "\n" + words;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Of an exception, name NUL message NUL stack: "name: message".
std::string in_words(const std::string &text) {
  const size_t name = text.find('\0');
  if (name == std::string::npos) return text;
  return text.substr(0, name) + ": " + (text.c_str() + name + 1);
}

std::string exit_text(const KeptNews &end, bool known) {
  if (!known) return "the logic's process is gone, and nobody can say how";
  const std::string number = std::to_string(end.number);
  if (end.word == KeptWord::kExited) return "the logic's process exited with code " + number;
  const char *name = strsignal(end.number);
  return "the logic's process was ended by signal " + number + " (" + (name ? name : "?") + ")";
}

}  // namespace

bool Logic::may_restart(const Run &run) {
  const haft_embed_options &o = settings_.given;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stop_wanted_) return false;
  }
  if (o.restart == HAFT_EMBED_NEVER) return false;
  const bool clean = run.end_known && run.end.word == KeptWord::kExited && run.end.number == 0 && !run.stuck && run.ready;
  if (clean && o.restart != HAFT_EMBED_ALWAYS) return false;
  const int64_t now = now_nanoseconds();
  const int64_t since = now - o.restart_within_ms * kMillisecond;
  while (!restarted_at_.empty() && restarted_at_.front() < since) restarted_at_.erase(restarted_at_.begin());
  if (restarted_at_.size() >= o.restart_most) return false;
  restarted_at_.push_back(now);
  return true;
}

// True: it is to be started again.
bool Logic::tell_end(Run &run) {
  const std::string words = run.output.last_words();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_late_ = run.late;
  }
  if (!was_ready_) {
    Failure failure = run.failure;
    if (failure.status == HAFT_OK)
      failure = {HAFT_E_CLOSED, exit_text(run.end, run.end_known) + " before it was ready"};
    failure.text = with_words(failure.text, words);
    const std::lock_guard<std::mutex> lock(mutex_);
    failure_ = failure;
    return false;
  }
  const bool again = may_restart(run);
  haft_embed_end end = {};
  end.size = sizeof end;
  end.pid = run.pid;
  end.realm = run.realm;
  end.exit_code = -1;
  std::string text = exit_text(run.end, run.end_known);
  const bool exited = run.end_known && run.end.word == KeptWord::kExited;
  if (exited) end.exit_code = run.end.number;
  if (run.stopping && !run.stuck && (run.killed || end.exit_code == 0)) {
    end.reason = HAFT_EMBED_STOPPED;
  } else if (!run.ready) {
    end.reason = HAFT_EMBED_NOT_READY;
    if (run.failure.status != HAFT_OK) text = in_words(run.failure.text);
  } else if (run.stuck) {
    end.reason = HAFT_EMBED_STUCK;
    text = "the logic did not move on for " + std::to_string(settings_.given.stuck_ms) + " ms, and was killed";
  } else if (!run.end_known) {
    end.reason = HAFT_EMBED_UNKNOWN;
  } else {
    end.reason = exited ? HAFT_EMBED_EXITED : HAFT_EMBED_KILLED;
  }
  if (end.reason != HAFT_EMBED_EXITED && end.reason != HAFT_EMBED_STOPPED) end.exit_code = -1;
  if (end.reason == HAFT_EMBED_KILLED) end.signal = run.end.number;
  end.restarts = restarts_;
  end.restarting = again;
  text = with_words(text, words);
  end.text = text.c_str();
  if (settings_.given.ended) settings_.given.ended(settings_.given.user, &end);
  return again;
}

}  // namespace haft
