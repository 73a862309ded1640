/*
** verdict.c: the body decides when it is an envelope, else the HTTP code; a
** good reply is one complete document of the right shape and nothing less.
*/
#include <string.h>

#include "server/service.h"

/* ---- the servers ---- */

const tc_service *const tc_services[] = { &tc_linkis, &tc_lindorm, NULL };

const tc_service *tc_service_find (const char *name) {
  const tc_service *const *s = tc_services;
  while (*s != NULL && strcmp((*s)->name, name) != 0) s++;
  return *s;
}

const tc_operation *tc_service_operation (const tc_service *s,
                                          const char *name) {
  for (const tc_operation *op = s->operations; op->name != NULL; op++)
    if (strcmp(op->name, name) == 0) return op;
  return NULL;
}

const tc_param *tc_operation_param (const tc_operation *op,
                                    const char *name) {
  const tc_param *p = op->params;
  for (; p != NULL && p->name != NULL; p++)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}

static void bad (tc_verdict *v, const char *kind, const char *outcome,
                 const char *why) {
  v->kind = kind;
  v->outcome = outcome;
  v->why = why;
}

/* ---- shapes ---- */

/* what a reply is that is not as it should be */
static const char *strange (const tc_envelope *e) {
  switch (e->shape) {
    case TC_SHAPE_EMPTY: return "the answer is empty";
    case TC_SHAPE_HTML: return "the answer is an HTML page";
    case TC_SHAPE_TEXT: return "the answer is plain text";
    case TC_SHAPE_ENVELOPE: return e->service->other;
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

/* whoever stands before the service made it up, in whatever form: the service
   behind may have worked on */
static bool gateway_failed (const tc_envelope *e, int http_status) {
  return (e->gateway && http_status >= 500) ||
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

static bool passes (const tc_service *s, int64_t code, bool at_login) {
  for (const tc_passing *p = s->passing; p != NULL && p->code != 0; p++)
    if (p->code == code && p->at_login == at_login) return true;
  return false;
}

static void judge_no (tc_verdict *v, const tc_service *s, int http_status) {
  const tc_envelope *e = &v->envelope;
  bool later = e->login && passes(s, e->code, true);
  if (e->login && !later)
    bad(v, "auth", "rejected", NULL);
  else if (!e->login && gateway_failed(e, http_status))
    judge_http(v, http_status);
  else
    bad(v, e->gateway && !later ? "http" : "service", "rejected", NULL);
  v->retryable = v->retryable || later || passes(s, e->code, false) ||
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
  else if (op->decoder == TC_DECODE_DATA && s->object_data)
    judge_data(v);
}

static void judge_document (tc_verdict *v, const tc_service *s,
                            const tc_operation *op, int http_status) {
  if (v->envelope.service != s)
    judge_strange(v, http_status);
  else if (!v->envelope.ok)
    judge_no(v, s, http_status);
  else
    judge_yes(v, s, op);
}

static bool begins_with (const tc_buffer *body, const char *text) {
  size_t len = text != NULL ? strlen(text) : 0;
  return len > 0 && body->len >= len && memcmp(body->ptr, text, len) == 0;
}

/* A file is named by Content-Disposition. Without it an envelope, a page, the
   server's error text and nothing at all are no file, and the rest is: the
   published page promises no header. */
bool tc_is_file (const tc_exchange *x) {
  const tc_service *s = x->request.rule;
  const tc_buffer *head = &x->reply.body;
  if (x->reply.http_status != 200) return false;
  if (tc_curl_header(x->handle->curl, "Content-Disposition") != NULL)
    return true;
  return head->len > 0 && !begins_with(head, s->stream_error) &&
         (s->no_file == NULL || strchr(s->no_file, head->ptr[0]) == NULL);
}

static void judge_stream (tc_verdict *v, const tc_service *s,
                          const tc_reply *r) {
  tc_shape shape = v->envelope.shape;
  if (v->envelope.service == s && !v->envelope.ok)
    judge_no(v, s, r->http_status);
  else if (r->http_status != 200)
    judge_strange(v, r->http_status);
  else if (begins_with(&r->body, s->stream_error))
    bad(v, "service", NULL, NULL);
  else if (shape == TC_SHAPE_EMPTY || shape == TC_SHAPE_HTML)
    bad(v, "protocol", NULL, shape == TC_SHAPE_EMPTY
                               ? "the answer is empty"
                               : "the answer is a page, not a file");
  else
    bad(v, "protocol", NULL, "the answer is not a file");
}

static void judge_reply (tc_verdict *v, const tc_service *s,
                         const tc_operation *op, const tc_reply *r,
                         tc_tap *tap) {
  bool stream = op->decoder == TC_DECODE_STREAM;
  v->read = true;
  if (r->is_file) { /* data: nothing to read in it */
    v->envelope.shape = TC_SHAPE_TEXT;
    v->envelope.name = "text";
    return;
  }
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
