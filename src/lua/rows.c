/*
** rows.c: a result page to a Lua table of rows or records. Text goes from the
** reply's bytes straight into Lua; nothing is copied twice.
*/
#include "lua/rows.h"

#include "lua/failure.h"
#include "lua/object.h"
#include "table/page.h"
#include "lua/value.h"

#define ROWS_GUESSED 100000 /* most rows made room for by the server's word */

typedef struct shape {   /* of the page's rows */
  bool typed, records;
  int width;             /* columns by the metadata */
  const char *kinds;     /* one a column */
  int names;             /* stack index of the list of record keys */
  int cells;             /* of the row read last */
} shape;

/* ---- columns ---- */

static void set_text (lua_State *L, const char *key, tc_slice raw,
                      bool escaped) {
  tc_value_push_text(L, raw, escaped);
  lua_setfield(L, -2, key);
}

/* Pushes a name that no column before it has: name, name_2, name_3, … The
   table at taken holds those in use, each with the number tried last, so that
   many equal names cost no more than others. [-1, +1] */
void tc_rows_unique (lua_State *L, int taken) {
  int name = lua_gettop(L), n;
  lua_pushvalue(L, name);
  while (lua_pushvalue(L, -1), lua_rawget(L, taken), !lua_isnil(L, -1)) {
    lua_settop(L, name);
    lua_pushvalue(L, name);
    lua_rawget(L, taken);
    n = (int)lua_tointeger(L, -1) + 1;
    lua_pushvalue(L, name);
    lua_pushinteger(L, n);
    lua_rawset(L, taken);
    lua_pushvalue(L, name);
    lua_pushfstring(L, "_%d", n);
    lua_concat(L, 2);
    lua_replace(L, -2);
  }
  lua_settop(L, name + 1);
  lua_pushvalue(L, -1);
  lua_pushinteger(L, 1);
  lua_rawset(L, taken);
  lua_replace(L, name);
}

/* Pushes the kinds, the record keys and the columns' descriptions. [-0, +3] */
static void push_columns (lua_State *L, const tc_page *p, shape *s) {
  int base = lua_gettop(L), i;
  tc_buffer *kinds = tc_scratch(L, (size_t)-1);
  tc_json columns;
  tc_column c;
  luaL_checkstack(L, 12, "too many columns");
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L); /* names taken */
  s->names = base + 2;
  tc_page_columns(p, &columns);
  for (i = 1; tc_page_column(&columns, i, &c); i++) {
    if (tc_buffer_addchar(kinds, (char)c.kind) != TC_OK)
      luaL_error(L, "not enough memory");
    tc_value_push_text(L, c.name, c.name_escaped);
    tc_rows_unique(L, base + 4);
    lua_rawseti(L, s->names, i);
    lua_createtable(L, 0, 3);
    set_text(L, "name", c.name, c.name_escaped);
    set_text(L, "type", c.type, c.type_escaped);
    set_text(L, "comment", c.comment, c.comment_escaped);
    lua_rawseti(L, base + 3, i);
  }
  s->width = i - 1;
  s->kinds = kinds->ptr;
  lua_settop(L, base + 3);
}

/* ---- cells ---- */

static bool push_typed (lua_State *L, const tc_cell *cell, tc_kind kind) {
  int64_t n;
  double d;
  bool flag;
  if (kind == TC_KIND_INT && tc_kind_int(cell, &n))
    tc_push_int64(L, n);
  else if (kind == TC_KIND_FLOAT && tc_kind_float(cell, &d))
    lua_pushnumber(L, (lua_Number)d);
  else if (kind == TC_KIND_BOOL && tc_kind_bool(cell, &flag))
    lua_pushboolean(L, flag);
  else
    return false;
  return true;
}

static void push_cell (lua_State *L, const tc_cell *cell, const shape *s,
                       int i) {
  if (cell->token == TC_JSON_NULL)
    lua_pushlightuserdata(L, NULL);
  else if (!s->typed || i > s->width ||
           !push_typed(L, cell, (tc_kind)s->kinds[i - 1]))
    tc_value_push_text(L, cell->text, cell->escaped);
}

/* ---- rows ---- */

static void push_array_row (lua_State *L, tc_page *p, shape *s) {
  tc_cell cell;
  tc_slice text;
  int i;
  lua_createtable(L, s->width > 0 ? s->width : 1, 0);
  for (i = 1; tc_page_cell(p, &cell); i++) {
    push_cell(L, &cell, s, i);
    lua_rawseti(L, -2, i);
    while (!s->typed && tc_json_element(p->rows, &text)) {
      lua_pushlstring(L, text.ptr, text.len);
      lua_rawseti(L, -2, ++i);
    }
  }
  s->cells = i - 1;
}

