/*
** encode.c: Lua values to JSON text. Ours beside cjson.encode, which prints 14
** digits of a number, knows no 64-bit integers and gives members in any order
** (spec/unit/json_spec.lua shows it).
*/
#include "lua/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/secret.h"
#include "json/json.h"
#include "lua/object.h"

#define DEEPEST 128
#define LUA_TCDATA 10 /* of LuaJIT: its 64-bit integers */

/* a table that is being written, and which of its members */
typedef struct level {
  const void *table;
  struct level *outer;
  int depth, index; /* index: of an array, 0 in an object */
  tc_slice name;
} level;

/* upvalues of core.encode: what marks arrays; the last two are cjson's, or nil */
enum { ARRAY_MT = 1, EMPTY_ARRAY_MT, EMPTY_ARRAY };

/* Each encoder appends the value on top of the stack, or says false and leaves on
   top what is wrong with it: the place inside of the value, then the reason. */
static bool encode (lua_State *L, tc_buffer *out, level *outer);

static bool wrong (lua_State *L, const level *at, const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  luaL_checkstack(L, 4, "nested too deep");
  for (; at != NULL; at = at->outer) {
    if (at->index > 0) lua_pushfstring(L, "[%d]", at->index);
    else {
      lua_pushliteral(L, ".");
      lua_pushlstring(L, at->name.ptr, at->name.len);
      lua_concat(L, 2);
    }
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return false;
}

static bool put (lua_State *L, tc_status status) {
  if (status != TC_OK) luaL_error(L, "not enough memory");
  return true;
}

/* ---- scalars ---- */

/* whole floats are integers too: a computed 8 / 2 is to arrive as 4 */
static bool encode_number (lua_State *L, tc_buffer *out, const level *outer) {
  char text[TC_JSON_DIGITS];
  int64_t n = 0;
  double d = (double)lua_tonumber(L, -1);
  size_t len;
  if (isnan(d) || isinf(d))
    return wrong(L, outer, ": %s has no JSON form",
                 isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
  if ((lua_isinteger(L, -1) && tc_toint64(L, -1, &n)) ||
      (floor(d) == d && fabs(d) <= (double)TC_INT_EXACT && (n = (int64_t)d, 1)))
    len = (size_t)snprintf(text, sizeof text, "%lld", (long long)n);
  else
    len = tc_json_print(d, text);
  return put(L, tc_buffer_add(out, text, len));
}

static bool encode_text (lua_State *L, tc_buffer *out, const level *outer,
                         tc_slice text) {
  size_t at = tc_json_broken(text);
  if (at < text.len)
    return wrong(L, outer, ": not UTF-8 at byte %d", (int)at + 1);
  return put(L, tc_json_quote(out, text));
}

/* LuaJIT's int64_t and uint64_t print as 12LL and 12ULL */
static bool encode_cdata (lua_State *L, tc_buffer *out, const level *outer) {
  const char *text = luaL_callmeta(L, -1, "__tostring") ? lua_tostring(L, -1)
                                                        : NULL;
  size_t digits = text != NULL ? strspn(text, "-0123456789") : 0;
  if (digits == 0 || (strcmp(text + digits, "LL") != 0 &&
                      strcmp(text + digits, "ULL") != 0))
    return wrong(L, outer, ": this cdata has no JSON form");
  put(L, tc_buffer_add(out, text, digits));
  lua_pop(L, 1);
  return true;
}

/* ---- tables ---- */

static bool is_marked (lua_State *L) {
  bool marked;
  if (!lua_getmetatable(L, -1)) return false;
  marked = lua_rawequal(L, -1, lua_upvalueindex(ARRAY_MT)) ||
           lua_rawequal(L, -1, lua_upvalueindex(EMPTY_ARRAY_MT));
  lua_pop(L, 1);
  return marked;
}

/* Counts what the table on top holds: elements of an array, or named members,
   or neither. */
static bool look_into (lua_State *L, const level *outer, bool marked,
                       int *elements, int *names) {
  int table = lua_gettop(L);
  int64_t n, highest = 0;
  *elements = *names = 0;
  lua_pushnil(L); /* a name among the elements, once there is one */
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TNUMBER) {
      if (++*names > 1) continue;
      lua_pushvalue(L, -2);
      lua_replace(L, table + 1);
    }
    else if (!tc_toint64(L, -2, &n) || n < 1)
      return wrong(L, outer, ": the key %f fits no array", lua_tonumber(L, -2));
    else {
      ++*elements;
      if (n > highest) highest = n;
    }
  }
  if (*names > 0 && (*elements > 0 || marked))
    return wrong(L, outer, ": an array with the key '%s'",
                 lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
                                                : luaL_typename(L, -1));
  lua_pop(L, 1);
  return *elements == highest || wrong(L, outer, ": an array with holes");
}

