/*
** client.h: the client userdata, as call.c and args.c see it.
*/
#ifndef TC_CLIENT_H
#define TC_CLIENT_H

#include "lua/compat.h"
#include "base/secret.h"
#include "server/service.h"
#include "net/transport.h"
#include "server/verdict.h"

typedef struct tc_client {
  const tc_service *service;
  tc_endpoint *endpoint; /* NULL until the constructor is through */
  tc_buffer base;        /* of the URL: operations' paths follow */
  tc_buffer host;        /* host:port, for messages */
  tc_secrets secrets, cookies;
  size_t max_body;
  bool lossy;            /* replies with broken characters are mended */
  size_t unseen;         /* bytes of replies the collector knows nothing of */
} tc_client;

tc_client *tc_client_check (lua_State *L, int arg);
tc_client *tc_client_self (lua_State *L); /* for the methods */
/* false: closed, or made by the parent process */
bool tc_client_usable (const tc_client *c);
bool tc_client_forked (const tc_client *c); /* made by the parent process */
/* pushes the text, its controls and the client's secrets taken out, at most
   so many bytes of it; "(no memory)" when there is none [-0, +1] */
void tc_client_push_clean (lua_State *L, tc_client *c, tc_slice text,
                           size_t most);
/* user: a name that is no secret itself; empty: none */
void tc_client_hide (lua_State *L, tc_client *c, tc_slice secret,
                     tc_slice user);
void tc_client_open_type (lua_State *L);

#endif
