/*
** json.c: the pull reader. A state machine of eight states; what encloses
** the place being read is one bit a level, so that depth costs no memory.
*/
#include "json/json.h"
#include "base/utf8.h"

#include <string.h>

#include "json/scan.h"

enum {
  WANT_VALUE,   /* at the start, or behind a member's colon */
  ARRAY_FIRST,
  ARRAY_AFTER,  /* behind a value: comma or end */
  OBJECT_FIRST,
  OBJECT_AFTER,
  WANT_NOTHING, /* the document is complete */
  HAS_FAILED
};

/* ---- faults ---- */

static tc_token fail (tc_json *j, tc_json_fault fault, const char *at) {
  j->at = at;
  j->fault = fault;
  j->expect = HAS_FAILED;
  return TC_JSON_ERROR;
}

/* something else stands where p points, or nothing any more */
static tc_token unexpected (tc_json *j, const char *p) {
  return fail(j, p < j->end ? TC_JSON_SYNTAX : TC_JSON_CUT, p);
}

const char *tc_json_why (const tc_json *j) {
  switch (j->fault) {
    case TC_JSON_FINE: return "no fault";
    case TC_JSON_CUT: return "the text ends inside the document";
    case TC_JSON_UTF8: return "invalid UTF-8 or a lone surrogate";
    case TC_JSON_DEEP: return "nested too deep";
    case TC_JSON_BOM: return "the text begins with a byte order mark";
    case TC_JSON_REPEATED: return "a name stands twice";
    default: return "not JSON";
  }
}

/* ---- start ---- */

static bool begins_with_bom (const char *p, size_t len) {
  return (len >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) ||
         (len >= 2 && (memcmp(p, "\xFE\xFF", 2) == 0 ||
                       memcmp(p, "\xFF\xFE", 2) == 0));
}

void tc_json_init (tc_json *j, const char *text, size_t len, int depth) {
  if (text == NULL) {
    text = "";
    len = 0;
  }
  j->start = j->at = text;
  j->end = text + len;
  j->text.ptr = text;
  j->text.len = 0;
  j->escaped = j->integral = j->trusted = false;
  j->fault = TC_JSON_FINE;
  j->depth = 0;
  j->limit = depth < 1 ? 1 : depth;
  if (j->limit > TC_JSON_DEPTH_MAX)
    j->limit = TC_JSON_DEPTH_MAX;
  j->expect = WANT_VALUE;
  j->after = WANT_NOTHING;
  if (begins_with_bom(text, len))
    fail(j, TC_JSON_BOM, text);
}

void tc_json_trust (tc_json *j, tc_slice text) {
  tc_json_init(j, text.ptr, text.len, TC_JSON_DEPTH_MAX);
  j->trusted = true;
}

/* ---- strings ---- */

/* runs of non-ASCII characters are long in CJK text: stay in the loop */
static const char *pass_utf8 (tc_json *j, const char *p) {
  while (p < j->end && (unsigned char)*p >= 0x80) {
    int len = tc_utf8_length(p, j->end);
    if (len <= 0) {
      fail(j, len == 0 ? TC_JSON_UTF8 : TC_JSON_CUT, p);
      return NULL;
    }
    p += len;
  }
  return p;
}

