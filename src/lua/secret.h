/*
** secret.h: core.secret, a text that never prints; core.reveal; core.redactor,
** which takes the secrets of a spec out of texts.
*/
#ifndef TC_LUA_SECRET_H
#define TC_LUA_SECRET_H

#include <stdbool.h>

#include "lua/compat.h"
#include "base/buffer.h"

/* text or secret; false when it is neither */
bool tc_text (lua_State *L, int i, tc_slice *text);
void tc_secret_open (lua_State *L, int module); /* secret, reveal, redactor */

#endif
