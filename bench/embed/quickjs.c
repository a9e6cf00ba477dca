/* rules.mjs in QuickJS-ng: one runtime, and a lock around it. Arguments: rules.mjs, then those of measure.h. */
#include <pthread.h>
#include <quickjs.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static JSContext *context;
static JSValue rules, add_function, sum_function;

static void must(JSValue value, const char *doing) {
  if (!JS_IsException(value)) return;
  const JSValue exception = JS_GetException(context);
  fail(doing, JS_ToCString(context, exception));
}

/* With the lock. The runtime measures its stack from where it is told: each thread has its own. */
static double call(JSValue function, JSValue argument) {
  double result;
  JS_UpdateStackTop(JS_GetRuntime(context));
  const JSValue value = JS_Call(context, function, rules, 1, &argument);
  must(value, "JS_Call");
  if (JS_ToFloat64(context, &result, value)) fail("JS_ToFloat64", "no number");
  JS_FreeValue(context, value);
  JS_FreeValue(context, argument);
  return result;
}

static double add(double x) {
  pthread_mutex_lock(&lock);
  const double total = call(add_function, JS_NewFloat64(context, x));
  pthread_mutex_unlock(&lock);
  return total;
}

static double sum(const char *text, size_t length) {
  pthread_mutex_lock(&lock);
  const double result = call(sum_function, JS_NewStringLen(context, text, length));
  pthread_mutex_unlock(&lock);
  return result;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path, "cannot be read");
  char *text = calloc(1, 1 << 16);
  *size = fread(text, 1, (1 << 16) - 1, file);
  fclose(file);
  return text;
}

int main(int argc, char **argv) {
  if (argc != 5) fail("arguments", "rules.mjs METHOD THREADS MILLISECONDS");
  size_t size;
  char *text = read_file(argv[1], &size);
  context = JS_NewContext(JS_NewRuntime());
  const JSValue module = JS_Eval(context, text, size, argv[1], JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  must(module, argv[1]);
  JSModuleDef *definition = JS_VALUE_GET_PTR(module);
  must(JS_EvalFunction(context, module), argv[1]);
  const JSValue class = JS_GetPropertyStr(context, JS_GetModuleNamespace(context, definition), "Rules");
  rules = JS_CallConstructor(context, class, 0, NULL);
  must(rules, "Rules");
  add_function = JS_GetPropertyStr(context, rules, "add");
  sum_function = JS_GetPropertyStr(context, rules, "sum");
  measure(&(struct logic){add, sum, NULL}, argv + 2);
  return 0;
}
