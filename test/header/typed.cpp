// The classes of a generated header, as a plugin; with another file of the same library, in C, that has the header too.
#include <cstdio>

#include "kinds.h"

#define CHECK(x)                                                                                                  \
  do {                                                                                                            \
    if (!(x)) {                                                                                                   \
      std::fprintf(stderr, "typed.cpp:%d: %s; the latest error: %s\n", __LINE__, #x, haft_last_error()->message); \
      return HAFT_E_INTERNAL;                                                                                     \
    }                                                                                                             \
  } while (0)

extern "C" haft_kind known_in_c(void);

static_assert(haft::fingerprint(haft::op<void(std::string)>("call")) == REPORT_KIND_FINGERPRINT);

static Report reports;

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  CHECK(HAFT_PLUGIN(api) == HAFT_OK);
  auto report = Report::find(realm, "report", 0);
  auto found = Types::find(realm, "types", 0);
  CHECK(report && found);
  CHECK(known_in_c() == types_known);  // one variable a library
  reports = std::move(report).value();
  const Types types = std::move(found).value();

  CHECK(types.echo_f64(0.5).value() == 0.5 && types.echo_i32(-1).value() == -1);
  CHECK(types.echo_u32(7).value() == 7 && types.echo_i64(-9).value() == -9 && types.echo_bool(true).value());
  CHECK(types.echo_str("text").value() == "text");
  const haft::bytes bytes = {1, 255};
  CHECK(types.echo_bytes(bytes).value() == bytes);
  CHECK(types.join(1, 2, 3, 4, false, "s", bytes).value() == "1 2 3 4 false s [1,255]");
  CHECK(types.sum(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16).value() == 136);
  CHECK(types.add(2) && types.count().value() == 2);
  CHECK(types.op_find().value() == "find" && types.op_delete().value() == "delete" && types.op_2nd(1000).value() == "2nd");

  haft::result<haft::ref> same = types.echo_handle(types.get());
  CHECK(same && same.value().get() == types.get());
  CHECK(Types::from(std::move(same).value()));
  CHECK(!types.echo_handle(HAFT_NULL).value());
  CHECK(Other::find(realm, "types", 0).status() == HAFT_E_KIND && Never::find(realm, "types", 0).status() == HAFT_E_KIND);
  CHECK(Types::find(realm, "nobody", 0).status() == HAFT_E_NOT_FOUND);
  CHECK(types.fail("why").error() == "RangeError: why");

  const Types none;
  CHECK(!none && none.count().status() == HAFT_E_FORGED && none.post_add(1) == HAFT_E_FORGED);
  CHECK(none.async_add(1, 1000, [](haft::result<void>) {}) == HAFT_E_FORGED);

  CHECK(types.post_add(1) == HAFT_OK);
  CHECK(types.async_echo_str("echoed", 1000, [](haft::result<std::string> text) {
    (void)reports.post_call(text.value_or(text.error()));
    (void)reports.post_call("end");
    (void)reports.reference().reset();
  }) == HAFT_OK);
  auto opened = haft::queue::open();
  if (opened) CHECK(types.async_count(1000, opened.value(), nullptr) == HAFT_OK);
  return HAFT_OK;
}
