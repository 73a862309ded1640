/*
** target.h: what goes into a request line or a header, and what must not.
** Refuses bytes that would change the meaning of a request (F26, F27).
** Knows bytes only.
*/
#ifndef TC_TARGET_H
#define TC_TARGET_H

#include <stdbool.h>

#include "base/buffer.h"

#define TC_ID_MOST 512

/* NULL when good, else what is wrong, in words */
const char *tc_id_complaint (tc_slice id);        /* sent as it is */
const char *tc_opaque_id_complaint (tc_slice id); /* percent-encoded */
const char *tc_header_name_complaint (tc_slice name);
const char *tc_header_value_complaint (tc_slice value);
const char *tc_url_complaint (tc_slice url);

/* everything but letters, digits and -._~ as %XX */
tc_status tc_encode (tc_buffer *out, tc_slice text);
/* template with {id} replaced; id.ptr NULL: the "/{id}" falls away */
tc_status tc_expand (tc_buffer *out, const char *path, tc_slice id,
                     bool encode);
/* one name=value behind the mark that belongs there */
tc_status tc_add_pair (tc_buffer *out, char mark, const char *name,
                       tc_slice value);

#endif
