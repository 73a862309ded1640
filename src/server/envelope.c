/*
** envelope.c: reads a reply once, from end to end, and says what it is.
** The body's own status decides when the reply is an envelope, else the HTTP
** code. A name that matters and stands twice makes the reply broken, so that
** no two readers can take it differently.
*/
#include <string.h>

#include "server/service.h"

#define PHRASE_MAX 96         /* from "error code" to behind its number */
#define SEARCHED_MAX 65536    /* bytes of a message searched for a number */

static const char *const member_names[TC_MEMBERS] = {
  "status", "message", "data", "success", "timestamp", "error", "path"
};

typedef struct reply {
  tc_json json;
  tc_tap *tap;
  tc_member members[TC_MEMBERS];
  tc_slice whole;
} reply;

/* ---- one pass over the text ---- */

static int member_index (const tc_json *j) {
  int i;
  for (i = 0; i < TC_MEMBERS; i++)
    if (tc_json_is(j, member_names[i]))
      return i;
  return -1;
}

/* false: a fault; the tap sees an object's inside */
static bool pass_inside (tc_json *j, const tc_member *m, tc_tap *tap) {
  if (tap == NULL || m->token != TC_JSON_OBJECT) return tc_json_leave(j);
  tap->walk(tap, j);
  return j->fault == TC_JSON_FINE;
}

static bool read_member (tc_json *j, tc_member *m, tc_tap *tap) {
  m->token = tc_json_next(j);
  m->text = j->text;
  m->integral = j->integral;
  m->value.ptr = m->token == TC_JSON_STRING ? j->text.ptr - 1 : j->text.ptr;
  if (m->token == TC_JSON_ARRAY || m->token == TC_JSON_OBJECT) {
    m->value.ptr = j->at - 1;
    if (!pass_inside(j, m, tap))
      return false;
  }
  m->value.len = (size_t)(j->at - m->value.ptr);
  return m->token != TC_JSON_ERROR;
}

static bool repeated (tc_json *j) {
  j->fault = TC_JSON_REPEATED;
  j->at = j->text.ptr - 1;
  return false;
}

static bool read_members (reply *r) {
  tc_token t;
  while ((t = tc_json_next(&r->json)) == TC_JSON_NAME) {
    int i = member_index(&r->json);
    tc_slice other;
    if (i < 0) {
      if (!tc_json_skip(&r->json, &other))
        return false;
    }
    else if (r->members[i].token != TC_JSON_END)
      return repeated(&r->json);
    else if (!read_member(&r->json, &r->members[i], i == TC_DATA ? r->tap : NULL))
      return false;
  }
  return t == TC_JSON_OBJECT_END;
}

/* false: the text is not one complete document */
static bool read_reply (reply *r, const char *body, size_t len) {
  tc_json *j = &r->json;
  tc_token t;
  int i;
  for (i = 0; i < TC_MEMBERS; i++)
    r->members[i].token = TC_JSON_END;
  tc_json_init(j, body, len, TC_JSON_DEPTH);
  t = tc_json_next(j);
  r->whole.ptr = j->at - 1;
  if (t == TC_JSON_OBJECT ? !read_members(r)
                          : t == TC_JSON_ARRAY && !tc_json_leave(j))
    return false;
  if (t > TC_JSON_END && t < TC_JSON_ARRAY)
    r->whole.ptr = t == TC_JSON_STRING ? j->text.ptr - 1 : j->text.ptr;
  r->whole.len = (size_t)(j->at - r->whole.ptr);
  return t != TC_JSON_ERROR && tc_json_next(j) == TC_JSON_END;
}

/* ---- typed looks at members ---- */

/* a whole number, or the text of one */
static bool as_integer (const tc_member *m, int64_t *n) {
  return (m->token == TC_JSON_STRING ||
          (m->token == TC_JSON_NUMBER && m->integral)) &&
         tc_json_int64(m->text, n);
}

static bool as_status (const tc_member *m, int *status) {
  int64_t n;
  if (!as_integer(m, &n) || n < -1000000 || n > 1000000)
    return false;
  *status = (int)n;
  return true;
}

/* true or false, or the text of it in any case */
static bool is_word (const tc_member *m, tc_token token, const char *word) {
  size_t len = strlen(word), i;
  if (m->token == token)
    return true;
  if (m->token != TC_JSON_STRING || m->text.len != len)
    return false;
  for (i = 0; i < len; i++)
    if ((m->text.ptr[i] | 0x20) != word[i])
      return false;
  return true;
}

bool tc_is_yes (const tc_member *m) {
  return is_word(m, TC_JSON_TRUE, "true");
}

