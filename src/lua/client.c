/*
** client.c: the client userdata: its options, each a row of one table, and its
** methods. call.c adds those that send.
*/
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <strings.h>
#include <unistd.h>

#include "base/clean.h"
#include "lua/call.h"
#include "lua/failure.h"
#include "lua/object.h"
#include "lua/secret.h"
#include "lua/state.h"
#include "net/url.h"
#include "server/target.h"

#define TEXT_MOST (64 * 1024 * 1024)
#define COOKIES_MOST 256 /* words, several a cookie */
#define OPTIONS_ARG 2
#define AGES 1e6 /* seconds; libcurl counts milliseconds in 32 bits */
#define HEADERS_MOST (4 * 1024 * 1024)

static const tc_slice nobody = { "", 0 };

/* ---- clean text ---- */

static void hide_cookie (void *to, tc_slice name, tc_slice value) {
  (void)name;
  if (value.len >= 8) tc_secrets_add(to, value, nobody);
}

/* Cookies come and go, with some servers at each reply: those seen lately are
   enough, and cost the same for ever. */
static void note_cookies (tc_client *c) {
  if (c->cookies.count > COOKIES_MOST) tc_secrets_free(&c->cookies);
  if (c->endpoint != NULL)
    tc_endpoint_cookies(c->endpoint, hide_cookie, &c->cookies);
}

static bool hide_all (tc_client *c, tc_slice text, tc_buffer *out) {
  tc_buffer half;
  tc_slice rest;
  bool fine;
  note_cookies(c);
  tc_buffer_init(&half, (size_t)-1);
  fine = tc_secrets_redact(&c->secrets, text, &half) == TC_OK;
  rest.ptr = half.ptr;
  rest.len = half.len;
  fine = fine && tc_secrets_redact(&c->cookies, rest, out) == TC_OK;
  tc_buffer_wipe(&half);
  return fine;
}

/* redacted first, cut after, so that no half of a secret is left over */
static bool clean (tc_client *c, tc_slice text, size_t most,
                   tc_buffer *out) {
  tc_buffer hidden;
  tc_slice safe;
  size_t read;
  bool fine;
  tc_buffer_init(&hidden, TEXT_MOST);
  if (text.len > most * 4 + 65536) text.len = most * 4 + 65536;
  fine = hide_all(c, text, &hidden);
  safe.ptr = hidden.ptr;
  safe.len = hidden.len;
  fine = fine && tc_clean(out, safe, most, TC_CLEAN_TEXT, &read);
  tc_buffer_free(&hidden);
  return fine;
}

void tc_client_push_clean (lua_State *L, tc_client *c, tc_slice text,
                           size_t most) {
  tc_buffer *out = tc_scratch(L, TEXT_MOST);
  if (clean(c, text, most, out) && out->ptr != NULL)
    lua_pushlstring(L, out->ptr, out->len);
  else
    lua_pushstring(L, text.len == 0 ? "" : "(no memory)");
  tc_buffer_free(out);
  lua_remove(L, -2);
}

/* ---- what others ask of it ---- */

tc_client *tc_client_check (lua_State *L, int arg) {
  return luaL_checkudata(L, arg, TC_CLIENT_MT);
}

tc_client *tc_client_self (lua_State *L) {
  tc_client *c = tc_self(L);
  return c != NULL ? c : tc_client_check(L, 1);
}

bool tc_client_usable (const tc_client *c) {
  return c->endpoint != NULL && !tc_endpoint_closed(c->endpoint);
}

static void hide_secret (lua_State *L, tc_client *c, tc_slice secret,
                         tc_slice user) {
  if (secret.len > 0 && !tc_secrets_add(&c->secrets, secret, user))
    luaL_error(L, "a secret is too long, or memory is short");
}

/* ---- options ---- */

/* HEADER: becomes one, so no control characters, and not empty; FILE: is read */
typedef enum kind { TEXT, HEADER, FILE_NAME, DURATION, SIZE, COUNT, FLAG } kind;

typedef struct option {
  const char *name;
  kind kind;
  CURLoption curl; /* of a text that libcurl takes as it is; or 0 */
  bool secret;
  size_t place;    /* in tc_client, of what is not a text of libcurl's */
  double preset, least, most;
} option;

