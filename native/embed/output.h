// What a child writes: read on a thread of its own, passed on as the options say, and its last words kept.
#pragma once

#include <pthread.h>

#include <mutex>
#include <string>

#include "command.h"

namespace haft {

class Logic;

class Output {
 public:
  ~Output();
  // Makes what the child gets as its standard descriptors. Below 0: the operating system refuses, or the file cannot be
  // opened; see errno.
  bool open(const Settings &settings);
  int of_child(int standard) const { return childs_[standard]; }
  // The child has its own now: begins to read. False: no thread.
  bool start(const Logic *logic);
  // The child is gone: reads what is still there, and ends. Grandchildren may go on writing; nobody reads that.
  void finish();
  // The end of what came on standard error.
  std::string last_words() const;

 private:
  struct Stream {
    int descriptor = -1;
    std::string line;
  };
  static void *run(void *self);
  void read_all();
  bool read_some(haft_embed_stream stream);
  void take(haft_embed_stream stream, const char *bytes, size_t count);
  void write_all(int *sink, const char *bytes, size_t count);
  bool open_stream(haft_embed_stream stream);
  void take_lines(haft_embed_stream stream, const char *bytes, size_t count);
  void close_childs();

  const Settings *settings_ = nullptr;
  const Logic *logic_ = nullptr;
  int childs_[3] = {-1, -1, -1};
  int sinks_[3] = {-1, -1, -1};  // where bytes of each stream go that are not lines
  Stream streams_[3];
  int finished_ = -1;  // eventfd
  pthread_t thread_;
  bool started_ = false;
  mutable std::mutex mutex_;
  std::string last_words_;
};

}  // namespace haft
