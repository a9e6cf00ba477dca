// Plugins in C++ that throw: exceptions of their own, and those made of a status.
#include <haft.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> failures{0};

void check(bool condition, int line) {
  if (condition) return;
  std::fprintf(stderr, "failures.cpp:%d\n", line);
  failures++;
}
#define CHECK(condition) check(condition, __LINE__)

struct Fail {
  haft_handle handle = HAFT_NULL;
  haft_op op = 0;

  explicit Fail(haft_realm realm) {
    haft_kind kind = 0;
    if (haft_find(realm, "fail", 0, 10000, &handle) != HAFT_OK || haft_kind_of(handle, &kind) != HAFT_OK ||
        haft_op_find(kind, "call", &op) != HAFT_OK)
      throw std::runtime_error(haft_last_error()->message);
  }
  Fail(const Fail &) = delete;
  Fail &operator=(const Fail &) = delete;
  ~Fail() { haft_release(handle); }

  double operator()(double n) const {
    haft_value argument = haft_value_f64(n), result;
    const haft_status status = haft_call(handle, op, &argument, 1, 20000, &result);
    if (status != HAFT_OK) throw std::runtime_error(haft_last_error()->message);
    return result.as.f64;
  }
};

// Throws on every third number by itself, and on every third by JavaScript.
double risky(const Fail &fail, int n) {
  std::vector<std::string> resources(10, std::string(100, 'x'));
  if (n % 3 == 2) throw std::out_of_range("in C++");
  return fail(n);
}

void work(haft_realm realm) {
  try {
    const Fail fail(realm);
    for (int n = 0; n < 600; n++) {
      try {
        CHECK(risky(fail, n) == n && n % 3 == 0);
      } catch (const std::out_of_range &error) {
        CHECK(n % 3 == 2 && std::strcmp(error.what(), "in C++") == 0);
      } catch (const std::runtime_error &error) {
        CHECK(n % 3 == 1 && std::strcmp(error.what(), "in JavaScript") == 0);
      }
    }
    throw 7;
  } catch (int seven) {
    CHECK(seven == 7);
  }
}

void post(haft_realm realm) {
  const Fail fail(realm);
  for (int n = 0; n < 3; n++) {
    haft_value argument = haft_value_f64(n);
    CHECK(haft_post(fail.handle, fail.op, &argument, 1, HAFT_FAIL) == HAFT_OK);
  }
}

}  // namespace

int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  if (HAFT_PLUGIN(api) != HAFT_OK) return 100;
  if (argc > 1 && std::strcmp(argv[1], "post") == 0) {
    post(realm);
    return failures;
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) threads.emplace_back(work, realm);
  for (std::thread &thread : threads) thread.join();
  return failures;
}
