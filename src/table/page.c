/*
** page.c: walks a result page in one pass; only rows that stand before their
** metadata are passed over first and read afterwards.
*/
#include "table/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- cells ---- */

/* the value whose first token has been read */
static bool take_cell (tc_json *j, tc_token t, tc_cell *cell) {
  cell->token = t;
  cell->escaped = t == TC_JSON_STRING && j->escaped;
  cell->text = j->text;
  if (t == TC_JSON_ARRAY || t == TC_JSON_OBJECT) {
    cell->text.ptr = j->at - 1;
    if (!tc_json_leave(j))
      return false;
    cell->text.len = (size_t)(j->at - cell->text.ptr);
  }
  return t >= TC_JSON_NULL;
}

bool tc_page_cell (tc_page *p, tc_cell *cell) {
  tc_json *j = p->rows;
  tc_token t = tc_json_next(j);
  if (t != TC_JSON_STRING) /* nearly all are */
    return t != TC_JSON_ARRAY_END && take_cell(j, t, cell);
  cell->token = t;
  cell->escaped = j->escaped;
  cell->text = j->text;
  return true;
}

/* ---- members ---- */

enum { TYPE, METADATA, TOTAL, PROHIBITED, MESSAGE, CONTENT, OTHER };

static int member_index (const tc_json *j) {
  static const char *const names[OTHER] = {
    "type", "metadata", "totalLine", "display_prohibited", "en_msg",
    "fileContent"
  };
  int i = 0;
  while (i < OTHER && !tc_json_is(j, names[i])) i++;
  return i;
}

static void take_member (tc_page *p, int member, const tc_cell *cell) {
  int64_t n;
  switch (member) {
    case TYPE: p->type = *cell; break;
    case METADATA: p->metadata = *cell; break;
    case MESSAGE: p->message = *cell; break;
    case TOTAL:
      if (tc_json_int64(cell->text, &n) && n > 0) p->total = (size_t)n;
      break;
    case PROHIBITED:
      p->prohibited = cell->token == TC_JSON_TRUE;
      break;
    default: break;
  }
}

/* to the rows, if they can be read at once, or to the end of the page */
static bool read_members (tc_page *p) {
  tc_json *j = &p->json;
  tc_token t;
  while ((t = tc_json_next(j)) == TC_JSON_NAME) {
    int member = member_index(j);
    tc_cell cell;
    t = tc_json_next(j);
    if (member == CONTENT && t == TC_JSON_ARRAY && p->content.ptr == NULL &&
        p->metadata.text.ptr != NULL) {
      p->content.ptr = j->at;
      p->rows = j;
      return true;
    }
    if (!take_cell(j, t, &cell))
      return false;
    if (member == CONTENT && t == TC_JSON_ARRAY)
      p->content = cell.text;
    take_member(p, member, &cell);
  }
  return t == TC_JSON_OBJECT_END;
}

bool tc_page_open (tc_page *p, tc_slice data, bool checked) {
  memset(p, 0, sizeof *p);
  if (checked) tc_json_trust(&p->json, data);
  else tc_json_init(&p->json, data.ptr, data.len, TC_JSON_DEPTH);
  if (tc_json_next(&p->json) != TC_JSON_OBJECT || !read_members(p))
    return false;
  if (p->rows == NULL && p->content.ptr != NULL) {
    p->rows = &p->later;
    tc_json_trust(p->rows, p->content);
    tc_json_next(p->rows);
  }
  return true;
}

tc_row tc_page_row (tc_page *p) {
  tc_token t = p->rows != NULL ? tc_json_next(p->rows) : TC_JSON_ERROR;
  if (t == TC_JSON_ARRAY)
    return TC_ROW;
  if (t != TC_JSON_ARRAY_END)
    return TC_ROWS_BROKEN;
  if (p->rows == &p->json && !read_members(p))
    return TC_ROWS_BROKEN;
  p->rows = NULL;
  return TC_ROWS_END;
}