#define PLACE(member) 0, false, offsetof(tc_client, member)

enum { USER, PASSWORD }; /* the first two */

static const option options[] = {
  { "user", TEXT, CURLOPT_USERNAME, false, 0, 0, 0, 0 },
  { "password", TEXT, CURLOPT_PASSWORD, true, 0, 0, 0, 0 },
  { "cookie", HEADER, CURLOPT_COOKIE, true, 0, 0, 0, 0 },
  { "user_agent", HEADER, CURLOPT_USERAGENT, false, 0, 0, 0, 0 },
  { "ca_file", FILE_NAME, CURLOPT_CAINFO, false, 0, 0, 0, 0 },
  { "ca_path", FILE_NAME, CURLOPT_CAPATH, false, 0, 0, 0, 0 },
  { "cert", FILE_NAME, CURLOPT_SSLCERT, false, 0, 0, 0, 0 },
  { "key", FILE_NAME, CURLOPT_SSLKEY, false, 0, 0, 0, 0 },
  { "key_password", TEXT, CURLOPT_KEYPASSWD, true, 0, 0, 0, 0 },
  { "proxy", HEADER, PLACE(settings.proxy), 0, 0, 0 },
  { "connect_timeout", DURATION, PLACE(settings.connect_timeout),
    10, 0.001, AGES },
  { "idle_timeout", DURATION, PLACE(settings.idle_timeout), 30, 1, AGES },
  { "max_body", SIZE, PLACE(max_body), 64.0 * 1024 * 1024, 1, HUGE_VAL },
  { "max_connections", COUNT, PLACE(settings.max_connections), 256, 1, 1e6 },
  { "session", FLAG, PLACE(settings.session), 0, 0, 0 },
  { "insecure", FLAG, PLACE(settings.insecure), 0, 0, 0 },
  { "lossy", FLAG, PLACE(lossy), 0, 0, 0 }
};

#define ROWS (sizeof options / sizeof *options)

static int complain (lua_State *L, const char *name, const char *how,
                     const char *what) {
  lua_pushfstring(L, "option '%s' %s %s", name, how, what);
  return luaL_argerror(L, OPTIONS_ARG, lua_tostring(L, -1));
}

/* the value on top is of another type */
static void other_type (lua_State *L, const char *name, const char *expected) {
  lua_pushfstring(L, "is %s, got", expected);
  complain(L, name, lua_tostring(L, -1), luaL_typename(L, -2));
}

/* false: not given. What is given stays on the stack, for a finalizer may take
   it out of the table */
