/*
** writer.c: the rows writer as a userdata: options in, pages of replies or
** rows made in Lua, and the file at the end. The lines are lines.c's.
*/
#include "lua/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lua/call.h"
#include "lua/failure.h"
#include "lua/object.h"
#include "table/lines.h"
#include "lua/rows.h"

#define WRITER_MT "taskclient.writer"

typedef struct writer {
  tc_lines lines;
  tc_buffer path; /* for messages: the file's own goes with the file */
  bool open;
} writer;

/* ---- faults ---- */

static writer *check (lua_State *L, int arg) {
  return (writer *)luaL_checkudata(L, arg, WRITER_MT);
}

static writer *check_open (lua_State *L, int arg) {
  writer *w = check(L, arg);
  luaL_argcheck(L, w->open, arg, "the writer is closed");
  return w;
}

static int fail_io (lua_State *L, const writer *w, int error) {
  const char *path = w->path.ptr != NULL ? w->path.ptr : "";
  return tc_fail(L, error == ENOMEM ? "memory" : "io", "%s: %s", path,
                 tc_file_why(error));
}

/* what has stopped the writer; it is told again to whoever goes on */
static int fail (lua_State *L, const writer *w) {
  const tc_lines *l = &w->lines;
  if (l->file.error != 0)
    return fail_io(L, w, l->file.error);
  if (l->cells != l->width && l->cells > 0)
    return tc_fail(L, "protocol", "row %d has %d cells for %d columns",
                   (int)l->rows + 1, l->cells, l->width);
  return tc_fail(L, "protocol", "the rows do not fit their columns");
}

/* ---- columns ---- */

/* the name on top of the stack becomes a column [-1, +0] */
static bool add_column (lua_State *L, writer *w, int taken, tc_kind kind) {
  tc_slice name, key;
  bool fine;
  name.ptr = lua_tolstring(L, -1, &name.len);
  lua_pushvalue(L, -1);
  tc_rows_unique(L, taken);
  key.ptr = lua_tolstring(L, -1, &key.len);
  fine = tc_lines_column_add(&w->lines, name, key, kind);
  lua_pop(L, 2);
  return fine;
}

/* the columns of the first page are the file's; a page that has none, such as
   text, has one that is called text, and so has any page that is saved as text */
static bool page_columns (lua_State *L, writer *w, const tc_page *p) {
  int taken;
  bool fine = true;
  tc_json columns;
  tc_column c;
  bool text = w->lines.format.style == TC_PLAIN ||
              p->metadata.token != TC_JSON_ARRAY;
  lua_newtable(L);
  taken = lua_gettop(L);
  tc_page_columns(p, &columns);
  for (int i = 1; fine && !text && tc_page_column(&columns, i, &c); i++) {
    tc_value_push_text(L, c.name, c.name_escaped);
    fine = add_column(L, w, taken, c.kind);
  }
  if (text) {
    lua_pushliteral(L, "text");
    fine = add_column(L, w, taken, TC_KIND_TEXT);
  }
  lua_settop(L, taken - 1);
  return fine && tc_lines_start(&w->lines);
}

/* ---- pages ---- */

static int add_page (lua_State *L, tc_slice data) {
  writer *w = check_open(L, 1);
  tc_lines *l = &w->lines;
  unsigned long long before = l->rows;
  tc_page p;
  if (tc_lines_failed(l))
    return fail(L, w);
  if (!tc_page_open(&p, data, true) || p.rows == NULL)
    return tc_fail(L, "protocol", "the reply holds no rows");
  if (!l->started && !page_columns(L, w, &p))
    return fail(L, w);
  if (!tc_lines_page(l, &p))
    return fail(L, w);
  tc_push_int64(L, (int64_t)(l->rows - before));
  return 1;
}

static int add_call (lua_State *L, tc_call *call) {
  return call->verdict.kind != NULL
           ? tc_call_push_err(L, call)
           : add_page(L, call->verdict.envelope.data);
}

/* writer:page(call or text): rows written, or nil, err */
static int page (lua_State *L) {
  tc_slice data;
  int failed;
  check_open(L, 1);
  if (lua_type(L, 2) == LUA_TUSERDATA)
    return tc_call_read(L, 2, add_call);
  failed = tc_value_check(L, 2, &data);
  return failed != 0 ? failed : add_page(L, data);
}

