/*
** url.h: the address of a server, taken apart and checked.
** Knows libcurl's URL reader, so that both read an address alike.
*/
#ifndef TC_URL_H
#define TC_URL_H

#include <stdbool.h>

typedef struct tc_url {
  char *base; /* scheme, host, port and path, without a '/' at the end */
  char *host; /* host:port, for messages */
} tc_url;

/* NULL, or what is wrong in words ("" for no memory) */
const char *tc_url_read (tc_url *u, const char *text);
void tc_url_free (tc_url *u);

/* Whether a URL's host, a name or an address in any of its spellings, is this
   very machine. No name but localhost is: names are not looked up. */
bool tc_host_is_loopback (const char *host);

#endif
