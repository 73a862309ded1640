/*
** json.h: a pull reader for JSON, strict by RFC 8259, over bytes in memory.
** Allocates nothing, recurses nowhere, copies nothing: a token is a place in
** the text. What the values become is the business of whoever pulls.
*/
#ifndef TC_JSON_H
#define TC_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "json/scan.h"

#define TC_JSON_DEPTH 128 /* default; a reader may be given up to the next */
#define TC_JSON_DEPTH_MAX 1000

typedef enum tc_token {
  TC_JSON_ERROR,
  TC_JSON_END,          /* one complete document was read, nothing follows */
  TC_JSON_NULL,
  TC_JSON_TRUE,
  TC_JSON_FALSE,
  TC_JSON_NUMBER,       /* text holds the number as written */
  TC_JSON_STRING,       /* text holds what is between the quotes, raw */
  TC_JSON_NAME,         /* member name: like a string; its value follows */
  TC_JSON_ARRAY,
  TC_JSON_ARRAY_END,
  TC_JSON_OBJECT,
  TC_JSON_OBJECT_END
} tc_token;

typedef enum tc_json_fault {
  TC_JSON_FINE,
  TC_JSON_CUT,          /* the text ends inside the document */
  TC_JSON_SYNTAX,
  TC_JSON_UTF8,         /* invalid UTF-8 or a lone surrogate */
  TC_JSON_DEEP,
  TC_JSON_BOM,
  TC_JSON_REPEATED      /* a name stands twice where it must not (envelopes) */
} tc_json_fault;

typedef struct tc_json {
  const char *start, *at, *end;
  tc_slice text;        /* of the token just read */
  bool escaped;         /* string or name holds a backslash */
  bool integral;        /* number without fraction or exponent */
  tc_json_fault fault;
  int depth, limit;
  bool trusted;         /* the text was checked before: see tc_json_trust */
  unsigned char expect, after; /* private */
  uint32_t nest[(TC_JSON_DEPTH_MAX + 31) / 32]; /* bit set: inside an object */
} tc_json;

void tc_json_init (tc_json *j, const char *text, size_t len, int depth);
/* for text that one such reader has passed over already: strings are not
   checked again, which makes it faster; still safe with any bytes */
void tc_json_trust (tc_json *j, tc_slice text);
tc_token tc_json_next (tc_json *j);
/* the first byte of a member's value, behind its NAME; '\0': nothing there */
char tc_json_peek (tc_json *j);
/* passes over the value that comes next, checking it; gives its place */
bool tc_json_skip (tc_json *j, tc_slice *value);
/* Inside an object, between members: passes over some that are certainly not
   wanted, as their names have other marks than those in the set. It need not
   pass over all of them. */
void tc_json_hurry (tc_json *j, uint64_t marks);
/* the bit of a name in such a set: names that differ mostly have other bits */
static inline uint64_t tc_json_mark (const char *name, size_t len) {
  unsigned first = len > 0 ? (unsigned char)name[0] : 0;
  return (uint64_t)1 << ((len * 5 + first) & 63);
}
/* behind an element of an array: takes the next, if it is a short plain string */
static inline bool tc_json_element (tc_json *j, tc_slice *text) {
  int len = tc_scan_element(j->at, j->end);
  if (len < 0) return false;
  text->ptr = j->at + 2;
  text->len = (size_t)len;
  j->at += len + 3;
  return true;
}
/* the same at the end of an array that is an element of another one: goes on with
   the next array's first element */
static inline bool tc_json_next_row (tc_json *j, tc_slice *text) {
  const char *p = j->at;
  int len;
  if (j->end - p <= 4 || memcmp(p, "],[\"", 4) != 0 ||
      (len = tc_scan_short(p + 4, j->end)) < 0) return false;
  text->ptr = p + 4;
  text->len = (size_t)len;
  j->at += len + 5;
  return true;
}
/* after ARRAY or OBJECT was read: passes to behind its end */
bool tc_json_leave (tc_json *j);
/* unescapes a string or name; out needs at most text.len bytes */
size_t tc_json_unescape (tc_slice raw, char *out);
bool tc_json_is (const tc_json *j, const char *word); /* string or name equals */
/* false when the token is not integral or does not fit 64 bits */
bool tc_json_int64 (tc_slice number, int64_t *out);
double tc_json_double (tc_slice number); /* correctly rounded in any locale */
/* room for any double in tc_json_print; gives its length. The shortest text that
   reads back as the same double, in any locale */
#define TC_JSON_DIGITS 32
size_t tc_json_print (double n, char *to);
/* adds the text as a string, with its quotes */
tc_status tc_json_quote (tc_buffer *out, tc_slice text);
/* how many bytes of the text are UTF-8: its length when all are */
size_t tc_json_broken (tc_slice text);
/* adds the text to out, U+FFFD in place of what TC_JSON_UTF8 refuses */
tc_status tc_json_mend (tc_slice text, tc_buffer *out);
/* Whoever wants something of an object that another pass reads sees it there, in
   place of a second pass: walk reads the object that has just begun, to its end.
   What it has found counts when the whole text is fine. */
typedef struct tc_tap {
  void (*walk) (struct tc_tap *tap, tc_json *j);
} tc_tap;
const char *tc_json_why (const tc_json *j);

#endif
