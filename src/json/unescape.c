/*
** unescape.c: what the raw text of a JSON string means. The reader has checked
** it; text that was trusted wrongly gives wrong characters, never more bytes.
*/
#include <string.h>

#include "json/json.h"

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
