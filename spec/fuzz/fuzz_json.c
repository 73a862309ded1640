/*
** fuzz_json.c: the JSON reader on any bytes. Beyond not crashing: what a
** checked pass accepts, skip and the trusting reader must see alike; strings
** unescape within their size to valid UTF-8; integers survive a round trip.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "table/page.h"

static void insist (bool truth, const char *what) {
  if (!truth) {
    fprintf(stderr, "broken: %s\n", what);
    abort();
  }
}

static void check_string (const tc_json *j) {
  char *out = (char *)malloc(j->text.len + 2);
  size_t len = tc_json_unescape(j->text, out + 1), i;
  tc_json again;
  insist(len <= j->text.len, "unescaping makes text longer");
  insist(j->escaped || len == j->text.len, "plain text is changed");
  for (i = 1; i <= len; i++)
    if ((unsigned char)out[i] < 0x20 || out[i] == '"' || out[i] == '\\')
      out[i] = ' ';
  out[0] = out[len + 1] = '"';
  tc_json_init(&again, out, len + 2, 1);
  insist(tc_json_next(&again) == TC_JSON_STRING, "unescaping makes bad UTF-8");
  free(out);
}

static void check_number (const tc_json *j) {
  int64_t n;
  char digits[32];
  (void)tc_json_double(j->text);
  if (!j->integral || !tc_json_int64(j->text, &n))
    return;
  snprintf(digits, sizeof digits, "%lld", (long long)n);
  insist((strlen(digits) == j->text.len &&
          memcmp(digits, j->text.ptr, j->text.len) == 0) ||
         (n == 0 && j->text.len == 2), "an integer is not exact");
}

static bool walk (const char *text, size_t len) {
  tc_json j;
  tc_token t;
  tc_json_init(&j, text, len, TC_JSON_DEPTH_MAX);
  while ((t = tc_json_next(&j)) > TC_JSON_END) {
    if (t == TC_JSON_STRING || t == TC_JSON_NAME) check_string(&j);
    if (t == TC_JSON_NUMBER) check_number(&j);
  }
  insist(t == TC_JSON_END || j.fault != TC_JSON_FINE, "an error has no name");
  insist(j.at >= j.start && j.at <= j.end, "the reader leaves the text");
  return t == TC_JSON_END;
}

/* characters made whole are never refused again, and whole ones stay */
static void mend (tc_slice text, bool valid) {
  tc_buffer out;
  tc_json j;
  tc_buffer_init(&out, (size_t)-1);
  insist(tc_json_mend(text, &out) == TC_OK, "no memory");
  insist(!valid || (out.len == text.len &&
                    (out.len == 0 || memcmp(out.ptr, text.ptr, out.len) == 0)),
         "whole characters are changed");
  tc_json_init(&j, out.ptr, out.len, TC_JSON_DEPTH_MAX);
  while (tc_json_next(&j) > TC_JSON_END)
    ;
  insist(j.fault != TC_JSON_UTF8, "a character is still broken");
  tc_buffer_free(&out);
}

static void walk_trusting (tc_slice text, bool valid) {
  tc_json j, checked;
  tc_token t, u;
  tc_json_trust(&j, text);
  tc_json_init(&checked, text.ptr, text.len, TC_JSON_DEPTH_MAX);
  do {
    t = tc_json_next(&j);
    if (!valid)
      continue;
    u = tc_json_next(&checked);
    insist(t == u && j.at == checked.at && j.escaped == checked.escaped,
           "the trusting reader sees something else");
  } while (t > TC_JSON_END);
}

/* each member of an object, passed over, is a document of its own */
static void skip_members (tc_slice text, bool trusted) {
  tc_json j, part;
  tc_slice value, inner;
  tc_json_init(&j, text.ptr, text.len, TC_JSON_DEPTH_MAX);
  if (trusted)
    tc_json_trust(&j, text);
  if (tc_json_next(&j) != TC_JSON_OBJECT)
    return;
  while (tc_json_next(&j) == TC_JSON_NAME && tc_json_skip(&j, &value)) {
    tc_json_init(&part, value.ptr, value.len, TC_JSON_DEPTH_MAX);
    insist(tc_json_skip(&part, &inner) && tc_json_next(&part) == TC_JSON_END &&
           inner.len == value.len, "a member passed over is no value");
  }
}

/* whether it is a page, and all of the text is read */
static bool walk_page (tc_slice text, bool checked) {
  tc_page p;
  tc_cell cell;
  tc_row r;
  if (!tc_page_open(&p, text, checked))
    return false;
  while ((r = tc_page_row(&p)) == TC_ROW)
    while (tc_page_cell(&p, &cell)) continue;
  return r == TC_ROWS_END && tc_json_next(&p.json) == TC_JSON_END;
}

int LLVMFuzzerTestOneInput (const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput (const unsigned char *data, size_t size) {
  tc_slice text, value;
  tc_json j;
  bool valid;
  char *copy = (char *)malloc(size > 0 ? size : 1); /* ends where it ends */
  memcpy(copy, data, size);
  valid = walk(copy, size);
  text.ptr = copy;
  text.len = size;
  tc_json_init(&j, copy, size, TC_JSON_DEPTH_MAX);
  insist((tc_json_skip(&j, &value) && tc_json_next(&j) == TC_JSON_END) == valid,
         "skip and next differ");
  mend(text, valid);
  walk_trusting(text, valid);
  skip_members(text, false);
  if (valid)
    skip_members(text, true);
  walk_page(text, true);
  insist(!walk_page(text, false) || valid, "a page that is no JSON");
  free(copy);
  return 0;
}
