// Starts a program as a child that this process does not have, and tells how it ended.
//
// The child of a library would be seen by the program's own wait() and announced by SIGCHLD. So between the two stands a
// keeper: a process that shares this one's memory, sends no signal when it ends and is seen by no wait(), since it never
// executes a program. It is the child's parent, learns how it ended, and ends it when this process ends.
#pragma once

#include <cstdint>

namespace haft {

constexpr int kFirstDescriptor = 3;  // of those that the child is given beside its standard ones
constexpr int kMostDescriptors = 4;

struct Launch {  // what is to be started; must live until the keeper has been reaped
  const char *program;  // its path
  char *const *arguments;
  char *const *environment;
  const char *directory;  // NULL: this process's
  int standard[3];
  int given[kMostDescriptors];  // become kFirstDescriptor and so on; -1: none
  int host;  // pidfd of this process
};

enum class KeptWord : int32_t { kStarted = 1, kNoDirectory = 2, kNoProgram = 3, kNoProcess = 4, kExited = 5, kKilled = 6 };

struct KeptNews {  // what the keeper writes, each in one piece
  KeptWord word;
  int32_t number;  // pid, errno, exit code or signal
};

struct Keeper {
  int news = -1;      // to be read: KeptNews; its end means that the keeper is gone
  int commands = -1;  // a byte written here, or its end, kills the child
  int pid = -1;
  void *memory = nullptr;
};

// False: the operating system refuses, see errno. The first of its news is already on its way.
bool keeper_start(Keeper *keeper, const Launch *launch);

void keeper_kill(const Keeper &keeper);

// After the end of its news. Gives back all that it took.
void keeper_reap(Keeper *keeper);

}  // namespace haft
