/*
** page.h: the parts of one result page, the data of openFile, whatever their
** order (protocols 3.12.2). Knows JSON; knows neither Lua nor file formats.
*/
#ifndef TC_PAGE_H
#define TC_PAGE_H

#include "json/json.h"
#include "json/scan.h"

typedef enum tc_kind { TC_KIND_TEXT, TC_KIND_INT, TC_KIND_FLOAT, TC_KIND_BOOL }
    tc_kind;

typedef struct tc_column { /* raw JSON strings, empty when absent */
  tc_slice name, type, comment;
  bool name_escaped, type_escaped, comment_escaped;
  tc_kind kind;
  char made[24]; /* the name of one that has none */
} tc_column;

typedef struct tc_cell {
  tc_token token; /* NULL, STRING, or any other value by its JSON text */
  bool escaped;
  tc_slice text;
} tc_cell;

typedef struct tc_page {
  tc_json json;
  tc_json *rows;     /* the reader that stands in fileContent; NULL: no rows */
  tc_json later;     /* that reader when the rows stood before the metadata */
  tc_slice content;
  tc_cell metadata, type, message;
  bool prohibited;   /* the server will not show these rows: message says why */
  size_t total;      /* rows by the server's word: a hint */
} tc_page;

typedef enum tc_row { TC_ROW, TC_ROWS_END, TC_ROWS_BROKEN } tc_row;

/* Reads up to the rows; false: no page. A text that was not checked before is
   checked on the way: it is fine when after TC_ROWS_END p->json ends too. */
bool tc_page_open (tc_page *p, tc_slice data, bool checked);
/* steps into the next row; its cells follow until tc_page_cell says false */
tc_row tc_page_row (tc_page *p);
bool tc_page_cell (tc_page *p, tc_cell *cell);

/* columns: a reader of metadata, and each column in turn */
void tc_page_columns (const tc_page *p, tc_json *columns);
/* number: which one it is, from 1; a column without a name is called by it */
bool tc_page_column (tc_json *columns, int number, tc_column *column);

tc_kind tc_kind_of (tc_slice type);
/* the cell's text as a value of a kind; false: it stays text */
bool tc_kind_int (const tc_cell *cell, int64_t *n);
bool tc_kind_float (const tc_cell *cell, double *n);
bool tc_kind_bool (const tc_cell *cell, bool *flag);

#endif
