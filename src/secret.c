/*
** secret.c: see secret.h.
*/
#include "secret.h"

#include <stdlib.h>
#include <string.h>

#include "target.h"

#define WORD_MOST (64 * 1024)
/* shorter ones are only found as whole words, or every text would be stars */
#define SHORT 3

void tc_wipe (void *bytes, size_t len) {
  volatile unsigned char *p = bytes;
  while (len-- > 0) *p++ = 0;
}

void tc_secrets_init (tc_secrets *s) {
  s->words = NULL;
  s->count = s->cap = 0;
}

void tc_secrets_free (tc_secrets *s) {
  for (size_t i = 0; i < s->count; i++) tc_buffer_wipe(&s->words[i]);
  free(s->words);
  tc_secrets_init(s);
}

static bool known (const tc_secrets *s, const tc_buffer *word) {
  for (size_t i = 0; i < s->count; i++)
    if (s->words[i].len == word->len &&
        memcmp(s->words[i].ptr, word->ptr, word->len) == 0)
      return true;
  return false;
}

/* longest first, so that a word inside another does not spoil the longer one */
static void insert (tc_secrets *s, tc_buffer word) {
  size_t i = s->count++;
  for (; i > 0 && s->words[i - 1].len < word.len; i--)
    s->words[i] = s->words[i - 1];
  s->words[i] = word;
}

/* takes the word over */
static bool add_word (tc_secrets *s, tc_buffer *word) {
  if (word->len == 0 || known(s, word)) {
    tc_buffer_wipe(word);
    return true;
  }
  if (s->count == s->cap) {
    size_t cap = s->cap == 0 ? 8 : s->cap * 2;
    tc_buffer *words = realloc(s->words, cap * sizeof *words);
    if (words == NULL) {
      tc_buffer_wipe(word);
      return false;
    }
    s->words = words;
    s->cap = cap;
  }
  insert(s, *word);
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

/* as JSON writes it; the gateway's serializer also escapes = and ' */
static tc_status json_text (tc_buffer *out, tc_slice text, const char *coded) {
  tc_status status = TC_OK;
  for (size_t i = 0; i < text.len && status == TC_OK; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c == '"' || c == '\\') status = tc_buffer_addchar(out, '\\');
    if (c != '\0' && strchr(coded, c) != NULL) {
      static const char hex[] = "0123456789abcdef";
      char u[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
      status = tc_buffer_add(out, u, 6);
    }
    else if (status == TC_OK)
      status = tc_buffer_addchar(out, (char)c);
  }
  return status;
}

static tc_status jackson (tc_buffer *out, tc_slice text) {
  return json_text(out, text, "");
}

static tc_status gson (tc_buffer *out, tc_slice text) {
  return json_text(out, text, "='<>&");
}

bool tc_secrets_add (tc_secrets *s, tc_slice secret) {
  static tc_status (*const clothes[]) (tc_buffer *, tc_slice) = {
    plain, tc_encode, tc_base64, jackson, gson
  };
  if (secret.len > WORD_MOST / 8) return false;
  for (size_t i = 0; i < sizeof clothes / sizeof *clothes; i++) {
    tc_buffer word;
    tc_buffer_init(&word, WORD_MOST);
    if (clothes[i](&word, secret) != TC_OK) {
      tc_buffer_wipe(&word);
      return false;
    }
    if (!add_word(s, &word)) return false;
  }
  return true;
}

static bool is_word (char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

static bool matches (const tc_buffer *word, tc_slice text, size_t at) {
  size_t end = at + word->len;
  if (word->len > text.len - at ||
      memcmp(text.ptr + at, word->ptr, word->len) != 0)
    return false;
  return word->len >= SHORT ||
         ((at == 0 || !is_word(text.ptr[at - 1])) &&
          (end == text.len || !is_word(text.ptr[end])));
}

static size_t secret_at (const tc_secrets *s, tc_slice text, size_t at) {
  for (size_t i = 0; i < s->count; i++)
    if (matches(&s->words[i], text, at)) return s->words[i].len;
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
