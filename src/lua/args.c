/*
** args.c: the arguments of client:start, by the operation's row in the table,
** into a request. Everything wrong here is the caller's mistake and raises,
** before a byte is sent. What is allocated lies in the call userdata.
*/
#include <math.h>

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

typedef struct argument {
  tc_slice text;
  char digits[24]; /* of a whole number: text lies here */
} argument;

/* all digits, with a sign perhaps: an integer that this Lua cannot hold */
static bool is_number_text (tc_slice s) {
  size_t i = s.len > 0 && s.ptr[0] == '-' ? 1 : 0;
  if (i == s.len || s.len > 20) return false;
  for (; i < s.len; i++)
    if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
  return true;
}

/* the digits of a whole number on top of the stack */
static bool number_to_text (lua_State *L, argument *v) {
  int64_t n;
  uint64_t rest;
  char *p = v->digits + sizeof v->digits;
  if (lua_type(L, -1) != LUA_TNUMBER || !tc_toint64(L, -1, &n)) return false;
  rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  do *--p = (char)('0' + rest % 10); while ((rest /= 10) != 0);
  if (n < 0) *--p = '-';
  v->text.ptr = p;
  v->text.len = (size_t)(v->digits + sizeof v->digits - p);
  return true;
}

/* the bytes to send of the value on top, which stays there; false: it is of
   another type */
static bool to_text (lua_State *L, tc_type type, argument *v) {
  static const tc_slice words[] = { { "false", 5 }, { "true", 4 } };
  if (type != TC_BOOLEAN && number_to_text(L, v)) return true;
  if (type == TC_BOOLEAN && lua_isboolean(L, -1)) {
    v->text = words[lua_toboolean(L, -1)];
    return true;
  }
  if (lua_type(L, -1) == LUA_TNUMBER) {
    if (type == TC_INTEGER || type == TC_BOOLEAN) return false;
    lua_tostring(L, -1); /* the copy on the stack becomes text */
  }
  if (!tc_text(L, -1, &v->text)) return false;
  return type == TC_INTEGER   ? is_number_text(v->text)
         : type == TC_BOOLEAN ? tc_is_name(L, -1, "true") ||
                                tc_is_name(L, -1, "false")
                              : true;
}

static void read_value (lua_State *L, const tc_param *p, argument *v) {
  static const char *const expected[] = {
    "text", "an integer", "a boolean", "text or an integer", "text", "a table"
  };
  const char *got = luaL_typename(L, -1);
  if (!to_text(L, p->type, v)) {
    lua_pushfstring(L, "'%s' is %s, got %s", p->name, expected[p->type], got);
    luaL_argerror(L, ARGS, lua_tostring(L, -1));
  }
  if (p->where == TC_QUERY &&
      memchr(v->text.ptr, '\0', v->text.len) != NULL)
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
  tc_buffer *url = &call->exchange.request.url;
  argument id;
  bool encode = false;
  int top = lua_gettop(L);
  id.text.ptr = NULL;
  if (p != NULL && p->where == TC_PATH &&
      tc_getfield(L, args, p->name) != LUA_TNIL) {
    read_value(L, p, &id);
    check_id(L, p, id.text);
    encode = p->type == TC_OPAQUE_ID;
  }
  no_memory_if(L, tc_buffer_add(url, c->base.ptr, c->base.len));
  no_memory_if(L, tc_expand(url, op->path, id.text, encode));
  lua_settop(L, top);
}

static void put_pair (lua_State *L, tc_call *call, const tc_param *p,
                      tc_slice value) {
  bool form = p->where == TC_FORM;
  tc_buffer *to = form ? &call->exchange.request.body : &call->exchange.request.url;
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
    argument v;
    if (lua_type(L, -2) != LUA_TSTRING)
      fault(L, ARGS, "'%s' has a name that is no text%s", p->name, "");
    field.name = lua_tostring(L, -2);
    if (strlen(field.name) != lua_rawlen(L, -2))
      fault(L, ARGS, "'%s' has a name with a NUL byte%s", p->name, "");
    if (tc_operation_param(call->operation, field.name) != NULL)
      fault(L, ARGS, "'%s' has the field '%s', which has a place of its own",
            p->name, field.name);
    if (lua_isboolean(L, -1)) field.type = TC_BOOLEAN;
    read_value(L, &field, &v);
    put_pair(L, call, &field, v.text);
  }
}

/* one parameter; true when the caller gave it */
static bool put_param (lua_State *L, tc_call *call, const tc_param *p,
                       int args) {
  argument v;
  bool given = tc_getfield(L, args, p->name) != LUA_TNIL;
  if (!given && p->required)
    fault(L, ARGS, "'%s' is missing, operation '%s' needs it", p->name,
          call->operation->name);
  if (given && p->type == TC_FIELDS)
    put_fields(L, call, p);
  else if (given && p->where != TC_PATH) {
    read_value(L, p, &v);
    put_pair(L, call, p, v.text);
  }
  else if (!given && p->preset != NULL) {
    v.text.ptr = p->preset;
    v.text.len = strlen(p->preset);
    put_pair(L, call, p, v.text);
  }
  lua_pop(L, 1);
  return given;
}

/* ---- names nobody knows ---- */

static void find_unknown (lua_State *L, const tc_call *call, int args) {
  const char *names[NAMES_MOST + 2];
  size_t n = 0;
  const tc_param *p = call->operation->params;
  for (; p != NULL && p->name != NULL && n < NAMES_MOST; p++)
    names[n++] = p->name;
  if (call->exchange.request.content == TC_BODY_JSON) names[n++] = "body";
  names[n] = NULL;
  for (lua_pushnil(L); lua_next(L, args); lua_pop(L, 1))
    tc_check_name(L, ARGS, "argument", names);
}

static size_t count_names (lua_State *L, int args) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, args); lua_pop(L, 1)) n++;
  return n;
}

/* ---- the body ---- */

/* the gateway answers an empty body with nothing at all */
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
  no_memory_if(L, tc_buffer_add(&call->exchange.request.body, body.ptr, body.len));
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
  if (call->exchange.request.content == TC_BODY_JSON)
    given += put_body(L, call, args);
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
  call->exchange.request.timeout = seconds(L, "timeout");
}

static void opt_max_body (lua_State *L, tc_call *call) {
  double n = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(n >= 1))
    fault(L, OPTS, "'max_body' is a number of bytes, got %s%s",
          luaL_typename(L, -1), "");
  call->exchange.request.max_body = tc_bytes(n);
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
  call->exchange.request.file = path.ptr;
  lua_pushvalue(L, -1);
  tc_setslot(L, CALL, TC_CALL_EXTRA); /* holds it until it is open */
}

static void opt_overwrite (lua_State *L, tc_call *call) {
  call->exchange.request.overwrite = boolean(L, "overwrite");
}

static void opt_durable (lua_State *L, tc_call *call) {
  call->exchange.request.durable = boolean(L, "durable");
}

static void opt_fresh (lua_State *L, tc_call *call) {
  if (boolean(L, "fresh")) call->exchange.request.fresh = true;
}

static void opt_method (lua_State *L, tc_call *call) {
  const char *verb = lua_tostring(L, -1);
  tc_request *r = &call->exchange.request;
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

void tc_opts_read (lua_State *L, tc_call *call, int opts) {
  const char *names[OPTIONS + 1] = { NULL };
  for (size_t i = 0; i < OPTIONS; i++) names[i] = options[i].name;
  for (lua_pushnil(L); lua_next(L, opts); lua_pop(L, 1))
    options[tc_check_name(L, OPTS, "option", names)].read(L, call);
}
