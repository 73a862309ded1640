/*
** args.c: the arguments of client:start, by the operation's row in the table,
** into a request. Everything wrong here is the caller's mistake and raises,
** before a byte is sent. What is allocated lies in the call userdata.
*/
#include <math.h>
#include <stdio.h>

#include "lua/call.h"
#include "lua/object.h"
#include "lua/secret.h"
#include "server/target.h"
#include "lua/value.h"

#define NAMES_MOST 32
enum { ARGS = 3, OPTS, CALL }; /* stack positions of client:start */
#define AGES 1e8 /* seconds */

static int fault (lua_State *L, int arg, const char *format,
                  const char *a, const char *b) {
  lua_pushfstring(L, format, a, b);
  return luaL_argerror(L, arg, lua_tostring(L, -1));
}

static void no_memory_if (lua_State *L, tc_status status) {
  if (status == TC_NO_MEMORY) luaL_error(L, "not enough memory");
  if (status == TC_TOO_LARGE) luaL_argerror(L, ARGS, "request is too large");
}

/* ---- values as text ---- */

/* all digits, with a sign perhaps: an integer that this Lua cannot hold */
static bool is_number_text (tc_slice s) {
  size_t i = s.len > 0 && s.ptr[0] == '-' ? 1 : 0;
  if (i == s.len || s.len > 20) return false;
  for (; i < s.len; i++)
    if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
  return true;
}

/* replaces a whole number on top of the stack by its digits */
static bool number_to_text (lua_State *L) {
  char digits[24];
  int64_t n;
  if (!tc_toint64(L, -1, &n)) return false;
  snprintf(digits, sizeof digits, "%lld", (long long)n);
  lua_pop(L, 1);
  lua_pushstring(L, digits);
  return true;
}

static bool to_integer (lua_State *L, tc_slice *out) {
  bool number = lua_type(L, -1) == LUA_TNUMBER;
  if (number && !number_to_text(L)) return false;
  return tc_text(L, -1, out) && (number || is_number_text(*out));
}

static bool to_text (lua_State *L, tc_slice *out) {
  if (lua_type(L, -1) == LUA_TNUMBER) {
    if (!number_to_text(L)) lua_tostring(L, -1);
  }
  return tc_text(L, -1, out);
}

static bool to_boolean (lua_State *L, tc_slice *out) {
  if (lua_isboolean(L, -1)) {
    const char *word = lua_toboolean(L, -1) ? "true" : "false";
    lua_pop(L, 1);
    lua_pushstring(L, word);
  }
  return tc_text(L, -1, out) &&
         ((out->len == 4 && memcmp(out->ptr, "true", 4) == 0) ||
          (out->len == 5 && memcmp(out->ptr, "false", 5) == 0));
}

/* the value on top, which stays there, as the bytes to send */
static void read_value (lua_State *L, const tc_param *p, tc_slice *out) {
  static const char *const expected[] = {
    "text", "an integer", "a boolean", "text or an integer", "text", "a table"
  };
  const char *got = luaL_typename(L, -1);
  bool good = p->type == TC_INTEGER   ? to_integer(L, out)
              : p->type == TC_BOOLEAN ? to_boolean(L, out)
                                      : to_text(L, out);
  if (!good) {
    lua_pushfstring(L, "'%s' is %s, got %s", p->name, expected[p->type], got);
    luaL_argerror(L, ARGS, lua_tostring(L, -1));
  }
  if (p->where == TC_QUERY && memchr(out->ptr, '\0', out->len) != NULL)
    fault(L, ARGS, "'%s' holds a NUL byte%s", p->name, "");
}

static void check_id (lua_State *L, const tc_param *p, tc_slice id) {
  const char *why = p->type == TC_ID ? tc_id_complaint(id)
                                     : tc_opaque_id_complaint(id);
  if (why != NULL) fault(L, ARGS, "'%s' is %s", p->name, why);
}

/* ---- the URL ---- */

static void put_path (lua_State *L, const tc_client *c, tc_call *call,
                      int args) {
  const tc_operation *op = call->operation;
  const tc_param *p = op->params;
  tc_buffer *url = &call->request.url;
  tc_slice id = { NULL, 0 };
  bool encode = false;
  int top = lua_gettop(L);
  if (p != NULL && p->where == TC_PATH &&
      tc_getfield(L, args, p->name) != LUA_TNIL) {
    read_value(L, p, &id);
    check_id(L, p, id);
    encode = p->type == TC_OPAQUE_ID;
  }
  no_memory_if(L, tc_buffer_add(url, c->base.ptr, c->base.len));
  no_memory_if(L, tc_expand(url, op->path, id, encode));
  lua_settop(L, top);
}

