/*
** object.c: see object.h.
*/
#include "lua/object.h"

enum { FIELDS = 1, CLASS }; /* the values beside the userdata */

void *tc_object_new (lua_State *L, size_t size, const char *mt, int class,
                     int fields) {
  void *object = tc_newuserdata(L, size);
  memset(object, 0, size);
  if (fields != 0) lua_pushvalue(L, fields);
  else lua_newtable(L);
  tc_setslot(L, -2, FIELDS);
  lua_pushvalue(L, class);
  tc_setslot(L, -2, CLASS);
  luaL_setmetatable(L, mt);
  return object;
}

/* the core's methods are the second upvalue */
static int lookup (lua_State *L) {
  lua_settop(L, 2);
  luaL_argcheck(L, tc_self(L) != NULL, 1, "client or job expected");
  for (int slot = FIELDS; slot <= CLASS; slot++) {
    tc_getslot(L, 1, slot);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    if (!lua_isnil(L, -1)) return 1;
    lua_settop(L, 2);
  }
  lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

void tc_type_open (lua_State *L, const char *mt, const luaL_Reg *methods,
                   const luaL_Reg *meta, lua_CFunction index) {
  luaL_newmetatable(L, mt);
  luaL_setfuncs(L, meta, 0);
  lua_pushvalue(L, -1);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, methods, 1);
  lua_pushcclosure(L, index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, mt);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

static int newindex (lua_State *L) {
  const char *what =
    luaL_testudata(L, 1, TC_JOB_MT) != NULL ? "job" : "client";
  if (lua_type(L, 2) == LUA_TSTRING)
    return luaL_error(L, "a %s cannot be written to (field '%s')", what,
                      lua_tostring(L, 2));
  return luaL_error(L, "a %s cannot be written to", what);
}

static int to_string (lua_State *L) {
  lua_settop(L, 1);
  tc_getslot(L, 1, CLASS);
  lua_getfield(L, 2, "__tostring");
  if (lua_isfunction(L, -1)) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
  }
  lua_pushstring(L, luaL_testudata(L, 1, TC_JOB_MT) != NULL
                      ? "taskclient job" : "taskclient client");
  return 1;
}

void tc_object_type (lua_State *L, const char *mt, const luaL_Reg *methods,
                     const luaL_Reg *meta) {
  tc_type_open(L, mt, methods, meta, lookup);
  lua_pushcfunction(L, newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, to_string);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}

void tc_object_extend (lua_State *L, const char *mt, const luaL_Reg *methods) {
  luaL_getmetatable(L, mt);
  lua_getfield(L, -1, "__index");
  lua_getupvalue(L, -1, 2);
  lua_pushvalue(L, -3);
  luaL_setfuncs(L, methods, 1);
  lua_pop(L, 3);
}

/* core.fields(object) */
static int fields (lua_State *L) {
  if (luaL_testudata(L, 1, TC_CLIENT_MT) == NULL &&
      luaL_testudata(L, 1, TC_JOB_MT) == NULL)
    return luaL_argerror(L, 1, "client or job expected");
  tc_getslot(L, 1, FIELDS);
  return 1;
}

/* core.job(client, class, fields): fields and a class, nothing of its own */
static int job (lua_State *L) {
  luaL_checkudata(L, 1, TC_CLIENT_MT);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (tc_getfield(L, 3, "client") == LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_setfield(L, 3, "client");
  }
  lua_pop(L, 1);
  tc_object_new(L, 1, TC_JOB_MT, 2, 3);
  return 1;
}

/* ---- buffers that Lua frees ---- */

#define SCRATCH_MT "taskclient.scratch"

static int free_scratch (lua_State *L) {
  tc_buffer_wipe(luaL_checkudata(L, 1, SCRATCH_MT));
  return 0;
}

tc_buffer *tc_scratch (lua_State *L, size_t limit) {
  tc_buffer *b = lua_newuserdata(L, sizeof *b);
  tc_buffer_init(b, limit);
  luaL_setmetatable(L, SCRATCH_MT);
  return b;
}

void tc_object_open (lua_State *L, int module) {
  static const luaL_Reg none[] = { { NULL, NULL } };
  tc_object_type(L, TC_JOB_MT, none, none);
  lua_pushcfunction(L, job);
  lua_setfield(L, module, "job");
  lua_pushcfunction(L, fields);
  lua_setfield(L, module, "fields");
  luaL_newmetatable(L, SCRATCH_MT);
  lua_pushcfunction(L, free_scratch);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

/* ---- near names, for messages ---- */

#define NAME_MOST 40

static size_t least (size_t a, size_t b, size_t c) {
  size_t m = a < b ? a : b;
  return m < c ? m : c;
}

/* edits from one name to the other, case aside */
static size_t distance (const char *a, const char *b) {
  size_t row[NAME_MOST + 1], la = strlen(a), lb = strlen(b);
  if (la > NAME_MOST || lb > NAME_MOST) return NAME_MOST;
  for (size_t j = 0; j <= lb; j++) row[j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t above = row[j];
      size_t same = tc_lower(a[i - 1]) == tc_lower(b[j - 1]) ? 0 : 1;
      row[j] = least(above + 1, row[j - 1] + 1, diagonal + same);
      diagonal = above;
    }
  }
  return row[lb];
}

/* the name in the list most like this one, or NULL when none is near */
static const char *nearest (const char *name, const char *const *names) {
  size_t best = strlen(name) / 2 + 1;
  const char *near = NULL;
  for (; *names != NULL; names++) {
    size_t d = distance(name, *names);
    if (d < best) {
      best = d;
      near = *names;
    }
  }
  return near;
}

int tc_unknown (lua_State *L, int arg, const char *what, const char *name,
                const char *const *names) {
  const char *near = nearest(name, names);
  lua_pushfstring(L, "%s '%s'%s%s%s", what, name,
                  near != NULL ? " (did you mean '" : "",
                  near != NULL ? near : "", near != NULL ? "'?)" : "");
  return luaL_argerror(L, arg, lua_tostring(L, -1));
}

size_t tc_check_name (lua_State *L, int arg, const char *what,
                      const char *const *names) {
  size_t i = 0;
  if (lua_type(L, -2) != LUA_TSTRING) {
    lua_pushfstring(L, "%ss are given by name", what);
    luaL_argerror(L, arg, lua_tostring(L, -1));
  }
  while (names[i] != NULL && !tc_is_name(L, -2, names[i])) i++;
  if (names[i] == NULL) {
    const char *name = lua_tostring(L, -2);
    lua_pushfstring(L, "unknown %s", what);
    tc_unknown(L, arg, lua_tostring(L, -1), name, names);
  }
  return i;
}
