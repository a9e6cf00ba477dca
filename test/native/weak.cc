// Weak handles whose object was collected: against releases, retains and deletes of other threads; labels and pins of
// handles that have ended.
#include "core/labels.h"
#include "core/pins.h"
#include "support.h"

using namespace test;

namespace {

void collected() {
  say("a collected object’s handle");
  Consumer c, other;
  const haft_handle handle = c.create(1);
  CHECK_STATUS(slot_retain(handle), HAFT_OK);
  CHECK_STATUS(slot_collect(handle, other.id), HAFT_E_REALM);
  CHECK_STATUS(slot_collect(handle, c.id), HAFT_OK);
  CHECK_STATUS(slot_collect(handle, c.id), HAFT_E_COLLECTED);
  CHECK_STATUS(check(handle), HAFT_E_COLLECTED);
  CHECK_STATUS(slot_retain(handle), HAFT_E_COLLECTED);
  CHECK(slot_alive(handle));
  CHECK_STATUS(slot_release(handle), HAFT_OK);
  CHECK_STATUS(check(handle), HAFT_E_COLLECTED);
  CHECK_STATUS(slot_release(handle), HAFT_OK);  // the last one: a ZOMBIE, as any other
  CHECK_STATUS(check(handle), HAFT_E_STALE);
  CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
  CHECK_STATUS(slot_collect(handle, c.id), HAFT_E_STALE);
  CHECK(!slot_alive(handle));
  c.drain();
  CHECK(c.live() == 0);

  const haft_handle deleted = c.create(1);
  CHECK_STATUS(slot_collect(deleted, c.id), HAFT_OK);
  CHECK_STATUS(c.remove(deleted), HAFT_OK);
  CHECK_STATUS(check(deleted), HAFT_E_STALE);
  CHECK(c.live() == 0);

  haft_handle left;
  {
    Consumer closes;
    left = closes.create(1);
    CHECK_STATUS(slot_collect(left, closes.id), HAFT_OK);
  }
  CHECK_STATUS(slot_release(left), HAFT_E_CLOSED);
}

// P3: of a collection, a delete and four last releases each reference is given back once, and the slot freed once.
void races() {
  say("P3 a collection races releases and deletes");
  constexpr int kThreads = 4;
  Consumer c;
  Barrier begin(kThreads + 1), end(kThreads + 1);
  std::atomic<haft_handle> target{0};
  std::atomic<int> released{0}, retained{0};
  std::atomic<bool> done{false};
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(40 + me);
    for (;;) {
      begin.wait();
      if (done.load()) return;
      const haft_handle handle = target.load();
      jitter(random, 3);
      haft_status status = slot_retain(handle);
      CHECK(status == HAFT_OK || status == HAFT_E_COLLECTED || status == HAFT_E_STALE);
      if (status == HAFT_OK) {
        retained++;
        jitter(random, 3);
        status = slot_release(handle);
        CHECK(status == HAFT_OK || status == HAFT_E_STALE);  // stale: deleted
        if (status == HAFT_OK) released++;
      }
      status = slot_release(handle);  // the creator's, whoever comes first
      CHECK(status == HAFT_OK || status == HAFT_E_STALE);
      if (status == HAFT_OK) released++;
      end.wait();
    }
  });
  Random random(3);
  const int rounds = amount(6000);
  for (int i = 0; i < rounds; i++) {
    const haft_handle handle = c.create(1);
    for (int n = 1; n < kThreads; n++) CHECK_STATUS(slot_retain(handle), HAFT_OK);  // one for each thread
    released = retained = 0;
    target = handle;
    begin.wait();
    jitter(random, 6);
    const haft_status status = slot_collect(handle, c.id);
    CHECK(status == HAFT_OK || status == HAFT_E_STALE);
    const bool deleted = i % 2 && c.remove(handle) == HAFT_OK;
    end.wait();
    if (!deleted) CHECK(released.load() == kThreads + retained.load());
    CHECK_STATUS(slot_release(handle), HAFT_E_STALE);
    c.drain();
    CHECK(c.live() == 0);
    CHECK_STATUS(check(handle), HAFT_E_STALE);
  }
  done = true;
  begin.wait();
  threads.join();
  // Every slot is free exactly once.
  const size_t slots = c.free_slots();
  CHECK(slots % kBlockSlots == 0);
  for (size_t i = 0; i < slots; i++) CHECK(c.create(1) != HAFT_NULL);
}

void labels_end() {
  say("labels end with their handles");
  Consumer c;
  const haft_handle kept = c.create(1);
  CHECK_STATUS(retain_as(kept, "kept"), HAFT_OK);
  haft_handle last = HAFT_NULL;
  for (int i = 0; i < 100; i++) {
    const haft_handle handle = last = c.create(1);
    CHECK_STATUS(retain_as(handle, "gone"), HAFT_OK);
    CHECK(labels_of(handle).size() == 1);
    if (i % 2) {
      CHECK_STATUS(c.remove(handle), HAFT_OK);
      labels_sweep();  // as JavaScript does, which says nothing of it
    } else {
      CHECK_STATUS(slot_release(handle), HAFT_OK);
      CHECK_STATUS(slot_release(handle), HAFT_OK);
      c.drain();
    }
    CHECK(labels_of(handle).empty());
  }
  CHECK_STATUS(release_as(last, "gone"), HAFT_E_STALE);
  labels_sweep();
  CHECK(labels_of(kept).size() == 1 && labels_of(kept)[0].first == "kept" && labels_of(kept)[0].second == 1);
  // Of an object that was collected the labels stay until the references have been given back.
  CHECK_STATUS(slot_collect(kept, c.id), HAFT_OK);
  labels_sweep();
  CHECK_STATUS(release_as(kept, "other"), HAFT_E_OWNER);
  CHECK_STATUS(release_as(kept, "kept"), HAFT_OK);
  CHECK_STATUS(slot_release(kept), HAFT_OK);
}

void pins_end() {
  say("pins end with their realm");
  char bytes[8];
  void *data;
  uint64_t size;
  haft_handle pinned;
  {
    Consumer c;
    pinned = c.create(1);
    pin_add(pinned, bytes, sizeof bytes);
    CHECK_STATUS(memory_of(pinned, &data, &size), HAFT_OK);
    CHECK(data == bytes && size == sizeof bytes);
    const haft_handle other = c.create(1);
    CHECK_STATUS(memory_of(other, &data, &size), HAFT_E_KIND);
    CHECK(data == nullptr && size == 0);
    CHECK_STATUS(memory_of(pinned, nullptr, &size), HAFT_E_ARGUMENT);
  }
  CHECK_STATUS(memory_of(pinned, &data, &size), HAFT_E_CLOSED);
  CHECK(data == nullptr && size == 0);
}

}  // namespace

int main() {
  collected();
  races();
  labels_end();
  pins_end();
}
