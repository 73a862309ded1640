/*
** core.c: luaopen_taskclient_core: the module table, the loop of this Lua
** state and the functions that turn it. See doc/design.md, section 2.
*/
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>

#include "append.h"
#include "call.h"
#include "clean.h"
#include "failure.h"
#include "file.h"
#include "job.h"
#include "object.h"
#include "poller.h"
#include "rows.h"
#include "signals.h"
#include "url.h"
#include "value.h"

#define VERSION "0.1.0"
#define STATE_MT "taskclient.state"
#define STEP_MOST 0.2
#define RANDOM_MOST 1024
#define ENTROPY_MOST 256 /* of getentropy */

/* registry keys are the addresses of these */
static const char state_key, calls_key;

/* ---- what belongs to this Lua state ---- */

/* The calls in flight stand in a weak table, by tags: a call that nobody
   holds is cancelled by its collection. Tags are given out here, for a weak
   table cannot tell a free place from one whose call is being collected. */
typedef struct state {
  tc_loop *loop; /* made when first needed */
  int *free;     /* tags to be used again */
  int free_count, room, last;
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
  if (loop == NULL) loop = get_state(L)->loop = tc_loop_new();
  return loop;
}

/* room first, so that giving a tag back cannot fail */
static int new_tag (lua_State *L, state *s) {
  if (s->free_count > 0) return s->free[--s->free_count];
  if (s->last == s->room) {
    int room = s->room == 0 ? 16 : s->room * 2;
    int *longer = realloc(s->free, (size_t)room * sizeof *longer);
    if (longer == NULL) luaL_error(L, "not enough memory");
    s->free = longer;
    s->room = room;
  }
  return ++s->last;
}

int tc_state_remember (lua_State *L) {
  int tag = new_tag(L, get_state(L));
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, tag);
  lua_pop(L, 1);
  return tag;
}

void tc_state_forget (lua_State *L, int *tag) {
  state *s = get_state(L);
  if (*tag == 0 || s->room == 0) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  lua_pushnil(L);
  lua_rawseti(L, -2, *tag);
  lua_pop(L, 1);
  s->free[s->free_count++] = *tag;
  *tag = 0;
}

