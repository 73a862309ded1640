/*
** settings.c: see settings.h. A table of options, each with its type and
** place, so that an unknown name can be answered with the nearest known one.
*/
#include "lua/settings.h"

#include <math.h>
#include <errno.h>
#include <unistd.h>

#include "lua/client.h"
#include "lua/failure.h"
#include "lua/object.h"
#include "lua/state.h"
#include "lua/secret.h"
#include "server/target.h"
#include "net/url.h"

#define OPTIONS_ARG 2
#define AGES 1e6 /* seconds; libcurl counts milliseconds in 32 bits */
#define HEADERS_MOST (4 * 1024 * 1024)

/* defaults */
#define CONNECT_TIMEOUT 10.0
#define IDLE_TIMEOUT 30.0
#define MAX_BODY (64.0 * 1024 * 1024)
#define MAX_CONNECTIONS 256.0

static int complain (lua_State *L, const char *name, const char *expected) {
  lua_pushfstring(L, "option '%s' is %s, got %s", name, expected,
                  luaL_typename(L, -1));
  return luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
}

static const tc_slice nobody = { "", 0 };

/* ---- texts ---- */

typedef struct text_option {
  const char *name;
  size_t place;
  bool secret;
  bool header; /* becomes a header: no control characters, not empty */
} text_option;

#define PLACE(member) offsetof(tc_settings, member)

static const text_option texts[] = {
  { "cookie", PLACE(cookie), true, true },
  { "user", PLACE(user), false, false },
  { "password", PLACE(password), true, false },
  { "user_agent", PLACE(user_agent), false, true },
  { "proxy", PLACE(proxy), false, true },
  { "ca_file", PLACE(ca_file), false, false },
  { "ca_path", PLACE(ca_path), false, false },
  { "cert", PLACE(cert), false, false },
  { "key", PLACE(key), false, false },
  { "key_password", PLACE(key_password), true, false }
};

#define TEXTS (sizeof texts / sizeof *texts)

/* NULL, or the option whose file cannot be read; errno says why */
static const char *unreadable_file (const tc_settings *s) {
  if (s->ca_file != NULL && access(s->ca_file, R_OK) != 0) return "ca_file";
  if (s->ca_path != NULL && access(s->ca_path, R_OK) != 0) return "ca_path";
  if (s->cert != NULL && access(s->cert, R_OK) != 0) return "cert";
  if (s->key != NULL && access(s->key, R_OK) != 0) return "key";
  return NULL;
}

static void check_text (lua_State *L, const text_option *o, tc_slice text) {
  const char *why = NULL;
  if (strlen(text.ptr) != text.len) why = "text with a NUL byte";
  else if (o->header) why = tc_header_value_complaint(text);
  if (why == NULL) return;
  lua_pushfstring(L, "option '%s' is %s", o->name, why);
  luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
}

/* the user's name, which stands before the secrets in the list of texts */
static tc_slice name_of (const tc_settings *s) {
  tc_slice name = nobody;
  if (s->user == NULL) return name;
  name.ptr = s->user;
  name.len = strlen(s->user);
  return name;
}