/* a cell of a set without columns gets a key all the same */
static void push_key (lua_State *L, const shape *s, int i) {
  if (i <= s->width)
    lua_rawgeti(L, s->names, i);
  else if (i == 1)
    lua_pushliteral(L, "text");
  else
    lua_pushfstring(L, "column_%d", i);
}

static void push_record (lua_State *L, tc_page *p, shape *s) {
  tc_cell cell;
  int i;
  lua_createtable(L, 0, s->width > 0 ? s->width : 1);
  for (i = 1; tc_page_cell(p, &cell); i++) {
    push_key(L, s, i);
    push_cell(L, &cell, s, i);
    lua_rawset(L, -3);
  }
  s->cells = i - 1;
}

/* which cell of a row without its number of cells is whose, nobody knows */
static bool fits (const shape *s) {
  return s->width == 0 || s->cells == s->width;
}

/* the rows' table; *count rows. false: they are not rows [-0, +1] */
static bool push_rows (lua_State *L, tc_page *p, shape *s, int *count) {
  size_t guess = p->total < ROWS_GUESSED ? p->total : ROWS_GUESSED;
  tc_row r;
  lua_createtable(L, (int)guess, 0);
  *count = 0;
  while ((r = tc_page_row(p)) == TC_ROW) {
    if (s->records)
      push_record(L, p, s);
    else
      push_array_row(L, p, s);
    lua_rawseti(L, -2, ++*count);
    if (!fits(s)) return false;
  }
  return r == TC_ROWS_END;
}

/* ---- the page ---- */

static void read_options (lua_State *L, int options, shape *s) {
  s->typed = s->records = false;
  if (options == 0 || lua_isnoneornil(L, options))
    return;
  luaL_checktype(L, options, LUA_TTABLE);
  tc_getfield(L, options, "typed");
  s->typed = lua_toboolean(L, -1);
  tc_getfield(L, options, "records");
  s->records = lua_toboolean(L, -1);
  lua_pop(L, 2);
}

static int fail (lua_State *L, const tc_json *j, int base) {
  lua_settop(L, base);
  if (j->fault != TC_JSON_FINE)
    return tc_value_invalid(L, j);
  return tc_fail(L, "protocol", "the reply holds no result page");
}

/* type and message stand behind the rows on some servers: asked for at last */
static void set_rest (lua_State *L, const tc_page *p, int count) {
  set_text(L, "type", p->type.text, p->type.escaped);
  lua_pushboolean(L, p->prohibited);
  lua_setfield(L, -2, "prohibited");
  lua_pushinteger(L, count);
  lua_setfield(L, -2, "n");
  if (p->message.token == TC_JSON_STRING)
    set_text(L, "message", p->message.text, p->message.escaped);
}

static int push_page (lua_State *L, tc_slice data, bool checked, int options) {
  int base = lua_gettop(L), count = 0;
  tc_page p;
  shape s;
  read_options(L, options, &s);
  if (!tc_page_open(&p, data, checked))
    return fail(L, &p.json, base);
  push_columns(L, &p, &s);
  if (p.rows == NULL && p.prohibited)
    lua_newtable(L);
  else if (!push_rows(L, &p, &s, &count))
    return count == 0 || fits(&s)
             ? fail(L, &p.json, base)
             : tc_fail(L, "protocol", "row %d of the page has %d cells for %d "
                       "columns", count, s.cells, s.width);
  if (tc_json_next(&p.json) != TC_JSON_END)
    return fail(L, &p.json, base);
  lua_createtable(L, 0, 6);
  lua_insert(L, base + 1);
  lua_setfield(L, base + 1, "rows");
  lua_setfield(L, base + 1, "columns");
  lua_settop(L, base + 1);
  set_rest(L, &p, count);
  return 1;
}

int tc_rows_push_page (lua_State *L, tc_slice data, int options) {
  return push_page(L, data, true, options);
}

/* core.page(text, options): text is the data member of an openFile reply */
static int page (lua_State *L) {
  tc_slice data;
  data.ptr = luaL_checklstring(L, 1, &data.len);
  return push_page(L, data, false, 2);
}

void tc_rows_open (lua_State *L, int module) {
  module = lua_absindex(L, module);
  lua_pushcfunction(L, page);
  lua_setfield(L, module, "page");
}
