/*
** call.h: the call userdata: one exchange and what it was for.
*/
#ifndef TC_CALL_H
#define TC_CALL_H

#include "lua/client.h"
#include "server/verdict.h"

/* beside a call: its client, and the picker or the path of the file */
enum { TC_CALL_CLIENT = 1, TC_CALL_EXTRA };

typedef struct tc_call {
  tc_exchange *exchange; /* NULL until it has started */
  tc_client *client;     /* held beside it */
  const tc_service *service;
  const tc_operation *operation;
  tc_request request;    /* while it is being put together */
  bool judged, counted;
  int readers;           /* of the reply, who must not lose it meanwhile */
  tc_verdict verdict;
} tc_call;

/* what the reader makes of the call at arg, which has been judged. Raises when
   the call is still in flight, or its operation has no data */
typedef int tc_reader (lua_State *L, tc_call *call);
int tc_call_read (lua_State *L, int arg, tc_reader *reader);
void tc_call_open (lua_State *L); /* and client:start, client:check */

/* wording.c: nil and the err of a call that was judged bad; and the server's
   own words, clean, false when it said nothing [-0, +1] */
int tc_call_push_err (lua_State *L, const tc_call *call);
bool tc_call_push_words (lua_State *L, tc_client *c, const tc_envelope *e);

/* args.c: reads the arguments of start into call->request, or raises */
void tc_args_read (lua_State *L, const tc_client *c, tc_call *call, int args);
void tc_opts_read (lua_State *L, tc_call *call, int opts);

#endif
