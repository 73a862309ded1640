/*
** log.c: the text of a job's log: its lines, the level a line names, and the
** empty lines that a server doubles. Lua strings in and out.
*/
#include "lua/value.h"

#include <stdbool.h>
#include <string.h>

#include "lua/object.h"

/* core.lines(text, at, most, growing): the lines from byte `at` on, `most` at
   most, and the byte behind them. A line without a newline at its end counts,
   unless the text is growing. */
static int lines (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *end = text + len;
  lua_Integer from = luaL_optinteger(L, 2, 1), most = luaL_optinteger(L, 3, 0);
  bool growing = lua_toboolean(L, 4);
  const char *p;
  int n = 0;
  luaL_argcheck(L, from >= 1 && (size_t)from <= len + 1, 2, "not in the text");
  p = text + from - 1;
  lua_newtable(L);
  while (p < end && (most <= 0 || n < most)) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    if (stop == NULL && growing) break;
    lua_pushlstring(L, p, (size_t)((stop != NULL ? stop : end) - p));
    lua_rawseti(L, -2, ++n);
    p = stop != NULL ? stop + 1 : end;
  }
  lua_pushinteger(L, (lua_Integer)(p - text) + 1);
  return 2;
}

/* ---- levels ---- */

/* the word at p that is one of the levels, as an upvalue; 0: none of them */
static int level_word (const char *p, size_t len) {
  static const char *const words[] = { "ERROR", "WARN", "INFO" };
  for (int i = 0; i < 3; i++)
    if (strlen(words[i]) == len && memcmp(words[i], p, len) == 0) return i + 1;
  return 0;
}

static bool is_digit (char c) { return c >= '0' && c <= '9'; }

static size_t capitals (const char *p, const char *end) {
  const char *from = p;
  while (p < end && *p >= 'A' && *p <= 'Z') p++;
  return (size_t)(p - from);
}

/* behind the time at a line's beginning and the blanks after it, or NULL */
static const char *behind_time (const char *p, const char *end) {
  static const char form[] = "0000-00-00 00:00:00";
  const char *f = form;
  if (end - p < (int)sizeof form) return NULL;
  for (; *f != '\0'; f++, p++)
    if (*f == '0' ? !is_digit(*p) : *p != *f) return NULL;
  if (*p == '.' || *p == ',') p++;
  while (p < end && is_digit(*p)) p++;
  if (p == end || *p != ' ') return NULL;
  while (p < end && *p == ' ') p++;
  return p;
}

/* as in "… SYSTEM-WARN …" */
static int system_level (const char *p, const char *end) {
  static const char mark[] = "SYSTEM-";
  const size_t len = sizeof mark - 1;
  while ((p = memchr(p, 'S', (size_t)(end - p))) != NULL) {
    size_t word;
    if ((size_t)(end - p) <= len) return 0;
    if (memcmp(p, mark, len) == 0 &&
        (word = capitals(p + len, end)) > 0 && p + len + word < end &&
        p[len + word] == ' ')
      return level_word(p + len, word);
    p++;
  }
  return 0;
}

/* core.level(line): "error", "warn" or "info", as the line says itself, or nil */
static int level (lua_State *L) {
  size_t len, word = 0;
  const char *line = luaL_checklstring(L, 1, &len), *end = line + len;
  const char *p = behind_time(line, end);
  int found;
  if (p != NULL) word = capitals(p, end);
  found = word > 0 ? level_word(p, word) : system_level(line, end);
  if (found > 0) lua_pushvalue(L, lua_upvalueindex(found));
  else lua_pushnil(L);
  return 1;
}

/* ---- empty lines ---- */

/* core.halve(text): half of the newlines of each run of empty lines, unless some
   run shows by their number that the server has not doubled them */
static int halve (lua_State *L) {
  size_t len, ahead = 1; /* as if a newline stood before the text */
  const char *p = luaL_checklstring(L, 1, &len), *end = p + len;
  tc_buffer *out = tc_scratch(L, len);
  if (tc_buffer_reserve(out, len) != TC_OK)
    return luaL_error(L, "not enough memory");
  while (p < end) {
    const char *text = p, *next;
    size_t run, kept;
    while (p < end && *p == '\n') p++;
    run = (size_t)(p - text) + ahead;
    if (run > 1 && run % 2 == 0) {
      lua_settop(L, 1);
      return 1;
    }
    kept = (run + 1) / 2 - (run > 0 ? ahead : 0);
    next = memchr(p, '\n', (size_t)(end - p));
    if (next == NULL) next = end;
    tc_buffer_add(out, text, kept);
    tc_buffer_add(out, p, (size_t)(next - p));
    p = next;
    ahead = 0;
  }
  lua_pushlstring(L, out->ptr != NULL ? out->ptr : "", out->len);
  tc_buffer_free(out);
  return 1;
}

void tc_log_open (lua_State *L, int module) {
  static const luaL_Reg functions[] = {
    { "lines", lines }, { "halve", halve }, { NULL, NULL }
  };
  module = lua_absindex(L, module);
  lua_pushvalue(L, module);
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, "error");
  lua_pushliteral(L, "warn");
  lua_pushliteral(L, "info");
  lua_pushcclosure(L, level, 3);
  lua_setfield(L, module, "level");
  lua_pop(L, 1);
}
