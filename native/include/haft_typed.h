/*
** haft_typed.h: what the headers that `haft header` writes have in common: a kind that is looked up once, and results
** with their types. They include it; docs/header.md is their manual, haft.h is that of everything below them.
*/
#ifndef HAFT_TYPED_H
#define HAFT_TYPED_H

#include "haft.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Results ----------------------------------------------------------------------------------------- */

/* A string that a call returned: UTF-8, with a NUL behind it that `length` does not count. It belongs to the receiver,
** who gives it back with haft_str_free, once. Where there is no result, `data` is NULL. */
typedef struct haft_str {
  const char *data;
  size_t length;
} haft_str;

/* Bytes that a call returned. They belong to the receiver, who gives them back with haft_bytes_free, once. */
typedef struct haft_bytes {
  const uint8_t *data;
  size_t length;
} haft_bytes;

/* Frees the memory and makes it empty, so that a second call does nothing; a copy of the struct must not be freed too
** (as haft_value_free). NULL and what is empty are allowed. */
static inline void haft_str_free(haft_str *text) {
  haft_value value;
  if (!text || !text->data) return;
  value = haft_value_str(text->data, text->length);
  haft_value_free(&value);
  text->data = NULL;
  text->length = 0;
}
static inline void haft_bytes_free(haft_bytes *bytes) {
  haft_value value;
  if (!bytes || !bytes->data) return;
  value = haft_value_bytes(bytes->data, bytes->length);
  haft_value_free(&value);
  bytes->data = NULL;
  bytes->length = 0;
}

/* What a call has ended with, as a value of one type. On HAFT_OK `*result` is the value, and memory or a reference that
** came with it is the receiver's; `*from` has it no longer. Otherwise `*result` is 0 or empty and `*from` is left alone.
** With NULL for `result` nothing is taken. Returns `status`, or HAFT_E_ABI: the value is of another type. */
static inline haft_status haft_typed_status(haft_status status, const haft_value *from, haft_type type) {
  return status == HAFT_OK && from->type != (uint32_t)type ? (haft_status)HAFT_E_ABI : status;
}
static inline haft_status haft_take_f64(haft_status status, const haft_value *from, double *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_F64);
  *result = status == HAFT_OK ? from->as.f64 : 0;
  return status;
}
static inline haft_status haft_take_i32(haft_status status, const haft_value *from, int32_t *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_I32);
  *result = status == HAFT_OK ? from->as.i32 : 0;
  return status;
}
static inline haft_status haft_take_u32(haft_status status, const haft_value *from, uint32_t *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_U32);
  *result = status == HAFT_OK ? from->as.u32 : 0;
  return status;
}
static inline haft_status haft_take_i64(haft_status status, const haft_value *from, int64_t *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_I64);
  *result = status == HAFT_OK ? from->as.i64 : 0;
  return status;
}
static inline haft_status haft_take_bool(haft_status status, const haft_value *from, bool *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_BOOL);
  *result = status == HAFT_OK && from->as.b;
  return status;
}
static inline haft_status haft_take_handle(haft_status status, haft_value *from, haft_handle *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_HANDLE);
  *result = status == HAFT_OK ? from->as.handle : HAFT_NULL;
  if (status == HAFT_OK) from->type = HAFT_VOID;
  return status;
}
static inline haft_status haft_take_str(haft_status status, haft_value *from, haft_str *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_STR);
  result->data = status == HAFT_OK ? from->as.str : NULL;
  result->length = status == HAFT_OK ? from->length : 0;
  if (status == HAFT_OK) from->type = HAFT_VOID;
  return status;
}
static inline haft_status haft_take_bytes(haft_status status, haft_value *from, haft_bytes *result) {
  if (!result) return status;
  status = haft_typed_status(status, from, HAFT_BYTES);
  result->data = status == HAFT_OK ? (const uint8_t *)from->as.bytes : NULL;
  result->length = status == HAFT_OK ? from->length : 0;
  if (status == HAFT_OK) from->type = HAFT_VOID;
  return status;
}

/* ---- Kinds ------------------------------------------------------------------------------------------- */

/* Before a variable that a header defines: one a shared library, however many files include the header. */
#if defined(_MSC_VER)
#define HAFT_TYPED_SHARED extern __declspec(selectany)
#else
#define HAFT_TYPED_SHARED __attribute__((weak, visibility("hidden")))
#endif

/* The number of a kind with exactly these ops, looked up until it is found, and then no more: kinds keep their numbers
** for as long as the process lives. Any number of threads may look at once. Statuses as haft_kind_match. */
static inline haft_status haft_typed_bind(haft_kind *known, const char *name, const char *signatures,
                                          uint64_t fingerprint, haft_kind *kind) {
  haft_status status;
  /* Relaxed: the number alone is read here, and haft orders what it stands for whenever it looks at it. */
#if defined(_MSC_VER)
  *kind = *(volatile haft_kind *)known;
#else
  *kind = __atomic_load_n(known, __ATOMIC_RELAXED);
#endif
  if (*kind != 0) return HAFT_OK;
  /* A haft before 1.3 compares too, but does not name what differs. */
  status = HAFT_HAS(kind_match) ? haft_kind_match(name, signatures, kind) : haft_kind_find(name, fingerprint, kind);
  if (status != HAFT_OK) return status;
#if defined(_MSC_VER)
  *(volatile haft_kind *)known = *kind;
#else
  __atomic_store_n(known, *kind, __ATOMIC_RELAXED);
#endif
  return HAFT_OK;
}

/* Whether a handle is of the kind that `bound`, the status of haft_typed_bind, is about. Statuses of both, and of
** haft_check. Of a kind that JavaScript has not defined there is no object, so that any handle is of another. */
static inline haft_status haft_typed_check(haft_status bound, haft_handle handle, haft_kind kind) {
  if (bound == HAFT_E_NOT_FOUND) return haft_check(handle, UINT32_MAX);
  return bound == HAFT_OK ? haft_check(handle, kind) : bound;
}

#ifdef __cplusplus
}
#endif
#endif
