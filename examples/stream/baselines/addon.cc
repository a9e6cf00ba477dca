// addon.cc: what registry.js sees of a table, and what a host sees of it: the haft_api functions.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "delivery.h"
#include "kinds.h"
#include "tables.h"
#include "values.h"

namespace baselines {
namespace {

constexpr haft_realm kRealm = 1;

// The one open table of the process. Never freed: a native thread may still come when the process ends.
struct Realm {
  Kinds kinds;
  std::unique_ptr<Table> table;
  std::unique_ptr<Delivery> delivery;
  std::mutex mutex;
  std::map<std::string, haft_handle> published;
};

Realm &realm() {
  static Realm *realm = new Realm;
  return *realm;
}

// ---- haft_api --------------------------------------------------------------------------------------------

haft_status Retain(haft_handle handle) { return realm().table->Retain(handle); }

haft_status Release(haft_handle handle) {
  Released released = realm().table->Release(handle);
  if (released.last) realm().delivery->Drop(handle);
  return released.status;
}

haft_status KindOf(haft_handle handle, haft_kind *kind) { return realm().table->KindOf(handle, kind); }

haft_status Check(haft_handle handle, haft_kind kind) {
  haft_kind is;
  haft_status status = KindOf(handle, &is);
  return status == HAFT_OK && kind != 0 && is != kind ? HAFT_E_KIND : status;
}

haft_status RealmOf(haft_handle handle, haft_realm *of) {
  *of = kRealm;
  return Check(handle, 0);
}

haft_status KindFind(const char *name, uint64_t, haft_kind *kind) { return realm().kinds.Find(name, kind); }

haft_status OpFind(haft_kind kind, const char *name, haft_op *op) { return realm().kinds.FindOp(kind, name, op); }

// Does not wait: here everything is published before the host starts.
haft_status Find(haft_realm, const char *name, haft_kind kind, int64_t, haft_handle *found) {
  std::lock_guard lock(realm().mutex);
  auto entry = realm().published.find(name);
  if (entry == realm().published.end()) return HAFT_E_NOT_FOUND;
  haft_status status = Check(entry->second, kind);
  if (status == HAFT_OK) status = Retain(entry->second);
  if (status == HAFT_OK) *found = entry->second;
  return status;
}

haft_status RealmCheck(haft_realm) { return realm().delivery->Closed() ? HAFT_E_CLOSED : HAFT_OK; }

// The queue has no bound, and is never full.
haft_status Post(haft_handle handle, haft_op op, const haft_value *args, size_t count, haft_full) {
  return realm().delivery->Post(handle, op, args, count);
}

// Waits for as long as it takes: a timeout would need messages that outlive their callers.
haft_status CallMany(haft_request *requests, size_t count, int64_t timeout_ms) {
  return timeout_ms < 0 ? realm().delivery->CallMany(requests, count) : HAFT_E_UNSUPPORTED;
}

haft_status Call(haft_handle handle, haft_op op, const haft_value *args, size_t count, int64_t timeout_ms,
                 haft_value *result) {
  haft_request request{};
  request.handle = handle;
  request.op = op;
  request.args = args;
  request.count = static_cast<uint32_t>(count);
  haft_status status = CallMany(&request, 1, timeout_ms);
  if (result && status == HAFT_OK) {
    *result = request.result;
  } else {
    haft_value_free(&request.result);
  }
  return status;
}

void ValueFree(haft_value *value) {
  if (!value) return;
  if (value->type == HAFT_STR) std::free(const_cast<char*>(value->as.str));
  *value = haft_value_make(HAFT_VOID, 0);
}

const char *StatusName(haft_status status) {
  switch (status) {
#define STATUS_NAME(name, number, message, next) \
  case number:                                   \
    return "HAFT_" #name;
    HAFT_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
  }
  return "HAFT_E_UNKNOWN";
}

const char *StatusMessage(haft_status status) {
  switch (status) {
#define STATUS_MESSAGE(name, number, message, next) \
  case number:                                      \
    return message;
    HAFT_STATUS_MAP(STATUS_MESSAGE)
#undef STATUS_MESSAGE
  }
  return "unknown status";
}

// Not kept here: every request of CallMany carries its own reason.
const haft_error *LastError() {
  static const haft_error none = {sizeof none, HAFT_OK, HAFT_NULL, "HAFT_OK", "success", ""};
  return &none;
}

// What the example needs of version 1.0: a shorter table, which haft.h takes as such.
const haft_api kApi = [] {
  haft_api api = {};
  api.size = offsetof(haft_api, call_async);
  api.major = HAFT_VERSION_MAJOR;
  api.retain = Retain;
  api.release = Release;
  api.check = Check;
  api.kind_of = KindOf;
  api.realm_of = RealmOf;
  api.kind_find = KindFind;
  api.op_find = OpFind;
  api.find = Find;
  api.realm_check = RealmCheck;
  api.post = Post;
  api.call = Call;
  api.call_many = CallMany;
  api.value_free = ValueFree;
  api.last_error = LastError;
  api.status_name = StatusName;
  api.status_message = StatusMessage;
  return api;
}();

// ---- What registry.js sees -------------------------------------------------------------------------------

struct Args {
  napi_env env;
  size_t count = 4;
  napi_value at[4];

  Args(napi_env env, napi_callback_info info) : env(env) {
    napi_get_cb_info(env, info, &count, at, nullptr, nullptr);
  }

  double Number(size_t i) const {
    double number = 0;
    napi_get_value_double(env, at[i], &number);
    return number;
  }

  std::string String(size_t i) const { return StringOf(env, at[i]); }

