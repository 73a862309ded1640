/*
** lines.c: gathers lines in a buffer and hands them to the file by the block,
** so that memory stays constant however many rows come.
*/
#include "table/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 65536 /* bytes gathered before they go to the file */

void tc_lines_init (tc_lines *l) {
  memset(l, 0, sizeof *l);
  tc_file_init(&l->file);
  tc_buffer_init(&l->keys, (size_t)-1);
  tc_buffer_init(&l->out, (size_t)-1);
  l->eol = "\n";
}

bool tc_lines_failed (const tc_lines *l) {
  return l->broken || l->file.error != 0;
}

bool tc_lines_put (tc_lines *l, tc_status status) {
  if (status != TC_OK && l->file.error == 0)
    l->file.error = ENOMEM;
  return status == TC_OK;
}

static bool spill (tc_lines *l, size_t least) {
  if (l->out.len < least)
    return true;
  tc_file_write(&l->file, l->out.ptr, l->out.len);
  tc_buffer_reset(&l->out);
  return l->file.error == 0;
}

/* ---- columns ---- */

static bool make_room (tc_lines *l) {
  int room = l->room < 16 ? 16 : l->room * 2;
  tc_lines_column *columns;
  if (l->width < l->room)
    return true;
  columns = (tc_lines_column *)realloc(l->columns,
                                       (size_t)room * sizeof *columns);
  if (columns == NULL)
    return tc_lines_put(l, TC_NO_MEMORY);
  l->columns = columns;
  l->room = room;
  return true;
}

static bool add_key (tc_lines *l, tc_slice key) {
  char lead = l->width == 0 ? '{' : ',';
  return tc_lines_put(l, tc_buffer_addchar(&l->keys, lead)) &&
         tc_lines_put(l, tc_json_quote(&l->keys, key)) &&
         tc_lines_put(l, tc_buffer_addchar(&l->keys, ':'));
}

static bool add_header (tc_lines *l, tc_slice name) {
  if (l->width > 0 &&
      !tc_lines_put(l, tc_buffer_addchar(&l->out, l->format.separator)))
    return false;
  return tc_lines_put(l, tc_format_text(&l->format, &l->out, name));
}

bool tc_lines_column_add (tc_lines *l, tc_slice name, tc_slice key,
                          tc_kind kind) {
  bool keyed = l->format.style == TC_JSONL;
  if (l->width == 0 && l->bom &&
      !tc_lines_put(l, tc_buffer_addtext(&l->out, "\xEF\xBB\xBF")))
    return false;
  if (!make_room(l) || (keyed && !add_key(l, key)) ||
      (!keyed && l->header && !add_header(l, name)))
    return false;
  l->columns[l->width].kind = kind;
  l->columns[l->width].key_end = l->keys.len;
  l->width++;
  return true;
}

bool tc_lines_start (tc_lines *l) {
  l->started = true;
  if (l->format.style == TC_JSONL || !l->header || l->width == 0)
    return true;
  return tc_lines_put(l, tc_buffer_addtext(&l->out, l->eol));
}

/* ---- lines ---- */

bool tc_lines_cell (tc_lines *l) {
  int i = l->cells++;
  size_t start;
  if (l->format.style != TC_JSONL)
    return i == 0 ||
           tc_lines_put(l, tc_buffer_addchar(&l->out, l->format.separator));
  start = i > 0 ? l->columns[i - 1].key_end : 0;
  return tc_lines_put(l, tc_buffer_add(&l->out, l->keys.ptr + start,
                                       l->columns[i].key_end - start));
}

static bool put_end (tc_lines *l) {
  char *to;
  if (l->format.style == TC_JSONL &&
      !tc_lines_put(l, tc_buffer_addtext(&l->out, l->width > 0 ? "}" : "{}")))
    return false;
  if (!tc_lines_put(l, tc_buffer_reserve(&l->out, 2)))
    return false;
  to = l->out.ptr + l->out.len;
  to[0] = l->eol[0];
  to[1] = l->eol[1]; /* or its zero */
  l->out.len += l->eol[1] != '\0' ? 2 : 1;
  return true;
}

/* what was gathered of a line that failed is taken back */
bool tc_lines_end (tc_lines *l, bool fine) {
  if (!fine || !put_end(l)) {
    l->out.len = l->line;
    return false;
  }
  l->rows++;
  l->cells = 0;
  fine = spill(l, BLOCK);
  l->line = l->out.len;
  return fine;
}

/* ---- pages ---- */

static bool put_cell (tc_lines *l, const tc_cell *cell) {
  int i = l->cells;
  if (i >= l->width) {
    l->cells++; /* one too many: counted, and the row refused */
    return true;
  }
  return tc_lines_cell(l) &&
         tc_lines_put(l, tc_format_cell(&l->format, &l->out, cell,
                                        l->columns[i].kind));
}

/* The cells that are short plain strings, as nearly all are, of this row and of
   those that follow it. Not for JSON Lines, where a key stands before each. */
static bool put_short_cells (tc_lines *l, tc_page *p) {
  tc_slice text;
  for (;;) {
    char *to;
    if (l->cells < l->width) {
      if (!tc_json_element(p->rows, &text)) return true;
    }
    else if (l->cells > l->width || !tc_json_next_row(p->rows, &text))
      return true; /* one too many: the row is refused */
    else {
      if (!tc_lines_end(l, true)) return false;
      l->line = l->out.len;
    }
    if (l->out.cap - l->out.len <= TC_FORMAT_ROOM &&
        !tc_lines_put(l, tc_buffer_reserve(&l->out, TC_FORMAT_ROOM)))
      return false;
    to = l->out.ptr + l->out.len;
    if (l->cells++ > 0) *to++ = l->format.separator;
    to = tc_format_short(&l->format, to, text, p->rows->end);
    l->out.len = (size_t)(to - l->out.ptr);
  }
}

static bool put_row (tc_lines *l, tc_page *p) {
  tc_cell cell;
  bool fine = true;
  l->line = l->out.len;
  l->cells = 0;
  while (fine && tc_page_cell(p, &cell))
    fine = put_cell(l, &cell) &&
           (l->format.style == TC_JSONL || put_short_cells(l, p));
  if (fine && l->cells != l->width &&
      !(l->format.style == TC_PLAIN && l->cells == 0)) /* an empty line */
    l->broken = true;
  return tc_lines_end(l, fine && !l->broken);
}

bool tc_lines_page (tc_lines *l, tc_page *p) {
  tc_row r;
  while ((r = tc_page_row(p)) == TC_ROW)
    if (!put_row(l, p))
      return false;
  l->cells = 0;
  l->broken = r == TC_ROWS_BROKEN;
  return !l->broken;
}

/* ---- the end ---- */

int tc_lines_commit (tc_lines *l) {
  if (l->file.error == 0 && spill(l, 1))
    return tc_file_commit(&l->file);
  return l->file.error;
}

void tc_lines_free (tc_lines *l) {
  tc_file_discard(&l->file);
  tc_buffer_free(&l->keys);
  tc_buffer_free(&l->out);
  free(l->columns);
  l->columns = NULL;
  l->width = l->room = 0;
}
