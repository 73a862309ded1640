/*
** compat.h: one C source for Lua 5.1 to 5.5 and LuaJIT 2.1. The newer
** names are given to the older versions; nothing else belongs here.
** The only header of the project that includes Lua's.
*/
#ifndef TC_COMPAT_H
#define TC_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define TC_EXPORT __attribute__((visibility("default")))
#else
#define TC_EXPORT
#endif

#define TC_INT_EXACT 9007199254740992 /* 2^53: what a double can hold exactly */

#if LUA_VERSION_NUM == 501

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* LuaJIT has some of these as functions: the macros below win everywhere */

static inline int tc_compat_absindex (lua_State *L, int i) {
  return (i < 0 && i > LUA_REGISTRYINDEX) ? lua_gettop(L) + i + 1 : i;
}

static inline void tc_compat_setfuncs (lua_State *L, const luaL_Reg *l,
                                       int nup) {
  luaL_checkstack(L, nup + 1, "too many upvalues");
  for (; l->name != NULL; l++) {
    for (int i = 0; i < nup; i++) lua_pushvalue(L, -nup);
    lua_pushcclosure(L, l->func, nup);
    lua_setfield(L, -(nup + 2), l->name);
  }
  lua_pop(L, nup);
}

static inline void *tc_compat_testudata (lua_State *L, int arg,
                                         const char *name) {
  void *p = lua_touserdata(L, arg);
  if (p == NULL || !lua_getmetatable(L, arg)) return NULL;
  luaL_getmetatable(L, name);
  if (!lua_rawequal(L, -1, -2)) p = NULL;
  lua_pop(L, 2);
  return p;
}

static inline void tc_compat_setmetatable (lua_State *L, const char *name) {
  luaL_getmetatable(L, name);
  lua_setmetatable(L, -2);
}

static inline void tc_compat_rawgetp (lua_State *L, int i, const void *p) {
  i = tc_compat_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_rawget(L, i);
}

static inline void tc_compat_rawsetp (lua_State *L, int i, const void *p) {
  i = tc_compat_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_insert(L, -2);
  lua_rawset(L, i);
}

#undef luaL_setfuncs
#undef luaL_testudata
#undef luaL_setmetatable
#define lua_absindex tc_compat_absindex
#define luaL_setfuncs tc_compat_setfuncs
#define luaL_testudata tc_compat_testudata
#define luaL_setmetatable tc_compat_setmetatable
#define lua_rawgetp tc_compat_rawgetp
#define lua_rawsetp tc_compat_rawsetp
#define lua_rawlen(L, i) lua_objlen(L, (i))
#define luaL_checkversion(L) ((void)(L))

/* a table beside a userdata: its environment in 5.1, a user value later */
#define tc_getuservalue(L, i) lua_getfenv(L, (i))
#define tc_setuservalue(L, i) ((void)lua_setfenv(L, (i)))

#else

#define tc_getuservalue(L, i) ((void)lua_getuservalue(L, (i)))
#define tc_setuservalue(L, i) ((void)lua_setuservalue(L, (i)))

#endif

#if LUA_VERSION_NUM < 503
/* a number that is a whole one: the older Luas know no other integers */
static inline int tc_compat_isinteger (lua_State *L, int i) {
  lua_Number n;
  if (lua_type(L, i) != LUA_TNUMBER) return 0;
  n = lua_tonumber(L, i);
  return n >= -TC_INT_EXACT && n <= TC_INT_EXACT &&
         (lua_Number)(int64_t)n == n;
}
#define lua_isinteger tc_compat_isinteger
#endif

/* a userdata with room for two values beside it, numbered from 1 */
#if LUA_VERSION_NUM >= 504
#define tc_newuserdata(L, size) lua_newuserdatauv((L), (size), 2)
#define tc_getslot(L, i, n) ((void)lua_getiuservalue((L), (i), (n)))
#define tc_setslot(L, i, n) ((void)lua_setiuservalue((L), (i), (n)))
#else
static inline void *tc_newuserdata (lua_State *L, size_t size) {
  void *p = lua_newuserdata(L, size);
  lua_createtable(L, 2, 0);
  tc_setuservalue(L, -2);
  return p;
}

static inline void tc_getslot (lua_State *L, int i, int n) {
  tc_getuservalue(L, i);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
}

static inline void tc_setslot (lua_State *L, int i, int n) {
  tc_getuservalue(L, i);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n);
  lua_pop(L, 1);
}
#endif

/* for methods whose first upvalue is their type's metatable: the userdata at
   1 when it is of that type, without the look-up by name; else NULL */
static inline void *tc_self (lua_State *L) {
  void *p = lua_touserdata(L, 1);
  if (p == NULL || !lua_getmetatable(L, 1)) return NULL;
  if (!lua_rawequal(L, -1, lua_upvalueindex(1))) p = NULL;
  lua_pop(L, 1);
  return p;
}

/* raw gets that tell the type, as lua_rawgeti does from 5.3 on: a metamethod
   could let go of what C holds a pointer to */
static inline int tc_rawgeti (lua_State *L, int i, int n) {
  lua_rawgeti(L, i, n);
  return lua_type(L, -1);
}

static inline int tc_getfield (lua_State *L, int i, const char *name) {
  i = lua_absindex(L, i);
  lua_pushstring(L, name);
  lua_rawget(L, i);
  return lua_type(L, -1);
}

/* The number at i when it is a whole one, else false. Not by way of lua_Integer,
   which has 32 bits in the older Luas on a 32-bit system. */
static inline int tc_toint64 (lua_State *L, int i, int64_t *n) {
#if LUA_VERSION_NUM >= 503
  int whole;
  *n = lua_tointegerx(L, i, &whole);
  return whole;
#else
  lua_Number d = lua_tonumber(L, i);
  if (!lua_isnumber(L, i) || !(d >= -9223372036854775808.0) ||
      !(d < 9223372036854775808.0) || (lua_Number)(int64_t)d != d)
    return 0;
  *n = (int64_t)d;
  return 1;
#endif
}

/* Tells the collector of so many KiB that it does not see. A collector that the
   user has stopped stays stopped: a step would start it again in 5.1 and LuaJIT.
   5.1 cannot be asked and is given garbage of that size instead. */
static inline void tc_gc_account (lua_State *L, int kib) {
#ifdef LUA_GCISRUNNING
  if (!lua_gc(L, LUA_GCISRUNNING, 0)) return;
#if LUA_VERSION_NUM >= 505
  lua_gc(L, LUA_GCSTEP, (size_t)kib * 1024);
#else
  lua_gc(L, LUA_GCSTEP, kib);
#endif
#else
  for (; kib > 0; kib -= 256) {
    lua_newuserdata(L, 256 * 1024);
    lua_pop(L, 1);
  }
#endif
}

/* a 64-bit integer, exact in every Lua: text where a double cannot hold it */
static inline void tc_push_int64 (lua_State *L, int64_t n) {
#if LUA_VERSION_NUM >= 503
  lua_pushinteger(L, (lua_Integer)n);
#else
  char digits[24];
  uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  size_t at = sizeof digits;
  if (rest <= TC_INT_EXACT) {
    lua_pushnumber(L, (lua_Number)n);
    return;
  }
  for (; rest != 0; rest /= 10) digits[--at] = (char)('0' + rest % 10);
  if (n < 0) digits[--at] = '-';
  lua_pushlstring(L, digits + at, sizeof digits - at);
#endif
}

#endif
