/*
** endpoint.c: one server: its fixed curl profile (reliability.md 5), its
** session cookies, and the handles that are used again and again.
*/
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "net/net.h"
#include "base/secret.h"

#define IDLE_MOST 64
#define COOKIE_MOST 8192 /* bytes of a cookie's line; libcurl takes no longer */
#define TOKEN "Token-"
#define AGES 1000000000LL /* seconds; a cookie need not live longer */

/* ---- headers ---- */

static bool append (struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer == NULL) return false;
  *list = longer;
  return true;
}

static bool has_header (const char *const *h, const char *start) {
  for (; h != NULL && *h != NULL; h++)
    if (strncasecmp(*h, start, strlen(start)) == 0) return true;
  return false;
}

/* a cache between here and the server may answer with a state of long ago */
static bool fill (struct curl_slist **list, const char *const *h, bool bare,
                  tc_content content) {
  if (content != TC_BODY_NONE && !append(list, "Expect:")) return false;
  if (content == TC_BODY_JSON &&
      !append(list, "Content-Type: application/json"))
    return false;
  if (!has_header(h, "Cache-Control:") &&
      !append(list, "Cache-Control: no-cache"))
    return false;
  for (; h != NULL && *h != NULL; h++) {
    if (bare && strncasecmp(*h, TOKEN, sizeof TOKEN - 1) == 0) continue;
    if (!append(list, *h)) return false;
  }
  return true;
}

static bool fill_all (tc_headers *h, const char *const *headers) {
  static const tc_content contents[] = {
    TC_BODY_NONE, TC_BODY_JSON, TC_BODY_FORM
  };
  for (int bare = 0; bare < 2; bare++)
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++)
      if (!fill(&h->lists[bare][contents[i]], headers, bare, contents[i]))
        return false;
  return true;
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

bool tc_endpoint_set_headers (tc_endpoint *e, const char *const *headers) {
  tc_headers *h = calloc(1, sizeof *h);
  if (h == NULL) return false;
  if (!fill_all(h, headers)) {
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
  if (e->flying_count > 0 || e->headers == NULL) return;
  free_headers(e->headers->older);
  e->headers->older = NULL;
}

/* ---- the profile ---- */

typedef struct numeric {
  CURLoption option;
  long value;
} numeric;

static const numeric profile[] = {
  { CURLOPT_FOLLOWLOCATION, 0 },       /* a token would follow (F22) */
  { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
  { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
  { CURLOPT_SSL_SESSIONID_CACHE, 0 },  /* double free without memory */
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

static bool set_profile (CURL *c) {
  for (size_t i = 0; i < sizeof profile / sizeof *profile; i++)
    if (curl_easy_setopt(c, profile[i].option, profile[i].value) != CURLE_OK)
      return false;
  return curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") ==
           CURLE_OK &&
         curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK;
}

static bool set_text (CURL *c, CURLoption option, const char *value,
                      const char *name, const char **why) {
  if (value == NULL) return true;
  switch (curl_easy_setopt(c, option, value)) {
    case CURLE_OK: return true;
    case CURLE_OUT_OF_MEMORY: return false;
    default: *why = name; return false;
  }
}

static bool set_proxy (CURL *c, const tc_settings *s, const char **why) {
  if (s->proxy != NULL && strcmp(s->proxy, "env") == 0) return true;
  return set_text(c, CURLOPT_PROXY, s->proxy != NULL ? s->proxy : "", "proxy",
                  why) &&
         set_text(c, CURLOPT_NOPROXY, s->proxy != NULL ? "" : "*", "proxy",
                  why);
}

static bool set_texts (CURL *c, const tc_settings *s, const char **why) {
  return set_text(c, CURLOPT_USERAGENT, s->user_agent, "user_agent", why) &&
         set_text(c, CURLOPT_COOKIE, s->cookie, "cookie", why) &&
         set_text(c, CURLOPT_USERNAME, s->user, "user", why) &&
         set_text(c, CURLOPT_PASSWORD, s->password, "password", why) &&
         set_text(c, CURLOPT_CAINFO, s->ca_file, "ca_file", why) &&
         set_text(c, CURLOPT_CAPATH, s->ca_path, "ca_path", why) &&
         set_text(c, CURLOPT_SSLCERT, s->cert, "cert", why) &&
         set_text(c, CURLOPT_SSLKEY, s->key, "key", why) &&
         set_text(c, CURLOPT_KEYPASSWD, s->key_password, "key_password",
                  why) &&
         set_proxy(c, s, why);
}

/* a socket is closed when the handle that opened it may be gone */
static void set_callbacks (CURL *c, tc_endpoint *e) {
  curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, tc_loop_open_socket);
  curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, tc_loop_close_socket);
  curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, e);
  curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, tc_exchange_ready);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, tc_exchange_body);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, tc_exchange_header);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, tc_exchange_progress);
}

