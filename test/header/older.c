/* Built for the kinds of an earlier version of a module, loaded by a later one. */
#include <string.h>

#include "kinds.h"

static void tell(report r, const char *name, haft_status status) {
  const char *text = status == HAFT_OK ? "fits" : haft_last_error()->message;
  report_call(r, name, strlen(name), haft_status_name(status), strlen(haft_status_name(status)), text, strlen(text), -1);
}

haft_status haft_plugin_init(const haft_api *api, haft_realm realm) {
  report r;
  changed c;
  haft_status status = HAFT_PLUGIN(api);
  if (status == HAFT_OK) status = report_find(realm, "report", 0, &r);
  if (status != HAFT_OK) return status;
  tell(r, "same", same_bind());
  tell(r, "longer", longer_bind());
  tell(r, "shorter", shorter_bind());
  tell(r, "renamed", renamed_bind());
  tell(r, "changed", changed_bind());
  /* Not bound, and used all the same: nothing is sent. */
  tell(r, "found", changed_find(realm, "changed", 0, &c));
  c.handle = r.handle;
  tell(r, "called", changed_first(c, 1, -1));
  report_release(r);
  return changed_bind();
}
