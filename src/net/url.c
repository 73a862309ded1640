/*
** url.c: see url.h.
*/
#include "net/url.h"

#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buffer.h"

typedef struct parts {
  char *scheme, *host, *port, *given_port, *path;
} parts;

/* NULL: there is none, or (noted) no memory for it */
static char *part (CURLU *u, CURLUPart what, unsigned flags, bool *short_of) {
  char *text = NULL;
  CURLUcode rc = curl_url_get(u, what, &text, flags);
  if (rc == CURLUE_OUT_OF_MEMORY) *short_of = true;
  return rc == CURLUE_OK ? text : NULL;
}

static bool has (CURLU *u, CURLUPart what) {
  bool short_of = false;
  char *text = part(u, what, 0, &short_of);
  curl_free(text);
  return text != NULL;
}

static const char *complaint (CURLU *u) {
  if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD))
    return "a URL without credentials (options user and password take them)";
  if (has(u, CURLUPART_QUERY) || has(u, CURLUPART_FRAGMENT))
    return "a URL without query and fragment";
  return NULL;
}

/* one or two dots, plain or percent-encoded, between slashes or at the end:
   readers differ in what they make of them */
static bool has_dots (const char *rest) {
  const char *at = rest;
  while ((at = strchr(at, '/')) != NULL) {
    int dots = 0;
    for (at++; *at == '.' || strncasecmp(at, "%2e", 3) == 0; dots++)
      at += *at == '.' ? 1 : 3;
    if (dots >= 1 && dots <= 2 && (*at == '/' || *at == '\0')) return true;
  }
  return false;
}

/* where libcurl's reader is lenient */
static const char *text_complaint (const char *text) {
  const char *rest = strstr(text, "://");
  if (rest == NULL) return "a URL that begins with http:// or https://";
  rest += 3;
  if (*rest == '/' || *rest == '\0' || *rest == '?')
    return "a URL with a host name";
  return has_dots(rest) ? "a URL without '..' and '.' in its path" : NULL;
}

static const char *scheme_complaint (CURLUcode rc) {
  switch (rc) {
    case CURLUE_OK: return NULL;
    case CURLUE_OUT_OF_MEMORY: return "";
    case CURLUE_BAD_PORT_NUMBER: return "a URL with a port from 1 to 65535";
    case CURLUE_USER_NOT_ALLOWED:
      return "a URL without credentials (options user and password take them)";
    case CURLUE_BAD_SCHEME:
    case CURLUE_UNSUPPORTED_SCHEME:
      return "a URL that begins with http:// or https://";
    default: return "a URL such as http://host:9001";
  }
}

static char *join (const char *a, const char *b, const char *c,
                   const char *d, const char *e, size_t e_len) {
  tc_buffer out;
  tc_buffer_init(&out, 8192);
  if (tc_buffer_addtext(&out, a) == TC_OK &&
      tc_buffer_addtext(&out, b) == TC_OK &&
      tc_buffer_addtext(&out, c) == TC_OK &&
      tc_buffer_addtext(&out, d) == TC_OK &&
      tc_buffer_add(&out, e, e_len) == TC_OK)
    return out.ptr;
  tc_buffer_free(&out);
  return NULL;
}

static const char *assemble (tc_url *out, const parts *p) {
  size_t len;
  char *start;
  if (strcmp(p->port, "0") == 0)
    return "a URL with a port from 1 to 65535";
  if (strcmp(p->scheme, "http") != 0 && strcmp(p->scheme, "https") != 0)
    return "a URL that begins with http:// or https://";
  len = strlen(p->path);
  while (len > 0 && p->path[len - 1] == '/') len--;
  out->host = join(p->host, ":", p->port, "", "", 0);
  start = join(p->scheme, "://", p->host, "", "", 0);
  if (start != NULL)
    out->base = join(start, p->given_port != NULL ? ":" : "",
                     p->given_port != NULL ? p->given_port : "", "", p->path,
                     len);
  free(start);
  return out->host != NULL && out->base != NULL ? NULL : "";
}

static const char *read_parts (tc_url *out, CURLU *u) {
  parts p;
  const char *why = "";
  bool short_of = false;
  p.scheme = part(u, CURLUPART_SCHEME, 0, &short_of);
  p.host = part(u, CURLUPART_HOST, 0, &short_of);
  p.port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &short_of);
  p.given_port = part(u, CURLUPART_PORT, 0, &short_of);
  p.path = part(u, CURLUPART_PATH, 0, &short_of);
  if (!short_of && p.scheme != NULL && p.port == NULL)
    why = "a URL that begins with http:// or https://";
  else if (!short_of && p.scheme != NULL && p.host != NULL && p.path != NULL)
    why = assemble(out, &p);
  curl_free(p.scheme);
  curl_free(p.host);
  curl_free(p.port);
  curl_free(p.given_port);
  curl_free(p.path);
  return why;
}

const char *tc_url_read (tc_url *out, const char *text) {
  const char *why = text_complaint(text);
  CURLU *u;
  out->base = out->host = NULL;
  if (why != NULL) return why;
  if ((u = curl_url()) == NULL) return "";
  why = scheme_complaint(curl_url_set(u, CURLUPART_URL, text, 0));
  if (why == NULL) why = complaint(u);
  if (why == NULL) why = read_parts(out, u);
  curl_url_cleanup(u);
  if (why != NULL) tc_url_free(out);
  return why;
}

void tc_url_free (tc_url *u) {
  free(u->base);
  free(u->host);
  u->base = u->host = NULL;
}

/* ---- this machine ---- */

static bool is_loopback_v6 (const struct in6_addr *a) {
  static const unsigned char mapped[12] = { [10] = 0xFF, [11] = 0xFF };
  return IN6_IS_ADDR_LOOPBACK(a) ||
         (memcmp(a->s6_addr, mapped, sizeof mapped) == 0 &&
          a->s6_addr[12] == 127);
}

static bool is_loopback (const struct sockaddr *a) {
  if (a->sa_family == AF_INET6)
    return is_loopback_v6(&((const struct sockaddr_in6 *)(const void *)a)
                             ->sin6_addr);
  return a->sa_family == AF_INET &&
         ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr)
             >> 24 == 127;
}

bool tc_host_is_loopback (const char *host) {
  struct addrinfo hints, *found = NULL;
  char bare[64];
  size_t len = strlen(host);
  bool yes;
  if (strcasecmp(host, "localhost") == 0) return true; /* libcurl's own answer */
  if (len >= 2 && host[0] == '[' && host[len - 1] == ']') host++, len -= 2;
  if (len == 0 || len >= sizeof bare) return false;
  memcpy(bare, host, len);
  bare[len] = '\0';
  memset(&hints, 0, sizeof hints);
  hints.ai_flags = AI_NUMERICHOST; /* 127.1, 0x7f.1, 2130706433, ::1 */
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(bare, NULL, &hints, &found) != 0) return false;
  yes = is_loopback(found->ai_addr);
  freeaddrinfo(found);
  return yes;
}