static int hex_value (char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* the four hex digits at p: their value, or -1 with the fault set */
static int pass_hex4 (tc_json *j, const char *p) {
  int unit = 0, i;
  for (i = 0; i < 4; i++) {
    int digit = p + i < j->end ? hex_value(p[i]) : -1;
    if (digit < 0) {
      unexpected(j, p + i);
      return -1;
    }
    unit = unit * 16 + digit;
  }
  return unit;
}

/* p is behind \u; gives the place behind the whole character, or NULL */
static const char *pass_unicode (tc_json *j, const char *p) {
  int unit = pass_hex4(j, p);
  if (unit < 0)
    return NULL;
  if (unit < 0xD800 || unit > 0xDFFF)
    return p + 4;
  if (unit < 0xDC00 && j->end - p < 6 &&
      memcmp(p + 4, "\\u", (size_t)(j->end - p - 4)) == 0)
    return unexpected(j, j->end), NULL; /* the other half may be cut off */
  if (unit >= 0xDC00 || p[4] != '\\' || p[5] != 'u')
    return fail(j, TC_JSON_UTF8, p - 2), NULL;
  unit = pass_hex4(j, p + 6);
  if (unit < 0)
    return NULL;
  if (unit < 0xDC00 || unit > 0xDFFF)
    return fail(j, TC_JSON_UTF8, p - 2), NULL;
  return p + 10;
}

static const char *pass_rare_escape (tc_json *j, const char *p) {
  if (p < j->end) switch (*p) {
    case '/': case 'b': case 'f': case 'r': case 't': return p + 1;
    case 'u': return pass_unicode(j, p + 1);
    default: break;
  }
  return unexpected(j, p), NULL;
}

/* p is behind the backslash */
static inline const char *pass_escape (tc_json *j, const char *p) {
  j->escaped = true;
  if (p < j->end && (*p == '"' || *p == 'n' || *p == '\\'))
    return p + 1;
  return pass_rare_escape(j, p);
}

/* p is at the first byte that is not plain; gives the closing quote, or NULL */
static const char *pass_odd (tc_json *j, const char *p) {
  while (p != NULL && p < j->end && *p != '"') {
    if (*p == '\\') p = pass_escape(j, p + 1);
    else if ((unsigned char)*p >= 0x80) p = pass_utf8(j, p);
    else return unexpected(j, p), NULL;
    if (p != NULL)
      p = tc_scan_plain(p, j->end);
  }
  if (p == j->end)
    return unexpected(j, p), NULL;
  return p;
}

static const char *pass_trusted (tc_json *j, const char *p) {
  while (p < j->end && *p == '\\') {
    j->escaped = true;
    p = tc_scan_quote(j->end - p > 2 ? p + 2 : j->end, j->end);
  }
  if (p == j->end)
    return unexpected(j, p), NULL;
  return p;
}

/* p is behind the opening quote; gives the closing one, or NULL */
static const char *pass_string (tc_json *j, const char *p) {
  if (j->trusted) {
    p = tc_scan_quote(p, j->end);
    return p < j->end && *p == '"' ? p : pass_trusted(j, p);
  }
  p = tc_scan_plain(p, j->end);
  return p < j->end && *p == '"' ? p : pass_odd(j, p);
}

/* most strings are short and plain: those take no call */
static inline bool take_string (tc_json *j, const char *p) {
  int len = tc_scan_short(++p, j->end);
  const char *close = p + len;
  j->escaped = false;
  if (len < 0 && (close = pass_string(j, p)) == NULL)
    return false;
  j->text.ptr = p;
  j->text.len = (size_t)(close - p);
  j->at = close + 1;
  return true;
}

/* ---- the other values ---- */

static const char *pass_digits (const char *p, const char *end) {
  while (p < end && *p >= '0' && *p <= '9')
    p++;
  return p;
}

/* digits, at least one: the place behind them, or NULL with the fault set */
static const char *need_digits (tc_json *j, const char *p) {
  const char *after = pass_digits(p, j->end);
  return after > p ? after : (unexpected(j, p), (const char *)NULL);
}

/* fraction and exponent */
static const char *pass_tail (tc_json *j, const char *p) {
  if (p < j->end && *p == '.') {
    j->integral = false;
    if ((p = need_digits(j, p + 1)) == NULL)
      return NULL;
  }
  if (p < j->end && (*p == 'e' || *p == 'E')) {
    j->integral = false;
    p++;
    if (p < j->end && (*p == '+' || *p == '-'))
      p++;
    p = need_digits(j, p);
  }
  return p;
}

static tc_token take_number (tc_json *j, const char *p) {
  const char *digits = *p == '-' ? p + 1 : p;
  const char *after = need_digits(j, digits);
  j->integral = true;
  if (after == NULL)
    return TC_JSON_ERROR;
  if (*digits == '0' && after - digits > 1)
    return unexpected(j, digits + 1);
  after = pass_tail(j, after);
  if (after == NULL)
    return TC_JSON_ERROR;
  j->text.ptr = p;
  j->text.len = (size_t)(after - p);
  j->at = after;
  j->expect = j->after;
  return TC_JSON_NUMBER;
}

static tc_token miss_word (tc_json *j, const char *p, const char *word) {
  while (p < j->end && *p == *word) {
    p++;
    word++;
  }
  return unexpected(j, p);
}

static inline tc_token take_word (tc_json *j, const char *p, const char *word,
                                  size_t len, tc_token t) {
  if ((size_t)(j->end - p) < len || memcmp(p, word, len) != 0)
    return miss_word(j, p, word);
  j->text.ptr = p;
  j->text.len = len;
  j->at = p + len;
  j->expect = j->after;
  return t;
}

/* ---- structure ---- */

static tc_token open_level (tc_json *j, const char *p, bool object) {
  uint32_t bit = (uint32_t)1 << (j->depth & 31);
  uint32_t *word = &j->nest[j->depth >> 5];
  if (j->depth >= j->limit)
    return fail(j, TC_JSON_DEEP, p);
  *word = object ? *word | bit : *word & ~bit;
  j->depth++;
  j->at = p + 1;
  j->expect = object ? OBJECT_FIRST : ARRAY_FIRST;
  j->after = object ? OBJECT_AFTER : ARRAY_AFTER;
  return object ? TC_JSON_OBJECT : TC_JSON_ARRAY;
}

static tc_token close_level (tc_json *j, const char *p, tc_token t) {
  int outer = --j->depth - 1;
  j->at = p + 1;
  if (outer < 0)
    j->after = WANT_NOTHING;
  else
    j->after = (j->nest[outer >> 5] >> (outer & 31)) & 1 ? OBJECT_AFTER
                                                         : ARRAY_AFTER;
  j->expect = j->after;
  return t;
}

static const char *pass_spaces (const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    p++;
  return p;
}

static inline const char *pass_space (const char *p, const char *end) {
  return p < end && *p > ' ' ? p : pass_spaces(p, end);
}

static tc_token take_other (tc_json *j, const char *p) {
  if (p < j->end) switch (*p) {
    case '{': return open_level(j, p, true);
    case '[': return open_level(j, p, false);
    case 'n': return take_word(j, p, "null", 4, TC_JSON_NULL);
    case 't': return take_word(j, p, "true", 4, TC_JSON_TRUE);
    case 'f': return take_word(j, p, "false", 5, TC_JSON_FALSE);
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
      return take_number(j, p);
    default: break;
  }
  return unexpected(j, p);
}

static inline tc_token take_value (tc_json *j, const char *p) {
  if (p < j->end && *p == '"') { /* nearly all values are strings */
    j->expect = j->after;
    return take_string(j, p) ? TC_JSON_STRING : TC_JSON_ERROR;
  }
  return take_other(j, p);
}

/* a name together with its colon */
static tc_token take_name (tc_json *j, const char *p) {
  if (p >= j->end || *p != '"')
    return unexpected(j, p);
  if (!take_string(j, p))
    return TC_JSON_ERROR;
  p = pass_space(j->at, j->end);
  if (p >= j->end || *p != ':')
    return unexpected(j, p);
  j->at = p + 1;
  j->expect = WANT_VALUE;
  return TC_JSON_NAME;
}

static tc_token finish (tc_json *j, const char *p) {
  if (p < j->end)
    return fail(j, TC_JSON_SYNTAX, p);
  j->at = p;
  return TC_JSON_END;
}

tc_token tc_json_next (tc_json *j) {
  const char *p = pass_space(j->at, j->end);
  int c = p < j->end ? *p : 0;
  if (j->expect == WANT_VALUE) /* the two commonest need no jump table */
    return take_value(j, p);
  if (j->expect == OBJECT_AFTER && c == ',')
    return take_name(j, pass_space(p + 1, j->end));
  switch (j->expect) {
    case ARRAY_FIRST:
      if (c == ']') return close_level(j, p, TC_JSON_ARRAY_END);
      return take_value(j, p);
    case ARRAY_AFTER:
      if (c == ']') return close_level(j, p, TC_JSON_ARRAY_END);
      if (c != ',') return unexpected(j, p);
      return take_value(j, pass_space(p + 1, j->end));
    case OBJECT_FIRST:
      if (c == '}') return close_level(j, p, TC_JSON_OBJECT_END);
      return take_name(j, p);
    case OBJECT_AFTER:
      if (c == '}') return close_level(j, p, TC_JSON_OBJECT_END);
      return unexpected(j, p);
    case WANT_NOTHING: return finish(j, p);
    default: return TC_JSON_ERROR;
  }
}

char tc_json_peek (tc_json *j) {
  j->at = pass_space(j->at, j->end);
  return j->at < j->end ? *j->at : '\0';
}

/* Passes over short plain strings in an array: result pages are made of them.
   rows: the array is a row among others, so that ],[" leads to the next. */
static inline void pass_elements (tc_json *j, bool rows) {
  const char *p = j->at;
  int len;
  for (;;) {
    if ((len = tc_scan_element(p, j->end)) >= 0)
      p += len + 3;
    else if (rows && j->end - p > 4 && memcmp(p, "],[\"", 4) == 0 &&
             (len = tc_scan_short(p + 4, j->end)) >= 0)
      p += len + 5;
    else
      break;
  }
  j->at = p;
}

/* behind a value that is a plain string, a word or a plain integer; NULL when
   it is none of them */
static inline const char *pass_simple (const char *p, const char *end) {
  const char *digits = p;
  int len;
  if (end - p < 5)
    return NULL;
  if (*p == '"') {
    if ((len = tc_scan_short(++p, end)) >= 0) return p + len + 1;
    p = tc_scan_plain(p, end);
    return p < end && *p == '"' ? p + 1 : NULL;
  }
  if (memcmp(p, "null", 4) == 0 || memcmp(p, "true", 4) == 0)
    return p + 4;
  if (memcmp(p, "false", 5) == 0)
    return p + 5;
  p = pass_digits(p, end);
  if (p == end || p == digits || (*digits == '0' && p - digits > 1))
    return NULL;
  return *p == ',' || *p == '}' ? p : NULL;
}

/* the same over members of an object, up to one whose name has a mark in the
   set */
static inline void pass_members (tc_json *j, uint64_t marks) {
  const char *p = j->at, *q;
  int len;
  while ((len = tc_scan_element(p, j->end)) >= 0 &&
         (tc_json_mark(p + 2, (size_t)len) & marks) == 0) {
    q = p + len + 3;
    if (q == j->end || *q != ':' || (q = pass_simple(q + 1, j->end)) == NULL)
      break;
    p = q;
  }
  j->at = p;
}

void tc_json_hurry (tc_json *j, uint64_t marks) {
  if (j->expect == OBJECT_AFTER)
    pass_members(j, marks);
}

static bool is_object (const tc_json *j, int level) {
  return (j->nest[level >> 5] >> (level & 31) & 1) != 0;
}

/* the innermost open array or object, to behind its end */
bool tc_json_leave (tc_json *j) {
  int outer = j->depth - 1;
  for (;;) {
    if (tc_json_next(j) <= TC_JSON_END)
      return false;
    if (j->depth <= outer)
      return true;
    if (j->expect == ARRAY_AFTER)
      pass_elements(j, j->depth - 1 > outer && j->depth >= 2 &&
                       !is_object(j, j->depth - 2));
    else if (j->expect == OBJECT_AFTER)
      pass_members(j, 0);
  }
}

bool tc_json_skip (tc_json *j, tc_slice *value) {
  tc_token t = tc_json_next(j);
  const char *start = t == TC_JSON_STRING ? j->text.ptr - 1 : j->text.ptr;
  if (t == TC_JSON_ARRAY || t == TC_JSON_OBJECT) {
    start = j->at - 1;
    if (!tc_json_leave(j))
      return false;
  }
  else if (t < TC_JSON_NULL || t > TC_JSON_STRING)
    return false;
  value->ptr = start;
  value->len = (size_t)(j->at - start);
  return true;
}
