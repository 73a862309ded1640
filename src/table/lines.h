/*
** lines.h: rows as lines of one file, in CSV, TSV or JSON Lines: the header
** or the keys once, then rows, gathered and written by the block. Knows no
** Lua. The first fault is kept: after it the file can only be discarded.
*/
#ifndef TC_LINES_H
#define TC_LINES_H

#include "base/file.h"
#include "table/format.h"

typedef struct tc_lines_column {
  tc_kind kind;
  size_t key_end;   /* JSON Lines: where its key ends in keys */
} tc_lines_column;

typedef struct tc_lines {
  tc_file file;
  tc_format format;
  const char *eol;
  bool bom, header;
  bool started;     /* the columns are complete */
  bool broken;      /* a row did not fit them, or was no row */
  int width, room;
  tc_lines_column *columns;
  tc_buffer keys;   /* JSON Lines: {"a": ,"b": … one after the other */
  tc_buffer out;
  size_t line;      /* where the line being written begins in out */
  int cells;        /* cells of it so far */
  unsigned long long rows;
} tc_lines;

void tc_lines_init (tc_lines *l);
/* one more column; key: its name, made unique, for JSON Lines */
bool tc_lines_column_add (tc_lines *l, tc_slice name, tc_slice key,
                          tc_kind kind);
bool tc_lines_start (tc_lines *l); /* no more columns */

/* what comes before each cell; then one append to out; then end the line */
bool tc_lines_cell (tc_lines *l);
bool tc_lines_end (tc_lines *l, bool fine);
/* keeps a failed append as the file's error */
bool tc_lines_put (tc_lines *l, tc_status status);

/* false: failed; a row that has not width cells leaves their number in cells */
bool tc_lines_page (tc_lines *l, tc_page *p);
bool tc_lines_failed (const tc_lines *l);
int tc_lines_commit (tc_lines *l); /* 0 or an errno */
void tc_lines_free (tc_lines *l);  /* discards what was not committed */

#endif
