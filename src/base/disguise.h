/*
** disguise.h: whether a text spells a secret, as it is or as servers write it
** into URLs, JSON, Java and HTML. Knows bytes only.
*/
#ifndef TC_DISGUISE_H
#define TC_DISGUISE_H

#include "base/buffer.h"

/* how many bytes from p on spell the secret; 0: they do not */
size_t tc_disguised (tc_slice secret, const char *p, const char *end);
/* whether a spelling may begin with this byte that the secret does not have */
int tc_disguise_mark (char c);

#endif
