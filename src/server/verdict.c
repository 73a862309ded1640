/*
** verdict.c: the body decides when it is an envelope, else the HTTP code; a
** good reply is one complete document of the right shape and nothing less.
*/
#include "server/verdict.h"

#include <string.h>

static void bad (tc_verdict *v, const char *kind, const char *outcome,
                 const char *why) {
  v->kind = kind;
  v->outcome = outcome;
  v->why = why;
}

/* ---- shapes ---- */

static const char *strange (const tc_envelope *e) {
  switch (e->shape) {
    case TC_SHAPE_EMPTY: return "the answer is empty";
    case TC_SHAPE_HTML: return "the answer is an HTML page";
    case TC_SHAPE_TEXT: return "the answer is plain text";
    case TC_SHAPE_LINKIS:
    case TC_SHAPE_GATEWAY: return "the answer is one of Linkis";
    case TC_SHAPE_LINDORM: return "the answer is one of Lindorm";
    case TC_SHAPE_BOOT: return "the answer is an error page";
    case TC_SHAPE_JSON: return "the answer is JSON of another form";
    case TC_SHAPE_BROKEN: break;
  }
  switch (e->fault) {
    case TC_JSON_CUT: return "the answer is cut off";
    case TC_JSON_UTF8: return "the answer is not valid UTF-8; a client with "
                              "lossy = true reads it";
    case TC_JSON_DEEP: return "the answer is nested too deeply";
    case TC_JSON_BOM: return "the answer begins with a byte order mark";
    default: return "the answer is not valid JSON";
  }
}

/* an envelope of the server in question, whatever it says */
static bool is_own (const tc_service *s, const tc_envelope *e) {
  if (s->envelope)
    return e->shape == TC_SHAPE_LINKIS || e->shape == TC_SHAPE_GATEWAY;
  return e->shape == TC_SHAPE_LINDORM;
}

/* whoever stands before the service made it up, in whatever form: the service
   behind may have worked on */
static bool gateway_failed (const tc_envelope *e, int http_status) {
  return (e->shape == TC_SHAPE_GATEWAY && http_status >= 500) ||
         http_status == 502 || http_status == 504;
}

/* only a refusal proves that nothing was done */
static bool refused (int http_status) {
  return http_status >= 400 && http_status < 500 && http_status != 408;
}

static bool passing (int http_status) {
  return http_status == 429 || http_status == 408 || http_status >= 500;
}

/* ---- the parts of the judgement ---- */

static void judge_http (tc_verdict *v, int http_status) {
  bad(v, http_status == 401 ? "auth" : "http",
      refused(http_status) ? "rejected" : "unknown", NULL);
  v->retryable = passing(http_status);
}

static void judge_strange (tc_verdict *v, int http_status) {
  if (http_status >= 300) {
    judge_http(v, http_status);
    if (v->envelope.message.len == 0 || v->envelope.shape == TC_SHAPE_BROKEN ||
        v->envelope.shape == TC_SHAPE_HTML)
      v->why = strange(&v->envelope);
    return;
  }
  bad(v, "protocol", "unknown", strange(&v->envelope));
  v->retryable = v->envelope.shape == TC_SHAPE_EMPTY ||
                 v->envelope.shape == TC_SHAPE_HTML ||
                 v->envelope.fault == TC_JSON_CUT;
}

/* codes of a gateway that does not know the service or instance yet */
static bool not_there_yet (int64_t code) {
  return code == 10050 || code == 11011 || code == 11012;
}

/* ... or that could not look a token up: its database is away. A token that
   is wrong is a 15206 too, with 15204 as its cause (linkis-wire 2.4) */
static bool not_looked_up (int64_t code) {
  return code == 15200 || code == 15206;
}

static void judge_no (tc_verdict *v, int http_status) {
  const tc_envelope *e = &v->envelope;
  if (e->login && not_looked_up(e->code)) {
    bad(v, "service", "rejected", NULL);
    v->retryable = true;
  }
  else if (e->login)
    bad(v, "auth", "rejected", NULL);
  else if (gateway_failed(e, http_status))
    judge_http(v, http_status);
  else if (e->shape == TC_SHAPE_GATEWAY)
    bad(v, "http", "rejected", NULL);
  else
    bad(v, "service", "rejected", NULL);
  v->retryable = v->retryable || not_there_yet(e->code) ||
                 http_status == 429 || http_status == 503;
}

static bool is_blank (tc_slice s) {
  for (size_t i = 0; i < s.len; i++)
    if (s.ptr[i] != ' ' && s.ptr[i] != '\t') return false;
  return true;
}

