// The signatures of signatures.h, for JavaScript to serve: on its own thread or on another one.
#include "signatures.h"

#include <haft.h>

#include <atomic>
#include <thread>

namespace {

std::string text;
std::thread other;
std::atomic<bool> finished;

const char *kept(std::string value) {
  text = std::move(value);
  return text.c_str();
}

std::string called(uint32_t i, void *function, uint64_t user_data, uint64_t seed, bool dirty) {
  std::string args, result;
  signatures::signature(i).call(function, user_data, seed, dirty, &args, &result);
  return args + "=" + result;
}

}  // namespace

extern "C" {

HAFT_EXPORT uint32_t signature_count() { return signatures::kCount; }
HAFT_EXPORT const char *signature_text(uint32_t i) { return kept(signatures::described(i)); }

// What was passed and what came back: "1|true|'text'=42".
HAFT_EXPORT const char *signature_call(uint32_t i, void *function, uint64_t user_data, uint64_t seed, bool dirty) {
  return kept(called(i, function, user_data, seed, dirty));
}

// The same on another thread; signature_end tells when it is over, else NULL.
HAFT_EXPORT void signature_start(uint32_t i, void *function, uint64_t user_data, uint64_t seed, bool dirty) {
  finished = false;
  other = std::thread([=] {
    text = called(i, function, user_data, seed, dirty);
    finished = true;
  });
}
HAFT_EXPORT const char *signature_end() {
  if (!finished) return nullptr;
  other.join();
  return text.c_str();
}
}