static bool read_text (lua_State *L, const option *o, tc_slice *text) {
  const char *why = NULL;
  *text = nobody;
  if (tc_getfield(L, OPTIONS_ARG, o->name) == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  if (!tc_text(L, -1, text)) other_type(L, o->name, "text");
  if (strlen(text->ptr) != text->len) why = "text with a NUL byte";
  else if (o->kind == HEADER) why = tc_header_value_complaint(*text);
  if (why != NULL) complain(L, o->name, "is", why);
  return true;
}

static void read_number (lua_State *L, const option *o, void *place) {
  double n = o->preset;
  if (tc_getfield(L, OPTIONS_ARG, o->name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER) other_type(L, o->name, "a number");
    n = lua_tonumber(L, -1);
    if (!(n >= o->least)) complain(L, o->name, "is", "too small, or no number");
    n = fmin(n, o->most);
  }
  lua_pop(L, 1);
  if (o->kind == DURATION) *(double *)place = n;
  else *(size_t *)place = tc_bytes(n);
}

static void read_flag (lua_State *L, const option *o, bool *place) {
  if (tc_getfield(L, OPTIONS_ARG, o->name) != LUA_TNIL) {
    if (!lua_isboolean(L, -1)) other_type(L, o->name, "a boolean");
    *place = lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
}

/* the texts, which stand on the stack, into memory of the client's own */
static void keep_texts (lua_State *L, tc_client *c, const bool *given,
                        const tc_slice *value) {
  size_t all = 1, n = 0;
  for (size_t i = 0; i < ROWS; i++) all += given[i] ? value[i].len + 1 : 0;
  if (tc_buffer_reserve(&c->text, all) != TC_OK)
    luaL_error(L, "not enough memory");
  for (size_t i = 0; i < ROWS; i++) {
    const char *text = c->text.ptr + c->text.len;
    if (!given[i]) continue;
    tc_buffer_add(&c->text, value[i].ptr, value[i].len + 1); /* there is room */
    if (options[i].curl != 0)
      c->texts[n++] = (tc_setting){ options[i].curl, options[i].name, text };
    else
      *(const char **)(void *)((char *)c + options[i].place) = text;
  }
  c->settings.texts = c->texts;
}

/* ---- url ---- */

static bool ends_with (const char *text, const char *tail) {
  size_t n = strlen(text), m = strlen(tail);
  return n >= m && strcmp(text + n - m, tail) == 0;
}

static void keep_url (lua_State *L, tc_client *c, tc_url *u) {
  bool fine = tc_buffer_addtext(&c->base, u->base) == TC_OK &&
              (ends_with(u->base, c->service->base) ||
               tc_buffer_addtext(&c->base, c->service->base) == TC_OK) &&
              tc_buffer_addtext(&c->host, u->host) == TC_OK;
  tc_url_free(u);
  if (!fine) luaL_error(L, "not enough memory");
  c->settings.url = c->base.ptr;
}

static void read_url (lua_State *L, tc_client *c) {
  tc_slice text;
  tc_url u;
  const char *why;
  if (tc_getfield(L, OPTIONS_ARG, "url") != LUA_TSTRING)
    other_type(L, "url", "text");
  text.ptr = lua_tolstring(L, -1, &text.len);
  if ((why = tc_url_complaint(text)) != NULL) complain(L, "url", "is", why);
  if ((why = tc_url_read(&u, text.ptr)) != NULL) {
    if (*why == '\0') luaL_error(L, "not enough memory");
    complain(L, "url", "must be", why);
  }
  keep_url(L, c, &u);
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

/* The header list at that index, NULL for none; it and its text, which is to be
   wiped, lie on the stack [-0, +2 at most] */
static const tc_header *read_headers (lua_State *L, int list, tc_client *c,
                                      tc_buffer **text) {
  const char *mark = c->service->credentials, *line;
  tc_header *headers;
  size_t count, i;
  *text = tc_scratch(L, HEADERS_MOST);
  if (lua_isnil(L, list)) return NULL;
  if (!lua_istable(L, list))
    luaL_argerror(L, OPTIONS_ARG, "'headers' is a list");
  count = lua_rawlen(L, list);
  for (i = 1; i <= count; i++) {
    tc_slice name, value;
    lua_rawgeti(L, list, (int)i);
    read_pair(L, OPTIONS_ARG, &name, &value);
    if (lua_type(L, -1) == LUA_TUSERDATA) hide_secret(L, c, value, nobody);
    add_header(L, *text, name, value);
    lua_pop(L, 3);
  }
  headers = lua_newuserdata(L, (count + 1) * sizeof *headers);
  for (i = 0, line = (*text)->ptr; i < count; i++, line += strlen(line) + 1) {
    headers[i].line = line;
    headers[i].credential =
      mark != NULL && strncasecmp(line, mark, strlen(mark)) == 0;
  }
  headers[count].line = NULL;
  return headers;
}

/* basic auth sends user:password in base64: nobody may read that either */
static void hide_basic (lua_State *L, tc_client *c, tc_slice user,
                        tc_slice password) {
  tc_buffer both, coded;
  tc_slice text;
  bool fine;
  tc_buffer_init(&both, 65536);
  tc_buffer_init(&coded, 131072);
  fine = tc_buffer_add(&both, user.ptr, user.len) == TC_OK &&
         tc_buffer_addchar(&both, ':') == TC_OK &&
         tc_buffer_add(&both, password.ptr, password.len) == TC_OK;
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
  hide_secret(L, c, secret, nobody);
}

static void check_names (lua_State *L) {
  const char *names[ROWS + 4] = { "url", "headers", "fields" };
  for (size_t i = 0; i < ROWS; i++) names[3 + i] = options[i].name;
  names[3 + ROWS] = NULL;
  for (lua_pushnil(L); lua_next(L, OPTIONS_ARG); lua_pop(L, 1))
    tc_check_name(L, OPTIONS_ARG, "option", names);
}

/* NULL, or the option whose file cannot be read, with errno */
static const char *read_options (lua_State *L, tc_client *c) {
  bool given[ROWS] = { false };
  tc_slice value[ROWS];
  luaL_checkstack(L, (int)ROWS + LUA_MINSTACK, "too many options");
  check_names(L);
  read_url(L, c);
  for (size_t i = 0; i < ROWS; i++) {
    const option *o = &options[i];
    void *place = (char *)c + o->place;
    if (o->kind == FLAG) read_flag(L, o, place);
    else if (o->kind >= DURATION) read_number(L, o, place);
    else given[i] = read_text(L, o, &value[i]);
    if (given[i] && o->secret) hide_secret(L, c, value[i], value[USER]);
  }
  if (given[USER] && given[PASSWORD])
    hide_basic(L, c, value[USER], value[PASSWORD]);
  keep_texts(L, c, given, value);
  hide_proxy(L, c, c->settings.proxy);
  for (size_t i = 0; i < ROWS; i++)
    if (given[i] && options[i].kind == FILE_NAME &&
        access(value[i].ptr, R_OK) != 0)
      return options[i].name;
  return NULL;
}

/* ---- making one ---- */

static tc_client *new_client (lua_State *L, const tc_service *service) {
  tc_client *c;
  int fields = 0;
  if (tc_getfield(L, 2, "fields") == LUA_TTABLE) fields = lua_gettop(L);
  else if (!lua_isnil(L, -1))
    luaL_argerror(L, 2, "option 'fields' is a table");
  c = tc_object_new(L, sizeof *c, TC_CLIENT_MT, 3, fields);
  c->service = service;
  tc_buffer_init(&c->text, TEXT_MOST);
  tc_buffer_init(&c->base, 8192);
  tc_buffer_init(&c->host, 8192);
  tc_secrets_init(&c->secrets);
  tc_secrets_init(&c->cookies);
  return c;
}

const tc_service *tc_check_service (lua_State *L, int arg) {
  const char *name = luaL_checkstring(L, arg);
  const tc_service *s = tc_service_find(name);
  if (s == NULL) {
    lua_pushfstring(L, "no service '%s'", name);
    luaL_argerror(L, arg, lua_tostring(L, -1));
  }
  return s;
}

/* core.client(service, options, class) */
static int client (lua_State *L) {
  const tc_service *service = tc_check_service(L, 1);
  tc_client *c;
  tc_loop *loop;
  tc_buffer *text;
  const char *why = NULL;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  c = new_client(L, service); /* at 5 */
  if ((why = read_options(L, c)) != NULL) {
    int error = errno;
    tc_getfield(L, 2, why);
    return tc_fail(L, "io", "option '%s': cannot read %s: %s", why,
                   lua_tostring(L, -1), strerror(error));
  }
  tc_getfield(L, 2, "headers");
  c->settings.headers = read_headers(L, lua_gettop(L), c, &text);
  if ((loop = tc_state_loop(L)) != NULL)
    c->endpoint = tc_endpoint_new(loop, &c->settings, &why);
  tc_buffer_wipe(text);
  if (why != NULL)
    return tc_fail(L, "unsupported", "this libcurl does not take the value of "
                   "option '%s'", why);
  if (c->endpoint == NULL)
    return tc_fail(L, "memory", "out of memory, or out of descriptors");
  lua_settop(L, 5);
  return 1;
}

/* client:set_headers(list) */
static int set_headers (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  const tc_header *headers;
  tc_buffer *text;
  bool fine;
  luaL_checktype(L, 2, LUA_TTABLE);
  headers = read_headers(L, 2, c, &text);
  if (!tc_client_usable(c)) return tc_fail(L, "closed", "the client is closed");
  fine = tc_endpoint_set_headers(c->endpoint, headers);
  tc_buffer_wipe(text);
  if (!fine) return tc_fail(L, "memory", "out of memory");
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- methods ---- */

static int close_client (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  if (c->endpoint != NULL) tc_endpoint_close(c->endpoint);
  return 0;
}

static int closed (lua_State *L) {
  lua_pushboolean(L, !tc_client_usable(tc_client_check(L, 1)));
  return 1;
}

/* client:redact(text) */
static int redact (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  tc_buffer *out;
  tc_slice text;
  text.ptr = luaL_checklstring(L, 2, &text.len);
  out = tc_scratch(L, (size_t)-1);
  if (hide_all(c, text, out))
    lua_pushlstring(L, out->ptr != NULL ? out->ptr : "", out->len);
  else
    lua_pushliteral(L, "(no memory)");
  tc_buffer_free(out);
  return 1;
}

/* client:hide(text or secret, user) */
static int hide (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  tc_slice text, user;
  user.ptr = luaL_optlstring(L, 3, "", &user.len);
  if (!tc_text(L, 2, &text))
    return luaL_argerror(L, 2, "text or secret expected");
  hide_secret(L, c, text, user);
  return 0;
}

static int forget_session (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  if (c->endpoint != NULL) tc_endpoint_forget_session(c->endpoint);
  return 0;
}

static void count_cookie (void *to, tc_slice name, tc_slice value) {
  (void)name;
  if (value.len > 0) ++*(int *)to;
}

static int has_session (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  int count = 0;
  if (c->endpoint != NULL)
    tc_endpoint_cookies(c->endpoint, count_cookie, &count);
  lua_pushboolean(L, count > 0);
  return 1;
}

static void note_name (void *to, tc_slice name, tc_slice value) {
  tc_buffer *names = to;
  (void)value;
  tc_buffer_add(names, name.ptr, name.len);
  tc_buffer_addchar(names, '\n');
}

/* names only: the values are secrets */
static int session_cookies (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  tc_buffer *names = tc_scratch(L, TEXT_MOST);
  const char *at, *end;
  int n = 0;
  if (c->endpoint != NULL) tc_endpoint_cookies(c->endpoint, note_name, names);
  lua_pushlstring(L, names->ptr != NULL ? names->ptr : "", names->len);
  tc_buffer_free(names);
  at = lua_tostring(L, -1);
  lua_newtable(L);
  for (; (end = strchr(at, '\n')) != NULL; at = end + 1) {
    lua_pushlstring(L, at, (size_t)(end - at));
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* ---- the type ---- */

static int collect (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  if (c->endpoint != NULL) {
    tc_endpoint_close(c->endpoint);
    tc_endpoint_release(c->endpoint);
  }
  c->endpoint = NULL;
  tc_secrets_free(&c->secrets);
  tc_secrets_free(&c->cookies);
  tc_buffer_wipe(&c->text);
  tc_buffer_free(&c->base);
  tc_buffer_free(&c->host);
  return 0;
}

/* core.options: the options that are one value, and their types by the words of
   taskclient.options */
static void push_options (lua_State *L) {
  static const char *const words[] = {
    "text", "text", "text", "duration", "size", "count", "boolean"
  };
  lua_createtable(L, 0, (int)ROWS);
  for (size_t i = 0; i < ROWS; i++)
    tc_set_text(L, options[i].name, words[options[i].kind]);
}

void tc_client_open (lua_State *L, int module) {
  static const luaL_Reg methods[] = {
    { "close", close_client },
    { "closed", closed },
    { "redact", redact },
    { "hide", hide },
    { "forget_session", forget_session },
    { "has_session", has_session },
    { "session_cookies", session_cookies },
    { "set_headers", set_headers },
    { NULL, NULL }
  };
  static const luaL_Reg meta[] = {
    { "__gc", collect },
    { "__close", close_client },
    { NULL, NULL }
  };
  tc_object_type(L, TC_CLIENT_MT, methods, meta);
  lua_pushcfunction(L, client);
  lua_setfield(L, module, "client");
  push_options(L);
  lua_setfield(L, module, "options");
}
