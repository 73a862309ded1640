/*
** redactor.c: core.redactor, what takes the secrets of a spec out of texts.
*/
#include "client.h"
#include "object.h"

#define REDACTOR_MT "taskclient.redactor"

static tc_secrets *check (lua_State *L) {
  return luaL_checkudata(L, 1, REDACTOR_MT);
}

/* core.redactor(list, user): a function-like userdata; the user's name is no
   secret. Raises when memory is short or a secret too long. */
static int new_redactor (lua_State *L) {
  tc_secrets *s;
  tc_slice user, secret;
  luaL_checktype(L, 1, LUA_TTABLE);
  user.ptr = luaL_optlstring(L, 2, "", &user.len);
  s = lua_newuserdata(L, sizeof *s);
  tc_secrets_init(s);
  luaL_setmetatable(L, REDACTOR_MT);
  for (int i = 1, n = (int)lua_rawlen(L, 1); i <= n; i++) {
    lua_rawgeti(L, 1, i);
    if (!tc_text(L, -1, &secret))
      return luaL_argerror(L, 1, "texts or secrets expected");
    if (secret.len > 0 && !tc_secrets_add(s, secret, user))
      return luaL_error(L, "a secret is too long, or memory is short");
    lua_pop(L, 1);
  }
  return 1;
}

/* redactor(text): the text with *** in place of each secret */
static int redact (lua_State *L) {
  const tc_secrets *s = check(L);
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

static int collect (lua_State *L) {
  tc_secrets_free(check(L));
  return 0;
}

static int to_string (lua_State *L) {
  lua_pushliteral(L, "redactor");
  return 1;
}

void tc_redactor_open (lua_State *L, int module) {
  static const luaL_Reg meta[] = {
    { "__call", redact }, { "__gc", collect }, { "__tostring", to_string },
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
