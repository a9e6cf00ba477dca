// A logic, from haft_embed_start to its end: one child after the other, watched by a thread of its own.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "command.h"
#include "haft_embed.h"
#include "keeper.h"
#include "output.h"
#include "pool.h"
#include "realms.h"

namespace haft {

class Logic : public std::enable_shared_from_this<Logic> {
 public:
  explicit Logic(Settings settings) : settings_(std::move(settings)) {}
  ~Logic();

  // Waits until it is ready, or has failed: a status, with this thread's latest error.
  haft_status start(haft_realm *realm);
  haft_status stop();
  haft_status realm_now(int64_t timeout_ms, haft_realm *now);
  haft_status pid(int32_t *pid);
  const Settings &settings() const { return settings_; }

 private:
  enum class Phase { kStarting, kReady, kEnded };

  struct Failure {  // of a start
    haft_status status = HAFT_OK;
    std::string text;  // of an exception: name NUL message NUL stack
  };

  struct Progress {  // of a realm
    uint64_t count;
    int64_t since;  // nanoseconds of the monotonic clock: at that count, and busy
  };

  struct Run {  // one child
    Keeper keeper;
    Output output;
    int link = -1;
    Realms realms;
    Command command;
    std::vector<char *> arguments, environment;
    Launch launch;
    Failure failure;
    haft_realm realm = 0;  // the first one that it opened
    int32_t pid = 0;
    bool ready = false, stuck = false, stopping = false, killed = false, over = false, late = false;
    KeptNews end = {KeptWord::kExited, -1};
    bool end_known = false;
    int64_t ready_by = 0, stop_by = 0;  // nanoseconds of the monotonic clock, 0: never
    std::map<haft_realm, Progress> progress;
    ~Run();
  };

  static void *run_thread(void *self);
  void watch();
  bool watch_one();
  void watch_child(Run &run);
  bool launch(Run &run);
  void hear_keeper(Run &run);
  void hear_child(Run &run);
  void hear(Run &run, const char *text, size_t length);
  void give_realm(Run &run);
  void look_at_clock(Run &run);
  void look_for_progress(Run &run, int64_t now);
  void begin_stop(Run &run);
  void kill(Run &run);
  void fail_start(Run &run, haft_status status, const std::string &text);
  int timeout_of(const Run &run) const;
  bool tell_end(Run &run);
  bool may_restart(const Run &run);
  void become_ready(Run &run);
  haft_realm next_given(haft_realm before);
  void serve_start(std::unique_lock<std::mutex> &lock, int64_t nanoseconds);

  const Settings settings_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex:
  Phase phase_ = Phase::kStarting;
  haft_realm realm_ = 0;  // the latest that was ready
  haft_realm given_ = 0;  // the latest; 0 until the child that starts has one
  int32_t pid_ = 0;
  bool stop_wanted_ = false, stop_late_ = false;
  Failure failure_;
  // The watching thread's:
  Pool pool_;
  std::shared_ptr<Logic> self_;  // until that thread has it
  Realms left_over_;  // of children that are gone
  bool was_ready_ = false;
  uint32_t restarts_ = 0;
  std::vector<int64_t> restarted_at_;
  int wake_ = -1;  // eventfd: something is wanted of the watching thread
};

// The logic that has or had this realm; none where it has ended. HAFT_E_CLOSED and HAFT_E_ARGUMENT say which.
haft_status logic_of(haft_realm realm, std::shared_ptr<Logic> *logic);

// Callbacks of the logic run on the calling thread from now on.
void logic_own_thread(const Logic *logic);

// How many logics there may be at one time.
constexpr size_t kLogics = 64;
// Enters it among those that run. HAFT_E_SLOTS.
haft_status logic_enter(const std::shared_ptr<Logic> &logic);
void logic_leave(const Logic *logic);
void logic_known_as(const std::shared_ptr<Logic> &logic, haft_realm realm);

}  // namespace haft
