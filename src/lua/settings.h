/*
** settings.h: core.client: its options, read and checked, and the client made
** of them; client:set_headers.
*/
#ifndef TC_SETTINGS_H
#define TC_SETTINGS_H

#include "lua/compat.h"

void tc_settings_open (lua_State *L, int module); /* client */

#endif