bool tc_is_no (const tc_member *m) {
  return is_word(m, TC_JSON_FALSE, "false");
}

bool tc_is_empty_array (const tc_member *m) {
  tc_json j;
  if (m->token != TC_JSON_ARRAY)
    return false;
  tc_json_trust(&j, m->value);
  tc_json_next(&j);
  return tc_json_next(&j) == TC_JSON_ARRAY_END;
}

/* ---- error numbers ---- */

/* where word (in lower case) begins in the text, or NULL */
static const char *find (const char *p, const char *end, const char *word) {
  size_t len = strlen(word), i;
  for (; (size_t)(end - p) >= len; p++) {
    for (i = 0; i < len && tc_lower(p[i]) == word[i]; i++) continue;
    if (i == len)
      return p;
  }
  return NULL;
}

static const char *after_sign (const char *p, const char *end) {
  static const char *const signs[] = { ":", "=", "\\u003d", "\xEF\xBC\x9A" };
  size_t i;
  for (i = 0; i < sizeof signs / sizeof *signs; i++) {
    size_t len = strlen(signs[i]);
    if ((size_t)(end - p) >= len && memcmp(p, signs[i], len) == 0)
      return p + len;
  }
  return NULL;
}

/* p is behind the words "error code" or "errCode": passes over a remark in
   brackets and the colon or equals sign to the number */
static bool number_after (const char *p, const char *end, int64_t *n) {
  tc_slice digits;
  if (end - p > PHRASE_MAX)
    end = p + PHRASE_MAX;
  if (p < end && *p == '(') {
    p = memchr(p, ')', (size_t)(end - p));
    if (p == NULL)
      return false;
    p++;
  }
  while (p < end && *p == ' ') p++;
  p = after_sign(p, end);
  if (p == NULL)
    return false;
  while (p < end && *p == ' ') p++;
  digits.ptr = p;
  if (p < end && *p == '-') p++;
  while (p < end && *p >= '0' && *p <= '9') p++;
  digits.len = (size_t)(p - digits.ptr);
  return tc_json_int64(digits, n) && *n != 0;
}

/* the first number that any of the phrases announces */
static int64_t first_code (const char *p, const char *end) {
  static const char *const phrases[] = {
    "error code", "warning code", "errcode", "errorcode"
  };
  const char *best = end;
  int64_t n, code = 0;
  size_t i;
  for (i = 0; i < sizeof phrases / sizeof *phrases; i++) {
    const char *at = p;
    while ((at = find(at, best, phrases[i])) != NULL) {
      const char *behind = at + strlen(phrases[i]);
      if (number_after(behind, end, &n)) {
        code = n;
        best = at;
        break;
      }
      at = behind;
    }
  }
  return code;
}

/* the number in the innermost cause that has one */
static int64_t nested_code (const char *text, size_t len) {
  static const char cause[] = "caused by";
  const char *end = text + (len < SEARCHED_MAX ? len : SEARCHED_MAX);
  const char *p = find(text, end, cause);
  int64_t code = 0;
  while (p != NULL) {
    const char *next = find(p + sizeof cause - 1, end, cause);
    int64_t inner = first_code(p, next != NULL ? next : end);
    if (inner != 0)
      code = inner;
    p = next;
  }
  return code;
}

/* what was the cause tells more than what came of it */
static int64_t any_code (const char *text, size_t len) {
  int64_t code = len > 0 ? nested_code(text, len) : 0;
  if (code != 0 || len == 0)
    return code;
  return first_code(text, text + (len < SEARCHED_MAX ? len : SEARCHED_MAX));
}

/* data.errorMsg.errCode, 0 when there is none */
static int64_t coded (const tc_member *data) {
  tc_json j;
  tc_member m;
  int64_t n = 0;
  bool inside = false;
  if (data->token != TC_JSON_OBJECT)
    return 0;
  tc_json_trust(&j, data->value);
  tc_json_next(&j);
  while (tc_json_next(&j) == TC_JSON_NAME) {
    if (!inside && tc_json_is(&j, "errorMsg")) {
      if (tc_json_next(&j) == TC_JSON_OBJECT)
        inside = true;
      else
        return 0;
    }
    else if (inside && tc_json_is(&j, "errCode"))
      return read_member(&j, &m, NULL) && as_integer(&m, &n) ? n : 0;
    else if (!tc_json_skip(&j, &m.value))
      return 0;
  }
  return 0;
}

