/*
** call.c: starts calls, tells their results, words their failures.
** The client and the picker that lie beside a call live as long as it does.
*/
#include "lua/call.h"

#include "lua/failure.h"
#include "lua/object.h"
#include "lua/rows.h"
#include "lua/state.h"
#include "lua/value.h"

#define CALL_MT "taskclient.call"
#define URL_MOST (1024 * 1024)
#define FORM_MOST (256 * 1024 * 1024)
#define GC_STEP (256 * 1024) /* the collector is told of so many bytes */
#define GC_MOST 100000       /* KiB at once */

static tc_call *check (lua_State *L, int arg) {
  return luaL_checkudata(L, arg, CALL_MT);
}

/* false: freed; nothing is left to read */
static bool is_there (const tc_call *call) {
  return call->exchange.state != TC_FREED;
}

/* for the methods: a call that was collected and brought back is no use */
static tc_call *live_call (lua_State *L) {
  tc_call *call = tc_self(L);
  if (call == NULL) call = check(L, 1);
  luaL_argcheck(L, is_there(call), 1, "the call has been collected");
  return call;
}

/* ---- start ---- */

static tc_call *new_call (lua_State *L, tc_client *c,
                          const tc_operation *op) {
  tc_call *call = tc_newuserdata(L, sizeof *call);
  tc_request *r = &call->exchange.request;
  memset(call, 0, sizeof *call);
  tc_exchange_init(&call->exchange);
  call->client = c;
  call->operation = op;
  luaL_setmetatable(L, CALL_MT);
  lua_pushvalue(L, 1);
  tc_setslot(L, -2, TC_CALL_CLIENT);
  r->url.limit = URL_MOST;
  r->body.limit = FORM_MOST;
  r->verb = op->verb;
  r->content = op->content;
  r->timeout = op->timeout;
  r->fresh = (op->flags & TC_CHANGES) != 0;
  r->silent = (op->flags & TC_SILENT) != 0;
  r->bare = (op->flags & TC_BARE) != 0;
  r->large = (op->flags & TC_LARGE) != 0;
  r->max_body = c->max_body;
  if (op->decoder == TC_DECODE_STREAM) {
    r->is_file = tc_is_file;
    r->rule = c->service;
    r->keep = "Content-Disposition";
  }
  return call;
}

static void no_operation (lua_State *L, const tc_service *s,
                          const char *name) {
  const char *names[64];
  size_t n = 0;
  for (const tc_operation *op = s->operations; op->name != NULL && n < 63; op++)
    names[n++] = op->name;
  names[n] = NULL;
  lua_pushfstring(L, "%s has no operation", s->title);
  tc_unknown(L, 2, lua_tostring(L, -1), name, names);
}

/* it never started: nothing was sent */
static int not_started (lua_State *L, const tc_call *call, tc_fault fault) {
  const char *name = call->operation->name;
  const tc_endpoint *e = call->client->endpoint;
  if (fault == TC_FAULT_CLOSED)
    tc_fail(L, "closed", e != NULL && tc_loop_forked(e->pool.loop)
                           ? "%s: the client belongs to the parent process: "
                             "make one after the fork"
                           : "%s: the client is closed", name);
  else if (fault == TC_FAULT_IO)
    tc_fail(L, "io", "%s: cannot write the file: %s", name,
            tc_file_why(call->exchange.reply.code));
  else
    tc_fail(L, tc_fault_kind(fault), "%s: out of memory", name);
  tc_set_text(L, "operation", name);
  tc_set_flag(L, "retryable", false);
  if (call->operation->flags & TC_CHANGES)
    tc_set_text(L, "outcome", "not_sent");
  return 2;
}

/* a call of the operation, arguments and options at 2, 3 and 4, all of them
   checked; it stands at 5 and has not begun [-0, +1] */
static tc_call *prepare (lua_State *L, tc_client *c) {
  const char *name = luaL_checkstring(L, 2);
  const tc_operation *op = tc_service_operation(c->service, name);
  tc_call *call;
  if (op == NULL || !tc_is_name(L, 2, op->name))
    no_operation(L, c->service, name);
  lua_settop(L, 4);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TTABLE);
  call = new_call(L, c, op);
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    tc_opts_read(L, call, 4);
  }
  tc_args_read(L, c, call, 3);
  return call;
}