static void put_pair (lua_State *L, tc_call *call, const tc_param *p,
                      tc_slice value) {
  bool form = p->where == TC_FORM;
  tc_buffer *to = form ? &call->request.body : &call->request.url;
  char mark = form ? (to->len > 0 ? '&' : '\0')
                   : (strchr(to->ptr, '?') != NULL ? '&' : '?');
  no_memory_if(L, tc_add_pair(to, mark, p->name, value));
}

/* further form fields, by names the table does not know */
static void put_fields (lua_State *L, tc_call *call, const tc_param *p) {
  if (!lua_istable(L, -1))
    fault(L, ARGS, "'%s' is a table, got %s", p->name, luaL_typename(L, -1));
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    tc_param field = { NULL, TC_TEXT, TC_FORM, false, NULL };
    tc_slice value;
    if (lua_type(L, -2) != LUA_TSTRING)
      fault(L, ARGS, "'%s' has a name that is no text%s", p->name, "");
    field.name = lua_tostring(L, -2);
    if (strlen(field.name) != lua_rawlen(L, -2))
      fault(L, ARGS, "'%s' has a name with a NUL byte%s", p->name, "");
    if (tc_operation_param(call->operation, field.name) != NULL)
      fault(L, ARGS, "'%s' has the field '%s', which has a place of its own",
            p->name, field.name);
    if (lua_isboolean(L, -1)) to_boolean(L, &value);
    read_value(L, &field, &value);
    put_pair(L, call, &field, value);
  }
}

/* one parameter; true when the caller gave it */
static bool put_param (lua_State *L, tc_call *call, const tc_param *p,
                       int args) {
  tc_slice value;
  bool given = tc_getfield(L, args, p->name) != LUA_TNIL;
  if (!given && p->required)
    fault(L, ARGS, "'%s' is missing, operation '%s' needs it", p->name,
          call->operation->name);
  if (given && p->type == TC_FIELDS)
    put_fields(L, call, p);
  else if (given && p->where != TC_PATH) {
    read_value(L, p, &value);
    put_pair(L, call, p, value);
  }
  else if (!given && p->preset != NULL) {
    value.ptr = p->preset;
    value.len = strlen(p->preset);
    put_pair(L, call, p, value);
  }
  lua_pop(L, 1);
  return given;
}

/* ---- names nobody knows ---- */

static void unknown (lua_State *L, int arg, const char *what,
                     const char *name, const char *const *names) {
  const char *near = tc_nearest(name, names);
  if (near != NULL)
    lua_pushfstring(L, "unknown %s '%s' (did you mean '%s'?)", what, name,
                    near);
  else
    lua_pushfstring(L, "unknown %s '%s'", what, name);
  luaL_argerror(L, arg, lua_tostring(L, -1));
}

static bool takes_body (const tc_request *r) {
  return r->content == TC_BODY_JSON;
}

static void find_unknown (lua_State *L, const tc_call *call, int args) {
  const char *names[NAMES_MOST + 2];
  size_t n = 0;
  const tc_param *p = call->operation->params;
  for (; p != NULL && p->name != NULL && n < NAMES_MOST; p++)
    names[n++] = p->name;
  if (takes_body(&call->request)) names[n++] = "body";
  names[n] = NULL;
  for (lua_pushnil(L); lua_next(L, args); lua_pop(L, 1)) {
    const char *name;
    size_t i = 0;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_argerror(L, ARGS, "arguments are given by name");
    name = lua_tostring(L, -2);
    while (names[i] != NULL && !tc_is_name(L, -2, names[i])) i++;
    if (names[i] == NULL) unknown(L, ARGS, "argument", name, names);
  }
}

static size_t count_names (lua_State *L, int args) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, args); lua_pop(L, 1)) n++;
  return n;
}

/* ---- the body ---- */

/* the gateway answers an empty body with nothing at all (linkis-wire 1.5) */
static bool put_body (lua_State *L, tc_call *call, int args) {
  tc_slice body = { "{}", 2 };
  bool given = tc_getfield(L, args, "body") != LUA_TNIL;
  if (given && !tc_text(L, -1, &body))
    fault(L, ARGS, "'body' is text, got %s%s", luaL_typename(L, -1), "");
  if (body.len == 0) luaL_argerror(L, ARGS, "'body' is empty");
  if (!given && call->operation->content == TC_BODY_JSON &&
      !(call->operation->flags & TC_BLANK))
    fault(L, ARGS, "'body' is missing, operation '%s' needs it%s",
          call->operation->name, "");
  no_memory_if(L, tc_buffer_add(&call->request.body, body.ptr, body.len));
  lua_pop(L, 1);
  return given;
}

