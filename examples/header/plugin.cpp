// The same plugin in C++: references give themselves back.
#include <string>

#include "kinds.h"

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  haft_status status = HAFT_PLUGIN(api);
  if (status != HAFT_OK) return status;
  const haft::result<Counter> counter = Counter::find(realm, "counter", 0);
  if (!counter) return counter.status();
  const haft::result<Report> report = Report::find(realm, "report", 0);
  if (!report) return report.status();

  const haft::result<double> total = counter.value().add(2);
  if (!total) return total.status();
  const haft::result<std::string> text = counter.value().describe("items");
  if (!text) return text.status();
  return report.value().call("C++: total " + std::to_string((int)total.value()) + ", described as " + text.value()).status();
}
