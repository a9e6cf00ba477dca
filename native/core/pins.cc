// See pins.h.
#include "pins.h"

#include <iterator>
#include <mutex>
#include <unordered_map>

#include "arena.h"
#include "error.h"
#include "process.h"
#include "slots.h"

namespace haft {
namespace {

struct Pin {
  void *data;
  uint64_t size;
};

struct Pins {
  std::mutex mutex;
  std::unordered_map<haft_handle, Pin> known;
};

Pins &pins() {
  static Pins *const all = new Pins;  // never freed: threads may outlive main (P25)
  return *all;
}

}  // namespace

haft_status memory_of(haft_handle handle, void **data, uint64_t *size) {
  if (!data || !size) return fail(HAFT_E_ARGUMENT, handle);
  *data = nullptr;
  *size = 0;
  if (forked.load(std::memory_order_relaxed)) return fail(HAFT_E_FORKED, handle);  // P26: before any lock
  const std::lock_guard<std::mutex> lock(pins().mutex);
  const auto found = pins().known.find(handle);
  // After the look at the pins: a pin goes after its handle, so that one whose pin has just gone is seen to have ended.
  uint64_t word;
  Target target;
  const haft_status status = slot_check(handle, 0, &word, &target);
  if (status != HAFT_OK) return status;
  if (is_host())
    return fail(HAFT_E_UNSUPPORTED, handle, "the memory is another process's: pass it as HAFT_BYTES, or share a file of your own");
  if (found == pins().known.end()) return fail(HAFT_E_KIND, handle, "the handle names no pinned memory");
  *data = found->second.data;
  *size = found->second.size;
  return HAFT_OK;
}

void pin_add(haft_handle handle, void *data, uint64_t size) {
  const std::lock_guard<std::mutex> lock(pins().mutex);
  pins().known[handle] = {data, size};
}

void pin_remove(haft_handle handle) {
  const std::lock_guard<std::mutex> lock(pins().mutex);
  pins().known.erase(handle);
}

void pins_sweep() {
  const std::lock_guard<std::mutex> lock(pins().mutex);
  for (auto pin = pins().known.begin(); pin != pins().known.end();)
    pin = slot_alive(pin->first) ? std::next(pin) : pins().known.erase(pin);
}

}  // namespace haft