/* the value stays on the stack: a finalizer may take it out of the table */
static void read_text (lua_State *L, int options, const text_option *o,
                       tc_client *c, tc_settings *s) {
  tc_slice text;
  if (tc_getfield(L, options, o->name) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (!tc_text(L, -1, &text)) complain(L, o->name, "text");
  check_text(L, o, text);
  if (o->secret) tc_client_hide(L, c, text, name_of(s));
  *(const char **)(void *)((char *)s + o->place) = text.ptr;
}

/* ---- numbers and booleans ---- */

typedef struct number_option {
  const char *name;
  double preset, least;
} number_option;

enum { CONNECT, IDLE, BODY, CONNECTIONS, NUMBERS };

static const number_option numbers[NUMBERS] = {
  { "connect_timeout", CONNECT_TIMEOUT, 0.001 },
  { "idle_timeout", IDLE_TIMEOUT, 1 },
  { "max_body", MAX_BODY, 1 },
  { "max_connections", MAX_CONNECTIONS, 1 }
};

static double read_number (lua_State *L, int options,
                           const number_option *o) {
  double n = o->preset;
  if (tc_getfield(L, options, o->name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER) complain(L, o->name, "a number");
    n = lua_tonumber(L, -1);
    if (!(n >= o->least)) {
      lua_pushfstring(L, "option '%s' is too small, or no number", o->name);
      luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
    }
  }
  lua_pop(L, 1);
  return n;
}

static bool read_boolean (lua_State *L, int options, const char *name) {
  bool on = false;
  if (tc_getfield(L, options, name) != LUA_TNIL) {
    if (!lua_isboolean(L, -1)) complain(L, name, "a boolean");
    on = lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
  return on;
}

static void read_numbers (lua_State *L, int options, tc_client *c,
                          tc_settings *s) {
  double n[NUMBERS];
  for (int i = 0; i < NUMBERS; i++)
    n[i] = read_number(L, options, &numbers[i]);
  s->connect_timeout = fmin(n[CONNECT], AGES);
  s->idle_timeout = fmin(n[IDLE], AGES);
  s->max_connections = (size_t)fmin(n[CONNECTIONS], 1e6);
  c->max_body = tc_bytes(n[BODY]);
  s->session = read_boolean(L, options, "session");
  s->insecure = read_boolean(L, options, "insecure");
  c->lossy = read_boolean(L, options, "lossy");
}

/* ---- url ---- */

static bool ends_with (const char *text, const char *tail) {
  size_t n = strlen(text), m = strlen(tail);
  return n >= m && strcmp(text + n - m, tail) == 0;
}

static void keep_url (lua_State *L, tc_client *c, tc_url *u,
                      tc_settings *s) {
  bool fine = tc_buffer_addtext(&c->base, u->base) == TC_OK &&
              (ends_with(u->base, c->service->base) ||
               tc_buffer_addtext(&c->base, c->service->base) == TC_OK) &&
              tc_buffer_addtext(&c->host, u->host) == TC_OK;
  tc_url_free(u);
  if (!fine) luaL_error(L, "not enough memory");
  s->host = c->host.ptr;
  s->url = c->base.ptr;
}

static void read_url (lua_State *L, int options, tc_client *c,
                      tc_settings *s) {
  tc_slice text;
  tc_url u;
  const char *why;
  if (tc_getfield(L, options, "url") != LUA_TSTRING) complain(L, "url", "text");
  text.ptr = lua_tolstring(L, -1, &text.len);
  if ((why = tc_url_complaint(text)) != NULL) {
    lua_pushfstring(L, "option 'url' is %s", why);
    luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
  }
  if ((why = tc_url_read(&u, text.ptr)) != NULL) {
    if (*why == '\0') luaL_error(L, "not enough memory");
    lua_pushfstring(L, "option 'url' must be %s", why);
    luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
  }
  keep_url(L, c, &u, s);
  lua_pop(L, 1);
}

/* ---- headers ---- */

/* the pair on top: name and value, checked [-0, +2] */
static void read_pair (lua_State *L, int arg, tc_slice *name,
                       tc_slice *value) {
  const char *why = "not a {name, value} pair";
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    if (lua_type(L, -2) == LUA_TSTRING && tc_text(L, -2, name) &&
        tc_text(L, -1, value)) {
      why = tc_header_name_complaint(*name);
      if (why == NULL) why = tc_header_value_complaint(*value);
    }
  }
  if (why == NULL) return;
  lua_pushfstring(L, "one of 'headers' is %s", why);
  luaL_argerror(L, arg, lua_tostring(L, -1));
}

static void add_header (lua_State *L, tc_buffer *out, tc_slice name,
                        tc_slice value) {
  if (tc_buffer_add(out, name.ptr, name.len) != TC_OK ||
      tc_buffer_addtext(out, ": ") != TC_OK ||
      tc_buffer_add(out, value.ptr, value.len) != TC_OK ||
      tc_buffer_addchar(out, '\0') != TC_OK)
    luaL_error(L, "the headers are too long, or memory is short");
}

/* the lines begin where they stand in the text [-0, +1] */
static const char *const *push_lines (lua_State *L, const char *text,
                                      size_t count) {
  const char **lines = lua_newuserdata(L, (count + 1) * sizeof *lines);
  for (size_t i = 0; i < count; i++) {
    lines[i] = text;
    text += strlen(text) + 1;
  }
  lines[count] = NULL;
  return lines;
}

/* the header list at that index as C strings, NULL for none; they and their
   text, which may be wiped, lie on the stack [-0, +2 at most] */
static const char *const *read_headers (lua_State *L, int list, tc_client *c,
                                        int arg, tc_buffer **text) {
  size_t count, i;
  *text = tc_scratch(L, HEADERS_MOST);
  if (lua_isnil(L, list)) return NULL;
  if (!lua_istable(L, list)) luaL_argerror(L, arg, "'headers' is a list");
  count = lua_rawlen(L, list);
  for (i = 1; i <= count; i++) {
    tc_slice name, value;
    lua_rawgeti(L, list, (int)i);
    read_pair(L, arg, &name, &value);
    if (lua_type(L, -1) == LUA_TUSERDATA) tc_client_hide(L, c, value, nobody);
    add_header(L, *text, name, value);
    lua_pop(L, 3);
  }
  return push_lines(L, (*text)->ptr, count);
}

/* ---- all of them ---- */

static void check_names (lua_State *L, int options) {
  const char *names[TEXTS + NUMBERS + 7] = { "url", "headers", "session",
                                             "insecure", "lossy",
                                             "fields" };
  size_t n = 6;
  for (size_t i = 0; i < TEXTS; i++) names[n++] = texts[i].name;
  for (size_t i = 0; i < NUMBERS; i++) names[n++] = numbers[i].name;
  for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) {
    const char *name, *near;
    size_t i = 0;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_argerror(L, OPTIONS_ARG, "options are given by name");
    name = lua_tostring(L, -2);
    while (i < n && !tc_is_name(L, -2, names[i])) i++;
    if (i < n) continue;
    near = tc_nearest(name, names);
    lua_pushfstring(L, "unknown option '%s'%s%s%s", name,
                    near != NULL ? " (did you mean '" : "",
                    near != NULL ? near : "", near != NULL ? "'?)" : "");
    luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
  }
}

