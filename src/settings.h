/*
** settings.h: the options of core.client, read and checked.
*/
#ifndef TC_SETTINGS_H
#define TC_SETTINGS_H

#include "client.h"

/* Reads the options table at that index into s and c, hiding what is secret.
   Raises for anything wrong. Leaves on the stack what s points to. */
void tc_settings_read (lua_State *L, int options, tc_client *c,
                       tc_settings *s);
/* NULL, or the option whose file cannot be read; errno says why */
const char *tc_settings_unreadable (const tc_settings *s);
/* the header list at that index as C strings, NULL for none; they and their
   text, which may be wiped, lie on the stack [-0, +2 at most] */
const char *const *tc_headers_read (lua_State *L, int list, tc_client *c,
                                    int arg, tc_buffer **text);
/* user: a name that is no secret itself; empty: none */
void tc_client_hide (lua_State *L, tc_client *c, tc_slice secret,
                     tc_slice user);

#endif