static int push_bytes (lua_State *L, const tc_buffer *b) {
  lua_pushlstring(L, b->ptr != NULL ? b->ptr : "", b->len);
  return 1;
}

/* client:check(operation, args, options): the body that would be sent */
static int check_call (lua_State *L) {
  return push_bytes(L, &prepare(L, tc_client_self(L))->exchange.request.body);
}

static int start (lua_State *L) {
  tc_client *c = tc_client_self(L);
  tc_call *call = prepare(L, c);
  tc_fault fault = TC_FAULT_CLOSED;
  lua_settop(L, 5);
  tc_state_remember(L, &call->exchange); /* may raise: nothing was sent yet */
  if (c->endpoint != NULL)
    fault = tc_exchange_start(&call->exchange, c->endpoint);
  return fault == TC_FAULT_NONE ? 1 : not_started(L, call, fault);
}

/* ---- results ---- */

static bool is_forked (const tc_call *call) {
  return !tc_exchange_done(&call->exchange) &&
         tc_loop_forked(call->exchange.endpoint->pool.loop);
}

static int forked (lua_State *L, const tc_call *call) {
  return tc_fail(L, "closed",
                 "%s: the call belongs to the parent process",
                 call->operation->name);
}

/* A reply refused for its characters alone is made whole, where the client may
   lose those; false when there is nothing of the kind, or no memory. */
static bool mend (tc_call *call) {
  tc_buffer *body = &call->exchange.reply.body;
  const tc_envelope *e = &call->verdict.envelope;
  tc_buffer mended;
  if (!call->client->lossy || !call->verdict.read ||
      e->shape != TC_SHAPE_BROKEN || e->fault != TC_JSON_UTF8)
    return false;
  tc_buffer_init(&mended, (size_t)-1);
  if (tc_json_mend((tc_slice){ body->ptr, body->len }, &mended) != TC_OK) {
    tc_buffer_free(&mended);
    return false;
  }
  tc_buffer_free(body);
  *body = mended;
  return true;
}

static void judge (tc_call *call, tc_pick *pick) {
  if (pick != NULL) tc_pick_begin(pick, pick->picker);
  tc_judge(&call->verdict, call->client->service, call->operation,
           &call->exchange.reply, pick != NULL ? &pick->tap : NULL);
}

/* raises while it is in flight; pick: NULL, or what to look for on the way */
static void settle (lua_State *L, tc_call *call, tc_pick *pick) {
  if (call->judged) return;
  if (!tc_exchange_done(&call->exchange))
    luaL_error(L, "call '%s' is still in flight: wait until call:done()",
               call->operation->name);
  judge(call, pick);
  if (mend(call)) judge(call, pick);
  call->judged = true;
}

/* the collector does not see what lies in C: it is told */
static void account (lua_State *L, tc_call *call) {
  size_t *bytes = &call->client->unseen;
  if (call->counted) return;
  call->counted = true;
  *bytes += call->exchange.reply.body.cap;
  if (*bytes < GC_STEP) return;
  tc_gc_account(L, (int)(*bytes / 1024 < GC_MOST ? *bytes / 1024 : GC_MOST));
  *bytes = 0;
}

static int push_stream (lua_State *L, const tc_reply *r) {
  if (!r->saved) return push_bytes(L, &r->body);
  tc_push_int64(L, (int64_t)r->bytes);
  return 1;
}

/* the message of a Lindorm reply, ready for those that are no string */
static int push_answer (lua_State *L, const tc_envelope *e) {
  if (e->message_json) tc_value_push_text(L, e->message, true);
  else lua_pushlstring(L, e->message.ptr, e->message.len);
  return 1;
}

static int push_data (lua_State *L, const tc_call *call) {
  tc_value_push(L, call->verdict.envelope.data);
  return 1;
}

