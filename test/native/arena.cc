// P7: two runs differ in their first generations and in the numbers of their blocks, so that a handle of an earlier run
// is not taken for one of this.
// builds: plain
#include <unistd.h>

#include "support.h"

using namespace test;

namespace {

std::string run_again() {
  FILE *output = popen("\"/proc/$PPID/exe\" child", "r");
  CHECK(output);
  char line[200] = "";
  CHECK(fgets(line, sizeof line, output));
  CHECK(pclose(output) == 0);
  return line;
}

}  // namespace

int main(int argc, char **) {
  if (argc > 1) {
    Consumer c;
    const haft_handle handle = c.create(1);
    const uint64_t step = first_generation(arena(), 8) - first_generation(arena(), 7);
    printf("%u %" PRIu64 " %" PRIu64 "\n", index_of(handle) >> kBlockBits, generation_of(handle), step & kGenerationMask);
    return 0;
  }
  say("P7 runs differ");
  uint32_t blocks[4];
  uint64_t generations[4], steps[4];
  for (int i = 0; i < 4; i++)
    CHECK(sscanf(run_again().c_str(), "%u %" SCNu64 " %" SCNu64, &blocks[i], &generations[i], &steps[i]) == 3);
  // Four equal ones by chance: once in 2^48 and in 2^78.
  CHECK(blocks[0] != blocks[1] || blocks[0] != blocks[2] || blocks[0] != blocks[3]);
  CHECK(generations[0] != generations[1] || generations[0] != generations[2] || generations[0] != generations[3]);
  CHECK(steps[0] != steps[1] || steps[0] != steps[2] || steps[0] != steps[3]);
}
