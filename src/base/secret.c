/*
** secret.c: see secret.h.
*/
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

#include "base/disguise.h"

#define WORD_MOST (64 * 1024)
#define LETTERS 8  /* of fewer letters alone, or digits, it may be in a word */
#define DIGITS 6
#define NAME_MOST 64 /* bytes looked back for a secret's name */

void tc_wipe (void *bytes, size_t len) {
  volatile unsigned char *p = bytes;
  while (len-- > 0) *p++ = 0;
}

void tc_secrets_init (tc_secrets *s) {
  s->words = NULL;
  s->count = s->cap = 0;
}

void tc_secrets_free (tc_secrets *s) {
  for (size_t i = 0; i < s->count; i++) tc_buffer_wipe(&s->words[i].text);
  free(s->words);
  tc_secrets_init(s);
}

/* ---- how far a secret is looked for ---- */

static bool same (tc_slice a, const char *b, size_t len) {
  if (a.len != len) return false;
  for (size_t i = 0; i < len; i++)
    if (tc_lower(a.ptr[i]) != tc_lower(b[i])) return false;
  return true;
}

/* words of servers' sentences that people take for passwords all the same */
static bool is_common (tc_slice word) {
  static const char *const words[] = {
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can",
    "could", "do", "does", "for", "from", "had", "has", "have", "if", "in",
    "into", "is", "it", "its", "may", "more", "must", "no", "none", "not",
    "of", "on", "or", "out", "please", "so", "than", "that", "the", "there",
    "this", "to", "was", "were", "when", "which", "who", "will", "with",
    "you", "your", "access", "admin", "already", "anonymous", "api", "client",
    "code", "column", "connection", "data", "database", "default", "denied",
    "engine", "error", "exception", "exist", "exists", "expired", "fail",
    "failed", "failure", "false", "file", "found", "guest", "hadoop", "hdfs",
    "hive", "host", "http", "id", "invalid", "job", "key", "linkis", "local",
    "localhost", "log", "login", "master", "message", "method", "missing",
    "mysql", "name", "null", "ok", "open", "password", "passwd", "path",
    "permission", "port", "public", "python", "query", "refused", "request",
    "result", "root", "running", "secret", "server", "service", "session",
    "shell", "spark", "sql", "state", "status", "success", "succeed",
    "succeeded", "system", "table", "task", "test", "time", "timeout",
    "token", "true", "type", "undefined", "unknown", "user", "username",
    "valid", "value", "wrong", "yes"
  };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (same(word, words[i], strlen(words[i]))) return true;
  return false;
}

static bool is_digit (char c) { return c >= '0' && c <= '9'; }

static bool is_letter (char c) {
  return tc_lower(c) >= 'a' && tc_lower(c) <= 'z';
}

static bool is_word (char c) { return is_digit(c) || is_letter(c); }

static size_t leading (tc_slice text, bool (*is) (char)) {
  size_t n = 0;
  while (n < text.len && is(text.ptr[n])) n++;
  return n;
}

static tc_reach reach_of (tc_slice secret, tc_slice user) {
  if (secret.len == 1 || is_common(secret) ||
      (secret.len < 4 && leading(secret, is_digit) == secret.len) ||
      (user.len > 0 && same(secret, user.ptr, user.len)))
    return TC_AS_GIVEN;
  if (secret.len < 4 ||
      (secret.len < LETTERS && leading(secret, is_letter) == secret.len) ||
      (secret.len < DIGITS && leading(secret, is_digit) == secret.len))
    return TC_AS_WORD;
  return TC_ANYWHERE;
}

/* ---- the words ---- */

static tc_word *find (const tc_secrets *s, const tc_buffer *word) {
  for (size_t i = 0; i < s->count; i++)
    if (s->words[i].text.len == word->len &&
        memcmp(s->words[i].text.ptr, word->ptr, word->len) == 0)
      return &s->words[i];
  return NULL;
}

/* longest first, so that a word inside another does not spoil the longer one */
static void insert (tc_secrets *s, tc_word word) {
  size_t i = s->count++;
  for (; i > 0 && s->words[i - 1].text.len < word.text.len; i--)
    s->words[i] = s->words[i - 1];
  s->words[i] = word;
}

static bool grow (tc_secrets *s) {
  size_t cap = s->cap == 0 ? 8 : s->cap * 2;
  tc_word *words;
  if (s->count < s->cap) return true;
  words = realloc(s->words, cap * sizeof *words);
  if (words == NULL) return false;
  s->words = words;
  s->cap = cap;
  return true;
}

/* takes the text over; of two reaches the wider one holds */
static bool add_word (tc_secrets *s, tc_buffer *text, tc_reach reach) {
  tc_word *known = find(s, text), word;
  bool fine = text->len == 0 || known != NULL;
  if (known != NULL && reach < known->reach) known->reach = reach;
  if (fine || !grow(s)) {
    tc_buffer_wipe(text);
    return fine;
  }
  word.text = *text;
  word.reach = reach;
  insert(s, word);
  return true;
}

