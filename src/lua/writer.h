/*
** writer.h: the rows writer, core.writer: pages of a result set, or rows made
** in Lua, to one file. See doc/design.md, section 2.
*/
#ifndef TC_WRITER_H
#define TC_WRITER_H

#include "lua/compat.h"

void tc_writer_open (lua_State *L, int module); /* writer */

#endif