static int state_collect (lua_State *L) {
  state *s = luaL_checkudata(L, 1, STATE_MT);
  drop_loop(s);
  free(s->free);
  memset(s, 0, sizeof *s);
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
  size_t room = tc_loop_ended(loop);
  tc_exchange *x;
  int n = 0;
  if (room == 0) return 0;
  lua_createtable(L, (int)room, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  for (; room > 0 && (x = tc_loop_take(loop)) != NULL; room--) {
    lua_rawgeti(L, -1, *tc_exchange_tag(x));
    if (lua_isnil(L, -1)) lua_pop(L, 1); /* its collection is under way */
    else lua_rawseti(L, -3, ++n);
    tc_state_forget(L, tc_exchange_tag(x));
  }
  lua_pop(L, 1);
  return n;
}

static double check_timeout (lua_State *L, int arg) {
  double timeout = luaL_optnumber(L, arg, 0);
  luaL_argcheck(L, timeout >= 0, arg, "a number of seconds expected");
  return timeout < STEP_MOST ? timeout : STEP_MOST;
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
  lua_pushinteger(L, loop != NULL ? (lua_Integer)tc_loop_active(loop) : 0);
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

/* ---- clocks and chance ---- */

static int now (lua_State *L) {
  lua_pushnumber(L, (lua_Number)tc_now());
  return 1;
}

static int wall_time (lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
  return 1;
}

static bool read_random (unsigned char *out, size_t n) {
  int source;
  if (n <= ENTROPY_MOST && getentropy(out, n) == 0) return true;
  source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  size_t got = 0;
  if (source < 0) return false;
  while (got < n) {
    ssize_t k = read(source, out + got, n - got);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    got += (size_t)k;
  }
  close(source);
  return got == n;
}

/* core.random(n): n bytes as hex */
static int random_hex (lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  unsigned char bytes[RANDOM_MOST];
  char hex[2 * RANDOM_MOST];
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 1 && n <= RANDOM_MOST, 1, "1 to 1024 expected");
  if (!read_random(bytes, (size_t)n))
    return luaL_error(L, "the system gives no random bytes");
  for (lua_Integer i = 0; i < n; i++) {
    hex[2 * i] = digits[bytes[i] >> 4];
    hex[2 * i + 1] = digits[bytes[i] & 15];
  }
  lua_pushlstring(L, hex, (size_t)n * 2);
  return 1;
}

static int fail_file (lua_State *L, const char *path, int error) {
  return tc_fail(L, error == ENOMEM ? "memory" : "io", "%s: %s", path,
                 tc_file_why(error));
}

/* core.target(path, overwrite): the path behind all symbolic links, when a
   file can be put there, or nil, err (kind "io"). Nothing is opened. */
static int target (lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  struct stat st;
  char *found;
  int error;
  luaL_argcheck(L, strlen(path) == len, 1, "a path holds no zero byte");
  error = tc_file_target(path, lua_toboolean(L, 2), &found, &st);
  if (error != 0)
    return fail_file(L, path, error);
  lua_pushstring(L, found);
  free(found);
  return 1;
}

/* core.place(temp, path, overwrite, durable): puts a whole file, which stands
   in the folder of the path's target, in its place. True, or nil, err (kind
   "io"), and then the file stays where it was. */
static int place (lua_State *L) {
  const char *temp = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
  int error = tc_file_place(temp, path, lua_toboolean(L, 3),
                            lua_toboolean(L, 4));
  if (error != 0)
    return fail_file(L, path, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* core.loopback(host): whether a URL's host is this machine, by its address */
static int loopback (lua_State *L) {
  size_t len;
  const char *host = luaL_checklstring(L, 1, &len);
  lua_pushboolean(L, strlen(host) == len && tc_host_is_loopback(host));
  return 1;
}

/* ---- where one may wait ---- */

#if LUA_VERSION_NUM < 503 && defined(__GNUC__)
/* LuaJIT has it, Lua 5.1 and 5.2 have not */
extern int lua_isyieldable (lua_State *L) __attribute__((weak));
#define can_tell (lua_isyieldable != NULL)
#elif LUA_VERSION_NUM < 503
#define lua_isyieldable(L) 1
#define can_tell false
#else
#define can_tell true
#endif

/* core.yieldable(): false inside of a function of C that cannot be left, as
   require is; true also where this Lua does not tell. nginx takes Lua's own
   coroutine.isyieldable away. */
static int yieldable (lua_State *L) {
  lua_pushboolean(L, !can_tell || lua_isyieldable(L));
  return 1;
}

/* ---- the operation tables as data ---- */

static void push_param (lua_State *L, const tc_param *p) {
  static const char *const types[] = {
    "text", "integer", "boolean", "id", "opaque id", "fields"
  };
  static const char *const places[] = { "query", "path", "form" };
  lua_createtable(L, 0, 5);
  tc_set_text(L, "name", p->name);
  tc_set_text(L, "type", types[p->type]);
  tc_set_text(L, "where", places[p->where]);
  tc_set_flag(L, "required", p->required);
  tc_set_text(L, "preset", p->preset);
}

static void push_operation (lua_State *L, const tc_operation *op) {
  static const char *const bodies[] = { NULL, "json", "form" };
  static const char *const decoders[] = { "data", "message", "stream" };
  const tc_param *p = op->params;
  int n = 0;
  lua_createtable(L, 0, 10);
  tc_set_text(L, "name", op->name);
  tc_set_text(L, "verb", op->verb);
  tc_set_text(L, "path", op->path);
  tc_set_text(L, "body", bodies[op->content]);
  tc_set_text(L, "result", decoders[op->decoder]);
  tc_set_flag(L, "changes", (op->flags & TC_CHANGES) != 0);
  tc_set_flag(L, "silent", (op->flags & TC_SILENT) != 0);
  tc_set_number(L, "timeout", op->timeout);
  lua_newtable(L);
  for (; p != NULL && p->name != NULL; p++) {
    push_param(L, p);
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, "params");
}

/* core.operations(service): by name */
static int operations (lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const tc_service *s = tc_service_find(name);
  if (s == NULL) {
    lua_pushfstring(L, "no service '%s'", name);
    return luaL_argerror(L, 1, lua_tostring(L, -1));
  }
  lua_newtable(L);
  for (const tc_operation *op = s->operations; op->name != NULL; op++) {
    push_operation(L, op);
    lua_setfield(L, -2, op->name);
  }
  return 1;
}

/* core.clean(text, most, manner): the text, and whether all of it is there */
static int clean (lua_State *L) {
  static const char *const manners[] = { "text", "line", "colors", NULL };
  tc_slice text;
  tc_buffer *out;
  size_t read;
  lua_Number most = luaL_optnumber(L, 2, 0);
  tc_manner manner = (tc_manner)luaL_checkoption(L, 3, "text", manners);
  text.ptr = luaL_checklstring(L, 1, &text.len);
  out = tc_scratch(L, (size_t)-1);
  if (tc_clean(out, text, most > 0 ? (size_t)most : (size_t)-1, manner, &read))
    lua_pushlstring(L, out->ptr != NULL ? out->ptr : "", out->len);
  else
    lua_pushliteral(L, "(no memory)");
  tc_buffer_free(out);
  lua_pushboolean(L, read == text.len);
  return 2;
}

/* ---- the module ---- */

static const luaL_Reg functions[] = {
  { "step", step },       { "fd", fd },         { "timeout", timeout },
  { "active", active },   { "alarm", alarm_at }, { "now", now },
  { "time", wall_time },  { "random", random_hex },
  { "target", target },   { "place", place },   { "loopback", loopback },
  { "yieldable", yieldable }, { "clean", clean },
  { "operations", operations }, { "fields", tc_fields },
  { NULL, NULL }
};

TC_EXPORT int luaopen_taskclient_core (lua_State *L);

int luaopen_taskclient_core (lua_State *L) {
  int module;
  luaL_checkversion(L);
  lua_newtable(L);
  module = lua_gettop(L);
  luaL_setfuncs(L, functions, 0);
  tc_set_text(L, "version", VERSION);
  open_state(L);
  tc_object_open(L);
  tc_failure_open(L, module);
  tc_value_open(L, module);
  tc_rows_open(L, module);
  tc_append_open(L, module);
  tc_signals_open(L, module);
  tc_secret_open(L, module);
  tc_redactor_open(L, module);
  tc_client_open_type(L, module);
  tc_job_open(L, module);
  tc_call_open(L);
  lua_settop(L, module);
  return 1;
}
