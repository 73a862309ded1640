/*
** disguise.c: see disguise.h. Each unit below compares what stands at p with
** the first bytes of the rest of a secret: the bytes of text it has read, 0
** when they differ; *done is how many bytes of the secret they spell. twice: a
** %25 or &amp; is taken for a part of what was written twice, were it also a
** percent sign or an ampersand of the secret's.
*/
#include "base/disguise.h"

#include <stdbool.h>
#include <string.h>

#define SLASHES_MOST 15 /* of an escape that was escaped three times */
#define OWN_MOST 16     /* of the secret's, looked at together */

static int hex (char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = tc_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* the number of `digits` hexadecimal digits at p, or -1 */
static long number_at (const char *p, const char *end, int digits) {
  long n = 0;
  if (end - p < digits) return -1;
  for (int i = 0; i < digits; i++) {
    int digit = hex(p[i]);
    if (digit < 0) return -1;
    n = n * 16 + digit;
  }
  return n;
}

static size_t plain (const char *p, tc_slice rest, size_t *done) {
  *done = 1;
  return *p == rest.ptr[0];
}

/* whether the rest begins with this code point: its bytes there, or 0 */
static size_t begins_with (tc_slice rest, long code) {
  unsigned long c = (unsigned long)code;
  char out[4];
  size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  if (code < 0 || c > 0x10FFFF) return 0;
  for (size_t i = n; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
  out[0] = (char)(n == 1 ? c : (0xF0U << (4 - n) & 0xFF) | c);
  return rest.len >= n && memcmp(rest.ptr, out, n) == 0 ? n : 0;
}

/* %3D, %3d, %253D, + for a blank */
static size_t percent (const char *p, const char *end, tc_slice rest,
                       bool twice, size_t *done) {
  long byte = *p == '%' ? number_at(p + 1, end, 2) : -1;
  long wanted = (unsigned char)rest.ptr[0];
  *done = 1;
  if (byte < 0) return *p == '+' && rest.ptr[0] == ' ';
  if (twice && byte == '%' && number_at(p + 3, end, 2) == wanted) return 5;
  return byte == wanted ? 3 : 0;
}

/* counted up to so many: a text may be made of them */
static size_t run_of_slashes (const char *p, const char *end, size_t most) {
  size_t n = 0;
  while (n < most && p + n < end && p[n] == '\\') n++;
  return n;
}

/* backslash, u and four digits behind so many backslashes, and the second half
   of a pair */
static size_t unicode (const char *p, const char *end, size_t slashes,
                       tc_slice rest, size_t *done) {
  size_t len = slashes + 5;
  long code = number_at(p + slashes + 1, end, 4);
  const char *next;
  if (code < 0) return 0;
  next = p + len;
  if (code >= 0xD800 && code < 0xDC00 && end - next > (ptrdiff_t)slashes &&
      run_of_slashes(next, end, slashes) == slashes && next[slashes] == 'u') {
    long low = number_at(next + slashes + 1, end, 4);
    if (low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      len *= 2;
    }
  }
  *done = begins_with(rest, code);
  return *done > 0 ? len : 0;
}

/* JSON, once or twice: \/ \" \n \u003d \\u003d; Java and C: \x3d */
static size_t escape (const char *p, const char *end, tc_slice rest,
                      size_t *done) {
  static const char names[] = "ntrbf", meant[] = "\n\t\r\b\f";
  size_t own = run_of_slashes(rest.ptr, rest.ptr + rest.len, OWN_MOST);
  size_t n = run_of_slashes(p, end, own > 0 ? 4 * own + 1 : SLASHES_MOST + 1);
  const char *name;
  if (p + n < end && p[n] == 'u') {
    size_t len = unicode(p, end, n, rest, done);
    if (len > 0) return len;
  }
  *done = 1;
  if (p + n < end && p[n] == 'x' &&
      number_at(p + n + 1, end, 2) == (long)(unsigned char)rest.ptr[0])
    return n + 3;
  if (own > 0) {
    *done = own;
    return n == own || n == 2 * own || n == 4 * own ? n : 0;
  }
  if (n > SLASHES_MOST || p + n == end) return 0;
  name = p[n] != '\0' ? strchr(names, p[n]) : NULL;
  if (name != NULL && meant[name - names] == rest.ptr[0]) return n + 1;
  return p[n] == rest.ptr[0] ? n + 1 : 0;
}

/* the code of the entity behind its &; *len: bytes with the semicolon */
static long entity_code (const char *p, const char *end, size_t *len) {
  static const struct { const char *name; long code; } names[] = {
    { "amp;", '&' }, { "lt;", '<' }, { "gt;", '>' }, { "quot;", '"' },
    { "apos;", '\'' }, { "sol;", '/' }, { "equals;", '=' }, { "nbsp;", 0xA0 }
  };
  unsigned long code = 0;
  bool sixteen;
  const char *q;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    *len = strlen(names[i].name);
    if ((size_t)(end - p) >= *len && memcmp(p, names[i].name, *len) == 0)
      return names[i].code;
  }
  if (end - p < 3 || *p != '#') return -1;
  sixteen = tc_lower(p[1]) == 'x';
  for (q = p + 1 + sixteen; q < end && q - p < 10 && *q != ';'; q++) {
    int digit = hex(*q);
    if (digit < 0 || (digit > 9 && !sixteen)) return -1;
    code = code * (sixteen ? 16 : 10) + (unsigned long)digit;
  }
  *len = (size_t)(q - p) + 1;
  return q < end && *q == ';' && code <= 0x10FFFF ? (long)code : -1;
}

/* &amp; &#39; &#x27;, once or twice (&amp;#39;) */
static size_t entity (const char *p, const char *end, tc_slice rest,
                      bool twice, size_t *done) {
  size_t len, more;
  long code = entity_code(p + 1, end, &len);
  if (twice && code == '&') {
    *done = begins_with(rest, entity_code(p + 1 + len, end, &more));
    if (*done > 0) return len + more + 1;
  }
  *done = begins_with(rest, code);
  return *done > 0 ? len + 1 : 0;
}

static size_t any (const char *p, const char *end, tc_slice rest, bool twice,
                   size_t *done) {
  size_t used = 0;
  if (*p == '%' || *p == '+') used = percent(p, end, rest, twice, done);
  else if (*p == '\\') used = escape(p, end, rest, done);
  else if (*p == '&') used = entity(p, end, rest, twice, done);
  return used > 0 ? used : plain(p, rest, done);
}

int tc_disguise_mark (char c) {
  return c == '%' || c == '+' || c == '\\' || c == '&';
}

static size_t spelled (tc_slice secret, const char *p, const char *end,
                       bool twice) {
  const char *from = p;
  while (secret.len > 0) {
    size_t done, used = p < end ? any(p, end, secret, twice, &done) : 0;
    if (used == 0) return 0;
    p += used;
    secret.ptr += done;
    secret.len -= done;
  }
  return (size_t)(p - from);
}

size_t tc_disguised (tc_slice secret, const char *p, const char *end) {
  size_t len;
  if ((size_t)(end - p) >= secret.len &&
      memcmp(p, secret.ptr, secret.len) == 0)
    return secret.len;
  len = spelled(secret, p, end, true);
  return len > 0 ? len : spelled(secret, p, end, false);
}
