// Kinds, defined by many threads at once, and names, published while others look for them.
#include "support.h"

using namespace test;

namespace {

void one_number_per_kind() {
  say("one number per kind");
  constexpr int kThreads = 4;
  const int kinds = std::min(amount(3000), 6000);
  std::vector<std::vector<haft_kind>> numbers(kThreads, std::vector<haft_kind>(kinds));
  Barrier begin(kThreads);
  CHECK(arena_open());
  Threads threads;
  threads.start(kThreads, [&](int me) {
    begin.wait();
    for (int i = 0; i < kinds; i++) {
      const std::string name = "kind" + std::to_string(i / 2);
      const std::string ops = std::string("first\0second", 12) + std::string(1, '\0');
      haft_kind kind = 0;
      // Two definitions of every name: another fingerprint is another kind.
      CHECK_STATUS(kind_define(name.data(), name.size(), 100 + i % 2, ops.data(), ops.size(), &kind), HAFT_OK);
      numbers[me][i] = kind;
      haft_kind found = 0;
      CHECK_STATUS(kind_find(name.c_str(), 100 + i % 2, &found), HAFT_OK);
      CHECK(found == kind);
      haft_op op = 0;
      CHECK_STATUS(op_find(kind, "second", &op), HAFT_OK);
      CHECK(op == HAFT_OP(kind, 1) && kind_ops(kind) == 2);
      CHECK_STATUS(op_find(kind, "third", &op), HAFT_E_OP);
    }
  });
  threads.join();
  std::vector<bool> used(kKinds, false);
  for (int i = 0; i < kinds; i++) {
    for (int t = 1; t < kThreads; t++) CHECK(numbers[t][i] == numbers[0][i]);
    CHECK(numbers[0][i] > 0 && numbers[0][i] < kKinds && !used[numbers[0][i]]);
    used[numbers[0][i]] = true;
  }
  haft_kind found;
  CHECK_STATUS(kind_find("kind0", 999, &found), HAFT_E_ABI);
  CHECK_STATUS(kind_find("kind0", 0, &found), HAFT_OK);
  CHECK_STATUS(kind_find("no such kind", 0, &found), HAFT_E_NOT_FOUND);
  CHECK_STATUS(kind_define("", 0, 1, "", 0, &found), HAFT_E_ARGUMENT);
  CHECK_STATUS(kind_define(std::string(kKindNameBytes + 1, 'k').data(), kKindNameBytes + 1, 1, "", 0, &found),
               HAFT_E_ARGUMENT);
}

// What a definition says of its ops, and how one differs from what C was built for.
void signatures() {
  say("signatures of kinds");
  CHECK(arena_open());
  const auto define = [](const char *name, const std::vector<const char *> &ops, const std::vector<const char *> &types) {
    std::string names, signatures, text;
    for (size_t i = 0; i < ops.size(); i++) {
      names += std::string(ops[i]) + '\0';
      signatures += std::string(types[i]) + '\0';
      text += std::string(i ? ";" : "") + ops[i] + types[i];
    }
    haft_kind kind = 0;
    CHECK_STATUS(kind_define(name, strlen(name), hash_bytes(text.data(), text.size()), names.data(), names.size(), &kind,
                             signatures.data(), signatures.size()),
                 HAFT_OK);
    return kind;
  };
  const haft_kind kind = define("Signed", {"add", "all", "none", "odd"},
                                {"(f64):f64", "(i32,u32,i64,bool,handle,str,bytes):bytes", "():void", "(u64):void"});
  const OpTypes &add = op_types(HAFT_OP(kind, 0)), &all = op_types(HAFT_OP(kind, 1)), &none = op_types(HAFT_OP(kind, 2));
  CHECK(add.known && add.count == 1 && add.args == HAFT_F64 && add.returns == HAFT_F64);
  CHECK(all.known && all.count == 7 && all.args == 0x8765432 && all.returns == HAFT_BYTES);
  CHECK(none.known && none.count == 0 && none.returns == HAFT_VOID);
  CHECK(!op_types(HAFT_OP(kind, 3)).known);  // no type of haft_type's
  CHECK(op_text(HAFT_OP(kind, 1)) == "Signed.all");
  CHECK(op_text(HAFT_OP(kind, 9)) == "op " + std::to_string(HAFT_OP(kind, 9)));
  CHECK(op_text(0) == "op 0" && op_text(UINT32_MAX) == "op 4294967295");

  const haft_kind small = define("Small", {"add", "name"}, {"(f64):f64", "():str"});
  haft_kind found = 0;
  CHECK_STATUS(kind_match("Small", "add(f64):f64;name():str", &found), HAFT_OK);
  CHECK(found == small);
  const auto differs = [](const char *given, const char *message) {
    haft_kind other;
    CHECK_STATUS(kind_match("Small", given, &other), HAFT_E_ABI);
    if (strcmp(last_error()->message, message) != 0) fail_at(__FILE__, __LINE__, message, last_error()->message);
    CHECK(last_error()->rule == 14 && strstr(last_error()->next, "(pointer rule 14)"));
  };
  differs("add(f64):f64", "op 1 of Small is name():str in JavaScript, where C was built without it");
  differs("add(f64):f64;name():str;more():void", "Small has no op more():void in JavaScript, where C was built with it");
  differs("add(i32):f64;name():str", "op 0 of Small is add(f64):f64 in JavaScript, and add(i32):f64 where C was built");
  differs("", "op 0 of Small is add(f64):f64 in JavaScript, where C was built without it");
  CHECK_STATUS(kind_match("Smaller", "", &found), HAFT_E_NOT_FOUND);
  CHECK_STATUS(kind_match(nullptr, "", &found), HAFT_E_ARGUMENT);
  CHECK_STATUS(kind_match("Small", nullptr, &found), HAFT_E_ARGUMENT);
  CHECK_STATUS(kind_match("Small", "", nullptr), HAFT_E_ARGUMENT);
}

// Finders wait for names that come, change and go; each handle found carries a reference.
void publish_and_find() {
  say("names: publish and find");
  constexpr int kThreads = 3, kWords = 8;
  const haft_kind kind = define_kind("named");
  const int rounds = amount(20'000);
  std::atomic<haft_realm> id{0};
  std::atomic<int> running{kThreads};
  std::atomic<uint64_t> found_count{0};
  std::thread owner([&] {
    Consumer c;
    Random random(7000);
    haft_handle current[kWords] = {};
    id = c.id;
    while (running.load() > 0) {
      const uint32_t w = random.below(kWords);
      const std::string name = "name" + std::to_string(w);
      const haft_handle next = random.once_in(4) ? HAFT_NULL : c.create(kind, w);
      if (random.once_in(2)) {
        // The old object may end before its name is taken over: then the name finds nothing.
        if (current[w] != HAFT_NULL) CHECK_STATUS(slot_release(current[w]), HAFT_OK);
        CHECK_STATUS(name_publish(c.number, name.data(), name.size(), next), HAFT_OK);
      } else {
        CHECK_STATUS(name_publish(c.number, name.data(), name.size(), next), HAFT_OK);
        if (current[w] != HAFT_NULL) CHECK_STATUS(slot_release(current[w]), HAFT_OK);
      }
      current[w] = next;
      c.drain();
      jitter(random, 4);
    }
    for (uint32_t w = 0; w < kWords; w++) {
      if (current[w] != HAFT_NULL) CHECK_STATUS(slot_release(current[w]), HAFT_OK);
    }
    c.drain();
    CHECK(c.live() == 0);
  });
  while (id.load() == 0) sched_yield();
  Threads threads;
  threads.start(kThreads, [&](int me) {
    Random random(7100 + me);
    for (int i = 0; i < rounds; i++) {
      const std::string name = "name" + std::to_string(random.below(kWords));
      haft_handle handle = 1;
      const haft_status status = name_find(id, name.c_str(), kind, random.once_in(3) ? -1 : 0, &handle);
      CHECK(status == HAFT_OK || status == HAFT_E_NOT_FOUND);
      if (status != HAFT_OK) {
        CHECK(handle == HAFT_NULL);
        continue;
      }
      found_count++;
      uint64_t word;
      Target target;
      CHECK_STATUS(slot_check(handle, kind, &word, &target), HAFT_OK);
      CHECK_STATUS(slot_release(handle), HAFT_OK);
    }
    running--;
  });
  threads.join();
  owner.join();
  CHECK(found_count.load() > 0);
}

void names_of_a_realm() {
  say("names: bounds");
  const haft_kind kind = define_kind("named"), other = define_kind("other");
  Consumer c;
  const haft_handle handle = c.create(kind);
  haft_handle found;
  const std::string longest(kNameBytes, 'n'), longer(kNameBytes + 1, 'n');
  CHECK_STATUS(name_publish(c.number, "", 0, handle), HAFT_E_ARGUMENT);
  CHECK_STATUS(name_publish(c.number, longer.data(), longer.size(), handle), HAFT_E_ARGUMENT);
  CHECK_STATUS(name_publish(c.number, longest.data(), longest.size(), handle), HAFT_OK);
  CHECK_STATUS(name_find(c.id, longest.c_str(), 0, 0, &found), HAFT_OK);
  CHECK(found == handle);
  CHECK_STATUS(slot_release(found), HAFT_OK);
  CHECK_STATUS(name_find(c.id, longest.c_str(), other, 0, &found), HAFT_E_KIND);
  CHECK_STATUS(name_find(c.id, longer.c_str(), 0, 0, &found), HAFT_E_ARGUMENT);
  CHECK_STATUS(name_find(c.id, "", 0, 0, &found), HAFT_E_ARGUMENT);
  CHECK_STATUS(name_find(c.id, "nobody", 0, 1000'000, &found), HAFT_E_NOT_FOUND);  // the own thread does not wait
  for (uint32_t i = 1; i < kNames; i++) {
    const std::string name = "n" + std::to_string(i);
    CHECK_STATUS(name_publish(c.number, name.data(), name.size(), handle), HAFT_OK);
  }
  CHECK_STATUS(name_publish(c.number, "one more", 8, handle), HAFT_E_SLOTS);
  CHECK_STATUS(name_find(c.id, "one more", 0, 0, &found), HAFT_E_NOT_FOUND);
  for (uint32_t i = 1; i < kNames; i++) {
    CHECK_STATUS(name_find(c.id, ("n" + std::to_string(i)).c_str(), kind, 0, &found), HAFT_OK);
    CHECK_STATUS(slot_release(found), HAFT_OK);
  }
  CHECK_STATUS(c.remove(handle), HAFT_OK);
  CHECK_STATUS(name_find(c.id, "n5", 0, 0, &found), HAFT_E_NOT_FOUND);
}

}  // namespace

int main() {
  names_of_a_realm();
  one_number_per_kind();
  signatures();
  publish_and_find();
}
