// Labels of references: counted by handle and label, by many threads at once, and never more of them than references.
// builds: tsan asan
#include "labels.h"
#include "support.h"

using namespace test;

namespace {

void bounds() {
  say("labels: bounds");
  Consumer c;
  const haft_handle handle = c.create(define_kind("labelled"));
  const std::string longest(63, 'l'), longer(64, 'l');
  CHECK_STATUS(retain_as(handle, nullptr), HAFT_E_ARGUMENT);
  CHECK_STATUS(retain_as(handle, ""), HAFT_E_ARGUMENT);
  CHECK_STATUS(retain_as(handle, longer.c_str()), HAFT_E_ARGUMENT);
  CHECK_STATUS(release_as(handle, longer.c_str()), HAFT_E_ARGUMENT);
  CHECK_STATUS(retain_as(42, "forged"), HAFT_E_FORGED);
  CHECK_STATUS(release_as(42, "forged"), HAFT_E_FORGED);
  CHECK(labels_of(handle).empty());
  CHECK_STATUS(retain_as(handle, longest.c_str()), HAFT_OK);
  CHECK_STATUS(release_as(handle, "another"), HAFT_E_OWNER);
  CHECK(last_error()->rule == 3 && last_error()->handle == handle);
  CHECK(strcmp(last_error()->message, "the handle has no reference labelled \"another\"") == 0);
  CHECK_STATUS(release_as(handle, longest.c_str()), HAFT_OK);
  CHECK_STATUS(release_as(handle, longest.c_str()), HAFT_E_OWNER);
  CHECK_STATUS(slot_release(handle), HAFT_OK);  // the creator's: none was taken by the refused ones
  CHECK_STATUS(release_as(handle, longest.c_str()), HAFT_E_STALE);
  CHECK_STATUS(retain_as(handle, "late"), HAFT_E_STALE);
  CHECK(labels_of(handle).empty());
  c.drain();
}

void threads_label() {
  say("labels: threads");
  static const char *const kLabels[] = {"connection", "cache", "timer"};
  Consumer c;
  constexpr int kThreads = 4, kHandles = 8;
  haft_handle handles[kHandles];
  for (haft_handle &handle : handles) handle = c.create(define_kind("labelled"));
  std::atomic<uint32_t> kept[kHandles][3] = {};
  const int rounds = amount(20'000);
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(8000 + me);
    uint32_t mine[kHandles][3] = {};
    for (int i = 0; i < rounds; i++) {
      const uint32_t h = random.below(kHandles), l = random.below(3);
      if (random.once_in(2)) {
        CHECK_STATUS(retain_as(handles[h], kLabels[l]), HAFT_OK);
        mine[h][l]++;
      } else if (mine[h][l] > 0) {
        CHECK_STATUS(release_as(handles[h], kLabels[l]), HAFT_OK);
        mine[h][l]--;
      } else {
        labels_of(handles[h]);
      }
    }
    for (int h = 0; h < kHandles; h++)
      for (int l = 0; l < 3; l++) kept[h][l] += mine[h][l];
  });
  threads.join();
  for (int h = 0; h < kHandles; h++) {
    std::map<std::string, uint32_t> wanted;
    uint32_t all = 1;
    for (int l = 0; l < 3; l++) {
      if (kept[h][l] != 0) wanted[kLabels[l]] = kept[h][l];
      all += kept[h][l];
    }
    const auto labels = labels_of(handles[h]);
    CHECK((std::map<std::string, uint32_t>(labels.begin(), labels.end()) == wanted));
    uint64_t word;
    Target target;
    CHECK_STATUS(slot_check(handles[h], 0, &word, &target), HAFT_OK);
    CHECK(word_references(word) == all);
    labels_forget(handles[h]);
    CHECK(labels_of(handles[h]).empty());
    CHECK_STATUS(c.remove(handles[h]), HAFT_OK);
  }
}

}  // namespace

int main() {
  bounds();
  threads_label();
  return 0;
}