static bool set_fixed (CURL *c, tc_endpoint *e) {
  const tc_settings *s = &e->settings;
  set_callbacks(c, e);
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, s->insecure ? 0L : 1L);
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, s->insecure ? 0L : 2L);
  if (s->user != NULL)
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
  if (curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                       (long)(s->connect_timeout * 1000)) != CURLE_OK ||
      curl_easy_setopt(c, CURLOPT_URL, s->url) != CURLE_OK)
    return false;
  return e->share == NULL ||
         /* the name of no file: what switches the cookie engine on */
         (curl_easy_setopt(c, CURLOPT_COOKIEFILE, "") == CURLE_OK &&
          curl_easy_setopt(c, CURLOPT_SHARE, e->share) == CURLE_OK);
}

/* never a copy of another: curl_easy_duphandle crashes without memory */
static CURL *new_curl (tc_endpoint *e, const char **why) {
  CURL *c = curl_easy_init();
  if (c != NULL && set_profile(c) && set_texts(c, &e->settings, why) &&
      set_fixed(c, e))
    return c;
  curl_easy_cleanup(c);
  return NULL;
}

/* ---- settings of our own ---- */

#define TEXT(name) offsetof(tc_settings, name)

static const size_t texts[] = {
  TEXT(url), TEXT(cookie), TEXT(user), TEXT(password), TEXT(user_agent),
  TEXT(proxy), TEXT(ca_file), TEXT(ca_path), TEXT(cert), TEXT(key),
  TEXT(key_password)
};

static const char **text_at (tc_settings *s, size_t i) {
  return (const char **)(void *)((char *)s + texts[i]);
}

static bool copy_settings (tc_settings *to, const tc_settings *from) {
  bool fine = true;
  *to = *from;
  to->host = NULL;
  to->headers = NULL;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char **text = text_at(to, i);
    if (*text == NULL) continue;
    *text = strdup(*text);
    fine = fine && *text != NULL;
  }
  return fine;
}

static void free_settings (tc_settings *s) {
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char **text = text_at(s, i);
    if (*text != NULL) tc_wipe((char *)*text, strlen(*text));
    free((char *)*text);
    *text = NULL;
  }
}

/* The URL of a handle stays the same, calls differ by their request target:
   libcurl spends a fifth of a call on writing out a long URL. A session needs
   the path in the URL, for its cookies may have one; and with a proxy the
   target would have to be the whole URL. */
static void set_origin (tc_endpoint *e) {
  char *url = (char *)e->settings.url;
  char *path = strchr(strstr(url, "://") + 3, '/');
  size_t origin = path != NULL ? (size_t)(path - url) : strlen(url);
  if (!e->settings.session) url[origin] = '\0';
  if (e->settings.proxy == NULL) e->origin = origin;
}

static bool make_share (tc_endpoint *e) {
  if (!e->settings.session) return true;
  e->share = curl_share_init();
  return e->share != NULL &&
         curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) ==
           CURLSHE_OK;
}

/* the first handle shows whether libcurl takes the settings */
static bool make_first (tc_endpoint *e, const char **why) {
  CURL *c = new_curl(e, why);
  if (e->share != NULL) e->jar = c;
  else curl_easy_cleanup(c);
  return c != NULL;
}

/* ---- handles ---- */

static tc_handle *new_handle (tc_endpoint *e) {
  const char *why;
  tc_handle *h = calloc(1, sizeof *h);
  if (h == NULL) return NULL;
  h->curl = new_curl(e, &why);
  h->verb = "GET";
  if (h->curl == NULL) {
    free(h);
    return NULL;
  }
  curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->error);
  curl_easy_setopt(h->curl, CURLOPT_PRIVATE, h);
  curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
  curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, h);
  curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, h);
  curl_easy_setopt(h->curl, CURLOPT_PREREQDATA, h);
  curl_easy_setopt(h->curl, CURLOPT_OPENSOCKETDATA, h);
  return h;
}