static int push_result (lua_State *L, tc_call *call) {
  account(L, call);
  if (call->verdict.kind != NULL) return tc_call_push_err(L, call);
  switch (call->operation->decoder) {
    case TC_DECODE_STREAM: return push_stream(L, &call->exchange.reply);
    case TC_DECODE_MESSAGE: return push_answer(L, &call->verdict.envelope);
    default: return push_data(L, call);
  }
}

/* A finalizer may run whenever something is pushed, and may close this call:
   the reply stays until its reader is through. Where Lua raises meanwhile the
   collector frees it. */
static int read_reply (lua_State *L, tc_call *call, tc_reader *reader) {
  int results;
  if (is_forked(call)) return forked(L, call);
  settle(L, call, NULL);
  call->readers++;
  results = reader(L, call);
  call->readers--;
  return results;
}

/* the picker at 2: true and what it finds, seen on the way where the reply has
   not been judged before */
static int push_picked (lua_State *L, tc_call *call) {
  tc_pick pick;
  bool judged = call->judged;
  int results;
  pick.picker = lua_touserdata(L, 2); /* checked by the option */
  settle(L, call, &pick);
  call->readers++;
  account(L, call);
  if (call->verdict.kind != NULL)
    results = tc_call_push_err(L, call);
  else {
    if (judged) {
      tc_pick_begin(&pick, pick.picker);
      tc_pick_data(&pick, call->verdict.envelope.data);
    }
    lua_pushboolean(L, 1);
    results = 1 + tc_pick_push(L, &pick);
  }
  call->readers--;
  return results;
}

static int result (lua_State *L) {
  tc_call *call = live_call(L);
  lua_settop(L, 1);
  if (call->operation->decoder != TC_DECODE_DATA)
    return read_reply(L, call, push_result);
  tc_getslot(L, 1, TC_CALL_EXTRA);
  if (lua_isnil(L, 2)) return read_reply(L, call, push_result);
  if (is_forked(call)) return forked(L, call);
  return push_picked(L, call);
}

int tc_call_read (lua_State *L, int arg, tc_reader *reader) {
  tc_call *call = check(L, arg);
  luaL_argcheck(L, call->operation->decoder == TC_DECODE_DATA, arg,
                "call of an operation without data");
  luaL_argcheck(L, is_there(call), arg, "the call has been collected");
  return read_reply(L, call, reader);
}

static int push_page (lua_State *L, tc_call *call) {
  if (call->verdict.kind != NULL) return tc_call_push_err(L, call);
  return tc_rows_push_page(L, call->verdict.envelope.data,
                           lua_istable(L, 2) ? 2 : 0);
}

static int page (lua_State *L) {
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  return tc_call_read(L, 1, push_page);
}

/* ---- looks ---- */

static int done (lua_State *L) {
  tc_call *call = live_call(L);
  lua_pushboolean(L, tc_exchange_done(&call->exchange) || is_forked(call));
  return 1;
}

static int cancel (lua_State *L) {
  tc_exchange_cancel(&live_call(L)->exchange);
  return 0;
}

static int push_body (lua_State *L, tc_call *call) {
  return push_bytes(L, &call->exchange.reply.body);
}

static int body (lua_State *L) {
  return read_reply(L, live_call(L), push_body);
}

static size_t common (tc_slice a, tc_slice b) {
  size_t i = 0, most = a.len < b.len ? a.len : b.len;
  while (i + 64 <= most && memcmp(a.ptr + i, b.ptr + i, 64) == 0)
    i += 64;
  while (i < most && a.ptr[i] == b.ptr[i])
    i++;
  return i;
}

static tc_slice behind_digits (tc_slice text, size_t at) {
  while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
    at++;
  text.ptr += at;
  text.len -= at;
  return text;
}

static tc_slice text_of (const tc_call *call) {
  const tc_reply *r = &call->exchange.reply;
  tc_slice text = {r->body.ptr != NULL ? r->body.ptr : "", r->body.len};
  return text;
}