static void find_code (tc_envelope *e, const reply *r) {
  if (e->message.len > 0)
    e->code = nested_code(e->message.ptr, e->message.len);
  if (e->code == 0)
    e->code = coded(&r->members[TC_DATA]);
  if (e->code == 0)
    e->code = any_code(e->message.ptr, e->message.len);
}

/* ---- shapes ---- */

static void take_message (tc_envelope *e, const tc_member *m) {
  if (m->token == TC_JSON_STRING) {
    e->message = m->text;
    e->message_json = true;
  }
  else if (m->token != TC_JSON_END && m->token != TC_JSON_NULL)
    e->message = m->value; /* not a string: its JSON text, better than none */
}

static void read_boot (tc_envelope *e, const reply *r) {
  e->shape = TC_SHAPE_BOOT;
  e->name = "boot";
  e->login = e->status == 401;
  if (e->message.len == 0)
    take_message(e, &r->members[TC_ERROR]);
}

/* no envelope: the HTTP code is all there is to go by; but a status that is
   no number, or a success that is neither yes nor no, is a broken envelope
   rather than none, and never a yes */
static void read_other (tc_envelope *e, const reply *r, int http_status) {
  e->shape = TC_SHAPE_JSON;
  e->name = "json";
  e->status = http_status;
  e->ok = http_status >= 200 && http_status < 300 &&
          !tc_has(&r->members[TC_STATUS]) && !tc_has(&r->members[TC_SUCCESS]);
}

static void classify (tc_envelope *e, const reply *r, int http_status) {
  const tc_member *m = r->members;
  bool numbered = as_status(&m[TC_STATUS], &e->status);
  const tc_service *const *s = tc_services;
  take_message(e, &m[TC_MESSAGE]);
  while (*s != NULL && !(*s)->read(e, m, numbered)) s++;
  e->service = *s;
  if (*s != NULL)
    e->shape = TC_SHAPE_ENVELOPE;
  else if (numbered && (tc_has(&m[TC_ERROR]) || tc_has(&m[TC_TIMESTAMP])))
    read_boot(e, r);
  else
    read_other(e, r, http_status);
  if (tc_has(&m[TC_DATA]) && e->shape != TC_SHAPE_BOOT) e->data = m[TC_DATA].value;
  else if (e->shape == TC_SHAPE_JSON) e->data = r->whole;
  if (!e->ok)
    find_code(e, r);
}

static void read_json (tc_envelope *e, const char *body, size_t len,
                       int http_status, tc_tap *tap) {
  reply r;
  r.tap = tap;
  if (read_reply(&r, body, len))
    classify(e, &r, http_status);
  else {
    e->shape = TC_SHAPE_BROKEN;
    e->name = "broken";
    e->fault = r.json.fault;
    e->fault_at = (size_t)(r.json.at - r.json.start);
  }
}

static void read_text (tc_envelope *e, const char *body, size_t len,
                       int http_status) {
  e->shape = TC_SHAPE_TEXT;
  e->name = "text";
  e->ok = http_status >= 200 && http_status < 300;
  for (const tc_service *const *s = tc_services; *s != NULL; s++) {
    const char *error = (*s)->stream_error;
    if (error != NULL && len >= strlen(error) &&
        memcmp(body, error, strlen(error)) == 0)
      e->ok = false; /* a stream reports its errors inside a 200 */
  }
  e->message.ptr = body;
  e->message.len = len;
  if (!e->ok)
    e->code = any_code(body, len);
}

/* true when the text holds one complete scalar, such as true or "ok" */
static bool is_scalar (const char *body, size_t len) {
  tc_json j;
  tc_json_init(&j, body, len, 1);
  return tc_json_next(&j) >= TC_JSON_NULL && tc_json_next(&j) == TC_JSON_END;
}

/* what stands first, past white space and a byte order mark; -1: nothing */
static int first_char (const char *p, size_t len) {
  const char *end = p + len;
  if (len >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
    p += 3;
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
    p++;
  return p < end ? (unsigned char)*p : -1;
}

void tc_envelope_read (tc_envelope *e, const char *body, size_t len,
                       int http_status, tc_tap *tap) {
  int first = len > 0 ? first_char(body, len) : -1;
  memset(e, 0, sizeof *e);
  e->status = http_status;
  if (first < 0)
    e->name = "empty"; /* and the shape, 0 */
  else if (first == '{' || first == '[' || is_scalar(body, len))
    read_json(e, body, len, http_status, tap);
  else {
    read_text(e, body, len, http_status);
    if (first == '<') {
      e->shape = TC_SHAPE_HTML;
      e->name = "html";
      e->ok = false; /* a login or error page is never the answer */
    }
  }
  if (http_status == 401 && !e->ok)
    e->login = true;
}
