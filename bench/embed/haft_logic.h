/* The logic of logic.mjs, called through haft.h: for a host of `haft run`, and for a program that embeds it. */
#ifndef HAFT_LOGIC_H
#define HAFT_LOGIC_H

#include <haft.h>

#include "measure.h"

static haft_handle rules;
static haft_op add_op, sum_op, work_op;

static void must(haft_status status, const char *doing) {
  if (status != HAFT_OK) fail(doing, haft_last_error()->message);
}

static double call(haft_op op, haft_value argument) {
  haft_value result;
  must(haft_call(rules, op, &argument, 1, -1, &result), "haft_call");
  return result.as.f64;
}

static double add(double x) { return call(add_op, haft_value_f64(x)); }
static double sum(const char *text, size_t length) { return call(sum_op, haft_value_str(text, length)); }
static double work(double microseconds) { return call(work_op, haft_value_f64(microseconds)); }

static const struct logic haft_logic = {add, sum, work};

static void find_logic(haft_realm realm) {
  haft_kind kind;
  must(haft_find(realm, "rules", 0, 10000, &rules), "haft_find");
  must(haft_kind_of(rules, &kind), "haft_kind_of");
  must(haft_op_find(kind, "add", &add_op), "add");
  must(haft_op_find(kind, "sum", &sum_op), "sum");
  must(haft_op_find(kind, "work", &work_op), "work");
}

#endif
