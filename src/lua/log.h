/*
** log.h: what the Lua layer needs of the text of logs, line by line.
*/
#ifndef TC_LOG_H
#define TC_LOG_H

#include "lua/compat.h"

void tc_log_open (lua_State *L, int module); /* lines, level, halve */

#endif
