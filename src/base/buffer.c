/*
** buffer.c: the growing byte buffer. Doubles at least, never beyond its limit, and
** keeps a '\0' behind its bytes so that they can be read as a C string.
*/
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 256

void tc_buffer_init (tc_buffer *b, size_t limit) {
  b->ptr = NULL;
  b->len = b->cap = 0;
  b->limit = limit;
}

static tc_status grow (tc_buffer *b, size_t need) {
  size_t cap = b->cap > (size_t)-1 / 2 ? need : b->cap * 2;
  char *ptr;
  if (cap < need) cap = need;
  if (cap < SMALLEST) cap = SMALLEST;
  if (b->limit < (size_t)-1 && cap > b->limit + 1)
    cap = b->limit + 1;
  ptr = (char *)realloc(b->ptr, cap);
  if (ptr == NULL)
    return TC_NO_MEMORY;
  b->ptr = ptr;
  b->cap = cap;
  return TC_OK;
}

tc_status tc_buffer_reserve (tc_buffer *b, size_t len) {
  if (len > b->limit - b->len || len > (size_t)-2 - b->len)
    return TC_TOO_LARGE;
  if (b->len + len + 1 > b->cap) {
    tc_status status = grow(b, b->len + len + 1);
    if (status != TC_OK)
      return status;
    b->ptr[b->len] = '\0';
  }
  return TC_OK;
}

tc_status tc_buffer_add (tc_buffer *b, const void *bytes, size_t len) {
  tc_status status = tc_buffer_reserve(b, len);
  if (status != TC_OK)
    return status;
  if (len > 0)
    memcpy(b->ptr + b->len, bytes, len);
  b->len += len;
  b->ptr[b->len] = '\0';
  return TC_OK;
}

tc_status tc_buffer_addchar (tc_buffer *b, char c) {
  return tc_buffer_add(b, &c, 1);
}

tc_status tc_buffer_addtext (tc_buffer *b, const char *text) {
  return tc_buffer_add(b, text, strlen(text));
}

void tc_buffer_reset (tc_buffer *b) {
  b->len = 0;
  if (b->ptr != NULL)
    b->ptr[0] = '\0';
}

/* through a volatile pointer, or the compiler drops stores before a free */
void tc_buffer_wipe (tc_buffer *b) {
  volatile char *p = b->ptr;
  size_t i;
  for (i = 0; i < b->cap; i++)
    p[i] = 0;
  tc_buffer_free(b);
}

void tc_buffer_free (tc_buffer *b) {
  free(b->ptr);
  b->ptr = NULL;
  b->len = b->cap = 0;
}
