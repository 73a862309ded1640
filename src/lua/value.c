/*
** value.c: JSON text to Lua values, whole (decode) or picked by path. Numbers
** that would lose digits or become infinite stay text as they were written.
*/
#include "lua/value.h"

#include <math.h>
#include <string.h>

#include "lua/failure.h"

#define PICKER_MT "taskclient.picker"
#define HELD 16       /* elements kept on the stack until the size is known */
#define SMALL_TEXT 512

/* ---- scalars ---- */

void tc_value_push_text (lua_State *L, tc_slice raw, bool escaped) {
  char small[SMALL_TEXT];
  char *out = small;
  if (!escaped) {
    lua_pushlstring(L, raw.ptr, raw.len);
    return;
  }
  if (raw.len > sizeof small)
    out = (char *)lua_newuserdata(L, raw.len);
  lua_pushlstring(L, out, tc_json_unescape(raw, out));
  if (out != small)
    lua_remove(L, -2);
}

static void push_number (lua_State *L, const tc_json *j) {
  int64_t n;
  double d;
  if (j->integral) {
    if (tc_json_int64(j->text, &n))
      tc_push_int64(L, n);
    else
      lua_pushlstring(L, j->text.ptr, j->text.len);
    return;
  }
  d = tc_json_double(j->text);
  if (isinf(d))
    lua_pushlstring(L, j->text.ptr, j->text.len);
  else
    lua_pushnumber(L, (lua_Number)d);
}

/* ---- arrays and objects ---- */

static bool push_value (lua_State *L, tc_json *j, tc_token t);

static void push_empty_array (lua_State *L) {
  lua_newtable(L);
  luaL_getmetatable(L, TC_ARRAY_MT);
  lua_setmetatable(L, -2);
}

/* moves the held elements, on top of the table, into it */
static void store_elements (lua_State *L, int table, int done, int held) {
  for (; held > 0; held--)
    lua_rawseti(L, table, done + held);
}

/* Elements wait on the stack, so that the table of a short array is made with
   the right size at once. [-0, +1] */
static bool push_array (lua_State *L, tc_json *j) {
  int base = lua_gettop(L) + 1, done = 0, held = 0;
  tc_token t = TC_JSON_NULL;
  tc_slice text;
  lua_pushnil(L); /* the table's place */
  while (t != TC_JSON_ARRAY_END) {
    t = tc_json_next(j);
    if (t != TC_JSON_ARRAY_END) {
      if (!push_value(L, j, t))
        return false;
      held++;
      for (; held < HELD && tc_json_element(j, &text); held++)
        lua_pushlstring(L, text.ptr, text.len);
    }
    if (held < HELD && t != TC_JSON_ARRAY_END)
      continue;
    if (done == 0 && held == 0)
      break;
    if (done == 0) {
      lua_createtable(L, held < HELD ? held : HELD * 4, 0);
      lua_replace(L, base);
    }
    store_elements(L, base, done, held);
    done += held;
    held = 0;
  }
  if (done == 0) {
    push_empty_array(L);
    lua_replace(L, base);
  }
  return true;
}

/* in order, so that the last of two equal names wins */
static void store_members (lua_State *L, int table, int held) {
  int i;
  for (i = 1; i <= held; i++) {
    lua_pushvalue(L, table + 2 * i - 1);
    lua_pushvalue(L, table + 2 * i);
    lua_rawset(L, table);
  }
  lua_settop(L, table);
}

static bool push_object (lua_State *L, tc_json *j) {
  int base = lua_gettop(L) + 1, held = 0;
  bool made = false;
  tc_token t = TC_JSON_NAME;
  while (t != TC_JSON_OBJECT_END) {
    t = tc_json_next(j);
    if (t == TC_JSON_NAME) {
      tc_value_push_text(L, j->text, j->escaped);
      if (!push_value(L, j, tc_json_next(j)))
        return false;
      held++;
    }
    else if (t != TC_JSON_OBJECT_END)
      return false;
    if (held < HELD && t != TC_JSON_OBJECT_END)
      continue;
    if (!made) {
      lua_createtable(L, 0, held < HELD ? held : HELD * 2);
      lua_insert(L, base);
      made = true;
    }
    store_members(L, base, held);
    held = 0;
  }
  return true;
}

/* The C stack is safe: the reader's depth limit bounds the recursion.
   false on a fault, with any number of values left on the stack */
static bool push_value (lua_State *L, tc_json *j, tc_token t) {
  switch (t) {
    case TC_JSON_NULL: lua_pushlightuserdata(L, NULL); return true;
    case TC_JSON_TRUE: lua_pushboolean(L, 1); return true;
    case TC_JSON_FALSE: lua_pushboolean(L, 0); return true;
    case TC_JSON_NUMBER: push_number(L, j); return true;
    case TC_JSON_STRING:
      if (j->escaped) tc_value_push_text(L, j->text, true);
      else lua_pushlstring(L, j->text.ptr, j->text.len);
      return true;
    case TC_JSON_ARRAY:
      luaL_checkstack(L, 2 * HELD + 8, "JSON nested too deep");
      return push_array(L, j);
    case TC_JSON_OBJECT:
      luaL_checkstack(L, 2 * HELD + 8, "JSON nested too deep");
      return push_object(L, j);
    default: return false;
  }
}

void tc_value_push (lua_State *L, tc_slice json) {
  int top = lua_gettop(L);
  tc_json j;
  tc_json_trust(&j, json);
  if (push_value(L, &j, tc_json_next(&j)))
    return;
  lua_settop(L, top);
  lua_pushnil(L);
}

int tc_value_invalid (lua_State *L, const tc_json *j) {
  return tc_fail(L, "protocol", "invalid JSON at byte %d: %s",
                 (int)(j->at - j->start) + 1, tc_json_why(j));
}

