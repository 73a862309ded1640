/*
** append.h: core.append, the append-only file under a journal, with the
** checksum of its lines; and core.terminal, for the progress bar. Knows the
** system and Lua, nothing of what is written.
*/
#ifndef TC_APPEND_H
#define TC_APPEND_H

#include "lua/compat.h"

void tc_append_open (lua_State *L, int module); /* append, crc32, terminal */

#endif