/* basic auth sends user:password in base64: nobody may read that either */
static void hide_basic (lua_State *L, tc_client *c, const tc_settings *s) {
  tc_buffer both, coded;
  tc_slice text;
  bool fine;
  if (s->user == NULL || s->password == NULL) return;
  tc_buffer_init(&both, 65536);
  tc_buffer_init(&coded, 131072);
  fine = tc_buffer_addtext(&both, s->user) == TC_OK &&
         tc_buffer_addchar(&both, ':') == TC_OK &&
         tc_buffer_addtext(&both, s->password) == TC_OK;
  text.ptr = both.ptr;
  text.len = both.len;
  fine = fine && tc_base64(&coded, text) == TC_OK;
  text.ptr = coded.ptr;
  text.len = coded.len;
  fine = fine && tc_secrets_add(&c->secrets, text, nobody);
  tc_buffer_wipe(&both);
  tc_buffer_wipe(&coded);
  if (!fine) luaL_error(L, "not enough memory");
}

/* what stands before the '@' of a proxy's address */
static void hide_proxy (lua_State *L, tc_client *c, const char *proxy) {
  const char *from, *at;
  tc_slice secret;
  if (proxy == NULL) return;
  from = strstr(proxy, "://");
  from = from != NULL ? from + 3 : proxy;
  if ((at = strrchr(from, '@')) == NULL) return;
  secret.ptr = memchr(from, ':', (size_t)(at - from));
  if (secret.ptr == NULL) return;
  secret.ptr++;
  secret.len = (size_t)(at - secret.ptr);
  tc_client_hide(L, c, secret, nobody);
}

