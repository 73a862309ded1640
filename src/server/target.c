/*
** target.c: allow-lists and percent-encoding.
*/
#include "server/target.h"

#include <string.h>
#include <strings.h>

/* sets of bytes, by their bits */
enum { ALNUM = 1, IN_ID = 2, UNRESERVED = 4, CONTROL = 8, STAR = 16 };

#define A (ALNUM | IN_ID | UNRESERVED)
#define C CONTROL

static const unsigned char sets[256] = {
  C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
  C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
  ['-'] = IN_ID | UNRESERVED, ['.'] = IN_ID | UNRESERVED,
  ['_'] = IN_ID | UNRESERVED, ['~'] = UNRESERVED, [':'] = IN_ID,
  ['*'] = STAR,
  ['0'] = A, A, A, A, A, A, A, A, A, A,
  ['A'] = A, A, A, A, A, A, A, A, A, A, A, A, A,
  A, A, A, A, A, A, A, A, A, A, A, A, A,
  ['a'] = A, A, A, A, A, A, A, A, A, A, A, A, A,
  A, A, A, A, A, A, A, A, A, A, A, A, A,
  [127] = C
};

static bool in (unsigned char c, int set) { return (sets[c] & set) != 0; }

static bool any (tc_slice s, int set) {
  for (size_t i = 0; i < s.len; i++)
    if (in((unsigned char)s.ptr[i], set)) return true;
  return false;
}

static bool all (tc_slice s, int set) {
  for (size_t i = 0; i < s.len; i++)
    if (!in((unsigned char)s.ptr[i], set)) return false;
  return true;
}

static bool among (unsigned char c, const char *set) {
  return c != '\0' && strchr(set, c) != NULL;
}

static bool is_dots (tc_slice s) {
  return (s.len == 1 && s.ptr[0] == '.') ||
         (s.len == 2 && s.ptr[0] == '.' && s.ptr[1] == '.');
}

static const char *shape_complaint (tc_slice id) {
  if (id.len == 0) return "an empty id";
  if (id.len > TC_ID_MOST) return "an id of more than 512 bytes";
  return is_dots(id) ? "an id that is a path" : NULL;
}

const char *tc_opaque_id_complaint (tc_slice id) {
  const char *why = shape_complaint(id);
  if (why == NULL && any(id, CONTROL)) why = "an id with a control character";
  return why;
}

const char *tc_id_complaint (tc_slice id) {
  const char *why = shape_complaint(id);
  if (why == NULL && !all(id, IN_ID))
    why = "an id with a character other than A-Z a-z 0-9 . _ : -";
  return why;
}

const char *tc_header_name_complaint (tc_slice name) {
  static const char *const own[] = {
    "content-length", "transfer-encoding", "expect", "connection",
    "content-type"
  };
  if (name.len == 0) return "an empty header name";
  for (size_t i = 0; i < name.len; i++)
    if (!in((unsigned char)name.ptr[i], ALNUM) &&
        !among((unsigned char)name.ptr[i], "!#$%&'*+-.^_`|~"))
      return "a header name with a character that may not stand there";
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (strlen(own[i]) == name.len &&
        strncasecmp(own[i], name.ptr, name.len) == 0)
      return "a header that the client sets itself";
  return NULL;
}

const char *tc_header_value_complaint (tc_slice value) {
  if (value.len == strspn(value.ptr, " ")) return "an empty header value";
  return any(value, CONTROL) ? "a header value with a control character"
                             : NULL;
}

const char *tc_url_complaint (tc_slice url) {
  if (url.len == 0) return "an empty URL";
  if (url.len > 2048) return "a URL of more than 2048 bytes";
  for (size_t i = 0; i < url.len; i++) {
    unsigned char c = (unsigned char)url.ptr[i];
    if (c <= 0x20 || c >= 0x7F)
      return "a URL with a blank, a control or a non-ASCII character";
  }
  return NULL;
}

static tc_status encode_but (tc_buffer *out, tc_slice text, int plain) {
  static const char hex[] = "0123456789ABCDEF";
  tc_status status;
  if (text.len > (size_t)-1 / 4) return TC_TOO_LARGE;
  status = tc_buffer_reserve(out, text.len * 3);
  if (status != TC_OK) return status;
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (in(c, plain))
      out->ptr[out->len++] = (char)c;
    else {
      out->ptr[out->len++] = '%';
      out->ptr[out->len++] = hex[c >> 4];
      out->ptr[out->len++] = hex[c & 15];
    }
  }
  if (out->ptr != NULL) out->ptr[out->len] = '\0';
  return TC_OK;
}

tc_status tc_encode (tc_buffer *out, tc_slice text) {
  return encode_but(out, text, UNRESERVED);
}

/* a star may stand in a segment as it is, and does in every published call of
   a task: "proc-91-ff38****" is looked for so by whoever decodes nothing */
static tc_status encode_segment (tc_buffer *out, tc_slice text) {
  return encode_but(out, text, UNRESERVED | STAR);
}

tc_status tc_expand (tc_buffer *out, const char *path, tc_slice id,
                     bool encode) {
  const char *hole = strstr(path, "/{id}");
  tc_status status;
  if (hole == NULL) return tc_buffer_addtext(out, path);
  status = tc_buffer_add(out, path, (size_t)(hole - path));
  if (status == TC_OK && id.ptr != NULL) {
    status = tc_buffer_addchar(out, '/');
    if (status == TC_OK)
      status = encode ? encode_segment(out, id) : tc_buffer_add(out, id.ptr, id.len);
  }
  if (status == TC_OK)
    status = tc_buffer_addtext(out, hole + sizeof "/{id}" - 1);
  return status;
}

tc_status tc_add_pair (tc_buffer *out, char mark, const char *name,
                       tc_slice value) {
  tc_slice key = { name, strlen(name) };
  tc_status status = TC_OK;
  if (mark != '\0') status = tc_buffer_addchar(out, mark);
  if (status == TC_OK) status = tc_encode(out, key);
  if (status == TC_OK) status = tc_buffer_addchar(out, '=');
  return status == TC_OK ? tc_encode(out, value) : status;
}
