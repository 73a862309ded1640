/*
** value.h: JSON text to Lua values. Integers stay exact (Lua integers from
** 5.3 on; before, doubles up to 2^53 and text beyond), null is
** taskclient.null, an empty array carries the array metatable.
** The text must have been checked (tc_envelope_read does).
*/
#ifndef TC_VALUE_H
#define TC_VALUE_H

#include "lua/compat.h"
#include "server/envelope.h"

#define TC_ARRAY_MT "taskclient.array" /* registry name of the metatable */

void tc_value_push (lua_State *L, tc_slice json);        /* [-0, +1] */
/* 0 and the one document that the text at arg is, or what tc_fail gives */
int tc_value_check (lua_State *L, int arg, tc_slice *json);
void tc_value_push_text (lua_State *L, tc_slice raw, bool escaped); /* [-0,+1] */

/* a picker: up to TC_PICKS dotted paths found in one pass without a table */
#define TC_PICKS 16
typedef struct tc_picker tc_picker;
tc_picker *tc_picker_check (lua_State *L, int arg);

/* what a picker finds in one reply */
typedef struct tc_pick {
  tc_tap tap;            /* for the envelope's pass */
  const tc_picker *picker;
  tc_slice value[TC_PICKS]; /* empty: absent */
  uint32_t twice; /* bit i: path i stands there twice, and counts as absent */
} tc_pick;

void tc_pick_begin (tc_pick *pick, const tc_picker *p); /* nothing is found */
void tc_pick_data (tc_pick *pick, tc_slice data); /* of a reply checked before */
int tc_pick_push (lua_State *L, const tc_pick *pick);
                             /* one value a path, nil when absent: [-0, +n] */

void tc_value_open (lua_State *L, int module); /* null, array_mt, picker, decode */

#endif
