// The peer of bench `publish`: objects held by Node-API references, named by an id that native code may keep.
// The table of references belongs to JavaScript's thread, as the references do, so it needs no lock; ids are
// positions, reused from a list of free ones, so no hashing either. Unlike haft's, they are not checked.

#include "js.h"

namespace bench {
namespace {

std::vector<napi_ref> references;
std::vector<uint32_t> unused;

napi_value argument(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  return value;
}

uint32_t id_argument(napi_env env, napi_callback_info info) {
  uint32_t id = 0;
  napi_get_value_uint32(env, argument(env, info), &id);
  return id;
}

}  // namespace

// (object): its id.
napi_value reference_create(napi_env env, napi_callback_info info) {
  uint32_t id;
  if (unused.empty()) {
    id = static_cast<uint32_t>(references.size());
    references.push_back(nullptr);
  } else {
    id = unused.back();
    unused.pop_back();
  }
  napi_create_reference(env, argument(env, info), 1, &references[id]);
  napi_value result;
  napi_create_uint32(env, id, &result);
  return result;
}

// (id): the object.
napi_value reference_get(napi_env env, napi_callback_info info) {
  napi_value object = nullptr;
  napi_get_reference_value(env, references[id_argument(env, info)], &object);
  return object;
}

// (id)
napi_value reference_delete(napi_env env, napi_callback_info info) {
  uint32_t id = id_argument(env, info);
  napi_delete_reference(env, references[id]);
  unused.push_back(id);
  return nullptr;
}

}  // namespace bench
