/*
** writer.h: the rows writer, core.writer: pages of a result set, or rows made
** in Lua, to one file. See doc/design.md, section 2.
*/
#ifndef TC_WRITER_H
#define TC_WRITER_H

#include "compat.h"
#include "json.h"

/* appends a page to the writer at arg; gives the number of results pushed:
   the rows written, or nil, err */
int tc_writer_add_page (lua_State *L, int arg, tc_slice data);

void tc_writer_open (lua_State *L, int module); /* writer */

#endif
