/*
** call.h: the client userdata and the call userdata, which is one exchange and
** what it was for.
*/
#ifndef TC_CALL_H
#define TC_CALL_H

#include "base/secret.h"
#include "lua/compat.h"
#include "server/service.h"

#define TC_TEXT_OPTIONS 10

/* ---- client.c ---- */

typedef struct tc_client {
  const tc_service *service;
  tc_endpoint *endpoint; /* NULL until the constructor is through */
  tc_settings settings;  /* the endpoint's: what they point to lies here */
  tc_setting texts[TC_TEXT_OPTIONS + 1];
  tc_buffer text;        /* of the options that are texts; wiped */
  tc_buffer base;        /* of the URL: operations' paths follow */
  tc_buffer host;        /* host:port, for messages */
  tc_secrets secrets, cookies;
  size_t max_body;
  bool lossy;            /* replies with broken characters are mended */
  size_t unseen;         /* bytes of replies the collector knows nothing of */
} tc_client;

const tc_service *tc_check_service (lua_State *L, int arg); /* by its name */
tc_client *tc_client_check (lua_State *L, int arg);
tc_client *tc_client_self (lua_State *L); /* for the methods */
/* false: closed, or made by the parent process */
bool tc_client_usable (const tc_client *c);
/* pushes the text, its controls and the client's secrets taken out, at most
   so many bytes of it; "(no memory)" when there is none [-0, +1] */
void tc_client_push_clean (lua_State *L, tc_client *c, tc_slice text,
                           size_t most);
void tc_client_open (lua_State *L, int module); /* client, options */

/* ---- call.c ---- */

/* beside a call: its client, and the picker or the path of the file */
enum { TC_CALL_CLIENT = 1, TC_CALL_EXTRA };

typedef struct tc_call {
  tc_exchange exchange;
  tc_client *client;     /* held beside it */
  const tc_operation *operation;
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
bool tc_call_push_words (lua_State *L, const tc_call *call);

/* args.c: reads the arguments of start into the call's request, or raises */
void tc_args_read (lua_State *L, const tc_client *c, tc_call *call, int args);
void tc_opts_read (lua_State *L, tc_call *call, int opts);

#endif
