/*
** state.h: the loop of this Lua state, made when it is first needed; the calls
** in flight by their exchanges; core.step and what else turns the loop.
*/
#ifndef TC_STATE_H
#define TC_STATE_H

#include "lua/compat.h"
#include "net/net.h"

tc_loop *tc_state_loop (lua_State *L); /* NULL: no memory or no descriptors */
/* notes the call on top of the stack, which has this exchange */
void tc_state_remember (lua_State *L, const tc_exchange *x);
void tc_state_open (lua_State *L, int module);

#endif