static void read_settings (lua_State *L, int options, tc_client *c,
                           tc_settings *s) {
  memset(s, 0, sizeof *s);
  luaL_checkstack(L, (int)TEXTS + LUA_MINSTACK, "too many options");
  check_names(L, options);
  read_url(L, options, c, s);
  for (size_t i = 0; i < TEXTS; i++) read_text(L, options, &texts[i], c, s);
  read_numbers(L, options, c, s);
  hide_basic(L, c, s);
  hide_proxy(L, c, s->proxy);
}

/* ---- the client ---- */

static const tc_service *check_service (lua_State *L, int arg) {
  const char *name = luaL_checkstring(L, arg);
  const tc_service *s = tc_service_find(name);
  if (s == NULL) {
    lua_pushfstring(L, "no service '%s'", name);
    luaL_argerror(L, arg, lua_tostring(L, -1));
  }
  return s;
}

static tc_client *new_client (lua_State *L, const tc_service *service) {
  tc_client *c;
  int fields = 0;
  if (tc_getfield(L, 2, "fields") == LUA_TTABLE) fields = lua_gettop(L);
  else if (!lua_isnil(L, -1))
    luaL_argerror(L, 2, "option 'fields' is a table");
  c = tc_object_new(L, sizeof *c, TC_CLIENT_MT, 3, fields);
  c->service = service;
  tc_buffer_init(&c->base, 8192);
  tc_buffer_init(&c->host, 8192);
  tc_secrets_init(&c->secrets);
  tc_secrets_init(&c->cookies);
  return c;
}

static int unreadable (lua_State *L, const char *option) {
  int error = errno;
  tc_getfield(L, 2, option);
  return tc_fail(L, "io", "option '%s': cannot read %s: %s", option,
                 lua_tostring(L, -1), strerror(error));
}

static int no_client (lua_State *L, const char *why) {
  if (why != NULL)
    return tc_fail(L, "unsupported", "this libcurl does not take the value of "
                   "option '%s'", why);
  return tc_fail(L, "memory", "out of memory, or out of descriptors");
}

/* core.client(service, options, class) */
static int client (lua_State *L) {
  const tc_service *service = check_service(L, 1);
  tc_settings s;
  tc_client *c;
  tc_loop *loop;
  const char *why = NULL;
  tc_buffer *text;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  c = new_client(L, service); /* at 5 */
  read_settings(L, 2, c, &s);
  why = unreadable_file(&s);
  if (why != NULL) return unreadable(L, why);
  tc_getfield(L, 2, "headers");
  s.headers = read_headers(L, lua_gettop(L), c, 2, &text);
  loop = tc_state_loop(L);
  if (loop == NULL) return no_client(L, NULL);
  c->endpoint = tc_endpoint_new(loop, &s, &why);
  tc_buffer_wipe(text);
  if (c->endpoint == NULL) return no_client(L, why);
  lua_settop(L, 5);
  return 1;
}

/* client:set_headers(list) */
static int set_headers (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  const char *const *headers;
  tc_buffer *text;
  bool fine;
  luaL_checktype(L, 2, LUA_TTABLE);
  headers = read_headers(L, 2, c, 2, &text);
  if (!tc_client_usable(c)) return tc_fail(L, "closed", "the client is closed");
  fine = tc_endpoint_set_headers(c->endpoint, headers);
  tc_buffer_wipe(text);
  if (!fine) return tc_fail(L, "memory", "out of memory");
  lua_pushboolean(L, 1);
  return 1;
}

void tc_settings_open (lua_State *L, int module) {
  static const luaL_Reg methods[] = {
    { "set_headers", set_headers },
    { NULL, NULL }
  };
  tc_object_extend(L, TC_CLIENT_MT, methods);
  lua_pushcfunction(L, client);
  lua_setfield(L, module, "client");
}
