/*
** format.c: cells to bytes. Reserves for the worst case, then writes without
** looking again; a cell without escapes is copied as it stands in the reply.
*/
#include "table/format.h"

#include <string.h>

/* ---- CSV ---- */

static bool must_quote (const tc_format *f, const char *p, size_t len) {
  size_t i;
  if (len == 0 || f->quote_all ||
      (len == f->null_len && memcmp(p, f->null, len) == 0))
    return true;
  for (i = 0; i < len; i++)
    if (p[i] == f->separator || p[i] == '"' || p[i] == '\n' || p[i] == '\r')
      return true;
  return false;
}

/* writes 2 * len + 2 bytes at most, and gives the place behind them */
static char *quote (char *to, const char *from, size_t len) {
  const char *end = from + len;
  *to++ = '"';
  while (from < end) {
    if (*from == '"')
      *to++ = '"';
    *to++ = *from++;
  }
  *to++ = '"';
  return to;
}

static tc_status csv_text (const tc_format *f, tc_buffer *out, tc_slice text) {
  tc_status status = tc_buffer_reserve(out, 2 * text.len + 2);
  if (status != TC_OK)
    return status;
  if (!must_quote(f, text.ptr, text.len))
    return tc_buffer_add(out, text.ptr, text.len);
  out->len = (size_t)(quote(out->ptr + out->len, text.ptr, text.len) - out->ptr);
  return TC_OK;
}

static tc_status csv_escaped (const tc_format *f, tc_buffer *out,
                              tc_slice raw) {
  tc_status status = tc_buffer_reserve(out, 3 * raw.len + 3);
  char *to, *plain;
  size_t len;
  if (status != TC_OK)
    return status;
  to = out->ptr + out->len;
  plain = to + 2 * raw.len + 2; /* behind whatever quoting may write */
  len = tc_json_unescape(raw, plain);
  if (must_quote(f, plain, len))
    out->len = (size_t)(quote(to, plain, len) - out->ptr);
  else {
    memmove(to, plain, len);
    out->len += len;
  }
  return TC_OK;
}

/* Without a backslash in the reply the text holds no quote and no newline:
   only the separator is left to look for. */
static tc_status csv_plain (const tc_format *f, tc_buffer *out,
                            tc_slice text) {
  if (text.len == 0 || text.len == f->null_len || f->quote_all ||
      memchr(text.ptr, f->separator, text.len) != NULL)
    return csv_text(f, out, text);
  return tc_buffer_add(out, text.ptr, text.len);
}

/* TSV has nothing to escape in plain text */
char *tc_format_short (const tc_format *f, char *to, tc_slice text,
                       const char *end) {
  if (f->style == TC_CSV &&
      (text.len == 0 || text.len == f->null_len || f->quote_all ||
       tc_scan_holds(text, end, f->separator)) &&
      must_quote(f, text.ptr, text.len))
    return quote(to, text.ptr, text.len);
  if (end - text.ptr >= 32) memcpy(to, text.ptr, 32); /* no call, as the size is known */
  else memcpy(to, text.ptr, text.len);
  return to + text.len;
}

/* ---- TSV ---- */

static char tsv_escape (char c) {
  switch (c) {
    case '\t': return 't';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\\': return '\\';
    default: return '\0';
  }
}

static tc_status tsv_text (tc_buffer *out, tc_slice text) {
  tc_status status = tc_buffer_reserve(out, 2 * text.len);
  char *to;
  size_t i;
  if (status != TC_OK)
    return status;
  to = out->ptr + out->len;
  for (i = 0; i < text.len; i++) {
    char letter = tsv_escape(text.ptr[i]);
    if (letter != '\0')
      *to++ = '\\';
    *to++ = letter != '\0' ? letter : text.ptr[i];
  }
  out->len = (size_t)(to - out->ptr);
  return TC_OK;
}

static tc_status tsv_escaped (tc_buffer *out, tc_slice raw) {
  tc_status status = tc_buffer_reserve(out, 3 * raw.len);
  tc_slice plain;
  char *copy;
  if (status != TC_OK)
    return status;
  copy = out->ptr + out->len + 2 * raw.len;
  plain.ptr = copy;
  plain.len = tc_json_unescape(raw, copy);
  return tsv_text(out, plain); /* room is there: the buffer does not move */
}

