// See output.h.
#include "output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "descriptors.h"
#include "logic.h"

namespace haft {
namespace {

constexpr size_t kLineBytes = 64 * 1024;
constexpr size_t kLastWords = 4096;
constexpr int kReadsAtEnd = 64;  // somebody else may still write there, and must not keep us
constexpr size_t kWriteBytes = 4096;  // PIPE_BUF: where poll() finds room, so many can be written without waiting
constexpr int kLastMilliseconds = 100;  // to write what the child has left, where nobody reads it

int nowhere(int how) { return above_standard(::open("/dev/null", how | O_CLOEXEC)); }

// The program's own, or nowhere if it has closed that.
int same_as(int standard) {
  const int copy = fcntl(standard, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  return copy >= 0 ? copy : nowhere(O_WRONLY);
}

// Node would make a pipe or socket one that does not wait, for the program too, whose output could then get lost.
bool must_not_be_shared(int descriptor) {
  struct stat about;
  return fstat(descriptor, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
}

}  // namespace

bool Output::open_stream(haft_embed_stream stream) {
  int pair[2];
  if (!open_pipe(pair)) return false;
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  streams_[stream].descriptor = pair[0];
  childs_[stream] = pair[1];
  return true;
}

bool Output::open(const Settings &settings) {
  settings_ = &settings;
  childs_[0] = nowhere(O_RDONLY);
  finished_ = open_event();
  if (childs_[0] < 0 || finished_ < 0 || !open_stream(HAFT_EMBED_STDERR)) return false;
  switch (settings.given.output) {
    case HAFT_EMBED_LINES:
      return open_stream(HAFT_EMBED_STDOUT);
    case HAFT_EMBED_FILE: {
      const int how = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
      int &sink = sinks_[HAFT_EMBED_STDERR];
      sink = above_standard(::open(settings.output_file.c_str(), how, 0600));
      if (sink >= 0) childs_[1] = same_as(sink);
      return childs_[1] >= 0;
    }
    case HAFT_EMBED_INHERIT:
      sinks_[HAFT_EMBED_STDERR] = same_as(STDERR_FILENO);
      if (must_not_be_shared(STDOUT_FILENO)) {
        sinks_[HAFT_EMBED_STDOUT] = same_as(STDOUT_FILENO);
        return open_stream(HAFT_EMBED_STDOUT);
      }
      childs_[1] = same_as(STDOUT_FILENO);
      return childs_[1] >= 0;
    case HAFT_EMBED_DISCARD:
      childs_[1] = nowhere(O_WRONLY);
      return childs_[1] >= 0;
  }
  return false;
}

void Output::close_childs() {
  for (int &descriptor : childs_) close_one(&descriptor);
}

Output::~Output() {
  finish();
  close_childs();
  for (Stream &stream : streams_) close_one(&stream.descriptor);
  for (int &sink : sinks_) close_one(&sink);
  close_one(&finished_);
}

bool Output::start(const Logic *logic) {
  logic_ = logic;
  close_childs();
  started_ = pthread_create(&thread_, nullptr, run, this) == 0;
  return started_;
}

void Output::finish() {
  if (!started_) return;
  const uint64_t one = 1;
  if (write(finished_, &one, sizeof one) < 0) return;
  pthread_join(thread_, nullptr);
  started_ = false;
}

std::string Output::last_words() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_words_;
}

void *Output::run(void *self) {
  Output *output = static_cast<Output *>(self);
  logic_own_thread(output->logic_);
  output->read_all();
  return nullptr;
}

void Output::read_all() {
  for (int left = kReadsAtEnd; left > 0;) {
    pollfd watched[3] = {{finished_, POLLIN, 0},
                         {streams_[HAFT_EMBED_STDOUT].descriptor, POLLIN, 0},
                         {streams_[HAFT_EMBED_STDERR].descriptor, POLLIN, 0}};
    poll(watched, 3, -1);
    bool any = false;
    for (const haft_embed_stream stream : {HAFT_EMBED_STDOUT, HAFT_EMBED_STDERR}) {
      if (watched[stream].revents != 0) any = read_some(stream) || any;
    }
    if (watched[0].revents != 0) left = any ? left - 1 : 0;
  }
  for (const haft_embed_stream stream : {HAFT_EMBED_STDOUT, HAFT_EMBED_STDERR}) {
    std::string &rest = streams_[stream].line;
    if (!rest.empty()) settings_->given.line(settings_->given.user, stream, rest.c_str(), rest.size());
  }
}

// False: nothing was there.
bool Output::read_some(haft_embed_stream stream) {
  char bytes[kLineBytes];
  const ssize_t count = read(streams_[stream].descriptor, bytes, sizeof bytes);
  if (count > 0) {
    take(stream, bytes, (size_t)count);
    return true;
  }
  if (count == 0) close_one(&streams_[stream].descriptor);
  return false;
}

void Output::take(haft_embed_stream stream, const char *bytes, size_t count) {
  if (stream == HAFT_EMBED_STDERR) {
    const std::lock_guard<std::mutex> lock(mutex_);
    last_words_.append(bytes, count);
    if (last_words_.size() > kLastWords) last_words_.erase(0, last_words_.size() - kLastWords);
  }
  if (settings_->given.output == HAFT_EMBED_LINES)
    take_lines(stream, bytes, count);
  else
    write_all(&sinks_[stream], bytes, count);
}

// All signals are blocked on this thread: a reader that is gone is an error here, and no SIGPIPE. One that does not read
// keeps the child waiting, as it would without us; but when the child is gone, nobody.
void Output::write_all(int *sink, const char *bytes, size_t count) {
  bool last = false;
  while (count > 0 && *sink >= 0) {
    pollfd watched[2] = {{*sink, POLLOUT, 0}, {last ? -1 : finished_, POLLIN, 0}};
    const int ready = poll(watched, 2, last ? kLastMilliseconds : -1);
    if (ready == 0) {
      close_one(sink);
      return;
    }
    if (watched[0].revents == 0) {
      last = last || watched[1].revents != 0;
      continue;
    }
    const ssize_t written = write(*sink, bytes, count < kWriteBytes ? count : kWriteBytes);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return;
    bytes += written;
    count -= (size_t)written;
  }
}

void Output::take_lines(haft_embed_stream stream, const char *bytes, size_t count) {
  std::string &line = streams_[stream].line;
  const auto tell = [&] {
    settings_->given.line(settings_->given.user, stream, line.c_str(), line.size());
    line.clear();
  };
  for (size_t i = 0; i < count; i++) {
    if (bytes[i] == '\n') {
      tell();
      continue;
    }
    line.push_back(bytes[i]);
    if (line.size() == kLineBytes) tell();
  }
}

}  // namespace haft
