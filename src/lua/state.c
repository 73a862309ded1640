/*
** state.c: see state.h.
*/
#include "lua/state.h"

#include <math.h>
#include <poll.h>

#include "lua/failure.h"

#define STATE_MT "taskclient.state"

/* registry keys are the addresses of these */
static const char state_key, calls_key;

/* ---- what belongs to this Lua state ---- */

typedef struct state {
  tc_loop *loop; /* made when first needed */
} state;

static state *get_state (lua_State *L) {
  state *s;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

static void drop_loop (state *s) {
  if (s->loop != NULL) tc_loop_release(s->loop);
  s->loop = NULL;
}

/* NULL when there is none yet. One of the parent process is no use here */
static tc_loop *known_loop (lua_State *L) {
  state *s = get_state(L);
  if (s->loop != NULL && tc_loop_forked(s->loop)) drop_loop(s);
  return s->loop;
}

tc_loop *tc_state_loop (lua_State *L) {
  tc_loop *loop = known_loop(L);
  if (loop == NULL) {
    loop = tc_loop_new(tc_exchange_ended, tc_exchange_expire);
    get_state(L)->loop = loop;
  }
  return loop;
}

/* The calls that have started stand in a weak table, by the addresses of their
   exchanges: one that nobody holds is cancelled by its collection. */
void tc_state_remember (lua_State *L, const tc_exchange *x) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, x);
  lua_pop(L, 1);
}

static int state_collect (lua_State *L) {
  state *s = luaL_checkudata(L, 1, STATE_MT);
  drop_loop(s);
  return 0;
}

/* once, though the module may be loaded again: calls made before are ours */
static void open_state (lua_State *L) {
  state *s;
  if (get_state(L) != NULL) return;
  s = lua_newuserdata(L, sizeof *s);
  memset(s, 0, sizeof *s);
  luaL_newmetatable(L, STATE_MT);
  lua_pushcfunction(L, state_collect);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &calls_key);
}

/* ---- turning it ---- */

/* The list of what has ended; its length. Room for it is made first: once a
   call is taken nothing may raise, or nobody would hear of its end. */
static int collect_ended (lua_State *L, tc_loop *loop) {
  int room = 0, n = 0;
  for (const tc_node *at = loop->done.first; at != NULL; at = at->next) room++;
  if (room == 0) return 0;
  lua_createtable(L, room, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  for (; room > 0; room--) {
    lua_rawgetp(L, -1, tc_exchange_take(loop));
    if (lua_isnil(L, -1)) lua_pop(L, 1); /* its collection is under way */
    else lua_rawseti(L, -3, ++n);
  }
  lua_pop(L, 1);
  return n;
}

static double check_timeout (lua_State *L, int arg) {
  double timeout = luaL_optnumber(L, arg, 0);
  luaL_argcheck(L, timeout >= 0, arg, "a number of seconds expected");
  return timeout < TC_STEP_MOST ? timeout : TC_STEP_MOST;
}

/* core.step(timeout) */
static int step (lua_State *L) {
  double timeout = check_timeout(L, 1);
  tc_loop *loop = known_loop(L);
  if (loop == NULL) {
    if (timeout > 0) poll(NULL, 0, (int)ceil(timeout * 1000));
    return 0;
  }
  tc_loop_step(loop, timeout);
  return collect_ended(L, loop) > 0 ? 1 : 0;
}

/* core.fd() */
static int fd (lua_State *L) {
  tc_loop *loop = tc_state_loop(L);
  if (loop == NULL)
    return tc_fail(L, "memory", "out of memory, or out of descriptors");
  lua_pushinteger(L, tc_loop_fd(loop));
  return 1;
}

/* core.timeout() */
static int timeout (lua_State *L) {
  tc_loop *loop = known_loop(L);
  double due = loop != NULL ? tc_loop_timeout(loop) : -1;
  if (due < 0) return 0;
  lua_pushnumber(L, due);
  return 1;
}

/* core.active() */
static int active (lua_State *L) {
  tc_loop *loop = known_loop(L);
  lua_pushinteger(L, loop != NULL ? (lua_Integer)loop->active : 0);
  return 1;
}

/* core.alarm(seconds or nil) */
static int alarm_at (lua_State *L) {
  double seconds = luaL_optnumber(L, 1, -1);
  tc_loop *loop = seconds < 0 ? known_loop(L) : tc_state_loop(L);
  luaL_argcheck(L, seconds == seconds, 1, "a number of seconds expected");
  if (loop != NULL) tc_loop_alarm(loop, seconds);
  return 0;
}

void tc_state_open (lua_State *L, int module) {
  static const luaL_Reg functions[] = {
    { "step", step },     { "fd", fd },          { "timeout", timeout },
    { "active", active }, { "alarm", alarm_at }, { NULL, NULL }
  };
  open_state(L);
  lua_pushvalue(L, module);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
