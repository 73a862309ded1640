/*
** failure.h: error objects. An err is a table {kind=, message=, …} with the
** metatable core.error_mt, to which the Lua layer adds __tostring.
*/
#ifndef TC_FAILURE_H
#define TC_FAILURE_H

#include "lua/compat.h"

/* pushes nil and an err of that kind; the format is lua_pushfstring's */
int tc_fail (lua_State *L, const char *kind, const char *format, ...); /* [-0, +2] */
/* pushes the err table alone, for callers that add fields */
void tc_failure_push (lua_State *L, const char *kind, const char *message); /* [-0, +1] */

/* fields of the table on top; NULL and 0 are left out */
void tc_set_text (lua_State *L, const char *name, const char *value);
void tc_set_integer (lua_State *L, const char *name, int64_t n);
void tc_set_number (lua_State *L, const char *name, lua_Number n);
void tc_set_flag (lua_State *L, const char *name, int on);

void tc_failure_open (lua_State *L, int module); /* error_mt */

#endif
