/*
** object.h: what clients and jobs have in common as Lua objects: a private
** table of fields, a class table of methods, and no way to write into them.
*/
#ifndef TC_OBJECT_H
#define TC_OBJECT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "lua/compat.h"

#define TC_CLIENT_MT "taskclient.client"
#define TC_JOB_MT "taskclient.job"

/* a zeroed userdata of that type; class and fields are stack indices of
   tables, fields may be 0 for a new one [-0, +1] */
void *tc_object_new (lua_State *L, size_t size, const char *mt, int class,
                     int fields);
/* makes a metatable; methods and index have it as their first upvalue, index
   the table of methods as its second [-0, +1] */
void tc_type_open (lua_State *L, const char *mt, const luaL_Reg *methods,
                   const luaL_Reg *meta, lua_CFunction index);
/* the same for a client or job [-0, +0]; methods are looked up after fields and class */
void tc_object_type (lua_State *L, const char *mt, const luaL_Reg *methods,
                     const luaL_Reg *meta);
/* gives such a type further methods [-0, +0] */
void tc_object_extend (lua_State *L, const char *mt, const luaL_Reg *methods);

/* a buffer on the stack, which goes with it even when Lua raises [-0, +1] */
tc_buffer *tc_scratch (lua_State *L, size_t limit);
void tc_object_open (lua_State *L, int module); /* job, fields */

/* raises "what 'name'", with the name of the list (NULL-ended) most like it */
int tc_unknown (lua_State *L, int arg, const char *what, const char *name,
                const char *const *names);
/* for loops over a table: the place in the list of the key at -2, or raises
   "unknown what …" */
size_t tc_check_name (lua_State *L, int arg, const char *what,
                      const char *const *names);

/* whether the text at i is this name: a zero byte in it counts */
static inline bool tc_is_name (lua_State *L, int i, const char *name) {
  size_t len;
  const char *text = lua_tolstring(L, i, &len);
  return len == strlen(name) && memcmp(text, name, len) == 0;
}

/* so many bytes as a size, on systems of 32 bits too */
static inline size_t tc_bytes (double n) {
  const size_t most = (size_t)-1 / 2;
  return n < (double)most ? (size_t)n : most;
}

#endif
