/*
** rows.h: one page of a result set (the data of openFile) to Lua rows or
** records. To files: writer.h.
*/
#ifndef TC_ROWS_H
#define TC_ROWS_H

#include "lua/compat.h"
#include "json/json.h"

/* the page as a table (doc/design.md, section 2), by the options table at that
   index (0: none); data must have been checked. Gives the number of results
   pushed: the page, or nil, err */
int tc_rows_push_page (lua_State *L, tc_slice data, int options);

/* the name on top becomes one that is not in the table at taken yet: name,
   name_2, name_3, … [-1, +1] */
void tc_rows_unique (lua_State *L, int taken);

void tc_rows_open (lua_State *L, int module); /* page */

#endif
