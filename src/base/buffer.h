/*
** buffer.h: one growing byte buffer with a hard limit, used everywhere.
** Knows nothing of Lua or curl. A failed append leaves the buffer as it was.
*/
#ifndef TC_BUFFER_H
#define TC_BUFFER_H

#include <stddef.h>

typedef struct tc_slice {
  const char *ptr;
  size_t len;
} tc_slice;

static inline char tc_lower (char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

typedef struct tc_buffer {
  char *ptr;    /* NULL while empty; otherwise ptr[len] is '\0' */
  size_t len;
  size_t cap;
  size_t limit; /* most bytes it may ever hold */
} tc_buffer;

typedef enum tc_status {
  TC_OK = 0,
  TC_NO_MEMORY,
  TC_TOO_LARGE
} tc_status;

void tc_buffer_init (tc_buffer *b, size_t limit);
tc_status tc_buffer_add (tc_buffer *b, const void *bytes, size_t len);
tc_status tc_buffer_addchar (tc_buffer *b, char c);
tc_status tc_buffer_addtext (tc_buffer *b, const char *text);
/* room for len more bytes; the caller writes at ptr + len and adds to len */
tc_status tc_buffer_reserve (tc_buffer *b, size_t len);
void tc_buffer_reset (tc_buffer *b); /* empty, memory kept */
void tc_buffer_wipe (tc_buffer *b);  /* zeroed, then freed: for secrets */
void tc_buffer_free (tc_buffer *b);

#endif
