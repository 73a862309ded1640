/*
** wording.c: the err of a call: what happened, where and why in plain words,
** with nothing of a secret in it.
*/
#include <stdio.h>

#include "lua/call.h"
#include "lua/failure.h"
#include "base/file.h"

#define BODY_SHOWN 200     /* bytes of err.body */
#define BODY_SEARCHED 2000 /* of the reply: a secret taken out brings more in */
#define MESSAGE_MOST 2000  /* bytes of a server's words in err.message */

/* what curl or the system said, in brackets */
static const char *detail (const tc_reply *r) {
  return r->detail != NULL && r->detail[0] != '\0' ? r->detail : NULL;
}

static bool nobody_there (const tc_reply *r) {
  return r->phase == TC_PHASE_CONNECT &&
         (r->fault == TC_FAULT_TIMEOUT || r->fault == TC_FAULT_NETWORK);
}

/* plain words for what libcurl could not do [-0, +1] */
static void push_fault (lua_State *L, const tc_call *call,
                        const tc_reply *r, const char *host) {
  const char *phase = tc_phase_name(r->phase);
  const char *why = detail(r);
  char number[32];
  switch (r->fault) {
    case TC_FAULT_TIMEOUT:
      snprintf(number, sizeof number, "%.1f", r->seconds);
      lua_pushfstring(L, "%s: out of time after %s s, %s", host, number,
                      phase);
      break;
    case TC_FAULT_NETWORK:
      lua_pushfstring(L, "%s: the connection failed, %s", host, phase);
      break;
    case TC_FAULT_TLS:
      lua_pushfstring(L, "%s: no secure connection", host);
      break;
    case TC_FAULT_PROTOCOL:
      lua_pushfstring(L, "%s: the answer is not proper HTTP", host);
      break;
    case TC_FAULT_TOO_LARGE:
      snprintf(number, sizeof number, "%.0f", (double)call->exchange.request.max_body);
      lua_pushfstring(L, "%s: the answer is too large (over %s bytes, or "
                         "packed more than 200 to 1)", host, number);
      break;
    case TC_FAULT_IO:
      lua_pushfstring(L, "cannot write the file: %s", tc_file_why(r->code));
      why = NULL;
      break;
    case TC_FAULT_INTERRUPTED:
      lua_pushfstring(L, "%s: cancelled, %s", host, phase);
      why = NULL;
      break;
    case TC_FAULT_CLOSED:
      lua_pushfstring(L, "%s: the client was closed, %s", host, phase);
      why = NULL;
      break;
    default: lua_pushliteral(L, "out of memory"); why = NULL;
  }
  if (why != NULL) {
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), why);
    lua_remove(L, -2);
  }
  if (nobody_there(r) && call->client->service->connect_hint != NULL) {
    lua_pushfstring(L, "%s; %s", lua_tostring(L, -1),
                    call->client->service->connect_hint);
    lua_remove(L, -2);
  }
}

/* An export that fails half-way ("error(…") has the server's words and bytes of
   the file in one body: the words end where the file or the first NUL begins. */
static size_t before_binary (const tc_service *s, tc_slice text) {
  const char *failed = s->stream_error;
  size_t i;
  if (failed == NULL || text.len <= strlen(failed) ||
      memcmp(text.ptr, failed, strlen(failed)) != 0)
    return text.len;
  for (i = 0; i < text.len; i++)
    if (text.ptr[i] == '\0' ||
        (text.len - i >= 4 && memcmp(text.ptr + i, "PK\3\4", 4) == 0))
      break;
  return i;
}

/* the server's own words, clean; false when it said nothing [-0, +1] */
bool tc_call_push_words (lua_State *L, const tc_call *call) {
  const tc_envelope *e = &call->verdict.envelope;
  tc_slice text = e->message;
  char *out = NULL;
  if (e->shape == TC_SHAPE_HTML || e->shape == TC_SHAPE_BROKEN ||
      text.len == 0) {
    lua_pushliteral(L, "");
    return false;
  }
  if (e->message_json) {
    out = lua_newuserdata(L, text.len);
    text.len = tc_json_unescape(text, out);
    text.ptr = out;
  }
  text.len = before_binary(call->client->service, text);
  tc_client_push_clean(L, call->client, text, MESSAGE_MOST);
  if (out != NULL) lua_remove(L, -2);
  return lua_rawlen(L, -1) > 0;
}

