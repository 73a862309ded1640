/*
** clean.c: see clean.h.
*/
#include "base/clean.h"

#include "base/utf8.h"

#define COLOR_MOST 32 /* bytes of a color sequence */

static unsigned long code_of (const unsigned char *p, int len) {
  unsigned long code = len == 1 ? p[0] : p[0] & (0x7FU >> len);
  for (int i = 1; i < len; i++) code = code << 6 | (p[i] & 0x3F);
  return code;
}

/* What a terminal acts on (C0, DEL, and C1, whose U+009B begins a command),
   what turns the order of letters around so that a text reads as another
   (marks, embeddings and isolates of direction), what ends a line for some,
   and what cannot be seen at all: tags, annotations, the byte order mark and
   the two codes that are no character. */
static bool is_hidden (unsigned long code) {
  static const struct { unsigned long first, last; } ranges[] = {
    { 0x00, 0x1F }, { 0x7F, 0x9F }, { 0x061C, 0x061C }, { 0x200E, 0x200F },
    { 0x2028, 0x202E }, { 0x2066, 0x2069 }, { 0xFEFF, 0xFEFF },
    { 0xFFF9, 0xFFFB }, { 0xFFFE, 0xFFFF }, { 0xE0000, 0xE007F }
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if (code >= ranges[i].first && code <= ranges[i].last) return true;
  return false;
}

/* the bytes of the color sequence at p, or 0 */
static size_t color_at (const char *p, const char *end) {
  size_t n = 2, most = (size_t)(end - p);
  if (most > COLOR_MOST) most = COLOR_MOST;
  if (most < 3 || p[0] != '\x1b' || p[1] != '[') return 0;
  while (n < most && ((p[n] >= '0' && p[n] <= '9') || p[n] == ';')) n++;
  return n < most && p[n] == 'm' ? n + 1 : 0;
}

/* what stands for a character that may not be shown as it is */
static const char *stand_in (const char *p, const char *end,
                             tc_manner manner) {
  bool line = manner == TC_CLEAN_LINE;
  switch (*p) {
    case '\n': return line ? "\\n" : "\n";
    case '\t': return line ? "\\t" : "\t";
    case '\r':
      if (line) return "\\r";
      return end - p > 1 && p[1] == '\n' ? "" : " ";
    default: return line ? "?" : " ";
  }
}

/* the character at p, or what stands for it; *taken is how many bytes it has */
static tc_status add (tc_buffer *out, const char *p, const char *end,
                      tc_manner manner, size_t *taken) {
  int len = tc_utf8_length(p, end);
  *taken = len > 0 ? (size_t)len : 1;
  if (manner == TC_CLEAN_COLORS && *p == '\x1b') {
    size_t color = color_at(p, end);
    if (color > 0) return tc_buffer_add(out, p, *taken = color);
  }
  if (len > 0 && !is_hidden(code_of((const unsigned char *)p, len)))
    return tc_buffer_add(out, p, *taken);
  return tc_buffer_addtext(out, len > 0 ? stand_in(p, end, manner) : "?");
}

static bool is_plain (char c) { return c >= ' ' && c < 0x7F; }

bool tc_clean (tc_buffer *out, tc_slice text, size_t most, tc_manner manner,
               size_t *read) {
  const char *p = text.ptr, *end = p + text.len;
  tc_status status = TC_OK;
  while (status == TC_OK && p < end && out->len < most) {
    size_t run = 0, room = most - out->len;
    while (run < room && p + run < end && is_plain(p[run])) run++;
    if (run > 0) status = tc_buffer_add(out, p, run);
    else status = add(out, p, end, manner, &run);
    p += run;
  }
  *read = (size_t)(p - text.ptr);
  return status == TC_OK;
}
