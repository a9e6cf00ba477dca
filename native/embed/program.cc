// See program.h.
#include "program.h"

#include <dlfcn.h>
#include <signal.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "arena.h"
#include "error.h"
#include "logic.h"
#include "process.h"

namespace haft {
namespace {

struct Program {
  std::mutex mutex;
  int arena = -1;
  std::vector<std::shared_ptr<Logic>> logics;  // those that run
  std::map<haft_realm, std::shared_ptr<Logic>> by_realm;
  haft_realm latest = 0;  // of all realms that logics have had
};

Program &program() {
  static Program *const one = new Program;  // never freed: threads may outlive main (P25)
  return *one;
}

// Where the static library is in a plugin, which the program may unload: threads of ours run in it to the end of the process,
// and some still after haft_embed_stop.
void stay_loaded() {
  Dl_info about;
  if (dladdr((const void *)&program, &about) == 0 || !about.dli_fname) return;
  dlopen(about.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);  // of the program itself: nothing
}

}  // namespace

haft_status program_prepare() {
  process_prepare();
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26: before any lock
  Program &p = program();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (p.arena >= 0) return HAFT_OK;
  stay_loaded();
  if (arena_share(&p.arena)) return HAFT_OK;
  p.arena = -1;
  const haft_status status = errno == ENOMEM ? HAFT_E_NO_MEMORY : HAFT_E_INTERNAL;
  return fail_with(status, HAFT_NULL,
                   std::string("the operating system refused shared memory (memfd_create, 9 GiB of addresses, none of it "
                               "taken before it is used): ") +
                       strerror(errno));
}

int arena_descriptor() { return program().arena; }

bool start_thread(pthread_t *thread, void *(*run)(void *), void *data) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(thread, nullptr, run, data);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return error == 0;
}

haft_status logic_enter(const std::shared_ptr<Logic> &logic) {
  Program &p = program();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (p.logics.size() >= kLogics)
    return fail_with(HAFT_E_SLOTS, HAFT_NULL, std::to_string(kLogics) + " logics run already");
  p.logics.push_back(logic);
  return HAFT_OK;
}

void logic_leave(const Logic *logic) {
  Program &p = program();
  std::vector<std::shared_ptr<Logic>> left;  // freed without the lock
  const std::lock_guard<std::mutex> lock(p.mutex);
  for (auto entry = p.by_realm.begin(); entry != p.by_realm.end();)
    entry = entry->second.get() == logic ? p.by_realm.erase(entry) : std::next(entry);
  for (size_t i = 0; i < p.logics.size(); i++) {
    if (p.logics[i].get() != logic) continue;
    left.push_back(p.logics[i]);
    p.logics.erase(p.logics.begin() + (long)i);
    return;
  }
}

void logic_known_as(const std::shared_ptr<Logic> &logic, haft_realm realm) {
  Program &p = program();
  const std::lock_guard<std::mutex> lock(p.mutex);
  p.by_realm[realm] = logic;
  if (realm > p.latest) p.latest = realm;
}

haft_status logic_of(haft_realm realm, std::shared_ptr<Logic> *logic) {
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED);  // P26: before any lock
  Program &p = program();
  const std::lock_guard<std::mutex> lock(p.mutex);
  const auto found = p.by_realm.find(realm);
  if (found != p.by_realm.end()) {
    *logic = found->second;
    return HAFT_OK;
  }
  // Ids are given once and grow with time: one of before has ended.
  const uint64_t number = realm & kRealmNumberMask;
  const bool issued = realm <= p.latest && number != 0 && number <= kRealms;
  return issued ? fail(HAFT_E_CLOSED) : fail(HAFT_E_ARGUMENT, HAFT_NULL, "it is no realm of a logic");
}

}  // namespace haft
