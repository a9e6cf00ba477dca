// See attached.h.
#include "attached.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/arena.h"
#include "core/error.h"
#include "core/link.h"
#include "core/process.h"
#include "core/realm.h"
#include "core/wait.h"

namespace haft {
namespace {

constexpr int64_t kRealmMilliseconds = 10'000;
// The program is gone: so long may JavaScript take to end by itself.
constexpr int64_t kGoneMilliseconds = 500;

// Never freed: its thread runs to the end (P25).
struct Link {
  pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;  // one realm is asked for at a time
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;   // guards the answer
  pthread_cond_t answered;
  bool has_answer = false;
  haft_realm realm = 0;
  haft_status status = HAFT_OK;
  int doorbell = -1;
  napi_threadsafe_function stop = nullptr;
};

Link &link() {
  static Link *const one = [] {
    Link *made = new Link;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->answered, &attributes);
    return made;
  }();
  return *one;
}

void ask_to_stop(bool gone) {
  napi_call_threadsafe_function(link().stop, gone ? &link() : nullptr, napi_tsfn_nonblocking);
}

void call_stop(napi_env env, napi_value function, void *, void *gone) {
  if (!env || !function) return;
  napi_value argument, receiver;
  napi_get_boolean(env, gone != nullptr, &argument);
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, function, 1, &argument, nullptr);
}

void answer(const char *text, int doorbell) {
  Link &l = link();
  pthread_mutex_lock(&l.mutex);
  if (l.doorbell >= 0) close(l.doorbell);  // nobody waited for that any more
  l.has_answer = true;
  l.status = text[0] == kLinkRealm ? HAFT_OK : (haft_status)atoi(text + 1);
  l.realm = text[0] == kLinkRealm ? strtoull(text + 1, nullptr, 10) : 0;
  l.doorbell = doorbell;
  pthread_cond_signal(&l.answered);
  pthread_mutex_unlock(&l.mutex);
}

// False: the program is gone.
bool hear_program() {
  char text[kLinkBytes + 1];
  int descriptor;
  for (;;) {
    const long length = link_receive(kLinkSocket, text, &descriptor);
    if (length < 0) return true;
    if (length == 0) return false;
    if (text[0] == kLinkRealm || text[0] == kLinkRefused)
      answer(text, descriptor);
    else if (descriptor >= 0)
      close(descriptor);
    if (text[0] == kLinkStop) ask_to_stop(false);
  }
}

// P29: by a pidfd. The end of the socket alone could wait for whatever process the program has forked.
void *watch_program(void *) {
  pollfd watched[2] = {{kLinkSocket, POLLIN, 0}, {kLinkHost, POLLIN, 0}};
  for (;;) {
    poll(watched, 2, -1);
    if (watched[1].revents != 0) break;
    if (watched[0].revents != 0 && !hear_program()) break;
  }
  ask_to_stop(true);
  sleep_for(kGoneMilliseconds * 1000 * 1000);
  _exit(1);
}

bool start_watching() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // Node's signals are for its own threads
  pthread_t thread;
  const bool started = pthread_create(&thread, nullptr, watch_program, nullptr) == 0;
  if (started) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace

Napi::Value attach(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  for (const int descriptor : {kLinkArena, kLinkSocket, kLinkHost}) {
    // What this process starts in its turn shall not have them.
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) return Napi::Number::New(env, HAFT_E_INTERNAL);
  }
  const haft_status status = arena_attach(kLinkArena);
  close(kLinkArena);
  if (status != HAFT_OK) return Napi::Number::New(env, status);
  napi_value name = Napi::String::New(env, "haft embed");
  if (napi_create_threadsafe_function(env, info[0], nullptr, name, 0, 1, nullptr, nullptr, nullptr, call_stop,
                                      &link().stop) != napi_ok ||
      napi_unref_threadsafe_function(env, link().stop) != napi_ok || !start_watching())
    return Napi::Number::New(env, HAFT_E_INTERNAL);
  return Napi::Number::New(env, HAFT_OK);
}

haft_status attached_open(void (*ring)(void *), void (*direct)(void *), void *edge, haft_realm *id, int *doorbell) {
  Link &l = link();
  pthread_mutex_lock(&l.asking);
  pthread_mutex_lock(&l.mutex);
  l.has_answer = false;
  haft_status status = link_send(kLinkSocket, &kLinkOpen, 1) ? HAFT_OK : HAFT_E_CLOSED;
  const int64_t until = now_nanoseconds() + kRealmMilliseconds * 1000 * 1000;
  const timespec time = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
  while (status == HAFT_OK && !l.has_answer) {
    if (pthread_cond_timedwait(&l.answered, &l.mutex, &time) != 0) status = HAFT_E_TIMEOUT;
  }
  if (status == HAFT_OK) status = l.status;
  *id = l.realm;
  *doorbell = l.doorbell;
  if (l.has_answer) l.doorbell = -1;
  pthread_mutex_unlock(&l.mutex);
  pthread_mutex_unlock(&l.asking);
  if (status == HAFT_OK) status = realm_open_reserved(*id, ring, direct, edge);
  if (status != HAFT_OK && *doorbell >= 0) close(*doorbell);
  return status;
}

void attached_closed(haft_realm id, bool quiet) {
  const std::string text = kLinkClosed + std::to_string(id) + (quiet ? " 1" : " 0");
  link_send(kLinkSocket, text.data(), text.size());
}

}  // namespace haft
