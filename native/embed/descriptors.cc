// See descriptors.h.
#include "descriptors.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace haft {
namespace {

constexpr int kAboveStandard = 3;

bool both_above_standard(int *pair) {
  for (int i = 0; i < 2; i++) pair[i] = above_standard(pair[i]);
  if (pair[0] >= 0 && pair[1] >= 0) return true;
  const int error = errno;
  for (int i = 0; i < 2; i++) close_one(&pair[i]);
  errno = error;
  return false;
}

}  // namespace

int above_standard(int descriptor) {
  if (descriptor < 0 || descriptor >= kAboveStandard) return descriptor;
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, kAboveStandard);
  const int error = errno;
  close(descriptor);
  errno = error;
  return moved;
}

bool open_pipe(int *pair) { return pipe2(pair, O_CLOEXEC) == 0 && both_above_standard(pair); }

bool open_sockets(int type, int *pair) {
  return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0 && both_above_standard(pair);
}

int open_event() { return above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void close_one(int *descriptor) {
  if (*descriptor >= 0) close(*descriptor);
  *descriptor = -1;
}

}  // namespace haft
