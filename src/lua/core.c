/*
** core.c: luaopen_taskclient_core: the module table, and the functions that
** need no userdata. See doc/design.md, section 2.
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

#include "lua/call.h"
#include "base/clean.h"
#include "lua/failure.h"
#include "base/file.h"
#include "lua/object.h"
#include "base/poller.h"
#include "lua/rows.h"
#include "lua/secret.h"
#include "lua/signals.h"
#include "lua/state.h"
#include "net/url.h"
#include "lua/value.h"

#define VERSION "0.1.0"
#define RANDOM_MOST 1024
#define ENTROPY_MOST 256 /* of getentropy */

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
  const tc_service *s = tc_check_service(L, 1);
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
  if (tc_clean(out, text, tc_bytes(most > 0 ? most : HUGE_VAL), manner, &read))
    lua_pushlstring(L, out->ptr != NULL ? out->ptr : "", out->len);
  else
    lua_pushliteral(L, "(no memory)");
  tc_buffer_free(out);
  lua_pushboolean(L, read == text.len);
  return 2;
}

/* ---- the module ---- */

static const luaL_Reg functions[] = {
  { "now", now },
  { "time", wall_time },  { "random", random_hex },
  { "target", target },   { "place", place },   { "loopback", loopback },
  { "yieldable", yieldable }, { "clean", clean },
  { "operations", operations },
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
  tc_state_open(L, module);
  tc_object_open(L, module);
  tc_failure_open(L, module);
  tc_value_open(L, module);
  tc_encode_open(L, module);
  tc_rows_open(L, module);
  tc_writer_open(L, module);
  tc_append_open(L, module);
  tc_log_open(L, module);
  tc_signals_open(L, module);
  tc_secret_open(L, module);
  tc_client_open(L, module);
  tc_call_open(L);
  lua_settop(L, module);
  return 1;
}