static bool encode_array (lua_State *L, tc_buffer *out, level *here, int count) {
  put(L, tc_buffer_addchar(out, '['));
  while (here->index < count) {
    if (here->index > 0) put(L, tc_buffer_addchar(out, ','));
    lua_rawgeti(L, -1, ++here->index);
    if (!encode(L, out, here)) return false;
    lua_pop(L, 1);
  }
  return put(L, tc_buffer_addchar(out, ']'));
}

/* by the bytes, as in the C locale */
static int compare (const void *a, const void *b) {
  const tc_slice *x = (const tc_slice *)a, *y = (const tc_slice *)b;
  int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
  return order != 0 ? order : x->len < y->len ? -1 : x->len > y->len;
}

static bool encode_object (lua_State *L, tc_buffer *out, level *here, int most) {
  int table = lua_gettop(L), count = 0;
  tc_slice *names = lua_newuserdata(L, (size_t)most * sizeof *names);
  lua_createtable(L, most, 0); /* keeps the names alive, whatever is collected */
  for (lua_pushnil(L); lua_next(L, table) != 0 && count < most; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return wrong(L, here->outer, ": a member's name must be text, not %s",
                   luaL_typename(L, -2));
    names[count].ptr = lua_tolstring(L, -2, &names[count].len);
    lua_pushvalue(L, -2);
    lua_rawseti(L, table + 2, ++count);
  }
  lua_settop(L, table + 2);
  qsort(names, (size_t)count, sizeof *names, compare);
  for (int i = 0; i < count; i++) {
    here->name = names[i];
    put(L, tc_buffer_addchar(out, i == 0 ? '{' : ','));
    if (!encode_text(L, out, here, names[i])) return false;
    put(L, tc_buffer_addchar(out, ':'));
    lua_pushlstring(L, names[i].ptr, names[i].len);
    lua_rawget(L, table);
    if (!encode(L, out, here)) return false;
    lua_pop(L, 1);
  }
  lua_settop(L, table);
  return put(L, tc_buffer_addchar(out, '}'));
}

static bool encode_table (lua_State *L, tc_buffer *out, level *outer) {
  level here = { lua_topointer(L, -1), outer, outer ? outer->depth + 1 : 1, 0,
                 { NULL, 0 } };
  bool marked = is_marked(L);
  int elements, names;
  luaL_checkstack(L, 12, "nested too deep");
  for (const level *l = outer; l != NULL; l = l->outer)
    if (l->table == here.table)
      return wrong(L, outer, ": the table contains itself");
  if (!look_into(L, outer, marked, &elements, &names)) return false;
  if (elements + names == 0)
    return put(L, tc_buffer_addtext(out, marked ? "[]" : "{}"));
  if (here.depth > DEEPEST) return wrong(L, outer, ": too deep");
  return elements > 0 ? encode_array(L, out, &here, elements)
                      : encode_object(L, out, &here, names);
}

/* ---- all kinds of values ---- */

static bool encode (lua_State *L, tc_buffer *out, level *outer) {
  tc_slice text;
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: return encode_table(L, out, outer);
    case LUA_TNUMBER: return encode_number(L, out, outer);
    case LUA_TCDATA: return encode_cdata(L, out, outer);
    case LUA_TSTRING:
      text.ptr = lua_tolstring(L, -1, &text.len);
      return encode_text(L, out, outer, text);
    case LUA_TBOOLEAN:
      return put(L, tc_buffer_addtext(out, lua_toboolean(L, -1) ? "true"
                                                                : "false"));
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, -1) == NULL)
        return put(L, tc_buffer_addtext(out, "null"));
      if (lua_rawequal(L, -1, lua_upvalueindex(EMPTY_ARRAY)))
        return put(L, tc_buffer_addtext(out, "[]"));
      break;
    default: break;
  }
  return wrong(L, outer, ": a %s has no JSON form", luaL_typename(L, -1));
}