void tc_args_read (lua_State *L, const tc_client *c, tc_call *call,
                   int args) {
  const tc_param *p = call->operation->params;
  size_t given = 0;
  put_path(L, c, call, args);
  for (; p != NULL && p->name != NULL; p++)
    given += put_param(L, call, p, args);
  if (takes_body(&call->request)) given += put_body(L, call, args);
  if (given != count_names(L, args)) find_unknown(L, call, args);
}

/* ---- options ---- */

static double seconds (lua_State *L, const char *name) {
  double n = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(n > 0))
    fault(L, OPTS, "'%s' is a number of seconds above 0, got %s", name,
          lua_type(L, -1) == LUA_TNUMBER ? "another number"
                                         : luaL_typename(L, -1));
  return n < AGES ? n : AGES;
}

static bool boolean (lua_State *L, const char *name) {
  if (!lua_isboolean(L, -1))
    fault(L, OPTS, "'%s' is a boolean, got %s", name, luaL_typename(L, -1));
  return lua_toboolean(L, -1);
}

static void opt_timeout (lua_State *L, tc_call *call) {
  call->request.timeout = seconds(L, "timeout");
}

static void opt_max_body (lua_State *L, tc_call *call) {
  double n = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(n >= 1))
    fault(L, OPTS, "'max_body' is a number of bytes, got %s%s",
          luaL_typename(L, -1), "");
  call->request.max_body = tc_bytes(n);
}

static void opt_pick (lua_State *L, tc_call *call) {
  tc_picker_check(L, lua_gettop(L));
  if (call->operation->decoder != TC_DECODE_DATA)
    fault(L, OPTS, "operation '%s' has no data to pick from%s",
          call->operation->name, "");
  lua_pushvalue(L, -1);
  tc_setslot(L, CALL, TC_CALL_EXTRA);
}

static void opt_file (lua_State *L, tc_call *call) {
  tc_slice path;
  if (lua_type(L, -1) != LUA_TSTRING || !tc_text(L, -1, &path) ||
      strlen(path.ptr) != path.len || path.len == 0)
    fault(L, OPTS, "'file' is the path of a file, got %s%s",
          luaL_typename(L, -1), "");
  if (call->operation->decoder != TC_DECODE_STREAM)
    fault(L, OPTS, "operation '%s' sends no file to save%s",
          call->operation->name, "");
  call->request.file = path.ptr;
  lua_pushvalue(L, -1);
  tc_setslot(L, CALL, TC_CALL_EXTRA); /* holds it until it is open */
}

static void opt_overwrite (lua_State *L, tc_call *call) {
  call->request.overwrite = boolean(L, "overwrite");
}

static void opt_durable (lua_State *L, tc_call *call) {
  call->request.durable = boolean(L, "durable");
}

static void opt_fresh (lua_State *L, tc_call *call) {
  if (boolean(L, "fresh")) call->request.fresh = true;
}

static void opt_method (lua_State *L, tc_call *call) {
  const char *verb = lua_tostring(L, -1);
  tc_request *r = &call->request;
  if (lua_type(L, -1) == LUA_TSTRING && strcmp(verb, "POST") == 0) {
    r->verb = "POST";
    if (r->content == TC_BODY_NONE) r->content = TC_BODY_JSON;
  }
  else if (lua_type(L, -1) == LUA_TSTRING && strcmp(verb, "GET") == 0 &&
           r->content != TC_BODY_FORM) {
    r->verb = "GET";
    r->content = TC_BODY_NONE;
  }
  else
    fault(L, OPTS, "'method' is 'GET' or 'POST'%s%s", "", "");
}

typedef struct option {
  const char *name;
  void (*read) (lua_State *L, tc_call *call);
} option;

static const option options[] = {
  { "timeout", opt_timeout }, { "max_body", opt_max_body },
  { "pick", opt_pick },       { "file", opt_file },
  { "overwrite", opt_overwrite }, { "method", opt_method },
  { "fresh", opt_fresh },     { "durable", opt_durable }
};

#define OPTIONS (sizeof options / sizeof *options)

static void unknown_option (lua_State *L, const char *name) {
  const char *names[OPTIONS + 1];
  for (size_t i = 0; i < OPTIONS; i++) names[i] = options[i].name;
  names[OPTIONS] = NULL;
  unknown(L, OPTS, "option", name, names);
}

void tc_opts_read (lua_State *L, tc_call *call, int opts) {
  for (lua_pushnil(L); lua_next(L, opts); lua_pop(L, 1)) {
    const char *name;
    size_t i = 0;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_argerror(L, OPTS, "options are given by name");
    name = lua_tostring(L, -2);
    while (i < OPTIONS && !tc_is_name(L, -2, options[i].name)) i++;
    if (i == OPTIONS) unknown_option(L, name);
    options[i].read(L, call);
  }
}
