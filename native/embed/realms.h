// The realms that one child has opened: reserved for it, ended with it, recycled when no thread of this process is at work
// in them any more. For the one thread that watches the child.
#pragma once

#include <memory>
#include <vector>

#include "haft.h"

namespace haft {

class Realms {
 public:
  // For the child: its id, and its end of the doorbell, which the caller sends to it and closes.
  haft_status reserve(haft_realm *id, int *doorbell);

  // The child has closed it; `quiet`: for good. Another's, or none, is passed over (P31).
  void closed(haft_realm id, bool quiet);

  // The child is about to go: everybody who waits for a realm of its is told (P28).
  void end_all();

  // The child is gone: so, and nobody but this process is at work in its realms any more.
  void release_all();

  // To be called now and then after that; true: nothing is left to recycle.
  bool recycle();

  bool has_ended() const { return !ended_.empty(); }

  // Makes these, of a child that is gone, its own to recycle.
  void take(Realms *others);

  // Open ones.
  const std::vector<haft_realm> &open() const { return open_; }

 private:
  struct Ended {
    haft_realm id;
    int doorbell;
    bool released;  // no thread of the child is at work in it
    int64_t gone;   // when the child was, in nanoseconds of the monotonic clock; 0: it lives
  };
  void end(haft_realm id, bool released);

  std::vector<haft_realm> open_;
  std::vector<Ended> ended_;
};

}  // namespace haft
