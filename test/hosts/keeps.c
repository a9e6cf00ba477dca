/* C that keeps memory and weak handles, called on the realm's own thread through koffi: it only asks. */
#include <haft.h>

#include <string.h>

HAFT_EXPORT int use_api(const haft_api *api);
HAFT_EXPORT int use_api(const haft_api *api) { return HAFT_PLUGIN(api); }

HAFT_EXPORT int memory_of(haft_handle handle, uint64_t *data, uint64_t *size);
HAFT_EXPORT int memory_of(haft_handle handle, uint64_t *data, uint64_t *size) {
  void *at = NULL;
  const haft_status status = haft_memory(handle, &at, size);
  *data = (uint64_t)(uintptr_t)at;
  return status;
}

HAFT_EXPORT int fill(haft_handle handle, int byte);
HAFT_EXPORT int fill(haft_handle handle, int byte) {
  void *data;
  uint64_t size;
  const haft_status status = haft_memory(handle, &data, &size);
  if (status == HAFT_OK && size != 0) memset(data, byte, size);
  return status;
}

HAFT_EXPORT double sum(haft_handle handle);
HAFT_EXPORT double sum(haft_handle handle) {
  void *data;
  uint64_t size;
  double total = 0;
  const haft_status status = haft_memory(handle, &data, &size);
  if (status != HAFT_OK) return status;
  for (uint64_t i = 0; i < size; i++) total += ((const unsigned char *)data)[i];
  return total;
}

HAFT_EXPORT int check(haft_handle handle);
HAFT_EXPORT int check(haft_handle handle) { return haft_check(handle, 0); }
HAFT_EXPORT int retain(haft_handle handle);
HAFT_EXPORT int retain(haft_handle handle) { return haft_retain(handle); }
HAFT_EXPORT int release_one(haft_handle handle);
HAFT_EXPORT int release_one(haft_handle handle) { return haft_release(handle); }

HAFT_EXPORT int retain_as(haft_handle handle, const char *label);
HAFT_EXPORT int retain_as(haft_handle handle, const char *label) { return haft_retain_as(handle, label); }
HAFT_EXPORT int release_as(haft_handle handle, const char *label);
HAFT_EXPORT int release_as(haft_handle handle, const char *label) { return haft_release_as(handle, label); }

/* A post and a call of the op of that name, with one number. */
static haft_status op_of(haft_handle handle, const char *name, haft_op *op) {
  haft_kind kind;
  const haft_status status = haft_kind_of(handle, &kind);
  return status == HAFT_OK ? haft_op_find(kind, name, op) : status;
}
HAFT_EXPORT int64_t find_op(haft_handle handle, const char *name);
HAFT_EXPORT int64_t find_op(haft_handle handle, const char *name) {
  haft_op op;
  const haft_status status = op_of(handle, name, &op);
  return status == HAFT_OK ? (int64_t)op : status;
}
HAFT_EXPORT int post_number(haft_handle handle, uint32_t op, double number);
HAFT_EXPORT int post_number(haft_handle handle, uint32_t op, double number) {
  const haft_value arg = haft_value_f64(number);
  return haft_post(handle, op, &arg, 1, HAFT_FAIL);
}
HAFT_EXPORT int post_handle(haft_handle handle, uint32_t op, haft_handle of);
HAFT_EXPORT int post_handle(haft_handle handle, uint32_t op, haft_handle of) {
  const haft_value arg = haft_value_handle(of);
  return haft_post(handle, op, &arg, 1, HAFT_FAIL);
}
/* From a thread of koffi's: the result, or the status. */
HAFT_EXPORT double call_number(haft_handle handle, uint32_t op, double number);
HAFT_EXPORT double call_number(haft_handle handle, uint32_t op, double number) {
  const haft_value arg = haft_value_f64(number);
  haft_value result;
  const haft_status status = haft_call(handle, op, &arg, 1, 20000, &result);
  return status == HAFT_OK ? result.as.f64 : status;
}
