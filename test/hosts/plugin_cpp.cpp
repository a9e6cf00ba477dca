// A plugin in C++: it keeps a function and an object of JavaScript's for a thread of its own, which it lets run.
#include <haft.hpp>
#include <memory>
#include <thread>

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  const haft_status status = HAFT_PLUGIN(api);
  if (status != HAFT_OK) return status;
  auto double_of = haft::fn<double(double)>::find(realm, "double", 0);
  if (!double_of) return double_of.status();
  haft::result<haft::ref> counter = haft::find(realm, "counter", 0, 0);
  if (!counter) return counter.status();
  const haft::result<double> four = double_of(2);
  if (!four) return four.status();
  std::thread([double_of = std::move(double_of), counter = std::move(counter).value(), n = four.value()] {
    const haft::method<double(double)> add("Counter", "add");
    const haft::result<double> more = double_of(n);
    (void)add(counter, more.value_or(-1)); // 8; or -1, which the test sees
  }).detach();
  return HAFT_OK;
}
