/*
** text.c: text inside of JSON, in both directions: what the raw text of a string
** means, a text as a string, and broken characters made whole.
*/
#include <string.h>

#include "json/json.h"
#include "base/utf8.h"

/* ---- reading ---- */

/* The reader has checked the text; text that was trusted wrongly gives wrong
   characters, never more bytes. */
static char *put_utf8 (char *out, unsigned long c) {
  if (c < 0x80)
    *out++ = (char)c;
  else if (c < 0x800) {
    *out++ = (char)(0xC0 | c >> 6);
    *out++ = (char)(0x80 | (c & 0x3F));
  }
  else if (c < 0x10000) {
    *out++ = (char)(0xE0 | c >> 12);
    *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    *out++ = (char)(0x80 | (c & 0x3F));
  }
  else {
    *out++ = (char)(0xF0 | c >> 18);
    *out++ = (char)(0x80 | (c >> 12 & 0x3F));
    *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    *out++ = (char)(0x80 | (c & 0x3F));
  }
  return out;
}

static unsigned long hex4 (const char *p) {
  unsigned long unit = 0;
  int i;
  for (i = 0; i < 4; i++) /* checked before: a digit, or a letter from a to f */
    unit = unit << 4 | (unsigned long)(p[i] <= '9' ? p[i] & 15 : (p[i] & 7) + 9);
  return unit & 0xFFFF;
}

/* *p is behind \u and comes to stand behind the character; in text that was
   trusted wrongly it stays at or before the end, and what it gives fits */
static unsigned long code_point (const char **p, const char *end) {
  unsigned long c, low;
  if (end - *p < 4)
    return *p = end, '?';
  c = hex4(*p);
  *p += 4;
  if (c < 0xD800 || c > 0xDBFF || end - *p < 6)
    return c;
  low = hex4(*p + 2);
  *p += 6;
  return 0x10000 + ((c - 0xD800) << 10) + ((low - 0xDC00) & 0x3FF);
}

static char escaped_char (char c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
  }
}

size_t tc_json_unescape (tc_slice raw, char *out) {
  const char *p = raw.ptr, *end = raw.ptr + raw.len;
  char *to = out;
  while (p < end) {
    const char *slash = memchr(p, '\\', (size_t)(end - p));
    size_t run = (size_t)((slash != NULL ? slash : end) - p);
    memmove(to, p, run);
    to += run;
    p += run;
    if (end - p < 2)
      break;
    p += 2;
    if (p[-1] == 'u')
      to = put_utf8(to, code_point(&p, end));
    else
      *to++ = escaped_char(p[-1]);
  }
  return (size_t)(to - out);
}

bool tc_json_is (const tc_json *j, const char *word) {
  size_t len = strlen(word);
  char plain[96];
  if (!j->escaped)
    return j->text.len == len && memcmp(j->text.ptr, word, len) == 0;
  /* six bytes of escape at most stand for one of the word's */
  if (j->text.len > len * 6 || j->text.len > sizeof plain)
    return false;
  return tc_json_unescape(j->text, plain) == len &&
         memcmp(plain, word, len) == 0;
}

/* ---- writing ---- */

static size_t escape (char c, char *to) {
  static const char digits[] = "0123456789abcdef";
  static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  const char *at = c != '\0' ? strchr(named, c) : NULL;
  to[0] = '\\';
  if (at != NULL) {
    to[1] = letters[at - named];
    return 2;
  }
  memcpy(to + 1, "u00", 3);
  to[4] = digits[(unsigned char)c >> 4];
  to[5] = digits[c & 15];
  return 6;
}

tc_status tc_json_quote (tc_buffer *out, tc_slice text) {
  const char *p = text.ptr, *end = p + text.len, *from = p;
  char escaped[6];
  tc_status status = tc_buffer_reserve(out, text.len + 2);
  if (status == TC_OK) status = tc_buffer_addchar(out, '"');
  while (status == TC_OK && (p = tc_scan_plain(p, end)) < end) {
    if ((unsigned char)*p++ >= 0x80) continue;
    status = tc_buffer_add(out, from, (size_t)(p - 1 - from));
    if (status == TC_OK)
      status = tc_buffer_add(out, escaped, escape(p[-1], escaped));
    from = p;
  }
  if (status == TC_OK) status = tc_buffer_add(out, from, (size_t)(end - from));
  return status != TC_OK ? status : tc_buffer_addchar(out, '"');
}

/* ---- broken characters ---- */

size_t tc_json_broken (tc_slice text) {
  const char *p = text.ptr, *end = p + text.len;
  int len;
  while ((p = tc_scan_plain(p, end)) < end &&
         (len = tc_utf8_length(p, end)) > 0)
    p += len;
  return (size_t)(p - text.ptr);
}

/* Bytes that are no UTF-8, and halves of surrogate pairs, become U+FFFD. What
   else may be wrong with the text stays wrong. */
#define REPLACEMENT "\xEF\xBF\xBD"

typedef enum half { NONE, HIGH, LOW } half;

/* which half of a pair is the escape at p? */
static half half_at (const char *p, const char *end) {
  if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || tc_lower(p[2]) != 'd' ||
      p[3] == '\0')
    return NONE;
  if (strchr("89abAB", p[3]) != NULL) return HIGH;
  return strchr("cdefCDEF", p[3]) != NULL ? LOW : NONE;
}

/* the bytes of the character or escape at p; 0: it is to be replaced */
static size_t whole (const char *p, const char *end) {
  int len = tc_utf8_length(p, end);
  half kind = half_at(p, end);
  if (kind == HIGH)
    return half_at(p + 6, end) == LOW ? 12 : 0;
  if (kind == LOW || len <= 0) return 0;
  return *p == '\\' && end - p > 1 ? 2 : (size_t)len;
}

tc_status tc_json_mend (tc_slice text, tc_buffer *out) {
  const char *p = text.ptr, *end = p + text.len, *from = p;
  tc_status status = TC_OK;
  while (status == TC_OK && p < end) {
    size_t len = whole(p, end);
    if (len == 0) {
      status = tc_buffer_add(out, from, (size_t)(p - from));
      if (status == TC_OK) status = tc_buffer_addtext(out, REPLACEMENT);
      len = *p == '\\' ? 6 : 1;
      from = p + len;
    }
    p += len;
  }
  return status != TC_OK ? status : tc_buffer_add(out, from, (size_t)(p - from));
}
