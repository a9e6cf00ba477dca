/* rules.lua in Lua: one state, and a lock around it. Arguments: rules.lua, then those of measure.h. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>

#include "measure.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static lua_State *state;
static int add_function, sum_function; /* in the registry */

/* With the lock; the function and its argument are on the stack. */
static double call(void) {
  if (lua_pcall(state, 1, 1, 0) != LUA_OK) fail("lua_pcall", lua_tostring(state, -1));
  const double result = lua_tonumber(state, -1);
  lua_pop(state, 1);
  return result;
}

static double add(double x) {
  pthread_mutex_lock(&lock);
  lua_rawgeti(state, LUA_REGISTRYINDEX, add_function);
  lua_pushnumber(state, x);
  const double total = call();
  pthread_mutex_unlock(&lock);
  return total;
}

static double sum(const char *text, size_t length) {
  pthread_mutex_lock(&lock);
  lua_rawgeti(state, LUA_REGISTRYINDEX, sum_function);
  lua_pushlstring(state, text, length);
  const double result = call();
  pthread_mutex_unlock(&lock);
  return result;
}

static int keep_field(const char *name) {
  lua_getfield(state, -1, name);
  return luaL_ref(state, LUA_REGISTRYINDEX);
}

int main(int argc, char **argv) {
  if (argc != 5) fail("arguments", "rules.lua METHOD THREADS MILLISECONDS");
  state = luaL_newstate();
  luaL_openlibs(state);
  if (luaL_dofile(state, argv[1]) != LUA_OK) fail(argv[1], lua_tostring(state, -1));
  add_function = keep_field("add");
  sum_function = keep_field("sum");
  measure(&(struct logic){add, sum, NULL}, argv + 2);
  return 0;
}
