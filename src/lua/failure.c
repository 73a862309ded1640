/*
** failure.c: makes err tables.
*/
#include "lua/failure.h"

#include <stdarg.h>

#define ERROR_MT "taskclient.error"

void tc_failure_push (lua_State *L, const char *kind, const char *message) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  luaL_getmetatable(L, ERROR_MT);
  lua_setmetatable(L, -2);
}

int tc_fail (lua_State *L, const char *kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  tc_failure_push(L, kind, lua_tostring(L, -1));
  lua_pushnil(L);
  lua_replace(L, -3); /* nil where the text was, the err above it */
  return 2;
}

void tc_set_text (lua_State *L, const char *name, const char *value) {
  if (value == NULL) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

void tc_set_integer (lua_State *L, const char *name, int64_t n) {
  if (n == 0) return;
  tc_push_int64(L, n);
  lua_setfield(L, -2, name);
}

void tc_set_number (lua_State *L, const char *name, lua_Number n) {
  lua_pushnumber(L, n);
  lua_setfield(L, -2, name);
}

void tc_set_flag (lua_State *L, const char *name, int on) {
  lua_pushboolean(L, on);
  lua_setfield(L, -2, name);
}

void tc_failure_open (lua_State *L, int module) {
  luaL_newmetatable(L, ERROR_MT);
  lua_pushliteral(L, "taskclient error");
  lua_setfield(L, -2, "__name");
  lua_setfield(L, module, "error_mt");
}
