/*
** secret.h: the live secrets of a client, and a redactor that finds each of
** them in its usual clothes: as it is, percent-encoded, base64, as JSON text.
** Knows bytes only. What it holds is wiped before it is freed.
*/
#ifndef TC_SECRET_H
#define TC_SECRET_H

#include <stdbool.h>

#include "buffer.h"

typedef struct tc_secrets {
  tc_buffer *words;
  size_t count, cap;
} tc_secrets;

void tc_secrets_init (tc_secrets *s);
void tc_secrets_free (tc_secrets *s);
bool tc_secrets_add (tc_secrets *s, tc_slice secret); /* false: no memory */
/* appends the text with every secret replaced by *** */
tc_status tc_secrets_redact (const tc_secrets *s, tc_slice text,
                             tc_buffer *out);
void tc_wipe (void *bytes, size_t len);
tc_status tc_base64 (tc_buffer *out, tc_slice text);

#endif
