#include <haft.h> /* C holds it by handle. */
#include <stdio.h>
HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm realm, int argc, char **argv) {
  haft_kind kind;
  haft_op add;
  haft_handle counter;
  haft_value two = haft_value_f64(2), total;
  if (HAFT_PLUGIN(api) || haft_kind_find("Counter", 0, &kind) || haft_op_find(kind, "add", &add) ||
      haft_find(realm, "counter", kind, 1000, &counter))
    return fprintf(stderr, "%s\n", haft_last_error()->message), 1;
  haft_post(counter, add, &two, 1, HAFT_FAIL);         /* send and go on */
  if (!haft_call(counter, add, &two, 1, 1000, &total)) /* send and wait, a second at most */
    printf("total: %g\n", total.as.f64);
  haft_release(counter);
  haft_status status = haft_call(42, add, &two, 1, 1000, &total); /* 42 is no handle: a status, not a crash */
  printf("42: %s\n", haft_status_name(status));
  return 0;
}