  static std::string StringOf(napi_env env, napi_value value) {
    size_t length = 0;
    napi_get_value_string_utf8(env, value, nullptr, 0, &length);
    std::string text(length, 0);
    napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
    return text;
  }
};

napi_value Number(napi_env env, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  return value;
}

std::string Property(napi_env env, napi_value object, const char *name) {
  napi_value value;
  napi_get_named_property(env, object, name, &value);
  return Args::StringOf(env, value);
}

// open(table: string, drop: (count) => void, dropped: Float64Array): void
napi_value Open(napi_env env, napi_callback_info info) {
  Args args(env, info);
  if (realm().table) {
    napi_throw_error(env, nullptr, "one process opens one baseline table");
    return nullptr;
  }
  void *dropped;
  size_t room;
  napi_get_typedarray_info(env, args.at[2], nullptr, &room, &dropped, nullptr, nullptr);
  if (args.String(0) == "big-old-map") {
    realm().table = std::make_unique<BigOldMap>();
  } else {
    realm().table = std::make_unique<ShardedMap>();
  }
  realm().delivery = std::make_unique<Delivery>(env, realm().table.get(), &realm().kinds, args.at[1],
                                                static_cast<double*>(dropped), room);
  return nullptr;
}

// define(name: string, ops: { name: string, returns: string, run: (handle, ...args) => unknown }[]): number
napi_value Define(napi_env env, napi_callback_info info) {
  Args args(env, info);
  uint32_t count = 0;
  Kind kind{args.String(0), {}};
  napi_get_array_length(env, args.at[1], &count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value op, run;
    napi_ref function;
    napi_get_element(env, args.at[1], i, &op);
    napi_get_named_property(env, op, "run", &run);
    napi_create_reference(env, run, 1, &function);
    kind.ops.push_back({Property(env, op, "name"), TypeNamed(Property(env, op, "returns")), function});
  }
  return Number(env, realm().kinds.Add(std::move(kind)));
}

// create(kind: number): number
napi_value Create(napi_env env, napi_callback_info info) {
  Args args(env, info);
  return Number(env, static_cast<double>(realm().table->Create(static_cast<haft_kind>(args.Number(0)))));
}

// remove(handle: number): boolean
napi_value Remove(napi_env env, napi_callback_info info) {
  Args args(env, info);
  napi_value removed;
  napi_get_boolean(env, realm().table->Delete(static_cast<haft_handle>(args.Number(0))), &removed);
  return removed;
}

// publish(name: string, handle: number): void
napi_value Publish(napi_env env, napi_callback_info info) {
  Args args(env, info);
  std::lock_guard lock(realm().mutex);
  realm().published[args.String(0)] = static_cast<haft_handle>(args.Number(1));
  return nullptr;
}

// created(): number
napi_value Created(napi_env env, napi_callback_info) {
  return Number(env, static_cast<double>(realm().table->Created()));
}

// close(): void. What is queued, and what a running host still asks, is HAFT_E_CLOSED.
napi_value Close(napi_env, napi_callback_info) {
  realm().delivery->Close();
  return nullptr;
}

// A host on its thread.
struct Host {
  std::string path;
  std::vector<std::string> args;
  int (*main)(const haft_api*, haft_realm, int, char**);
  int code = 1;
  std::thread thread;
  napi_threadsafe_function ended;

  void Run() {
    std::vector<char*> argv{path.data()};
    for (std::string &arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    code = main(&kApi, kRealm, static_cast<int>(argv.size()) - 1, argv.data());
    napi_call_threadsafe_function(ended, this, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(ended, napi_tsfn_release);
  }

  static void OnEnded(napi_env env, napi_value callback, void*, void *data) {
    std::unique_ptr<Host> host(static_cast<Host*>(data));
    host->thread.join();
    if (!env) return;
    napi_value receiver, code = Number(env, host->code);
    realm().delivery->KeepAlive(false);
    napi_get_undefined(env, &receiver);
    napi_call_function(env, receiver, callback, 1, &code, nullptr);
  }
};

// runHost(path: string, args: string[], ended: (code: number) => void): void
napi_value RunHost(napi_env env, napi_callback_info info) {
  Args args(env, info);
  auto host = std::make_unique<Host>();
  host->path = args.String(0);
  uint32_t count = 0;
  napi_get_array_length(env, args.at[1], &count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value arg;
    napi_get_element(env, args.at[1], i, &arg);
    host->args.push_back(Args::StringOf(env, arg));
  }
  void *library = dlopen(host->path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *main = library ? dlsym(library, "haft_host_main") : nullptr;
  if (!main) {
    napi_throw_error(env, nullptr, dlerror());
    return nullptr;
  }
  std::memcpy(&host->main, &main, sizeof main);
  napi_value name;
  napi_create_string_utf8(env, "host", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, args.at[2], nullptr, name, 0, 1, nullptr, nullptr, nullptr, Host::OnEnded,
                                  &host->ended);
  realm().delivery->KeepAlive(true);
  Host *running = host.release();
  running->thread = std::thread([running] { running->Run(); });
  return nullptr;
}

napi_value Init(napi_env env, napi_value exports) {
  HAFT_PLUGIN(&kApi);  // for the inline functions of haft.h, in this addon's own files
  const struct {
    const char *name;
    napi_callback function;
  } functions[] = {{"open", Open},       {"define", Define},   {"create", Create}, {"remove", Remove},
                   {"publish", Publish}, {"created", Created}, {"close", Close},   {"runHost", RunHost}};
  for (const auto& [name, function] : functions) {
    napi_value value;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  }
  return exports;
}

}  // namespace
}  // namespace baselines

NAPI_MODULE(baselines, baselines::Init)
