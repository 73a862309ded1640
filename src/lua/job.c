/*
** job.c: the job userdata: fields and a class, nothing of its own.
*/
#include "lua/job.h"

#include "lua/client.h"
#include "lua/object.h"

/* core.job(client, class, fields) */
static int job (lua_State *L) {
  tc_client_check(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (tc_getfield(L, 3, "client") == LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_setfield(L, 3, "client");
  }
  lua_pop(L, 1);
  tc_object_new(L, 1, TC_JOB_MT, 2, 3);
  return 1;
}

void tc_job_open (lua_State *L, int module) {
  static const luaL_Reg none[] = { { NULL, NULL } };
  tc_object_type(L, TC_JOB_MT, none, none);
  lua_pushcfunction(L, job);
  lua_setfield(L, module, "job");
}