/* Linkis data is an object or, when there is nothing to tell, may be null */
static void judge_data (tc_verdict *v) {
  static const char empty[] = "{}";
  tc_slice *data = &v->envelope.data;
  if (data->ptr[0] == 'n') {
    data->ptr = empty;
    data->len = sizeof empty - 1;
  }
  else if (data->ptr[0] != '{' && data->ptr[0] != '[')
    bad(v, "protocol", "unknown", "the answer's data is no object");
}

/* a yes that lacks what it must bring is no answer */
static void judge_yes (tc_verdict *v, const tc_service *s,
                       const tc_operation *op) {
  const tc_envelope *e = &v->envelope;
  if ((op->flags & TC_NAMED) && (!e->message_json || is_blank(e->message)))
    bad(v, "protocol", "unknown", "the answer names no job");
  else if (op->decoder == TC_DECODE_DATA && e->data.len == 0)
    bad(v, "protocol", "unknown", "the answer has no data");
  else if (op->decoder == TC_DECODE_DATA && s->envelope)
    judge_data(v);
}

static void judge_document (tc_verdict *v, const tc_service *s,
                            const tc_operation *op, int http_status) {
  if (!is_own(s, &v->envelope))
    judge_strange(v, http_status);
  else if (!v->envelope.ok)
    judge_no(v, http_status);
  else
    judge_yes(v, s, op);
}

/* a file is named by Content-Disposition; without it the text "error(…)", an
   envelope, a page and nothing at all are failures, and the rest is the file:
   the published page promises no header (linkis-wire 3.12.3) */
static void judge_stream (tc_verdict *v, const tc_service *s,
                          const tc_reply *r) {
  tc_shape shape = v->envelope.shape;
  size_t len = s->stream_error != NULL ? strlen(s->stream_error) : 0;
  bool told = len > 0 && r->body.len >= len &&
              memcmp(r->body.ptr, s->stream_error, len) == 0;
  if (is_own(s, &v->envelope) && !v->envelope.ok)
    judge_no(v, r->http_status);
  else if (r->http_status != 200)
    judge_strange(v, r->http_status);
  else if (r->disposition != NULL || r->saved)
    return;
  else if (told)
    bad(v, "service", NULL, NULL);
  else if (shape == TC_SHAPE_EMPTY || shape == TC_SHAPE_HTML)
    bad(v, "protocol", NULL, shape == TC_SHAPE_EMPTY
                               ? "the answer is empty"
                               : "the answer is a page, not a file");
  else if (r->to_file)
    bad(v, "protocol", NULL, "the answer is not a file");
}

static void judge_reply (tc_verdict *v, const tc_service *s,
                         const tc_operation *op, const tc_reply *r,
                         tc_tap *tap) {
  bool stream = op->decoder == TC_DECODE_STREAM;
  v->read = true;
  if (stream && r->http_status == 200 && r->disposition != NULL)
    v->envelope.shape = TC_SHAPE_TEXT; /* data: nothing to read in it */
  else
    tc_envelope_read(&v->envelope, r->body.ptr, r->body.len, r->http_status,
                     tap);
  if (r->http_status >= 300 && r->http_status < 400)
    bad(v, "http", "unknown", "a redirect, which is never followed");
  else if (stream)
    judge_stream(v, s, r);
  else
    judge_document(v, s, op, r->http_status);
}

/* for good: wrong credentials, or a target that it does not allow */
static bool proxy_refused (const tc_reply *r) {
  return r->phase == TC_PHASE_PROXY && r->proxy_status >= 300 &&
         !passing(r->proxy_status);
}

static void judge_fault (tc_verdict *v, const tc_reply *r) {
  bad(v, tc_fault_kind(r->fault), r->sent ? "unknown" : "not_sent", NULL);
  v->retryable = (r->fault == TC_FAULT_NETWORK ||
                  r->fault == TC_FAULT_TIMEOUT) && !proxy_refused(r);
}

void tc_judge (tc_verdict *v, const tc_service *s, const tc_operation *op,
               const tc_reply *r, tc_tap *tap) {
  memset(v, 0, sizeof *v);
  if (r->fault != TC_FAULT_NONE)
    judge_fault(v, r);
  else
    judge_reply(v, s, op, r, tap);
  if (!(op->flags & TC_CHANGES))
    v->outcome = NULL;
  else if (v->outcome != NULL && strcmp(v->outcome, "not_sent") != 0)
    v->retryable = false;
}