/* ---- plain text ---- */

static tc_status text_escaped (tc_buffer *out, tc_slice raw) {
  tc_status status = tc_buffer_reserve(out, raw.len);
  if (status == TC_OK)
    out->len += tc_json_unescape(raw, out->ptr + out->len);
  return status;
}

/* ---- JSON Lines ---- */

static bool is_number (tc_slice text) {
  tc_json j;
  tc_json_trust(&j, text);
  return tc_json_next(&j) == TC_JSON_NUMBER && j.at == j.end &&
         text.ptr == j.text.ptr;
}

/* may the text stand bare, as a JSON number or word? */
static bool is_bare (const tc_format *f, const tc_cell *cell, tc_kind kind) {
  bool flag;
  if (cell->token != TC_JSON_STRING)
    return true; /* not a string in the reply either */
  if (!f->typed || cell->escaped)
    return false;
  switch (kind) {
    case TC_KIND_INT: case TC_KIND_FLOAT: return is_number(cell->text);
    case TC_KIND_BOOL: return tc_kind_bool(cell, &flag);
    default: return false;
  }
}

static tc_status json_bool (tc_buffer *out, const tc_cell *cell) {
  bool flag;
  tc_kind_bool(cell, &flag);
  return tc_buffer_addtext(out, flag ? "true" : "false");
}

/* a list or number as it stands, but on one line */
static tc_status json_value (tc_buffer *out, tc_slice text) {
  tc_status status = tc_buffer_add(out, text.ptr, text.len);
  size_t i;
  if (status == TC_OK)
    for (i = out->len - text.len; i < out->len; i++)
      if (out->ptr[i] == '\n' || out->ptr[i] == '\r')
        out->ptr[i] = ' ';
  return status;
}

/* a string of the reply is a JSON string already, escapes and all */
static tc_status json_cell (const tc_format *f, tc_buffer *out,
                            const tc_cell *cell, tc_kind kind) {
  size_t len = cell->text.len;
  tc_status status;
  if (is_bare(f, cell, kind))
    return kind == TC_KIND_BOOL && cell->token == TC_JSON_STRING
               ? json_bool(out, cell)
               : json_value(out, cell->text);
  status = tc_buffer_reserve(out, len + 2);
  if (status != TC_OK)
    return status;
  out->ptr[out->len] = '"';
  memcpy(out->ptr + out->len + 1, cell->text.ptr, len);
  out->ptr[out->len + len + 1] = '"';
  out->len += len + 2;
  return TC_OK;
}

/* ---- all of them ---- */

tc_status tc_format_null (const tc_format *f, tc_buffer *out) {
  if (f->style == TC_JSONL)
    return tc_buffer_add(out, "null", 4);
  return tc_buffer_add(out, f->null, f->null_len);
}

tc_status tc_format_text (const tc_format *f, tc_buffer *out, tc_slice text) {
  switch (f->style) {
    case TC_CSV: return csv_text(f, out, text);
    case TC_TSV: return tsv_text(out, text);
    case TC_PLAIN: return tc_buffer_add(out, text.ptr, text.len);
    default: return tc_json_quote(out, text);
  }
}

tc_status tc_format_cell (const tc_format *f, tc_buffer *out,
                          const tc_cell *cell, tc_kind kind) {
  if (cell->token == TC_JSON_NULL)
    return tc_format_null(f, out);
  if (f->style == TC_JSONL)
    return json_cell(f, out, cell, kind);
  if (cell->token != TC_JSON_STRING) /* as written, were it a number or a list */
    return tc_format_text(f, out, cell->text);
  if (f->style == TC_CSV)
    return cell->escaped ? csv_escaped(f, out, cell->text)
                         : csv_plain(f, out, cell->text);
  if (!cell->escaped)
    return tc_buffer_add(out, cell->text.ptr, cell->text.len);
  return f->style == TC_TSV ? tsv_escaped(out, cell->text)
                            : text_escaped(out, cell->text);
}
