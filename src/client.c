/*
** client.c: the client userdata, and the secrets that never print.
*/
#include "client.h"

#include <errno.h>
#include <stdlib.h>

#include "call.h"
#include "clean.h"
#include "failure.h"
#include "object.h"
#include "settings.h"

#define SECRET_MT "taskclient.secret"
#define TEXT_MOST (64 * 1024 * 1024)
#define COOKIES_MOST 256 /* words, several a cookie */

/* ---- secrets ---- */

typedef struct secret {
  size_t len;
  char text[1]; /* and what follows, with a '\0' at the end */
} secret;

bool tc_text (lua_State *L, int i, tc_slice *text) {
  if (lua_type(L, i) == LUA_TSTRING)
    text->ptr = lua_tolstring(L, i, &text->len);
  else {
    secret *s = luaL_testudata(L, i, SECRET_MT);
    if (s == NULL) return false;
    text->ptr = s->text;
    text->len = s->len;
  }
  return true;
}

/* core.secret(text or secret) */
static int new_secret (lua_State *L) {
  tc_slice text;
  secret *s;
  if (luaL_testudata(L, 1, SECRET_MT) != NULL) {
    lua_settop(L, 1);
    return 1;
  }
  text.ptr = luaL_checklstring(L, 1, &text.len);
  s = lua_newuserdata(L, sizeof *s + text.len);
  s->len = text.len;
  memcpy(s->text, text.ptr, text.len + 1);
  luaL_setmetatable(L, SECRET_MT);
  return 1;
}

/* core.reveal(secret or text) */
static int reveal (lua_State *L) {
  tc_slice text;
  if (!tc_text(L, 1, &text)) return luaL_argerror(L, 1, "secret expected");
  lua_pushlstring(L, text.ptr, text.len);
  return 1;
}

static int secret_to_string (lua_State *L) {
  lua_pushliteral(L, "secret(***)");
  return 1;
}

static int secret_collect (lua_State *L) {
  secret *s = luaL_checkudata(L, 1, SECRET_MT);
  tc_wipe(s->text, s->len);
  s->len = 0;
  return 0;
}

void tc_secret_open (lua_State *L, int module) {
  static const luaL_Reg meta[] = {
    { "__tostring", secret_to_string },
    { "__gc", secret_collect },
    { NULL, NULL }
  };
  luaL_newmetatable(L, SECRET_MT);
  luaL_setfuncs(L, meta, 0);
  lua_pushliteral(L, "secret");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_pushcfunction(L, new_secret);
  lua_setfield(L, module, "secret");
  lua_pushcfunction(L, reveal);
  lua_setfield(L, module, "reveal");
}

/* ---- clean text ---- */

static void hide_cookie (void *to, tc_slice name, tc_slice value) {
  tc_slice nobody = { NULL, 0 };
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

/* ---- the constructor ---- */

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

bool tc_client_forked (const tc_client *c) {
  return c->endpoint != NULL && tc_endpoint_forked(c->endpoint);
}

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
  tc_settings_read(L, 2, c, &s);
  why = tc_settings_unreadable(&s);
  if (why != NULL) return unreadable(L, why);
  tc_getfield(L, 2, "headers");
  s.headers = tc_headers_read(L, lua_gettop(L), c, 2, &text);
  loop = tc_state_loop(L);
  if (loop == NULL) return no_client(L, NULL);
  c->endpoint = tc_endpoint_new(loop, &s, &why);
  tc_buffer_wipe(text);
  if (c->endpoint == NULL) return no_client(L, why);
  lua_settop(L, 5);
  return 1;
}

/* ---- methods ---- */

static int set_headers (lua_State *L) {
  tc_client *c = tc_client_check(L, 1);
  const char *const *headers;
  tc_buffer *text;
  bool fine;
  luaL_checktype(L, 2, LUA_TTABLE);
  headers = tc_headers_read(L, 2, c, 2, &text);
  if (!tc_client_usable(c)) return tc_fail(L, "closed", "the client is closed");
  fine = tc_endpoint_set_headers(c->endpoint, headers);
  tc_buffer_wipe(text);
  if (!fine) return tc_fail(L, "memory", "out of memory");
  lua_pushboolean(L, 1);
  return 1;
}

static int close (lua_State *L) {
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
  tc_client_hide(L, c, text, user);
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
  tc_buffer_free(&c->base);
  tc_buffer_free(&c->host);
  return 0;
}

void tc_client_open_type (lua_State *L, int module) {
  static const luaL_Reg methods[] = {
    { "start", tc_call_start },
    { "check", tc_call_verify },
    { "set_headers", set_headers },
    { "close", close },
    { "closed", closed },
    { "redact", redact },
    { "hide", hide },
    { "forget_session", forget_session },
    { "has_session", has_session },
    { "session_cookies", session_cookies },
    { NULL, NULL }
  };
  static const luaL_Reg meta[] = {
    { "__gc", collect },
    { "__close", close },
    { NULL, NULL }
  };
  tc_object_type(L, TC_CLIENT_MT, methods, meta);
  lua_pushcfunction(L, client);
  lua_setfield(L, module, "client");
}