int tc_value_check (lua_State *L, int arg, tc_slice *json) {
  tc_json j;
  json->ptr = luaL_checklstring(L, arg, &json->len);
  tc_json_init(&j, json->ptr, json->len, TC_JSON_DEPTH);
  return tc_json_skip(&j, json) && tc_json_next(&j) == TC_JSON_END
           ? 0 : tc_value_invalid(L, &j);
}

/* core.decode(text): strict JSON to Lua, or nil, err (kind "protocol") */
static int decode (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  tc_json j;
  lua_settop(L, 1);
  tc_json_init(&j, text, len, TC_JSON_DEPTH);
  if (push_value(L, &j, tc_json_next(&j)) && tc_json_next(&j) == TC_JSON_END)
    return 1;
  lua_settop(L, 1);
  return tc_value_invalid(L, &j);
}

/* ---- envelope, for tests and for tools ---- */

static void set_slice (lua_State *L, const char *name, tc_slice text) {
  if (text.len == 0)
    return;
  lua_pushlstring(L, text.ptr, text.len);
  lua_setfield(L, -2, name);
}

static void set_message (lua_State *L, const tc_envelope *e) {
  if (e->message.ptr == NULL)
    return;
  tc_value_push_text(L, e->message, e->message_json);
  lua_setfield(L, -2, "message");
}

static void set_fault (lua_State *L, const tc_envelope *e) {
  tc_json j;
  if (e->shape != TC_SHAPE_BROKEN)
    return;
  j.fault = e->fault;
  lua_pushstring(L, tc_json_why(&j));
  lua_setfield(L, -2, "fault");
  lua_pushinteger(L, (lua_Integer)e->fault_at);
  lua_setfield(L, -2, "fault_at");
}

/* core.envelope(text, http_status) */
static int envelope (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  tc_envelope e;
  tc_envelope_read(&e, text, len, (int)luaL_optinteger(L, 2, 200), NULL);
  lua_createtable(L, 0, 10);
  lua_pushstring(L, e.name);
  lua_setfield(L, -2, "shape");
  tc_set_flag(L, "ok", e.ok);
  tc_set_flag(L, "login", e.login);
  tc_set_flag(L, "warning", e.warning);
  lua_pushinteger(L, e.status);
  lua_setfield(L, -2, "status");
  tc_push_int64(L, e.code);
  lua_setfield(L, -2, "code");
  set_message(L, &e);
  set_slice(L, "data", e.data);
  set_fault(L, &e);
  return 1;
}

/* ---- picker ---- */

/* checks the list at arg; gives the bytes its paths need */
static size_t check_paths (lua_State *L, int arg) {
  size_t total = 0, len;
  int count, i;
  luaL_checktype(L, arg, LUA_TTABLE);
  count = (int)lua_rawlen(L, arg);
  luaL_argcheck(L, count >= 1 && count <= TC_PICKS, arg,
                "between 1 and 16 paths expected");
  for (i = 1; i <= count; i++) {
    luaL_argcheck(L, tc_rawgeti(L, arg, i) == LUA_TSTRING, arg,
                  "paths must be strings");
    lua_tolstring(L, -1, &len);
    total += len;
    lua_pop(L, 1);
  }
  return total;
}

/* core.picker {"task.status", …} */
static int new_picker (lua_State *L) {
  size_t total = check_paths(L, 1);
  tc_picker *p = (tc_picker *)lua_newuserdata(L, sizeof *p + total);
  char *to = p->text;
  p->count = (int)lua_rawlen(L, 1);
  luaL_getmetatable(L, PICKER_MT);
  lua_setmetatable(L, -2);
  for (int i = 0; i < p->count; i++) {
    size_t len;
    const char *path;
    lua_rawgeti(L, 1, i + 1);
    path = lua_tolstring(L, -1, &len);
    luaL_argcheck(L, path != NULL && len <= total, 1, "the paths have changed");
    total -= len;
    memcpy(to, path, len);
    luaL_argcheck(L, tc_path_split(&p->paths[i], to, len), 1,
                  "a path is names with single dots between, at most 8");
    to += len;
    lua_pop(L, 1);
  }
  return 1;
}

tc_picker *tc_picker_check (lua_State *L, int arg) {
  return (tc_picker *)luaL_checkudata(L, arg, PICKER_MT);
}

int tc_pick_push (lua_State *L, const tc_pick *f) {
  int count = f->picker->count;
  /* more than they are, for a text that is unescaped on its way */
  luaL_checkstack(L, count + LUA_MINSTACK, "too many picks");
  for (int i = 0; i < count; i++) {
    if (f->value[i].len == 0 || (f->twice >> i & 1) != 0)
      lua_pushnil(L);
    else
      tc_value_push(L, f->value[i]);
  }
  return count;
}

/* core.pick(reply, picker, http_status): true and the picked values of the
   reply's data, or false; for tests and measurements */
static int pick_reply (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  int status = (int)luaL_optinteger(L, 3, 200);
  tc_envelope e;
  tc_pick f;
  tc_pick_begin(&f, tc_picker_check(L, 2));
  tc_envelope_read(&e, text, len, status, &f.tap);
  lua_pushboolean(L, e.ok);
  if (!e.ok) return 1;
  return 1 + tc_pick_push(L, &f);
}

/* ---- registration ---- */

static const luaL_Reg functions[] = {
  {"decode", decode},
  {"envelope", envelope},
  {"picker", new_picker},
  {"pick", pick_reply},
  {NULL, NULL}
};

void tc_value_open (lua_State *L, int module) {
  module = lua_absindex(L, module);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, module, "null");
  luaL_newmetatable(L, PICKER_MT);
  lua_pop(L, 1);
  lua_pushvalue(L, module);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
