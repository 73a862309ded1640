/*
** endpoint.c: one server: its fixed curl profile, the headers it is sent, and
** the handles that are used again and again.
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/net.h"

#define IDLE_MOST 64

/* ---- headers ---- */

static bool append (struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer == NULL) return false;
  *list = longer;
  return true;
}

/* a cache between here and the server may answer with a state of long ago */
static bool fill (struct curl_slist **list, const tc_header *h, bool bare,
                  tc_content content) {
  bool cached = false;
  if (content != TC_BODY_NONE && !append(list, "Expect:")) return false;
  if (content == TC_BODY_JSON &&
      !append(list, "Content-Type: application/json"))
    return false;
  for (; h != NULL && h->line != NULL; h++) {
    cached = cached || strncasecmp(h->line, "Cache-Control:", 14) == 0;
    if (!(bare && h->credential) && !append(list, h->line)) return false;
  }
  return cached || append(list, "Cache-Control: no-cache");
}

static void free_headers (tc_headers *h) {
  while (h != NULL) {
    tc_headers *older = h->older;
    for (int bare = 0; bare < 2; bare++)
      for (int content = 0; content <= TC_BODY_FORM; content++)
        curl_slist_free_all(h->lists[bare][content]);
    free(h);
    h = older;
  }
}

bool tc_endpoint_set_headers (tc_endpoint *e, const tc_header *headers) {
  tc_headers *h = calloc(1, sizeof *h);
  if (h == NULL) return false;
  for (int bare = 0; bare < 2; bare++)
    for (int content = 0; content <= TC_BODY_FORM; content++)
      if (!fill(&h->lists[bare][content], headers, bare, (tc_content)content)) {
        free_headers(h);
        return false;
      }
  h->older = e->headers;
  e->headers = h;
  tc_endpoint_landed(e);
  return true;
}

/* headers that were replaced go when no exchange can be using them */
void tc_endpoint_landed (tc_endpoint *e) {
  if (e->pool.busy > 0 || e->headers == NULL) return;
  free_headers(e->headers->older);
  e->headers->older = NULL;
}

/* ---- the profile ---- */

typedef struct numeric {
  CURLoption option;
  long value;
} numeric;

static const numeric profile[] = {
  { CURLOPT_FOLLOWLOCATION, 0 },       /* a token would follow */
  { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
  { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
  { CURLOPT_NETRC, CURL_NETRC_IGNORED },
  { CURLOPT_NOSIGNAL, 1 },
  { CURLOPT_QUICK_EXIT, 1 },           /* name servers that never answer */
  { CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
  { CURLOPT_TCP_NODELAY, 1 },
  { CURLOPT_TCP_KEEPALIVE, 1 },        /* for the calls that may be silent */
  { CURLOPT_MAXAGE_CONN, 30 },
  { CURLOPT_MAXLIFETIME_CONN, 3600 },
  { CURLOPT_LOW_SPEED_LIMIT, 1 },
  { CURLOPT_HTTPGET, 1 },
  { CURLOPT_NOPROGRESS, 0 }            /* turns are counted: see exchange.c */
};

static bool set (CURL *c, CURLoption option, const char *value) {
  return curl_easy_setopt(c, option, value) == CURLE_OK;
}

/* false: no memory, or the option *why is refused */
static bool set_texts (CURL *c, const tc_settings *s, const char **why) {
  CURLcode rc = CURLE_OK;
  for (const tc_setting *t = s->texts; rc == CURLE_OK && t->name != NULL; t++) {
    rc = curl_easy_setopt(c, t->option, t->value);
    if (rc != CURLE_OK && rc != CURLE_OUT_OF_MEMORY) *why = t->name;
  }
  if (rc != CURLE_OK) return false;
  if (s->proxy != NULL && strcmp(s->proxy, "env") == 0) return true;
  return set(c, CURLOPT_PROXY, s->proxy != NULL ? s->proxy : "") &&
         set(c, CURLOPT_NOPROXY, s->proxy != NULL ? "" : "*");
}

/* never a copy of another: curl_easy_duphandle crashes without memory */
static CURL *new_curl (tc_endpoint *e, const char **why) {
  const tc_settings *s = &e->settings;
  CURL *c = curl_easy_init();
  bool fine = c != NULL;
  for (size_t i = 0; fine && i < sizeof profile / sizeof *profile; i++)
    fine = curl_easy_setopt(c, profile[i].option, profile[i].value) == CURLE_OK;
  fine = fine && set(c, CURLOPT_PROTOCOLS_STR, "http,https") &&
         set(c, CURLOPT_ACCEPT_ENCODING, "gzip") && set_texts(c, s, why) &&
         curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, s->insecure ? 0L : 1L) ==
           CURLE_OK &&
         curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, s->insecure ? 0L : 2L) ==
           CURLE_OK &&
         curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                          (long)(s->connect_timeout * 1000)) == CURLE_OK &&
         set(c, CURLOPT_URL, e->url) &&
         /* a socket is closed when the handle that opened it may be gone */
         curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION,
                          tc_pool_close_socket) == CURLE_OK &&
         curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, &e->pool) == CURLE_OK;
  /* the name of no file: what switches the cookie engine on */
  if (s->session) fine = fine && set(c, CURLOPT_COOKIEFILE, "");
  if (e->share != NULL)
    fine = fine && curl_easy_setopt(c, CURLOPT_SHARE, e->share) == CURLE_OK;
  if (fine) return c;
  curl_easy_cleanup(c);
  return NULL;
}

