/* A plugin in C: every call has the types of kinds.js. */
#include <stdio.h>

#include "kinds.h"

static haft_status work(counter c, report r) {
  static const char unit[] = "items";
  char line[64];
  double total;
  haft_str text;
  haft_status status = counter_add_post(c, 1, HAFT_FAIL); /* handled when JavaScript comes to it */
  if (status == HAFT_OK) status = counter_add(c, 2, 1000, &total);
  if (status == HAFT_OK) status = counter_describe(c, unit, sizeof unit - 1, 1000, &text);
  if (status != HAFT_OK) return status;
  const int length = snprintf(line, sizeof line, "C: total %g, described as %s", total, text.data);
  haft_str_free(&text); /* a result is the receiver's */
  return report_call(r, line, (size_t)length, 1000);
}

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  counter c;
  report r;
  haft_status status = HAFT_PLUGIN(api);
  if (status == HAFT_OK) status = counter_bind(); /* other ops than kinds.h has: loadPlugin throws HAFT_E_ABI */
  if (status == HAFT_OK) status = counter_find(realm, "counter", 0, &c);
  if (status != HAFT_OK) return status;
  status = report_find(realm, "report", 0, &r);
  if (status == HAFT_OK) {
    status = work(c, r);
    report_release(r);
  }
  counter_release(c);
  return status;
}