/* what the reply itself makes of it [-0, +1] */
static void push_reply (lua_State *L, const tc_call *call, const tc_reply *r,
                        const char *host) {
  const tc_verdict *v = &call->verdict;
  bool words = tc_call_push_words(L, call);
  const char *said = lua_tostring(L, -1);
  if (r->redirect != NULL || (r->http_status >= 300 && r->http_status < 400))
    lua_pushfstring(L, "%s: HTTP %d, a redirect to %s, which is never "
                       "followed", host, r->http_status,
                    r->redirect != NULL ? r->redirect : "nowhere");
  else if (words && strcmp(v->kind, "protocol") != 0)
    lua_pushfstring(L, "%s%s%s", strcmp(v->kind, "auth") == 0
                                   ? "not logged in: " : "", said, "");
  else if (r->http_status < 300 && strcmp(v->kind, "protocol") != 0)
    lua_pushfstring(L, "%s: the server says no and gives no reason", host);
  else if (r->http_status >= 300 || v->why == NULL)
    lua_pushfstring(L, "%s: HTTP %d%s%s", host, r->http_status,
                    v->why != NULL ? ", " : "", v->why != NULL ? v->why : "");
  else
    lua_pushfstring(L, "%s: not the reply it should be: %s", host, v->why);
  lua_remove(L, -2);
}

static void push_message (lua_State *L, tc_client *c, const tc_call *call,
                          const tc_reply *r, const char *host) {
  tc_slice text;
  const char *lost = c->endpoint != NULL ? c->endpoint->lost : NULL;
  if (r->fault != TC_FAULT_NONE) push_fault(L, call, r, host);
  else push_reply(L, call, r, host);
  if (lost != NULL && strcmp(call->verdict.kind, "auth") == 0) {
    lua_pushfstring(L, "%s; the server's cookie '%s' could not be kept",
                    lua_tostring(L, -1), lost);
    lua_remove(L, -2);
  }
  lua_pushfstring(L, "%s: %s", call->operation->name, lua_tostring(L, -1));
  lua_remove(L, -2);
  text.ptr = lua_tolstring(L, -1, &text.len);
  tc_client_push_clean(L, c, text, MESSAGE_MOST + 512);
  lua_remove(L, -2);
}

/* ---- the err of a call ---- */

/* a reply is shown up to what may hold what must not be */
static tc_slice before_hidden (const tc_service *s, tc_slice body) {
  for (const char *const *name = s->hidden; *name != NULL; name++) {
    size_t len = strlen(*name);
    for (size_t i = 0; i + len <= body.len && i < BODY_SEARCHED; i++)
      if (memcmp(body.ptr + i, *name, len) == 0) body.len = i + len;
  }
  return body;
}

static void add_reply_fields (lua_State *L, tc_client *c,
                              const tc_verdict *v, const tc_reply *r) {
  tc_slice whole = { r->body.ptr, r->body.len };
  tc_slice body = before_hidden(c->service, whole);
  body.len = before_binary(c->service, body);
  tc_set_integer(L, "http_status", r->http_status);
  if (r->retry_after >= 0) tc_set_number(L, "retry_after", r->retry_after);
  if (v->read) {
    tc_set_text(L, "shape", v->envelope.name);
    tc_set_integer(L, "code", v->envelope.code);
  }
  if (body.len > 0) {
    tc_client_push_clean(L, c, body, BODY_SHOWN);
    lua_setfield(L, -2, "body");
  }
}

int tc_call_push_err (lua_State *L, const tc_call *call) {
  const tc_reply *r = &call->exchange.reply;
  const tc_verdict *v = &call->verdict;
  tc_client *c = call->client;
  push_message(L, c, call, r, c->host.ptr != NULL ? c->host.ptr : "?");
  lua_pushnil(L);
  tc_failure_push(L, v->kind, lua_tostring(L, -2));
  tc_set_text(L, "operation", call->operation->name);
  tc_set_text(L, "outcome", v->outcome);
  tc_set_flag(L, "retryable", v->retryable);
  add_reply_fields(L, c, v, r);
  return 2;
}
