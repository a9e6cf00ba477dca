// Memory of results: known while it is out, freed once, and nothing else is freed as one, by many threads at once.
// builds: tsan asan
#include "results.h"
#include "support.h"

using namespace test;

namespace {

void nothing_else_is_freed() {
  say("results: nothing else");
  char own[16] = "mine";
  char *const allocated = static_cast<char *>(malloc(16));
  CHECK(!result_give(own) && !result_give(allocated) && !result_give(reinterpret_cast<void *>(1)));
  CHECK(result_give(nullptr));
  free(allocated);  // it was left alone
  char *const result = result_take(16);
  CHECK(results_out() == 1);
  CHECK(!result_give(result + 1));
  CHECK(result_give(result) && results_out() == 0);
  CHECK(!result_give(result));
  // What C sees: the copy of a result that was freed.
  haft_value value = {HAFT_STR, 4, {0}};
  value.as.str = result_take(5);
  haft_value copy = value;
  value_free(&value);
  CHECK(value.type == HAFT_VOID && value.as.str == nullptr);
  value_free(&copy);
  CHECK(copy.type == HAFT_VOID);
  CHECK(last_error()->status == HAFT_E_OWNER && last_error()->rule == 4);
  CHECK(strstr(last_error()->next, "(pointer rule 4)"));
}

void threads_take_and_give() {
  say("results: threads");
  constexpr int kThreads = 4;
  std::atomic<char *> handed[64] = {};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(9000 + me);
    for (int i = amount(100'000); i > 0; i--) {
      char *const mine = result_take(1 + random.below(200));
      CHECK(mine);
      *mine = (char)me;
      // Another thread frees it, or this one what another left.
      char *const left = handed[random.below(64)].exchange(mine);
      if (left) CHECK(result_give(left));
    }
  });
  threads.join();
  for (std::atomic<char *> &at : handed)
    if (at) CHECK(result_give(at));
  CHECK(results_out() == 0);
}

}  // namespace

int main() {
  nothing_else_is_freed();
  threads_take_and_give();
  return 0;
}