tc_handle *tc_endpoint_handle (tc_endpoint *e) {
  tc_handle *h = e->idle;
  if (h == NULL) return new_handle(e);
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

tc_endpoint *tc_endpoint_new (tc_loop *l, const tc_settings *s,
                              const char **why) {
  tc_endpoint *e = calloc(1, sizeof *e);
  *why = NULL;
  if (e == NULL) return NULL;
  e->refs = 1;
  e->loop = l;
  e->due = HUGE_VAL;
  l->refs++;
  e->flying_most = s->max_connections;
  e->idle_s = (long)(s->idle_timeout + 0.999);
  e->host = strdup(s->host);
  if (copy_settings(&e->settings, s) && e->host != NULL) {
    set_origin(e);
    if (make_share(e) && make_first(e, why) &&
        tc_endpoint_set_headers(e, s->headers))
      return e;
  }
  tc_endpoint_close(e);
  tc_endpoint_release(e);
  return NULL;
}

static void free_handles (tc_endpoint *e) {
  while (e->idle != NULL) {
    tc_handle *h = e->idle;
    e->idle = h->next;
    free_handle(h);
  }
  e->idle_count = 0;
}

/* handles before the share they use, headers last. In a child only what
   cannot reach a socket is given back */
static void free_curl (tc_endpoint *e) {
  free_handles(e);
  tc_loop_leave(e);
  if (e->jar != NULL) curl_easy_cleanup(e->jar);
  if (e->share != NULL) curl_share_cleanup(e->share);
  e->jar = NULL;
  e->share = NULL;
  free_headers(e->headers);
  e->headers = NULL;
}

void tc_endpoint_close (tc_endpoint *e) {
  if (e->closed) return;
  e->closed = true;
  if (tc_loop_forked(e->loop)) return;
  while (e->waiting.first != NULL)
    tc_exchange_end(e->waiting.first, TC_FAULT_CLOSED);
  while (e->flying.first != NULL)
    tc_exchange_end(e->flying.first, TC_FAULT_CLOSED);
  free_curl(e);
  tc_loop_kick(e->loop);
}

void tc_endpoint_release (tc_endpoint *e) {
  if (--e->refs > 0) return;
  tc_endpoint_close(e);
  /* in a child: to close the connections would say goodbye on sockets that the
     parent goes on using */
  if (e->multi != NULL) tc_loop_unlink(e);
  tc_loop_release(e->loop);
  free_settings(&e->settings);
  free(e->lost);
  free(e->host);
  free(e);
}

bool tc_endpoint_forked (const tc_endpoint *e) {
  return tc_loop_forked(e->loop);
}

bool tc_endpoint_closed (const tc_endpoint *e) {
  return e->closed || tc_endpoint_forked(e);
}

const char *tc_endpoint_host (const tc_endpoint *e) { return e->host; }

/* ---- session ---- */

const char *tc_endpoint_lost_cookie (const tc_endpoint *e) { return e->lost; }

void tc_endpoint_forget_session (tc_endpoint *e) {
  free(e->lost);
  e->lost = NULL;
  if (e->share != NULL && !tc_endpoint_closed(e))
    curl_easy_setopt(e->jar, CURLOPT_COOKIELIST, "ALL");
}

enum { COOKIE_PATH = 2, EXPIRES = 4, NAME, VALUE }; /* of a cookie's seven */

/* the field as libcurl writes it, with tabs between */
static tc_slice cookie_field (const char *line, int n) {
  tc_slice field = { line, 0 };
  for (; n > 0 && *field.ptr != '\0'; n--) {
    field.ptr += strcspn(field.ptr, "\t");
    if (*field.ptr == '\t') field.ptr++;
  }
  field.len = strcspn(field.ptr, "\t");
  return field;
}

static bool is_over (const char *line) {
  long long when = strtoll(cookie_field(line, EXPIRES).ptr, NULL, 10);
  return when != 0 && when <= (long long)time(NULL);
}

void tc_endpoint_cookies (tc_endpoint *e, tc_cookie_seen *see, void *to) {
  struct curl_slist *list = NULL;
  if (e->share == NULL || tc_endpoint_closed(e)) return;
  curl_easy_getinfo(e->jar, CURLINFO_COOKIELIST, &list);
  for (struct curl_slist *at = list; at != NULL; at = at->next)
    if (!is_over(at->data))
      see(to, cookie_field(at->data, NAME), cookie_field(at->data, VALUE));
  curl_slist_free_all(list);
}

/* ---- cookies that libcurl would not send back ---- */

typedef struct cookie {
  tc_slice name, value, path;
  long long expires; /* Unix seconds, 0: with the session */
} cookie;

static tc_slice trim (const char *from, const char *end) {
  tc_slice s;
  while (from < end && (*from == ' ' || *from == '\t')) from++;
  while (end > from && (end[-1] == ' ' || end[-1] == '\t')) end--;
  s.ptr = from;
  s.len = (size_t)(end - from);
  return s;
}

static bool equal (tc_slice a, tc_slice b) {
  return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static bool is_word (tc_slice s, const char *word) {
  return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* name and value of one part of a Set-Cookie header */
static void split (const char *part, const char *end, tc_slice *name,
                   tc_slice *value) {
  const char *sign = memchr(part, '=', (size_t)(end - part));
  *name = trim(part, sign != NULL ? sign : end);
  *value = trim(sign != NULL ? sign + 1 : end, end);
}

static void read_cookie (const char *text, cookie *c) {
  const char *end = text + strcspn(text, ";");
  bool aged = false;
  memset(c, 0, sizeof *c);
  split(text, end, &c->name, &c->value);
  while (*end == ';') {
    tc_slice name, value;
    text = end + 1;
    end = text + strcspn(text, ";");
    split(text, end, &name, &value);
    if (is_word(name, "path")) c->path = value;
    else if (is_word(name, "max-age") && value.len > 0 &&
             strchr("-0123456789", value.ptr[0]) != NULL) {
      long long age = strtoll(value.ptr, NULL, 10);
      if (age > AGES) age = AGES;
      c->expires = age > 0 ? (long long)time(NULL) + age : 1;
      aged = true;
    }
    else if (is_word(name, "expires") && !aged && value.len < 64) {
      char date[64] = "";
      memcpy(date, value.ptr, value.len);
      c->expires = (long long)curl_getdate(date, NULL);
      if (c->expires < 0) c->expires = 0; /* no date: as if there were none */
    }
  }
}

/* whether the one path lies below the other, or is it */
static bool below (tc_slice path, tc_slice top) {
  while (top.len > 0 && top.ptr[top.len - 1] == '/') top.len--;
  return path.len >= top.len && memcmp(path.ptr, top.ptr, top.len) == 0 &&
         (path.len == top.len || path.ptr[top.len] == '/');
}

/* a request of this client goes to the path, or below it */
static bool is_ours (const tc_endpoint *e, tc_slice path) {
  const char *start = strchr(strstr(e->settings.url, "://") + 3, '/');
  tc_slice base = { start != NULL ? start : "", 0 };
  base.len = strlen(base.ptr);
  return path.len > 0 && path.ptr[0] == '/' &&
         (below(base, path) || below(path, base));
}

static bool in_jar (tc_endpoint *e, const cookie *c) {
  struct curl_slist *list = NULL;
  bool found = false;
  curl_easy_getinfo(e->jar, CURLINFO_COOKIELIST, &list);
  for (struct curl_slist *at = list; at != NULL && !found; at = at->next)
    found = equal(cookie_field(at->data, NAME), c->name) &&
            equal(cookie_field(at->data, VALUE), c->value) &&
            is_ours(e, cookie_field(at->data, COOKIE_PATH));
  curl_slist_free_all(list);
  return found;
}

/* as a line of a cookie file, for this host alone */
static void put_in_jar (tc_endpoint *e, const cookie *c) {
  const char *host = strstr(e->settings.url, "://") + 3;
  bool bracket = *host == '[';
  size_t len = strcspn(host += bracket, bracket ? "]" : ":/");
  tc_slice root = { "/", 1 }, path = is_ours(e, c->path) ? c->path : root;
  char line[COOKIE_MOST];
  int n = snprintf(line, sizeof line, "%.*s\tFALSE\t%.*s\t%s\t%lld\t%.*s\t%.*s",
                   (int)len, host, (int)path.len, path.ptr,
                   strncmp(e->settings.url, "https:", 6) == 0 ? "TRUE" : "FALSE",
                   c->expires, (int)c->name.len, c->name.ptr,
                   (int)c->value.len, c->value.ptr);
  if (n > 0 && (size_t)n < sizeof line)
    curl_easy_setopt(e->jar, CURLOPT_COOKIELIST, line);
  tc_wipe(line, sizeof line);
}

/* A client has one server, so a cookie that this server sets is for it. libcurl
   drops one with a foreign Domain (of the machine behind a proxy), with Secure
   where TLS ends at a proxy, or for a path that is not asked for: the login
   would be lost in silence. Such a cookie is kept for this host, or its name is
   for the err. */
void tc_endpoint_keep_cookies (tc_endpoint *e, CURL *c) {
  struct curl_header *h;
  if (e->share == NULL) return;
  for (size_t i = 0; curl_easy_header(c, "Set-Cookie", i, CURLH_HEADER, -1,
                                      &h) == CURLHE_OK; i++) {
    cookie one;
    read_cookie(h->value, &one);
    if (one.name.len == 0 || in_jar(e, &one)) continue;
    put_in_jar(e, &one);
    if (e->lost == NULL && one.value.len > 0 && one.expires != 1 &&
        !in_jar(e, &one))
      e->lost = strndup(one.name.ptr, one.name.len);
  }
}
