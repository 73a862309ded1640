/*
** cookies.c: the cookies of a session: what they are, and those that libcurl
** would not send back.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/secret.h"
#include "net/net.h"

#define COOKIE_MOST 8192 /* bytes of a cookie's line; libcurl takes no longer */
#define AGES 1000000000LL /* seconds; a cookie need not live longer */

void tc_endpoint_forget_session (tc_endpoint *e) {
  free(e->lost);
  e->lost = NULL;
  if (e->jar != NULL && !tc_endpoint_closed(e))
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
  if (e->jar == NULL || tc_endpoint_closed(e)) return;
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
  if (e->jar == NULL) return;
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