/* ---- columns ---- */

void tc_page_columns (const tc_page *p, tc_json *columns) {
  tc_slice none = {NULL, 0};
  bool table = p->metadata.token == TC_JSON_ARRAY;
  tc_json_trust(columns, table ? p->metadata.text : none);
  tc_json_next(columns);
}

static void take_part (const tc_json *j, tc_slice *part, bool *escaped) {
  *part = j->text;
  *escaped = j->escaped;
}

static void take_column_member (tc_json *j, tc_column *c) {
  bool name = tc_json_is(j, "columnName"), type = tc_json_is(j, "dataType");
  bool comment = tc_json_is(j, "comment");
  tc_cell cell;
  if (!take_cell(j, tc_json_next(j), &cell) || cell.token != TC_JSON_STRING)
    return;
  if (name) take_part(j, &c->name, &c->name_escaped);
  else if (type) take_part(j, &c->type, &c->type_escaped);
  else if (comment) take_part(j, &c->comment, &c->comment_escaped);
}

bool tc_page_column (tc_json *columns, int number, tc_column *c) {
  memset(c, 0, sizeof *c);
  if (tc_json_next(columns) != TC_JSON_OBJECT)
    return false;
  while (tc_json_next(columns) == TC_JSON_NAME)
    take_column_member(columns, c);
  c->kind = tc_kind_of(c->type);
  if (c->name.len == 0) {
    c->name.len = (size_t)snprintf(c->made, sizeof c->made, "column_%d", number);
    c->name.ptr = c->made;
  }
  return columns->fault == TC_JSON_FINE;
}

/* ---- kinds ---- */

static bool same_word (tc_slice text, const char *word) {
  size_t i;
  for (i = 0; i < text.len; i++)
    if (tc_lower(text.ptr[i]) != word[i]) /* stops at the word's end too */
      return false;
  return word[i] == '\0';
}

/* the first word decides: "decimal(10,2)", "bigint unsigned" */
tc_kind tc_kind_of (tc_slice type) {
  static const struct { const char *word; tc_kind kind; } kinds[] = {
    {"int", TC_KIND_INT}, {"integer", TC_KIND_INT}, {"long", TC_KIND_INT},
    {"bigint", TC_KIND_INT}, {"short", TC_KIND_INT}, {"smallint", TC_KIND_INT},
    {"tinyint", TC_KIND_INT}, {"byte", TC_KIND_INT}, {"float", TC_KIND_FLOAT},
    {"double", TC_KIND_FLOAT}, {"real", TC_KIND_FLOAT},
    {"boolean", TC_KIND_BOOL}
  };
  size_t i, len = 0;
  while (len < type.len && tc_lower(type.ptr[len]) >= 'a' &&
         tc_lower(type.ptr[len]) <= 'z')
    len++;
  type.len = len;
  for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (same_word(type, kinds[i].word))
      return kinds[i].kind;
  return TC_KIND_TEXT;
}

bool tc_kind_int (const tc_cell *cell, int64_t *n) {
  return !cell->escaped && tc_json_int64(cell->text, n);
}

bool tc_kind_float (const tc_cell *cell, double *n) {
  tc_json j;
  if (same_word(cell->text, "nan"))
    return *n = NAN, true;
  if (same_word(cell->text, "infinity"))
    return *n = INFINITY, true;
  if (same_word(cell->text, "-infinity"))
    return *n = -INFINITY, true;
  tc_json_trust(&j, cell->text);
  if (tc_json_next(&j) != TC_JSON_NUMBER || j.at != j.end)
    return false;
  *n = tc_json_double(cell->text);
  return !isinf(*n); /* too large for a double: the text is the better value */
}

bool tc_kind_bool (const tc_cell *cell, bool *flag) {
  *flag = same_word(cell->text, "true");
  return *flag || same_word(cell->text, "false");
}
