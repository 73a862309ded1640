/*
** client.c: the client userdata and its methods. Made by settings.c; call.c adds
** the methods that send.
*/
#include "lua/client.h"

#include <stdlib.h>

#include "base/clean.h"
#include "lua/failure.h"
#include "lua/object.h"
#include "lua/secret.h"

#define TEXT_MOST (64 * 1024 * 1024)
#define COOKIES_MOST 256 /* words, several a cookie */

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

bool tc_client_forked (const tc_client *c) {
  return c->endpoint != NULL && tc_endpoint_forked(c->endpoint);
}

void tc_client_hide (lua_State *L, tc_client *c, tc_slice secret,
                     tc_slice user) {
  if (secret.len > 0 && !tc_secrets_add(&c->secrets, secret, user))
    luaL_error(L, "a secret is too long, or memory is short");
}

/* ---- methods ---- */

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

void tc_client_open_type (lua_State *L) {
  static const luaL_Reg methods[] = {
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
}
