// See realms.h.
#include "realms.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "arena.h"
#include "descriptors.h"
#include "error.h"
#include "process.h"
#include "realm.h"
#include "slots.h"
#include "wait.h"

namespace haft {
namespace {

// The rings of a child that was killed in the midst of a write stay unfinished: then nobody of ours is waited for.
constexpr int64_t kForgetNanoseconds = 2'000'000'000;

// P29: a socket, and a send that neither waits nor raises SIGPIPE, whatever the child has done to its end. A doorbell is
// our end's descriptor, as a pointer.
void ring(void *doorbell) {
  const char one = 1;
  if (send((int)(intptr_t)doorbell, &one, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;  // full: it rings already
}

int doorbell_of(haft_realm id) { return (int)(intptr_t)locals[realm_number(id)].edge; }

bool remove(std::vector<haft_realm> &list, haft_realm id) {
  const auto found = std::find(list.begin(), list.end(), id);
  if (found == list.end()) return false;
  list.erase(found);
  return true;
}

}  // namespace

haft_status Realms::reserve(haft_realm *id, int *doorbell) {
  int ends[2];
  if (!open_sockets(SOCK_STREAM, ends))
    return fail(HAFT_E_INTERNAL, HAFT_NULL, "the operating system has no descriptor left");
  const haft_status status = realm_reserve(ring, (void *)(intptr_t)ends[0], id);
  if (status != HAFT_OK) {
    close(ends[0]);
    close(ends[1]);
    return status;
  }
  *doorbell = ends[1];
  open_.push_back(*id);
  return HAFT_OK;
}

void Realms::end(haft_realm id, bool released) {
  realm_end(id);
  ended_.push_back({id, doorbell_of(id), released, 0});
}

void Realms::closed(haft_realm id, bool quiet) {
  if (remove(open_, id)) end(id, quiet);
}

void Realms::end_all() {
  for (const haft_realm id : open_) end(id, false);
  open_.clear();
}

void Realms::release_all() {
  end_all();
  for (Ended &ended : ended_) {
    realm_end(ended.id);  // whatever the child has written over that (P31)
    ended.released = true;
    ended.gone = now_nanoseconds();
  }
}

bool Realms::recycle() {
  for (size_t i = 0; i < ended_.size();) {
    const Ended &ended = ended_[i];
    const bool forget = ended.gone != 0 && now_nanoseconds() - ended.gone > kForgetNanoseconds;
    if (!ended.released || !realm_recycle(ended.id, forget)) {
      i++;
      continue;
    }
    close(ended.doorbell);
    ended_.erase(ended_.begin() + (long)i);
  }
  return ended_.empty();
}

void Realms::take(Realms *others) {
  ended_.insert(ended_.end(), others->ended_.begin(), others->ended_.end());
  others->ended_.clear();
}

}  // namespace haft
