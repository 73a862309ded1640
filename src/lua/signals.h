/*
** signals.h: core.signals, which holds back the signals that ask a process to
** end until what it waits for is settled; and core.sigint. Knows the system
** and Lua; nothing of waits.
*/
#ifndef TC_SIGNALS_H
#define TC_SIGNALS_H

#include "lua/compat.h"

void tc_signals_open (lua_State *L, int module); /* signals, caught, sigint */

#endif
