// What JavaScript tells and asks of the checks of level 2: the histories of handles, who owns their references, and the
// walk over the table. The handle stands in the exchange, as in functions.cc.
#include <cstring>
#include <string>

#include "core/arena.h"
#include "core/checked.h"
#include "core/checks.h"
#include "core/heap.h"
#include "core/history.h"
#include "core/invariants.h"
#include "core/kinds.h"
#include "core/slots.h"
#include "core/wait.h"
#include "edge.h"

namespace haft {
namespace {

constexpr unsigned char kPoison = 0xdb;

// As src/debugging/history.ts numbers them.
enum ScriptDeed : uint32_t { kCreate, kCreateOwn, kRetain, kRelease, kIntern, kDelete, kDrop, kScriptDeeds };
constexpr const char *kScriptDeedNames[kScriptDeeds] = {"create", "create",  "retain", "release",
                                                        "intern", "delete", "last release"};

haft_status change(Edge *edge, uint32_t what, std::string stack) {
  const haft_handle handle = exchanged_handle(edge);
  Deed deed = script_deed(kScriptDeedNames[what], std::move(stack));
  switch (what) {
    case kCreate:
    case kCreateOwn:
      history_create(handle, edge->id, what == kCreateOwn, std::move(deed));
      return HAFT_OK;
    case kDelete:
    case kDrop:
      history_end(handle, std::move(deed));
      return HAFT_OK;
    case kRelease:
      return history_change(handle, Side::kScript, -1, std::move(deed), [=] { return slot_release(handle); });
    default:
      return history_change(handle, Side::kScript, 1, std::move(deed), [=] { return slot_retain(handle); });
  }
}

// (what, the JavaScript stack)
napi_value note(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  Edge *edge = edge_of(env, info, &argc, argv);
  const uint32_t what = Napi::Value(env, argv[0]).As<Napi::Number>();
  std::string stack = Napi::Value(env, argv[1]).As<Napi::String>();
  edge->realm->exchange[kExchangeStatus] =
      what < kScriptDeeds ? change(edge, what, std::move(stack)) : (haft_status)HAFT_E_ARGUMENT;
  return nullptr;
}

// (the JavaScript stack)
napi_value transfer(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Edge *edge = edge_of(env, info, &argc, argv);
  const haft_handle handle = exchanged_handle(edge);
  uint64_t word;
  Target target;
  haft_status status = slot_check(handle, 0, &word, &target);
  if (status == HAFT_OK && check_level() == 2) {
    std::string stack = argc > 0 ? std::string(Napi::Value(env, argv[0]).ToString()) : std::string();
    status = history_transfer(handle, script_deed("transfer", std::move(stack)));
  }
  edge->realm->exchange[kExchangeStatus] = status;
  return nullptr;
}

// Whether a handler may return the handle.
napi_value check_given(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  const haft_handle handle = exchanged_handle(edge);
  uint64_t word;
  Target target;
  haft_status status = slot_check(handle, 0, &word, &target);
  // Who receives these learns it from them, and gives their reference back.
  if (status == HAFT_E_MOVED || status == HAFT_E_COLLECTED) status = HAFT_OK;
  if (status == HAFT_OK && check_level() == 2 && !history_may_give(handle)) status = HAFT_E_OWNER;
  edge->realm->exchange[kExchangeStatus] = status;
  return nullptr;
}

Napi::Object use_of(Napi::Env env, const Deed &deed, double origin) {
  Napi::Object use = Napi::Object::New(env);
  use.Set("what", deed.op == 0 ? std::string(deed.what) : deed.what + ('(' + op_text(deed.op)) + ')');
  use.Set("thread", Napi::Number::New(env, (double)deed.thread));
  use.Set("at", Napi::Number::New(env, (double)deed.at / 1e6 - origin));
  Napi::Array stack = Napi::Array::New(env);
  for (size_t from = 0; from < deed.script.size();) {
    size_t to = deed.script.find('\n', from);
    if (to == std::string::npos) to = deed.script.size();
    stack.Set(stack.Length(), deed.script.substr(from, to - from));
    from = to + 1;
  }
  for (const std::string &frame : trace_lines(deed.native)) stack.Set(stack.Length(), frame);
  use.Set("stack", stack);
  return use;
}

// (milliseconds of the monotonic clock at which the caller's time begins)
napi_value history(napi_env raw, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Edge *edge = edge_of(raw, info, &argc, argv);
  const Napi::Env env(raw);
  const double origin = Napi::Value(raw, argv[0]).As<Napi::Number>();
  History known;
  if (!history_of(exchanged_handle(edge), &known)) return nullptr;
  Napi::Object result = Napi::Object::New(env);
  result.Set("created", use_of(env, known.created, origin));
  Napi::Array references = Napi::Array::New(env);
  for (const Deed &deed : known.references) references.Set(references.Length(), use_of(env, deed, origin));
  result.Set("references", references);
  if (known.last_use.what[0]) result.Set("lastUse", use_of(env, known.last_use, origin));
  result.Set("ended", Napi::Boolean::New(env, known.ended));
  Napi::Object owned = Napi::Object::New(env);
  owned.Set("script", Napi::Number::New(env, script_references(known)));
  owned.Set("native", Napi::Number::New(env, known.native));
  result.Set("owned", owned);
  return result;
}

// Overwrites bytes of a chunk: (offset, length).
napi_value poison(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  Edge *edge = edge_of(env, info, &argc, argv);
  const double offset = Napi::Value(env, argv[0]).As<Napi::Number>();
  const uint32_t length = Napi::Value(env, argv[1]).As<Napi::Number>();
  // P31: an offset of the arena's.
  if (offset > 0 && offset < 9e15 && heap_contains(edge->number, (uint64_t)offset, length))
    memset(at_offset((uint64_t)offset), kPoison, length);
  return nullptr;
}

// What is wrong with the realm's part of the table; nothing while all holds.
napi_value walk(napi_env env, napi_callback_info info) {
  Edge *edge = edge_of(env, info);
  const std::string broken = broken_invariant(edge->id);
  return broken.empty() ? nullptr : static_cast<napi_value>(Napi::String::New(env, broken));
}

// (what is wrong with the table): on standard error, and with "2,abort" the end.
napi_value tell_broken(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  edge_of(env, info, &argc, argv);
  report_broken(std::string(Napi::Value(env, argv[0]).As<Napi::String>()).c_str());
  return nullptr;
}

constexpr Function kFunctions[] = {
    {"note", note}, {"transfer", transfer}, {"checkGiven", check_given}, {"history", history},
    {"poison", poison}, {"walk", walk}, {"tellBroken", tell_broken},
};

}  // namespace

void add_checking(Napi::Env env, Napi::Object realm, Edge *edge) {
  for (const Function &function : kFunctions) add(env, realm, edge, function);
}

}  // namespace haft
