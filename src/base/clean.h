/*
** clean.h: foreign text made fit for a terminal, a log line or a cell. The one
** place that decides which characters those may be sent. Knows bytes only.
*/
#ifndef TC_CLEAN_H
#define TC_CLEAN_H

#include <stdbool.h>

#include "base/buffer.h"

typedef enum tc_manner {
  TC_CLEAN_TEXT,  /* lines and tabs stay */
  TC_CLEAN_LINE,  /* they are shown as \n, \r and \t: one line comes out */
  TC_CLEAN_COLORS /* as text, and color sequences (ESC [ … m) stay */
} tc_manner;

/* Appends the text, a blank (in a line "?") in place of what may not be shown
   and "?" for bytes that are no UTF-8, until the buffer
   holds `most` bytes or a few more; *read is how much of the text is done.
   False: no memory. */
bool tc_clean (tc_buffer *out, tc_slice text, size_t most, tc_manner manner,
               size_t *read);

#endif
