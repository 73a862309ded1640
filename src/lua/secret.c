/*
** secret.c: see secret.h.
*/
#include "lua/secret.h"

#include "lua/object.h"
#include "base/secret.h"

#define SECRET_MT "taskclient.secret"
#define REDACTOR_MT "taskclient.redactor"

/* ---- a text that never prints ---- */

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

static void open_secret (lua_State *L, int module) {
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

/* ---- core.redactor ---- */

static tc_secrets *check_redactor (lua_State *L) {
  return luaL_checkudata(L, 1, REDACTOR_MT);
}

/* core.redactor(list, user): a function-like userdata; the user's name is no
   secret. Raises when memory is short or a secret too long. */
static int new_redactor (lua_State *L) {
  tc_secrets *s;
  tc_slice user, text;
  luaL_checktype(L, 1, LUA_TTABLE);
  user.ptr = luaL_optlstring(L, 2, "", &user.len);
  s = lua_newuserdata(L, sizeof *s);
  tc_secrets_init(s);
  luaL_setmetatable(L, REDACTOR_MT);
  for (int i = 1, n = (int)lua_rawlen(L, 1); i <= n; i++) {
    lua_rawgeti(L, 1, i);
    if (!tc_text(L, -1, &text))
      return luaL_argerror(L, 1, "texts or secrets expected");
    if (text.len > 0 && !tc_secrets_add(s, text, user))
      return luaL_error(L, "a secret is too long, or memory is short");
    lua_pop(L, 1);
  }
  return 1;
}

/* redactor(text): the text with *** in place of each secret */
static int redactor_call (lua_State *L) {
  const tc_secrets *s = check_redactor(L);
  tc_slice text;
  tc_buffer *out;
  text.ptr = luaL_checklstring(L, 2, &text.len);
  out = tc_scratch(L, (size_t)-1);
  if (tc_secrets_redact(s, text, out) == TC_OK)
    lua_pushlstring(L, out->ptr != NULL ? out->ptr : "", out->len);
  else
    lua_pushliteral(L, "(no memory)");
  tc_buffer_free(out);
  return 1;
}

static int redactor_collect (lua_State *L) {
  tc_secrets_free(check_redactor(L));
  return 0;
}

static int redactor_to_string (lua_State *L) {
  lua_pushliteral(L, "redactor");
  return 1;
}

static void open_redactor (lua_State *L, int module) {
  static const luaL_Reg meta[] = {
    { "__call", redactor_call },
    { "__gc", redactor_collect },
    { "__tostring", redactor_to_string },
    { NULL, NULL }
  };
  luaL_newmetatable(L, REDACTOR_MT);
  luaL_setfuncs(L, meta, 0);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_pushcfunction(L, new_redactor);
  lua_setfield(L, module, "redactor");
}

void tc_secret_open (lua_State *L, int module) {
  open_secret(L, module);
  open_redactor(L, module);
}
