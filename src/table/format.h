/*
** format.h: one cell as CSV (RFC 4180), TSV or JSON Lines, into a buffer.
** NULL, the empty string and the text "NULL" stay three things in all three. Or as
** the text it is.
** Knows neither Lua nor files.
*/
#ifndef TC_FORMAT_H
#define TC_FORMAT_H

#include "table/page.h"

typedef enum tc_style { TC_CSV, TC_TSV, TC_JSONL, TC_PLAIN } tc_style;

#define TC_NULL_WORD 32

typedef struct tc_format {
  tc_style style;
  char separator;             /* CSV */
  bool quote_all;             /* CSV */
  bool typed;                 /* JSON Lines: numbers and booleans bare */
  char null[TC_NULL_WORD];    /* what stands for NULL in CSV and TSV */
  size_t null_len;
} tc_format;

/* a cell of a page; kind is its column's */
tc_status tc_format_cell (const tc_format *f, tc_buffer *out,
                          const tc_cell *cell, tc_kind kind);
/* The same in CSV and TSV for a string of tc_scan_short, which has no escapes: to
   has this much room less one; gives the place behind it. end: of the page */
#define TC_FORMAT_ROOM 80
char *tc_format_short (const tc_format *f, char *to, tc_slice text,
                       const char *end);
/* bytes that are no JSON: header names, values from Lua */
tc_status tc_format_text (const tc_format *f, tc_buffer *out, tc_slice text);
tc_status tc_format_null (const tc_format *f, tc_buffer *out);

#endif
