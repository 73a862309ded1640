/*
** mend.c: JSON text with broken characters made whole: bytes that are no
** UTF-8, and halves of surrogate pairs, become U+FFFD (reliability F17).
** What else may be wrong with the text stays wrong.
*/
#include <string.h>

#include "json/json.h"
#include "base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

typedef enum half { NONE, HIGH, LOW } half;

/* which half of a pair is the escape at p? */
static half half_at (const char *p, const char *end) {
  if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || tc_lower(p[2]) != 'd')
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