/* call:same(other): are the replies the same, but for one number in them? */
static int same (lua_State *L) {
  tc_call *one = live_call(L), *other = check(L, 2);
  tc_slice a, b;
  size_t n;
  luaL_argcheck(L, is_there(other), 2, "the call has been collected");
  if (is_forked(one)) return forked(L, one);
  a = text_of(one);
  b = text_of(other);
  n = common(a, b);
  a = behind_digits(a, n);
  b = behind_digits(b, n);
  lua_pushboolean(L, a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0);
  return 1;
}

/* call:bytes(): of the body, as far as it has come; judges nothing */
static int bytes (lua_State *L) {
  tc_call *call = live_call(L);
  if (is_forked(call)) return forked(L, call);
  tc_push_int64(L, (int64_t)call->exchange.reply.bytes);
  return 1;
}

static void add_words (lua_State *L, const tc_call *call) {
  if (!call->verdict.read) return;
  if (tc_call_push_words(L, call))
    lua_setfield(L, -2, "message");
  else
    lua_pop(L, 1);
}

static int push_info (lua_State *L, tc_call *call) {
  const tc_reply *r = &call->exchange.reply;
  lua_createtable(L, 0, 13);
  add_words(L, call);
  tc_set_integer(L, "http_status", r->http_status);
  tc_set_text(L, "content_type", r->content_type);
  tc_set_text(L, "disposition", r->kept);
  if (call->verdict.read)
    tc_set_text(L, "shape", call->verdict.envelope.name);
  tc_set_flag(L, "sent", r->sent);
  tc_set_flag(L, "framed", r->framed);
  tc_push_int64(L, (int64_t)r->bytes);
  lua_setfield(L, -2, "bytes");
  tc_set_number(L, "seconds", r->seconds);
  if (r->retry_after >= 0) tc_set_number(L, "retry_after", r->retry_after);
  if (r->date >= 0) tc_set_number(L, "date", r->date);
  return 1;
}

/* the server's time, or nil; without the table that `info` makes */
static int push_date (lua_State *L, tc_call *call) {
  double date = call->exchange.reply.date;
  if (date >= 0) lua_pushnumber(L, date);
  else lua_pushnil(L);
  return 1;
}

static int date (lua_State *L) {
  return read_reply(L, live_call(L), push_date);
}

static int info (lua_State *L) {
  return read_reply(L, live_call(L), push_info);
}

/* ---- the type ---- */

static int collect (lua_State *L) {
  tc_exchange_free(&check(L, 1)->exchange);
  return 0;
}

/* frees the reply now; a call that is still in flight is cancelled */
static int close_call (lua_State *L) {
  tc_call *call = check(L, 1);
  if (!tc_exchange_done(&call->exchange)) tc_exchange_cancel(&call->exchange);
  else if (call->readers == 0) tc_exchange_free(&call->exchange);
  return 0;
}

static int to_string (lua_State *L) {
  tc_call *call = check(L, 1);
  const char *state = "ended";
  if (!is_there(call)) state = "collected";
  else if (!tc_exchange_done(&call->exchange)) state = "in flight";
  lua_pushfstring(L, "%s call %s (%s)", call->client->service->name,
                  call->operation->name, state);
  return 1;
}

static int newindex (lua_State *L) {
  return luaL_error(L, "a call cannot be written to");
}

/* the methods are the second upvalue */
static int lookup (lua_State *L) {
  tc_call *call = live_call(L);
  const char *name = lua_tostring(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(name, "operation") == 0) {
    lua_pushstring(L, call->operation->name);
    return 1;
  }
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

static const luaL_Reg methods[] = {
  { "done", done },     { "result", result }, { "cancel", cancel },
  { "info", info },     { "bytes", bytes },   { "body", body },
  { "page", page },     { "same", same },     { "close", close_call },
  { "date", date },
  { NULL, NULL }
};

static const luaL_Reg meta[] = {
  { "__gc", collect },
  { "__tostring", to_string },
  { "__newindex", newindex },
  { NULL, NULL }
};

void tc_call_open (lua_State *L) {
  static const luaL_Reg of_client[] = {
    { "start", start }, { "check", check_call }, { NULL, NULL }
  };
  tc_type_open(L, CALL_MT, methods, meta, lookup);
  lua_pop(L, 1);
  tc_object_extend(L, TC_CLIENT_MT, of_client);
}
