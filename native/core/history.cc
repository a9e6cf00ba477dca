// See history.h.
#include "history.h"

#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "error.h"
#include "process.h"
#include "slots.h"
#include "wait.h"

#if __has_include(<execinfo.h>)
#include <execinfo.h>
#else  // musl has none: then the deeds are without stacks
static int backtrace(void **, int) { return 0; }
#endif

namespace haft {
namespace {

constexpr size_t kStripes = 16;

struct alignas(64) Stripe {
  std::mutex mutex;
  std::unordered_map<haft_handle, History> live;
  std::unordered_map<haft_handle, History> ended;
  std::deque<haft_handle> oldest;  // of the ended ones
};

Stripe *stripes() {
  static Stripe *const all = new Stripe[kStripes];  // never freed: threads may outlive main (P25)
  return all;
}

Stripe &stripe_of(haft_handle handle) { return stripes()[handle % kStripes]; }

uint64_t word_of(haft_handle handle) {
  return arena()->slots[handle & kIndexMask].word.load(std::memory_order_acquire);
}

// Whether word A still counts references of this handle.
bool counts(haft_handle handle, uint64_t word) {
  const uint32_t state = word_state(word);
  return word_generation(word) == handle_generation(handle) && (state == kLive || state == kCollected);
}

void keep(History &history, Deed &&deed) {
  if (history.references.size() == kDeedsMost) history.references.erase(history.references.begin());
  history.references.push_back(std::move(deed));
}

// With the lock held.
void end(Stripe &stripe, std::unordered_map<haft_handle, History>::iterator found, Deed &&deed) {
  History &history = found->second;
  history.ended = true;
  keep(history, std::move(deed));
  const haft_handle handle = found->first;
  stripe.oldest.push_back(handle);
  stripe.ended[handle] = std::move(history);
  stripe.live.erase(found);
  if (stripe.oldest.size() <= kEndedMost / kStripes) return;
  stripe.ended.erase(stripe.oldest.front());
  stripe.oldest.pop_front();
}

haft_status owns_none(haft_handle handle, const char *who, uint32_t references) {
  char text[128];
  snprintf(text, sizeof text, "%s owns none of the %" PRIu32 " reference%s of the handle", who, references,
           references == 1 ? "" : "s");
  return fail_with(HAFT_E_OWNER, handle, text);
}

// HAFT_OK unless the side has nothing to give back. A handle that is not alive has a status of its own.
haft_status owner_check(const History &history, Side side) {
  // What the program does that this process is a child of is not known here.
  if (history.own || side == Side::kHaft || attached) return HAFT_OK;
  const uint64_t word = word_of(history.handle);
  if (!counts(history.handle, word)) return HAFT_OK;
  const uint32_t references = word_references(word);
  if (side == Side::kNative) return history.native > 0 ? HAFT_OK : owns_none(history.handle, "native code", references);
  return references > history.native ? HAFT_OK : owns_none(history.handle, "JavaScript", references);
}

Deed deed_of(const char *what) {
  Deed deed;
  deed.what = what;
  deed.thread = (uint64_t)syscall(SYS_gettid);
  deed.at = now_nanoseconds();
  return deed;
}

const void *base_of(const void *address) {
  Dl_info info;
  return dladdr(const_cast<void *>(address), &info) ? info.dli_fbase : nullptr;
}

}  // namespace

Trace take_trace(void *caller) {
  Trace trace;
  void *all[kFramesMost + 16];
  const int n = backtrace(all, (int)(sizeof all / sizeof *all));
  int from = 0;
  while (from < n && all[from] != caller) from++;
  if (from == n) from = 0;
  while (from < n && trace.count < kFramesMost) trace.frames[trace.count++] = all[from++];
  return trace;
}

std::vector<std::string> trace_lines(const Trace &trace) {
  // Of a program that haft is linked into there is nothing to leave out. Else the program is Node, whose frames below
  // those of C say nothing.
  static const void *const ours = base_of(reinterpret_cast<const void *>(&take_trace));
  static const void *const program = base_of(reinterpret_cast<const void *>(getauxval(AT_ENTRY)));
  std::vector<std::string> lines;
  for (uint32_t i = 0; i < trace.count; i++) {
    Dl_info info;
    // A return address is behind the call: for a function that ends with one it would be the next function's.
    void *at = static_cast<char *>(trace.frames[i]) - 1;
    if (!dladdr(at, &info) || !info.dli_fname) continue;
    if (ours != program && info.dli_fbase == ours) continue;
    if (ours != program && info.dli_fbase == program) break;
    const char *slash = strrchr(info.dli_fname, '/');
    const char *library = slash ? slash + 1 : info.dli_fname;
    const auto offset = static_cast<char *>(at) - static_cast<char *>(info.dli_sname ? info.dli_saddr : info.dli_fbase);
    char line[512];
    if (info.dli_sname)
      snprintf(line, sizeof line, "%s+0x%" PRIxPTR " (%s)", info.dli_sname, (uintptr_t)offset, library);
    else
      snprintf(line, sizeof line, "%s+0x%" PRIxPTR, library, (uintptr_t)offset);
    lines.push_back(line);
  }
  return lines;
}

Deed native_deed(const char *what, void *caller, haft_op op) {
  Deed deed = deed_of(what);
  deed.op = op;
  deed.native = take_trace(caller);
  return deed;
}

Deed script_deed(const char *what, std::string stack) {
  Deed deed = deed_of(what);
  deed.script = std::move(stack);
  return deed;
}

void history_create(haft_handle handle, uint64_t realm_id, bool own, Deed deed) {
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  History &history = stripe.live[handle];
  history = History();
  history.handle = handle;
  history.realm_id = realm_id;
  history.kind = word_kind(word_of(handle));
  history.own = own;
  history.created = std::move(deed);
}

haft_status history_change(haft_handle handle, Side side, int change, Deed deed,
                           const std::function<haft_status()> &act) {
  if (forked.load(std::memory_order_relaxed)) return act();  // P26: before any lock
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(handle);
  if (found == stripe.live.end()) return act();
  History &history = found->second;
  if (change < 0) {
    const haft_status status = owner_check(history, side);
    if (status != HAFT_OK) return status;
  }
  const haft_status status = act();
  if (status != HAFT_OK) return status;
  if (side == Side::kNative) history.native += (uint32_t)change;
  if (history.transferred > history.native) history.transferred = history.native;
  const uint64_t word = word_of(handle);
  if (change < 0 && !counts(handle, word)) {
    history.native = 0;
    end(stripe, found, std::move(deed));
    return HAFT_OK;
  }
  if (change < 0 && history.native > word_references(word)) history.native = word_references(word);
  keep(history, std::move(deed));
  return HAFT_OK;
}

void history_receive(haft_handle handle, Deed deed) {
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(handle);
  if (found == stripe.live.end()) return;
  History &history = found->second;
  const uint64_t word = word_of(handle);
  const bool is_known = counts(handle, word) && history.native >= word_references(word);  // native code's since its transfer
  if (!is_known) history.native++;
  if (is_known && history.transferred > 0) history.transferred--;
  keep(history, std::move(deed));
}

haft_status history_transfer(haft_handle handle, Deed deed) {
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(handle);
  if (found == stripe.live.end()) return HAFT_OK;
  const haft_status status = owner_check(found->second, Side::kScript);
  if (status != HAFT_OK) return status;
  found->second.native++;
  found->second.transferred++;
  keep(found->second, std::move(deed));
  return HAFT_OK;
}

bool history_may_give(haft_handle handle) {
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(handle);
  if (found == stripe.live.end() || found->second.own || found->second.transferred > 0 || attached) return true;
  const uint64_t word = word_of(handle);
  return !counts(handle, word) || word_references(word) > found->second.native;
}

void history_use(haft_handle handle, Deed deed) {
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(handle);
  if (found != stripe.live.end()) found->second.last_use = std::move(deed);
}

void history_end(haft_handle handle, Deed deed) {
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(handle);
  if (found != stripe.live.end()) end(stripe, found, std::move(deed));
}

void history_move(haft_handle handle, haft_handle now, Deed deed) {
  uint32_t native = 0;
  {
    Stripe &stripe = stripe_of(handle);
    const std::lock_guard<std::mutex> lock(stripe.mutex);
    const auto found = stripe.live.find(handle);
    if (found == stripe.live.end()) return;
    native = found->second.native;
    found->second.native = 0;
    end(stripe, found, std::move(deed));
  }
  Stripe &stripe = stripe_of(now);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto found = stripe.live.find(now);
  if (found != stripe.live.end()) found->second.native += native;
}

void history_forget(uint64_t realm_id) {
  for (size_t i = 0; i < kStripes; i++) {
    Stripe &stripe = stripes()[i];
    const std::lock_guard<std::mutex> lock(stripe.mutex);
    for (auto at = stripe.live.begin(); at != stripe.live.end();)
      at = at->second.realm_id == realm_id ? stripe.live.erase(at) : std::next(at);
  }
}

bool history_of(haft_handle handle, History *copy) {
  if (handle >> 52 != 1) return false;
  Stripe &stripe = stripe_of(handle);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto live = stripe.live.find(handle);
  if (live != stripe.live.end()) {
    *copy = live->second;
    return true;
  }
  const auto ended = stripe.ended.find(handle);
  if (ended == stripe.ended.end()) return false;
  *copy = ended->second;
  return true;
}

uint32_t script_references(const History &history) {
  const uint64_t word = word_of(history.handle);
  if (!counts(history.handle, word) || word_references(word) < history.native) return 0;
  return word_references(word) - history.native;
}

}  // namespace haft