/* ---- rows made in Lua ---- */

static bool is_utf8 (lua_State *L) {
  tc_slice text;
  text.ptr = lua_tolstring(L, -1, &text.len);
  return tc_json_broken(text) == text.len;
}

/* pushes the column's name: the entry of the list, or its field name */
static void check_name (lua_State *L, writer *w, int i) {
  if (tc_rawgeti(L, 2, i) == LUA_TTABLE) {
    tc_getfield(L, -1, "name");
    lua_remove(L, -2);
  }
  luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2,
                "names or tables with a name expected");
  luaL_argcheck(L, w->lines.format.style != TC_JSONL || is_utf8(L), 2,
                "names in JSON Lines must be UTF-8");
}

static tc_kind column_kind (lua_State *L, int i) {
  tc_kind kind = TC_KIND_TEXT;
  if (tc_rawgeti(L, 2, i) == LUA_TTABLE) {
    tc_slice type;
    if (tc_getfield(L, -1, "type") == LUA_TSTRING) {
      type.ptr = lua_tolstring(L, -1, &type.len);
      kind = tc_kind_of(type);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return kind;
}

/* writer:columns(list): names, or the columns of a page; true, or nil, err */
static int columns (lua_State *L) {
  writer *w = check_open(L, 1);
  bool fine = true;
  int count, i;
  luaL_argcheck(L, !w->lines.started, 1, "the writer has its columns already");
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  count = (int)lua_rawlen(L, 2);
  w->lines.broken = count > 1 && w->lines.format.style == TC_PLAIN;
  for (i = 1; i <= count; i++) {
    check_name(L, w, i);
    lua_settop(L, 2);
  }
  lua_newtable(L); /* names taken */
  for (i = 1; fine && i <= count; i++) {
    check_name(L, w, i);
    fine = add_column(L, w, 3, column_kind(L, i));
  }
  if (!fine || !tc_lines_start(&w->lines) || w->lines.broken)
    return fail(L, w);
  lua_pushboolean(L, 1);
  return 1;
}

static size_t print_number (lua_State *L, char *to, size_t size) {
  double d = (double)lua_tonumber(L, -1);
  int64_t n;
  if (lua_isinteger(L, -1) && tc_toint64(L, -1, &n))
    return (size_t)snprintf(to, size, "%lld", (long long)n);
  if (isnan(d))
    return (size_t)snprintf(to, size, "NaN");
  if (isinf(d))
    return (size_t)snprintf(to, size, d > 0 ? "Infinity" : "-Infinity");
  return tc_json_print(d, to);
}

/* the number or boolean on top as a cell; text is room for it */
static tc_cell scalar_cell (lua_State *L, char *text, size_t size) {
  tc_cell cell;
  cell.token = TC_JSON_NUMBER; /* bare in JSON Lines */
  cell.escaped = false;
  cell.text.ptr = text;
  if (lua_type(L, -1) == LUA_TBOOLEAN)
    cell.text.len = (size_t)snprintf(text, size, "%s",
                                     lua_toboolean(L, -1) ? "true" : "false");
  else
    cell.text.len = print_number(L, text, size);
  if (strpbrk(text, "NI") != NULL)
    cell.token = TC_JSON_STRING; /* JSON has no NaN and no infinity */
  return cell;
}

/* the value on top of the stack [-1, +0] */
static bool put_value (lua_State *L, tc_lines *l) {
  char number[64];
  tc_slice text;
  tc_cell cell;
  tc_status status;
  switch (lua_type(L, -1)) {
    case LUA_TSTRING:
      text.ptr = lua_tolstring(L, -1, &text.len);
      status = tc_format_text(&l->format, &l->out, text);
      break;
    case LUA_TNUMBER: case LUA_TBOOLEAN:
      cell = scalar_cell(L, number, sizeof number);
      status = tc_format_cell(&l->format, &l->out, &cell, TC_KIND_TEXT);
      break;
    default: status = tc_format_null(&l->format, &l->out); break;
  }
  lua_pop(L, 1);
  return tc_lines_put(l, status);
}

static bool is_cell (lua_State *L) {
  switch (lua_type(L, -1)) {
    case LUA_TNIL: case LUA_TSTRING: case LUA_TNUMBER: case LUA_TBOOLEAN:
      return true;
    default:
      return lua_type(L, -1) == LUA_TLIGHTUSERDATA &&
             lua_touserdata(L, -1) == NULL;
  }
}

/* raises before a byte is written */
static void check_cells (lua_State *L, const tc_lines *l) {
  int count = (int)lua_rawlen(L, 2), i;
  luaL_argcheck(L, count <= l->width, 2, "more cells than columns");
  for (i = 1; i <= l->width; i++) {
    lua_rawgeti(L, 2, i);
    luaL_argcheck(L, is_cell(L), 2,
                  "strings, numbers, booleans or taskclient.null expected");
    luaL_argcheck(L, l->format.style != TC_JSONL ||
                     lua_type(L, -1) != LUA_TSTRING || is_utf8(L), 2,
                  "text in JSON Lines must be UTF-8");
    lua_pop(L, 1);
  }
}

/* writer:row(array): true, or nil, err; nil and null are NULL */
static int row (lua_State *L) {
  writer *w = check_open(L, 1);
  tc_lines *l = &w->lines;
  bool fine = true;
  int i;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_argcheck(L, l->started, 1, "rows need columns first");
  check_cells(L, l);
  if (tc_lines_failed(l))
    return fail(L, w);
  for (i = 1; fine && i <= l->width; i++) {
    lua_rawgeti(L, 2, i);
    fine = tc_lines_cell(l) && put_value(L, l);
  }
  if (!tc_lines_end(l, fine))
    return fail(L, w);
  lua_pushboolean(L, 1);
  return 1;
}

/* writer:write(text): bytes as they are, for a file that is no table; true,
   or nil, err */
static int put_bytes (lua_State *L) {
  writer *w = check_open(L, 1);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, !w->lines.started, 1, "the writer has columns");
  if (tc_lines_failed(&w->lines) ||
      tc_file_write(&w->lines.file, text, len) != 0)
    return fail(L, w);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- options ---- */

static bool option_flag (lua_State *L, const char *name, bool fallback) {
  bool flag = tc_getfield(L, 2, name) == LUA_TNIL ? fallback
                                                  : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* an option that is text, or the fallback; it lives as long as the table */
static const char *option_text (lua_State *L, const char *name,
                                const char *fallback) {
  int type = tc_getfield(L, 2, name);
  const char *text = type == LUA_TNIL ? fallback : lua_tostring(L, -1);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    luaL_argerror(L, 2, lua_pushfstring(L, "option %s: string expected, got %s",
                                        name, luaL_typename(L, -1)));
  luaL_argcheck(L, type == LUA_TNIL || tc_is_name(L, -1, text), 2,
                "an option's text holds no zero byte");
  lua_pop(L, 1);
  return text;
}

static int option_choice (lua_State *L, const char *name,
                          const char *const *choices) {
  const char *text = option_text(L, name, choices[0]);
  int i;
  for (i = 0; choices[i] != NULL; i++)
    if (strcmp(text, choices[i]) == 0)
      return i;
  return luaL_argerror(L, 2, lua_pushfstring(L, "option %s: unknown word '%s'",
                                             name, text));
}

static void read_separator (lua_State *L, tc_format *f) {
  const char *fallback = f->style == TC_TSV ? "\t" : ",";
  const char *text = option_text(L, "separator", fallback);
  luaL_argcheck(L, strlen(text) == 1 && strpbrk(text, "\"\r\n") == NULL, 2,
                "option separator: one byte, no quote, no newline");
  luaL_argcheck(L, f->style == TC_CSV || *text == *fallback, 2,
                "option separator is for csv");
  f->separator = *text;
}

static void read_null (lua_State *L, tc_format *f) {
  const char *word = option_text(L, "null", f->style == TC_TSV ? "\\N" : "");
  luaL_argcheck(L, strlen(word) < sizeof f->null &&
                   strpbrk(word, "\"\r\n\t") == NULL &&
                   strchr(word, f->separator) == NULL, 2,
                "option null: short, without quote, separator or newline");
  f->null_len = strlen(word);
  memcpy(f->null, word, f->null_len + 1);
}

static void read_eol (lua_State *L, tc_lines *l) {
  bool csv = l->format.style == TC_CSV;
  const char *eol = option_text(L, "eol", csv ? "\r\n" : "\n");
  luaL_argcheck(L, strcmp(eol, "\n") == 0 || strcmp(eol, "\r\n") == 0, 2,
                "option eol: \"\\n\" or \"\\r\\n\" expected");
  l->eol = eol[0] == '\n' ? "\n" : "\r\n"; /* ours, not the table's */
}

static void refuse_unknown (lua_State *L) {
  static const char *const known[] = {
    "format", "separator", "quote", "null", "bom", "header", "eol",
    "overwrite", "typed", "durable", NULL
  };
  for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
    bool text = lua_type(L, -2) == LUA_TSTRING;
    size_t i = 0;
    while (known[i] != NULL && !(text && tc_is_name(L, -2, known[i]))) i++;
    if (known[i] == NULL)
      luaL_argerror(L, 2, lua_pushfstring(L, "unknown option %s",
                            text ? lua_tostring(L, -2) : luaL_typename(L, -2)));
  }
}

/* the options stand at 2 */
static void read_options (lua_State *L, tc_lines *l) {
  static const char *const formats[] = {"csv", "tsv", "jsonl", "text", NULL};
  static const char *const quotes[] = {"minimal", "all", NULL};
  tc_format *f = &l->format;
  luaL_checktype(L, 2, LUA_TTABLE);
  refuse_unknown(L);
  f->style = (tc_style)option_choice(L, "format", formats);
  f->quote_all = option_choice(L, "quote", quotes) == 1;
  f->typed = option_flag(L, "typed", false);
  read_separator(L, f);
  read_null(L, f);
  read_eol(L, l);
  l->bom = option_flag(L, "bom", false);
  l->header = f->style != TC_PLAIN && option_flag(L, "header", true);
}

/* ---- begin and end ---- */

static int discard (lua_State *L) {
  writer *w = check(L, 1);
  w->open = false;
  tc_lines_free(&w->lines);
  tc_buffer_free(&w->path);
  return 0;
}

/* writer:commit(): bytes and rows of the file that now stands under its name,
   or nil, err; the writer is closed either way */
static int commit (lua_State *L) {
  writer *w = check_open(L, 1);
  int results = 2;
  if (w->lines.broken || tc_lines_commit(&w->lines) != 0)
    results = fail(L, w);
  else {
    tc_push_int64(L, (int64_t)w->lines.file.written);
    tc_push_int64(L, (int64_t)w->lines.rows);
  }
  discard(L);
  return results;
}

static int to_string (lua_State *L) {
  const writer *w = check(L, 1);
  lua_pushfstring(L, "taskclient writer (%s)",
                  w->open ? w->path.ptr : "closed");
  return 1;
}

static writer *new_writer (lua_State *L) {
  writer *w = (writer *)lua_newuserdata(L, sizeof *w);
  w->open = false;
  tc_lines_init(&w->lines);
  tc_buffer_init(&w->path, (size_t)-1);
  luaL_getmetatable(L, WRITER_MT);
  lua_setmetatable(L, -2);
  return w;
}

/* core.writer(path, options): a writer, or nil, err */
static int new (lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  bool overwrite, durable;
  writer *w;
  int error;
  luaL_argcheck(L, strlen(path) == len, 1, "a path holds no zero byte");
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  w = new_writer(L);
  read_options(L, &w->lines);
  overwrite = option_flag(L, "overwrite", false);
  durable = option_flag(L, "durable", true);
  error = tc_buffer_add(&w->path, path, len) == TC_OK ? 0 : ENOMEM;
  if (error == 0)
    error = tc_file_open(&w->lines.file, path, overwrite);
  if (error != 0)
    return fail_io(L, w, error);
  w->lines.file.durable = durable;
  w->open = true;
  return 1;
}

static const luaL_Reg methods[] = {
  {"columns", columns},
  {"page", page},
  {"row", row},
  {"write", put_bytes},
  {"commit", commit},
  {"discard", discard},
  {"__gc", discard},
  {"__close", discard},
  {"__tostring", to_string},
  {NULL, NULL}
};

void tc_writer_open (lua_State *L, int module) {
  module = lua_absindex(L, module);
  if (luaL_newmetatable(L, WRITER_MT)) {
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  lua_pushcfunction(L, new);
  lua_setfield(L, module, "writer");
}
