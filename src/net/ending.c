/*
** ending.c: what libcurl knows of an exchange when it ends: phase, headers,
** whether anything was sent, and its codes in our words.
*/
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/net.h"

#define AGES 1e9 /* seconds; a longer Retry-After is garbage */
#define DATES 4  /* Date headers that are looked at */
#define HEADER_ROOM (256 * 1024)

const char *tc_phase_name (tc_phase phase) {
  static const char *const names[] = {
    "waiting for a free connection", "looking up the name", "connecting",
    "asking the proxy for a tunnel", "in the TLS handshake",
    "sending the request", "waiting for the answer", "reading the answer"
  };
  return names[phase];
}

const char *tc_fault_kind (tc_fault fault) {
  static const char *const kinds[] = {
    NULL, "network", "timeout", "tls", "protocol", "too_large", "io",
    "memory", "interrupted", "closed"
  };
  return kinds[fault];
}

const char *tc_curl_header (CURL *c, const char *name) {
  struct curl_header *h;
  if (curl_easy_header(c, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
    return NULL;
  return h->value;
}

static bool took (CURL *c, CURLINFO info) {
  curl_off_t t = 0;
  curl_easy_getinfo(c, info, &t);
  return t > 0;
}

static long request_size (CURL *c) {
  long size = 0;
  curl_easy_getinfo(c, CURLINFO_REQUEST_SIZE, &size);
  return size;
}

/* Whether a byte of the request left, not only words with a proxy. On a fresh
   connection an empty count is a proof; on one used before libcurl may have
   sent and begun anew. */
static bool was_sent (const tc_exchange *x) {
  return x->ready && request_size(x->handle->curl) > x->preamble;
}

static tc_phase find_phase (const tc_exchange *x) {
  CURL *c = x->handle->curl;
  bool secure = strncmp(x->endpoint->settings.url, "https:", 6) == 0;
  if (x->ready && took(c, CURLINFO_STARTTRANSFER_TIME_T)) return TC_PHASE_READ;
  if (x->ready) return was_sent(x) ? TC_PHASE_WAIT : TC_PHASE_SEND;
  if (request_size(c) > 0 && x->reply.proxy_status / 100 != 2)
    return TC_PHASE_PROXY;
  if (secure && (x->reply.proxy_status != 0 ||
                 took(c, CURLINFO_CONNECT_TIME_T)))
    return TC_PHASE_HANDSHAKE;
  return took(c, CURLINFO_NAMELOOKUP_TIME_T) ? TC_PHASE_CONNECT
                                             : TC_PHASE_LOOKUP;
}

/* the one form of date that HTTP allows to be sent, or -1 */
static double parse_http_date (const char *s) {
  bool is_date = s != NULL && strlen(s) == 29 && strcmp(s + 25, " GMT") == 0;
  return is_date ? tc_date(s) : -1;
}

/* seconds, or a date: that is the server's, so its own clock says how far away
   it is, and this machine's only where the server does not tell the time */
static double parse_retry_after (CURL *c, const char *s) {
  size_t len = strlen(s);
  double seconds = -1, when = parse_http_date(s);
  if (len > 0 && strspn(s, "0123456789") == len)
    seconds = len <= 10 ? (double)strtoll(s, NULL, 10) : AGES + 1;
  else if (when >= 0) {
    double now = parse_http_date(tc_curl_header(c, "Date"));
    if (now < 0) now = (double)time(NULL);
    seconds = when > now ? when - now : 0;
  }
  return seconds <= AGES ? seconds : -1;
}

/* the earliest of the moments that the Date headers can mean (gateway and
   service behind it write one each), or -1 */
static double read_date (CURL *c) {
  struct curl_header *h;
  double earliest = -1;
  for (size_t i = 0; i < DATES; i++) {
    double date;
    if (curl_easy_header(c, "Date", i, CURLH_HEADER, -1, &h) != CURLHE_OK) break;
    date = tc_date(h->value);
    if (date >= 0 && (earliest < 0 || date < earliest)) earliest = date;
  }
  return earliest;
}

/* scheme and host of where the server points, and nothing that may hold a
   secret: no user, no path, no query */
static char *redirect_host (const char *url) {
  const char *host, *end, *at;
  char *out;
  if (url == NULL || (host = strstr(url, "://")) == NULL) return NULL;
  host += 3;
  end = host + strcspn(host, "/?#");
  for (at = host; at < end; at++)
    if (*at == '@') host = at + 1;
  out = strndup(url, (size_t)(end - url));
  if (out != NULL) {
    size_t scheme = (size_t)(strstr(url, "://") - url) + 3;
    memmove(out + scheme, host, (size_t)(end - host));
    out[scheme + (size_t)(end - host)] = '\0';
  }
  return out;
}

static void read_headers (tc_reply *r, CURL *c, const tc_request *request) {
  char *text = NULL;
  const char *value;
  curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &text);
  if (text != NULL) r->content_type = strdup(text);
  if (request->keep != NULL &&
      (value = tc_curl_header(c, request->keep)) != NULL)
    r->kept = strdup(value);
  if (request->is_file != NULL)
    r->framed = tc_curl_header(c, "Content-Length") != NULL ||
                tc_curl_header(c, "Transfer-Encoding") != NULL;
  if (r->http_status >= 300 && r->http_status < 400) {
    curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &text);
    r->redirect = redirect_host(text);
  }
  if (r->http_status >= 400 &&
      (value = tc_curl_header(c, "Retry-After")) != NULL)
    r->retry_after = parse_retry_after(c, value);
  r->date = read_date(c);
}