/* Pushes what the buffer holds, and empties it: what is made while the state is
   closing is never collected. */
static void push_taken (lua_State *L, tc_buffer *out) {
  lua_pushlstring(L, out->ptr != NULL ? out->ptr : "", out->len);
  tc_buffer_wipe(out);
}

/* core.encode(value, name): JSON, its members in the order of their names; or
   nil and what is wrong, with the place: "name.a[2]: …" */
static int core_encode (lua_State *L) {
  const char *name = luaL_optstring(L, 2, "value");
  tc_buffer *out;
  luaL_checkany(L, 1);
  out = tc_scratch(L, (size_t)-1);
  lua_pushvalue(L, 1);
  if (encode(L, out, NULL)) {
    push_taken(L, out);
    return 1;
  }
  tc_buffer_wipe(out);
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_concat(L, 2);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* core.array(t): marks a table, or a new one, as an array */
static int array (lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, TC_ARRAY_MT);
  return 1;
}

/* core.base64(text) */
static int base64 (lua_State *L) {
  tc_slice text;
  tc_buffer *out = NULL;
  text.ptr = luaL_checklstring(L, 1, &text.len);
  out = tc_scratch(L, (size_t)-1);
  put(L, tc_base64(out, text));
  push_taken(L, out);
  return 1;
}

/* 0 to 63, or -1 */
static int base64_digit (char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* core.unbase64(text): what the text stands for, white space left out; nil where
   it is no base64 */
static int unbase64 (lua_State *L) {
  size_t len, digits = 0, fill = 0;
  const char *p = luaL_checklstring(L, 1, &len), *end = p + len;
  tc_buffer *out = tc_scratch(L, (size_t)-1);
  uint32_t bits = 0;
  put(L, tc_buffer_reserve(out, len));
  for (; p < end; p++) {
    int digit = base64_digit(*p);
    if (*p != '\0' && strchr(" \t\r\n\v\f", *p) != NULL) continue;
    if (*p == '=') fill++;
    else if (digit < 0 || fill > 0) return 0;
    else {
      bits = bits << 6 | (uint32_t)digit;
      if (digits++ % 4 > 0)
        out->ptr[out->len++] = (char)(bits >> (6 - 2 * ((digits - 1) % 4)) & 255);
    }
  }
  if (digits == 0 || fill > 2 || (digits + fill) % 4 != 0) return 0;
  push_taken(L, out);
  return 1;
}

/* Pushes lua-cjson's module, or an empty table where it is not installed. */
static void push_cjson (lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  if (lua_pcall(L, 1, 1, 0) == 0 && lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
}

void tc_encode_open (lua_State *L, int module) {
  int cjson, mt;
  module = lua_absindex(L, module);
  push_cjson(L);
  cjson = lua_gettop(L);
  mt = tc_getfield(L, cjson, "array_mt");
  if (mt != LUA_TTABLE) mt = tc_getfield(L, cjson, "empty_array_mt");
  if (mt != LUA_TTABLE) { /* as in Debian's, which knows no marks */
    lua_newtable(L);
    lua_pushliteral(L, "taskclient.array");
    lua_setfield(L, -2, "__name");
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, TC_ARRAY_MT);
  lua_pushvalue(L, -1);
  lua_setfield(L, module, "array_mt");
  tc_getfield(L, cjson, "empty_array_mt");
  tc_getfield(L, cjson, "empty_array");
  lua_pushcclosure(L, core_encode, 3);
  lua_setfield(L, module, "encode");
  lua_pushcfunction(L, array);
  lua_setfield(L, module, "array");
  lua_pushcfunction(L, base64);
  lua_setfield(L, module, "base64");
  lua_pushcfunction(L, unbase64);
  lua_setfield(L, module, "unbase64");
  lua_settop(L, cjson - 1);
}