/* The URL of a handle stays the same, calls differ by their request target:
   libcurl spends a fifth of a call on writing out a long URL. A session needs
   the path in the URL, for its cookies may have one; and with a proxy the
   target would have to be the whole URL. */
static bool set_url (tc_endpoint *e) {
  const tc_settings *s = &e->settings;
  const char *host = strstr(s->url, "://") + 3;
  size_t origin = (size_t)(host - s->url) + strcspn(host, "/");
  e->url = s->session ? strdup(s->url) : strndup(s->url, origin);
  if (s->proxy == NULL) e->origin = origin;
  return e->url != NULL;
}

/* Without memory libcurl 7 leaves a freed name behind in its store of TLS
   sessions, and frees it again with the next session: after such a failure this
   endpoint stores no more. */
static void on_unlock (CURL *curl, curl_lock_data data, void *endpoint) {
  tc_endpoint *e = endpoint;
  char *handle = NULL;
  if (data != CURL_LOCK_DATA_SSL_SESSION) return;
  curl_easy_getinfo(curl, CURLINFO_PRIVATE, &handle);
  if (handle == NULL || ((tc_handle *)(void *)handle)->error[0] == '\0') return;
  e->resumes = false;
  for (tc_node *n = e->flying.first; n != NULL; n = n->next) {
    tc_handle *h = ((tc_exchange *)n)->handle;
    curl_easy_setopt(h->curl, CURLOPT_SSL_SESSIONID_CACHE, h->resumed = 0L);
  }
}

static bool make_share (tc_endpoint *e) {
  const tc_settings *s = &e->settings;
  e->resumes = strncmp(s->url, "https:", 6) == 0;
  if (!s->session && !e->resumes) return true;
  return (e->share = curl_share_init()) != NULL &&
         (!s->session ||
          curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) ==
            CURLSHE_OK) &&
         (!e->resumes ||
          (curl_share_setopt(e->share, CURLSHOPT_SHARE,
                             CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK &&
           curl_share_setopt(e->share, CURLSHOPT_UNLOCKFUNC, on_unlock) ==
             CURLSHE_OK &&
           curl_share_setopt(e->share, CURLSHOPT_USERDATA, e) == CURLSHE_OK));
}

/* ---- handles ---- */

static tc_handle *new_handle (tc_endpoint *e, const char **why) {
  tc_handle *h = calloc(1, sizeof *h);
  if (h == NULL) return NULL;
  h->curl = new_curl(e, why);
  h->verb = "GET";
  h->resumed = 1;
  if (h->curl == NULL) {
    free(h);
    return NULL;
  }
  tc_exchange_set_callbacks(h);
  return h;
}

tc_handle *tc_endpoint_handle (tc_endpoint *e) {
  tc_handle *h = e->idle;
  const char *why;
  if (h == NULL) return new_handle(e, &why);
  e->idle = h->next;
  e->idle_count--;
  return h;
}

static void free_handle (tc_handle *h) {
  curl_easy_cleanup(h->curl);
  free(h);
}

void tc_endpoint_put_back (tc_endpoint *e, tc_handle *h) {
  h->exchange = NULL;
  if (e->closed || e->idle_count >= IDLE_MOST) {
    free_handle(h);
    return;
  }
  h->next = e->idle;
  e->idle = h;
  e->idle_count++;
}

/* ---- making and ending ---- */

/* the first handle shows whether libcurl takes the settings */
static bool make_first (tc_endpoint *e, const char **why) {
  tc_handle *h;
  if (e->settings.session) return (e->jar = new_curl(e, why)) != NULL;
  if ((h = new_handle(e, why)) == NULL) return false;
  tc_endpoint_put_back(e, h);
  return true;
}

tc_endpoint *tc_endpoint_new (tc_loop *l, const tc_settings *s,
                              const char **why) {
  tc_endpoint *e = calloc(1, sizeof *e);
  *why = NULL;
  if (e == NULL) return NULL;
  e->refs = 1;
  e->pool.loop = l;
  e->pool.due = HUGE_VAL;
  e->pool.most = s->max_connections;
  l->refs++;
  e->settings = *s;
  e->idle_s = (long)(s->idle_timeout + 0.999);
  if (set_url(e) && make_share(e) && make_first(e, why) &&
      tc_endpoint_set_headers(e, s->headers))
    return e;
  tc_endpoint_close(e);
  tc_endpoint_release(e);
  return NULL;
}

/* In a child nothing is given back that could reach a socket. Handles before
   the share they use, headers last. */
void tc_endpoint_close (tc_endpoint *e) {
  if (e->closed) return;
  e->closed = true;
  if (tc_loop_forked(e->pool.loop)) return;
  tc_exchange_end_all(e, TC_FAULT_CLOSED);
  while (e->idle != NULL) {
    tc_handle *h = e->idle;
    e->idle = h->next;
    free_handle(h);
  }
  tc_pool_close(&e->pool);
  if (e->jar != NULL) curl_easy_cleanup(e->jar);
  if (e->share != NULL) curl_share_cleanup(e->share);
  e->jar = NULL;
  e->share = NULL;
  free_headers(e->headers);
  e->headers = NULL;
  tc_loop_kick(e->pool.loop);
}

void tc_endpoint_release (tc_endpoint *e) {
  if (--e->refs > 0) return;
  tc_endpoint_close(e);
  /* in a child: to close the connections would say goodbye on sockets that the
     parent goes on using */
  if (e->pool.multi != NULL) tc_pool_unlink(&e->pool);
  tc_loop_release(e->pool.loop);
  free(e->lost);
  free(e->url);
  free(e);
}

bool tc_endpoint_closed (const tc_endpoint *e) {
  return e->closed || tc_loop_forked(e->pool.loop);
}
