/*
** fuzz_text.c: text that comes from callers and servers: a URL read into its
** parts, foreign bytes made printable, secrets hidden. The first byte chooses.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "net/url.h"
#include "base/clean.h"
#include "server/service.h"

#define MOST 100000

static void insist (bool truth, const char *what) {
  if (!truth) {
    fprintf(stderr, "broken: %s\n", what);
    abort();
  }
}

static bool has (const tc_buffer *b, tc_slice word) {
  for (size_t i = 0; i + word.len <= b->len; i++)
    if (memcmp(b->ptr + i, word.ptr, word.len) == 0) return true;
  return false;
}

static void read_url (const char *text) {
  tc_url u;
  const char *why = tc_url_read(&u, text);
  if (why == NULL) {
    size_t len = strlen(u.base);
    insist(strncmp(u.base, "http://", 7) == 0 ||
           strncmp(u.base, "https://", 8) == 0, "another scheme");
    insist(strpbrk(u.base, "@?# \r\n\t") == NULL, "a base with more than a path");
    insist(u.base[len - 1] != '/' && strchr(u.host, ':') != NULL, "a part is missing");
  }
  tc_url_free(&u);
}

static void print (tc_slice text) {
  tc_buffer out;
  size_t read;
  tc_buffer_init(&out, MOST);
  insist(tc_clean(&out, text, 200, TC_CLEAN_TEXT, &read), "no memory");
  insist(out.len <= 204, "more than asked for");
  insist(read <= text.len, "more read than there is");
  for (size_t i = 0; i < out.len; i++) {
    unsigned char c = (unsigned char)out.ptr[i];
    insist((c >= 0x20 && c != 0x7F) || c == '\n' || c == '\t', "a control");
    insist(c != 0xC2 || (unsigned char)out.ptr[i + 1] >= 0xA0, "a C1 control");
  }
  tc_buffer_free(&out);
}

/* the text holds the secret in the middle, whatever surrounds it */
static void hide (tc_slice text) {
  static const char word[] = "s3cr3t+/ü\"x";
  tc_slice secret = { word, sizeof word - 1 }, nobody = { NULL, 0 };
  tc_secrets secrets;
  tc_buffer in, out;
  tc_buffer_init(&in, MOST);
  tc_buffer_init(&out, MOST);
  tc_secrets_init(&secrets);
  insist(tc_secrets_add(&secrets, secret, nobody), "no memory");
  tc_buffer_add(&in, text.ptr, text.len / 2);
  tc_buffer_add(&in, word, secret.len);
  tc_buffer_add(&in, text.ptr + text.len / 2, text.len - text.len / 2);
  text.ptr = in.ptr;
  text.len = in.len;
  insist(tc_secrets_redact(&secrets, text, &out) == TC_OK, "no memory");
  insist(!has(&out, secret), "the secret is still there");
  tc_secrets_free(&secrets);
  tc_buffer_free(&in);
  tc_buffer_free(&out);
}

int LLVMFuzzerTestOneInput (const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput (const unsigned char *data, size_t size) {
  char *copy;
  tc_slice text;
  if (size == 0) return 0;
  copy = malloc(size); /* without the first byte, with a NUL at the end */
  memcpy(copy, data + 1, size - 1);
  copy[size - 1] = '\0';
  text.ptr = copy;
  text.len = size - 1;
  switch (data[0] % 3) {
    case 0: read_url(copy); break;
    case 1: print(text); break;
    default: hide(text);
  }
  free(copy);
  return 0;
}
