/*
** encode.h: core.encode, Lua values to JSON text, and the marks of arrays.
*/
#ifndef TC_ENCODE_H
#define TC_ENCODE_H

#include "lua/compat.h"

void tc_encode_open (lua_State *L, int module); /* encode, array, base64, … */

#endif