/* then libcurl takes one of them for the end of the body */
static bool lengths_differ (CURL *c) {
  const char *name = "Content-Length", *first = tc_curl_header(c, name);
  struct curl_header *h;
  for (size_t i = 1; first != NULL; i++) {
    if (curl_easy_header(c, name, i, CURLH_HEADER, -1, &h) != CURLHE_OK) break;
    if (strcmp(h->value, first) != 0) return true;
  }
  return false;
}

/* libcurl does not tell that there was no socket */
static const char *detail_of (const tc_exchange *x) {
  int refused = x->handle->refused;
  return x->reply.code == CURLE_COULDNT_CONNECT && refused != 0
           ? strerror(refused) : x->handle->error;
}

void tc_exchange_read (tc_exchange *x) {
  tc_reply *r = &x->reply;
  CURL *c = x->handle->curl;
  long status = 0, proxy = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(c, CURLINFO_HTTP_CONNECTCODE, &proxy);
  r->http_status = (int)status;
  r->proxy_status = (int)proxy;
  r->sent = was_sent(x);
  if (r->fault != TC_FAULT_NONE) {
    r->phase = find_phase(x);
    if (r->detail == NULL && detail_of(x)[0] != '\0')
      r->detail = strdup(detail_of(x));
  }
  read_headers(r, c, &x->request);
  tc_endpoint_keep_cookies(x->endpoint, c);
  if (r->fault == TC_FAULT_NONE && x->request.is_file != NULL &&
      lengths_differ(c)) {
    r->fault = TC_FAULT_PROTOCOL;
    r->detail = strdup("the headers tell two different lengths");
  }
}

/* ---- libcurl's codes in our words ---- */

/* libcurl 7 says "out of memory" of too long a header line as well, of which it
   keeps 100 KiB: whether there is room for one tells */
static tc_fault memory_or_protocol (const tc_exchange *x) {
  void *volatile room;
  if (!was_sent(x) || x->reply.bytes > 0) return TC_FAULT_MEMORY;
  room = malloc(HEADER_ROOM);
  free(room);
  return room != NULL ? TC_FAULT_PROTOCOL : TC_FAULT_MEMORY;
}

/* one code stands for a broken line and for a reply that is none: the text
   tells, in the words of libcurl 7 or 8 */
static tc_fault network_or_protocol (const char *text) {
  return strstr(text, "chunk") != NULL ||
         strstr(text, "response headers") != NULL ? TC_FAULT_PROTOCOL
                                                  : TC_FAULT_NETWORK;
}

tc_fault tc_exchange_fault (const tc_exchange *x, CURLcode rc) {
  switch (rc) {
    case CURLE_OK: return TC_FAULT_NONE;
    case CURLE_OPERATION_TIMEDOUT: return TC_FAULT_TIMEOUT;
    case CURLE_OUT_OF_MEMORY: return memory_or_protocol(x);
    case CURLE_FILESIZE_EXCEEDED: return TC_FAULT_TOO_LARGE;
    case CURLE_RECV_ERROR: return network_or_protocol(x->handle->error);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT: return TC_FAULT_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_WRITE_ERROR:
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE: /* a header line */
#endif
      return TC_FAULT_PROTOCOL;
    default: return TC_FAULT_NETWORK;
  }
}
