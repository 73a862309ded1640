/*
** value.h: JSON text to Lua values. Integers stay exact (Lua integers from
** 5.3 on; before, doubles up to 2^53 and text beyond), null is
** taskclient.null, an empty array carries the array metatable.
** The text must have been checked (tc_envelope_read does).
*/
#ifndef TC_VALUE_H
#define TC_VALUE_H

#include "lua/compat.h"
#include "json/pick.h"
#include "server/service.h"

#define TC_ARRAY_MT "taskclient.array" /* registry name of the metatable */

void tc_value_push (lua_State *L, tc_slice json);        /* [-0, +1] */
int tc_value_invalid (lua_State *L, const tc_json *j); /* what tc_fail gives */
/* 0 and the one document that the text at arg is, or what tc_fail gives */
int tc_value_check (lua_State *L, int arg, tc_slice *json);
void tc_value_push_text (lua_State *L, tc_slice raw, bool escaped); /* [-0,+1] */

tc_picker *tc_picker_check (lua_State *L, int arg);
int tc_pick_push (lua_State *L, const tc_pick *pick);
                             /* one value a path, nil when absent: [-0, +n] */

/* the functions of the core that stand in files of their own */
void tc_value_open (lua_State *L, int module);  /* null, picker, decode, … */
void tc_encode_open (lua_State *L, int module); /* encode, array, base64, … */
void tc_log_open (lua_State *L, int module);    /* lines, level, halve */
void tc_writer_open (lua_State *L, int module); /* writer */
void tc_append_open (lua_State *L, int module); /* append, crc32, terminal */

#endif
