/*
** fuzz_envelope.c: the reply classifier on any bytes; the first two tell the
** HTTP code. Whatever comes, its slices lie in the body, a broken reply is no
** yes, and a yes is still one complete document when read again.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/service.h"

static void insist (bool truth, const char *what) {
  if (!truth) {
    fprintf(stderr, "broken: %s\n", what);
    abort();
  }
}

static bool inside (tc_slice part, const char *body, size_t len) {
  return part.len == 0 || (part.ptr >= body && part.ptr + part.len <= body + len);
}

static bool is_json (const char *text, size_t len) {
  tc_json j;
  tc_slice value;
  tc_json_init(&j, text, len, TC_JSON_DEPTH_MAX);
  return tc_json_skip(&j, &value) && tc_json_next(&j) == TC_JSON_END;
}

static bool is_document (tc_shape shape) {
  return shape == TC_SHAPE_ENVELOPE || shape == TC_SHAPE_BOOT ||
         shape == TC_SHAPE_JSON;
}

static void check (const char *body, size_t len, int http) {
  tc_envelope e;
  tc_envelope_read(&e, body, len, http, NULL);
  insist(inside(e.message, body, len) && inside(e.data, body, len),
         "a slice leaves the body");
  insist(e.name != NULL, "a shape has no name");
  insist(!e.ok || (!e.login && !e.warning && e.code == 0), "a yes with an error");
  insist(is_document(e.shape) ? is_json(body, len) : e.data.len == 0,
         "the shape does not fit the text");
  insist(e.data.len == 0 || is_json(e.data.ptr, e.data.len),
         "the data is no JSON");
  if (e.shape == TC_SHAPE_BROKEN)
    insist(!e.ok && e.fault != TC_JSON_FINE && e.fault_at <= len,
           "broken, but not as it should be");
}

int LLVMFuzzerTestOneInput (const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput (const unsigned char *data, size_t size) {
  int http = size >= 2 ? (data[0] << 8 | data[1]) % 600 : 200;
  size_t len = size >= 2 ? size - 2 : size;
  char *copy = (char *)malloc(len > 0 ? len : 1); /* ends where it ends */
  memcpy(copy, data + (size - len), len);
  check(copy, len, http);
  check(copy, len, 200);
  free(copy);
  return 0;
}
