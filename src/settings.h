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
/* the header list at that index as C strings, in a userdata on the stack
   that tc_wipe may clear; NULL for none [-0, +1] */
const char *const *tc_headers_read (lua_State *L, int list, tc_client *c,
                                    int arg, size_t *bytes);
void tc_client_hide (lua_State *L, tc_client *c, tc_slice secret);

#endif
