/*
** secret.h: the live secrets of a client or of a spec, and the redactor that
** takes them out of a text however it spells them. Knows bytes only. What it
** holds is wiped before it is freed.
*/
#ifndef TC_SECRET_H
#define TC_SECRET_H

#include <stdbool.h>

#include "base/buffer.h"

/* Where a secret is looked for. One that is a word of every text (the user's
   own name, "password", "not") would make a server's sentence unreadable, and
   tells nobody anything there: it is hidden only where a text gives it as a
   secret. Others that may stand inside of a word are looked for as words. */
typedef enum tc_reach { TC_ANYWHERE, TC_AS_WORD, TC_AS_GIVEN } tc_reach;

typedef struct tc_word {
  tc_buffer text;
  tc_reach reach;
} tc_word;

typedef struct tc_secrets {
  tc_word *words;
  size_t count, cap;
} tc_secrets;

void tc_secrets_init (tc_secrets *s);
void tc_secrets_free (tc_secrets *s);
/* user: a name that is no secret; empty: none. False: no memory, or too long */
bool tc_secrets_add (tc_secrets *s, tc_slice secret, tc_slice user);
/* appends the text with every secret replaced by *** */
tc_status tc_secrets_redact (const tc_secrets *s, tc_slice text,
                             tc_buffer *out);
void tc_wipe (void *bytes, size_t len);
tc_status tc_base64 (tc_buffer *out, tc_slice text);

#endif