tc_status tc_base64 (tc_buffer *out, tc_slice text) {
  static const char set[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *p = (const unsigned char *)text.ptr;
  tc_status status = TC_OK;
  for (size_t i = 0; i < text.len && status == TC_OK; i += 3) {
    size_t left = text.len - i;
    unsigned v = (unsigned)p[i] << 16;
    char four[4];
    if (left > 1) v |= (unsigned)p[i + 1] << 8;
    if (left > 2) v |= p[i + 2];
    four[0] = set[v >> 18];
    four[1] = set[v >> 12 & 63];
    four[2] = left > 1 ? set[v >> 6 & 63] : '=';
    four[3] = left > 2 ? set[v & 63] : '=';
    status = tc_buffer_add(out, four, 4);
  }
  return status;
}

static tc_status plain (tc_buffer *out, tc_slice text) {
  return tc_buffer_add(out, text.ptr, text.len);
}

/* base64 as URLs have it */
static tc_status base64_of_urls (tc_buffer *out, tc_slice text) {
  tc_status status = tc_base64(out, text);
  for (size_t i = 0; status == TC_OK && i < out->len; i++) {
    if (out->ptr[i] == '+') out->ptr[i] = '-';
    if (out->ptr[i] == '/') out->ptr[i] = '_';
  }
  while (out->len > 0 && out->ptr[out->len - 1] == '=') out->len--;
  return status;
}

bool tc_secrets_add (tc_secrets *s, tc_slice secret, tc_slice user) {
  static tc_status (*const forms[]) (tc_buffer *, tc_slice) = {
    plain, tc_base64, base64_of_urls
  };
  if (secret.len > WORD_MOST / 2) return false;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    tc_buffer word;
    tc_buffer_init(&word, WORD_MOST);
    if (forms[i](&word, secret) != TC_OK) {
      tc_buffer_wipe(&word);
      return false;
    }
    /* the short code of a short secret is a word like others */
    if (!add_word(s, &word, i == 0 || secret.len < 4 ? reach_of(secret, user)
                                                     : TC_ANYWHERE))
      return false;
  }
  return true;
}

/* ---- the redactor ---- */

static bool is_hex (char c) {
  return is_digit(c) || (tc_lower(c) >= 'a' && tc_lower(c) <= 'f');
}

/* whether a word begins at `at`: behind no letter and no digit, or behind the
   end of an escape (%3D, \n, \u003d), or where -p has its value at once */
static bool begins_word (tc_slice text, size_t at) {
  const char *p = text.ptr + at;
  if (at == 0 || !is_word(p[-1])) return true;
  if (at >= 2 && (p[-2] == '\\' || (p[-2] == '-' && p[-1] == 'p')))
    return true;
  if (at >= 3 && p[-3] == '%' && is_hex(p[-2]) && is_hex(p[-1])) return true;
  return at >= 6 && p[-6] == '\\' && p[-5] == 'u';
}

static bool holds (tc_slice text, const char *word) {
  size_t len = strlen(word);
  for (size_t i = 0; i + len <= text.len; i++) {
    tc_slice part = { text.ptr + i, len };
    if (same(part, word, len)) return true;
  }
  return false;
}

/* whether the text gives what stands at `at` as a secret: password = x,
   "token": "x" */
static bool is_given (tc_slice text, size_t at) {
  static const char *const names[] = {
    "passw", "pwd", "token", "secret", "credential"
  };
  size_t low = at > NAME_MOST ? at - NAME_MOST : 0, end, from;
  bool mark = false;
  tc_slice name;
  for (end = at; end > low && strchr(" \t\"'\\=:>", text.ptr[end - 1]) != NULL &&
                 text.ptr[end - 1] != '\0'; end--)
    mark = mark || strchr("\"'=:>", text.ptr[end - 1]) != NULL;
  for (from = end; from > low && (is_word(text.ptr[from - 1]) ||
                                  strchr("_.-", text.ptr[from - 1]) != NULL) &&
                   text.ptr[from - 1] != '\0'; from--) ;
  name.ptr = text.ptr + from;
  name.len = end - from;
  for (size_t i = 0; mark && i < sizeof names / sizeof *names; i++)
    if (holds(name, names[i])) return true;
  return false;
}

/* the bytes at `at` that spell the word where it is to be hidden, or 0 */
static size_t spelled (const tc_word *word, tc_slice text, size_t at) {
  tc_slice secret = { word->text.ptr, word->text.len };
  const char *end = text.ptr + text.len;
  size_t len;
  if (word->reach != TC_ANYWHERE && !begins_word(text, at)) return 0;
  len = tc_disguised(secret, text.ptr + at, end);
  if (len == 0 || word->reach == TC_ANYWHERE) return len;
  if (at + len < text.len && is_word(text.ptr[at + len])) return 0;
  return word->reach == TC_AS_WORD || is_given(text, at) ? len : 0;
}

static size_t secret_at (const tc_secrets *s, tc_slice text, size_t at) {
  char c = text.ptr[at];
  for (size_t i = 0; i < s->count; i++) {
    const tc_word *word = &s->words[i];
    size_t len = c == word->text.ptr[0] || tc_disguise_mark(c)
                   ? spelled(word, text, at) : 0;
    if (len > 0) return len;
  }
  return 0;
}

tc_status tc_secrets_redact (const tc_secrets *s, tc_slice text,
                             tc_buffer *out) {
  tc_status status = TC_OK;
  size_t from = 0, at = 0;
  while (at < text.len && status == TC_OK) {
    size_t len = secret_at(s, text, at);
    if (len == 0) {
      at++;
      continue;
    }
    status = tc_buffer_add(out, text.ptr + from, at - from);
    if (status == TC_OK) status = tc_buffer_addtext(out, "***");
    from = at += len;
  }
  if (status == TC_OK && text.len > from)
    status = tc_buffer_add(out, text.ptr + from, text.len - from);
  return status;
}
