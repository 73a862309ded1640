/*
** state.h: the loop of this Lua state, made when it is first needed; the calls
** in flight by their tags; core.step and what else turns the loop.
*/
#ifndef TC_STATE_H
#define TC_STATE_H

#include "lua/compat.h"
#include "net/transport.h"

tc_loop *tc_state_loop (lua_State *L); /* NULL: no memory or no descriptors */
/* notes the call on top of the stack; gives its tag */
int tc_state_remember (lua_State *L);
void tc_state_forget (lua_State *L, int *tag);
void tc_state_open (lua_State *L, int module);

#endif
