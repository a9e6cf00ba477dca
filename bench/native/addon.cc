// The one addon of the benches: hands the drivers to JavaScript, and haft's table of functions to the drivers.

#include "js.h"

namespace bench {

static napi_value use_haft(const Args &args) {
  void *api;
  must(napi_get_value_external(args.env, args.value(0), &api));
  must(HAFT_PLUGIN(static_cast<const haft_api *>(api)), "HAFT_PLUGIN");
  return nullptr;
}

// (kind, op): the number by which C calls that method.
static napi_value find_op(const Args &args) {
  haft_kind kind;
  haft_op op;
  must(haft_kind_find(args.text(0).c_str(), 0, &kind), "haft_kind_find");
  must(haft_op_find(kind, args.text(1).c_str(), &op), "haft_op_find");
  return to_js(args.env, op);
}

static napi_value clock(const Args &args) { return to_js(args.env, now()); }

static napi_value measure_ping_pong(const Args &args) { return to_js(args.env, ping_pong(args.number(0))); }

}  // namespace bench

NAPI_MODULE_INIT() {
  using namespace bench;
  const napi_property_descriptor functions[] = {
#define FUNCTION(name, callback) \
  { name, nullptr, callback, nullptr, nullptr, nullptr, napi_default, nullptr }
      FUNCTION("useHaft", entry<use_haft>),
      FUNCTION("findOp", entry<find_op>),
      FUNCTION("now", entry<clock>),
      FUNCTION("pingPong", entry<measure_ping_pong>),
      FUNCTION("nativeTable", entry<native_table>),
      FUNCTION("postHaft", entry<post_haft>),
      FUNCTION("postTsfn", entry<post_tsfn>),
      FUNCTION("postRing", entry<post_ring>),
      FUNCTION("postJoin", entry<post_join>),
      FUNCTION("callHaft", entry<call_haft>),
      FUNCTION("callTsfn", entry<call_tsfn>),
      FUNCTION("callJoin", entry<call_join>),
      FUNCTION("callManyHaft", entry<call_many_haft>),
      FUNCTION("busyStart", entry<busy_start>),
      FUNCTION("busyStop", entry<busy_stop>),
      FUNCTION("unpausingHaft", entry<unpausing_haft>),
      FUNCTION("unpausingTsfn", entry<unpausing_tsfn>),
      FUNCTION("unpausingStop", entry<unpausing_stop>),
      FUNCTION("unpausingSent", entry<unpausing_sent>),
      FUNCTION("retainRelease", entry<retain_release>),
      FUNCTION("postAlone", entry<post_alone>),
      FUNCTION("postHandles", entry<post_handles>),
      FUNCTION("postHandlesJoin", entry<post_handles_join>),
      FUNCTION("callText", entry<call_text>),
      FUNCTION("sameThreadHaft", entry<same_thread_haft>),
      FUNCTION("sameThreadNapi", entry<same_thread_napi>),
      FUNCTION("referenceCreate", reference_create),
      FUNCTION("referenceGet", reference_get),
      FUNCTION("referenceDelete", reference_delete),
#undef FUNCTION
  };
  must(napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions));
  return exports;
}
