/*
** exchange.c: one request and its reply. What libcurl calls while it works
** only fills buffers and sets flags; all judgement waits for the end.
*/
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"

#define HEADERS_MOST (256 * 1024) /* bytes of reply headers */
#define GZIP_RATIO 200          /* more is a bomb */
#define GZIP_FREE (1024 * 1024) /* below this nobody asks */
#define LARGE_ROOM 65536L
#define USUAL_ROOM 16384L
#define SIZED_MOST (8 * 1024 * 1024) /* of a body that is only announced */

/* libcurl's turns without a byte of a header or a body. A reply that comes in
   single bytes needs fewer: no server sends a header line of more than 16 KiB */
#define MUTE_MOST (20 * 1024)
#define EMPTY_MOST (4 * 1024 * 1024) /* bytes that unpack to nothing */

/* ---- callbacks: no judgement, no Lua ---- */

/* the return value that makes libcurl stop */
static size_t stop (tc_exchange *x, tc_fault fault, int code) {
  x->reply.fault = fault;
  x->reply.code = code;
  return 0;
}

static curl_socket_t on_open (void *handle, curlsocktype purpose,
                              struct curl_sockaddr *address) {
  tc_handle *h = handle;
  curl_socket_t fd = tc_pool_socket(&h->exchange->endpoint->pool, address);
  (void)purpose;
  h->refused = fd == CURL_SOCKET_BAD ? errno : 0;
  return fd;
}

/* The connection stands, through a proxy's tunnel and with TLS, and the request
   is about to leave: what has been sent until now was for the proxy. */
static int on_ready (void *handle, char *to, char *from, int to_port,
                     int from_port) {
  tc_exchange *x = ((tc_handle *)handle)->exchange;
  (void)to, (void)from, (void)to_port, (void)from_port;
  if (!x->ready)
    curl_easy_getinfo(x->handle->curl, CURLINFO_REQUEST_SIZE, &x->preamble);
  x->ready = true;
  return CURL_PREREQFUNC_OK;
}

/* Called in each turn of the transfer. A server that sends for ever what is
   neither header nor body (chunk extensions, gzip blocks that hold nothing)
   is heard of nowhere else. */
static int on_progress (void *handle, curl_off_t dl_total, curl_off_t dl,
                        curl_off_t ul_total, curl_off_t ul) {
  tc_exchange *x = ((tc_handle *)handle)->exchange;
  (void)dl_total, (void)ul_total;
  if (ul != x->uploaded) x->mute = 0;
  x->uploaded = ul;
  if (x->mute == 0) x->heard = dl;
  if (++x->mute <= MUTE_MOST && dl - x->heard <= EMPTY_MOST) return 0;
  stop(x, TC_FAULT_PROTOCOL, CURLE_ABORTED_BY_CALLBACK);
  if (x->reply.detail == NULL)
    x->reply.detail = strdup("what comes without end is no part of an answer");
  return 1;
}

static size_t on_header (char *bytes, size_t size, size_t n, void *handle) {
  tc_exchange *x = ((tc_handle *)handle)->exchange;
  (void)bytes;
  x->mute = 0;
  x->header_bytes += size * n;
  if (x->header_bytes > HEADERS_MOST)
    return stop(x, TC_FAULT_PROTOCOL, CURLE_RECV_ERROR);
  return size * n;
}

static bool is_bomb (const tc_exchange *x) {
  curl_off_t raw = 0;
  if (x->reply.bytes < GZIP_FREE) return false;
  curl_easy_getinfo(x->handle->curl, CURLINFO_SIZE_DOWNLOAD_T, &raw);
  return x->reply.bytes / GZIP_RATIO > (unsigned long long)raw + USUAL_ROOM;
}

/* 0 or an errno, which has ended the exchange */
static int file_error (tc_exchange *x, int error) {
  if (error != 0 && x->reply.fault == TC_FAULT_NONE)
    stop(x, error == ENOMEM ? TC_FAULT_MEMORY : TC_FAULT_IO, error);
  return error;
}

/* the head is here: into the file with it, or is it none? 0 or an errno */
static int judge_head (tc_exchange *x) {
  long status = 0;
  curl_easy_getinfo(x->handle->curl, CURLINFO_RESPONSE_CODE, &status);
  x->reply.http_status = (int)status;
  x->judged = true;
  x->reply.is_file = x->request.is_file(x);
  if (!x->filing) return 0;
  if (x->reply.is_file)
    return file_error(x, tc_file_write(&x->file, x->reply.body.ptr,
                                       x->reply.body.len));
  tc_file_discard(&x->file);
  x->filing = false;
  return 0;
}

/* room for all of a body whose length is known, at its first byte */
static void size_body (tc_exchange *x) {
  curl_off_t length = -1;
  tc_buffer *body = &x->reply.body;
  curl_easy_getinfo(x->handle->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                    &length);
  if (length > 0 && length <= SIZED_MOST) tc_buffer_reserve(body, (size_t)length);
}

static bool keep (tc_exchange *x, const char *bytes, size_t n) {
  if (x->reply.body.ptr == NULL && !x->filing) size_body(x);
  switch (tc_buffer_add(&x->reply.body, bytes, n)) {
    case TC_OK: return true;
    case TC_NO_MEMORY: return stop(x, TC_FAULT_MEMORY, 0);
    default: return stop(x, TC_FAULT_TOO_LARGE, 0);
  }
}

static size_t on_body (char *bytes, size_t size, size_t n, void *handle) {
  tc_exchange *x = ((tc_handle *)handle)->exchange;
  size_t all = n * size, head = 0;
  x->mute = 0;
  x->reply.bytes += all;
  if (is_bomb(x)) return stop(x, TC_FAULT_TOO_LARGE, 0);
  if (!x->judged && x->request.is_file != NULL) {
    /* always as many bytes are judged, however the network has cut them */
    head = TC_HEAD - x->reply.body.len;
    if (head > all) head = all;
    if (!keep(x, bytes, head)) return 0;
    if (x->reply.body.len >= TC_HEAD && judge_head(x) != 0) return 0;
  }
  bytes += head;
  n = all - head;
  if (n == 0) return all;
  return (x->filing ? file_error(x, tc_file_write(&x->file, bytes, n)) == 0
                    : keep(x, bytes, n)) ? all : 0;
}

void tc_exchange_set_callbacks (tc_handle *h) {
  CURL *c = h->curl;
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->error);
  curl_easy_setopt(c, CURLOPT_PRIVATE, h);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, h);
  curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_ready);
  curl_easy_setopt(c, CURLOPT_PREREQDATA, h);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
}

/* ---- from flying to done ---- */

static void start_next (tc_endpoint *e); /* of those that wait */

static void fail (tc_exchange *x, tc_fault fault, int code) {
  if (x->reply.fault == TC_FAULT_NONE) stop(x, fault, code);
}

static void end_file (tc_exchange *x) {
  if (x->request.is_file != NULL && !x->judged &&
      x->reply.fault == TC_FAULT_NONE)
    judge_head(x);
  if (!x->filing) return;
  if (x->reply.fault == TC_FAULT_NONE)
    x->reply.saved = file_error(x, tc_file_commit(&x->file)) == 0;
  tc_file_discard(&x->file);
  x->filing = false;
}

static void deliver (tc_exchange *x) {
  tc_loop *l = x->endpoint->pool.loop;
  x->reply.seconds = l->now - x->started;
  tc_buffer_wipe(&x->request.body);
  x->state = TC_DONE;
  tc_list_add(&l->done, &x->node);
}

static void land (tc_exchange *x) {
  tc_endpoint *e = x->endpoint;
  tc_exchange_read(x);
  end_file(x);
  curl_multi_remove_handle(e->pool.multi, x->handle->curl);
  if (x->reply.fault != TC_FAULT_NONE) tc_loop_sweep(e->pool.loop);
  tc_endpoint_put_back(e, x->handle);
  x->handle = NULL;
  tc_list_remove(&e->flying, &x->node);
  e->pool.busy--;
  tc_endpoint_landed(e);
  deliver(x);
}

static void drop (tc_exchange *x, tc_fault fault) {
  fail(x, fault, 0);
  tc_list_remove(&x->endpoint->waiting, &x->node);
  x->reply.phase = TC_PHASE_QUEUE;
  if (x->filing) tc_file_discard(&x->file);
  x->filing = false;
  deliver(x);
}

void tc_exchange_ended (tc_pool *p, CURL *curl, CURLcode rc) {
  tc_endpoint *e = (tc_endpoint *)(void *)p;
  if (curl != NULL) {
    char *handle = NULL;
    tc_exchange *x;
    curl_easy_getinfo(curl, CURLINFO_PRIVATE, &handle);
    x = ((tc_handle *)(void *)handle)->exchange;
    fail(x, tc_exchange_fault(x, rc), (int)rc);
    land(x);
  }
  else {
    while (e->flying.first != NULL) {
      fail((tc_exchange *)e->flying.first, TC_FAULT_MEMORY, 0);
      land((tc_exchange *)e->flying.first);
    }
    tc_pool_close(p);
  }
  start_next(e);
}

void tc_exchange_end_all (tc_endpoint *e, tc_fault fault) {
  e->pool.loop->now = tc_now();
  while (e->waiting.first != NULL)
    drop((tc_exchange *)e->waiting.first, fault);
  while (e->flying.first != NULL) {
    fail((tc_exchange *)e->flying.first, fault, 0);
    land((tc_exchange *)e->flying.first);
  }
}

/* the descriptor tells of it, and whoever was next in line is on its way */
void tc_exchange_cancel (tc_exchange *x) {
  tc_endpoint *e = x->endpoint;
  if (x->state == TC_NEW || tc_exchange_done(x) ||
      tc_loop_forked(e->pool.loop))
    return;
  e->pool.loop->now = tc_now();
  if (x->state == TC_WAITING)
    drop(x, TC_FAULT_INTERRUPTED);
  else {
    fail(x, TC_FAULT_INTERRUPTED, 0);
    land(x);
    start_next(e);
  }
  tc_loop_kick(e->pool.loop);
}

double tc_exchange_expire (tc_pool *p, double now) {
  double first = HUGE_VAL;
  for (tc_node *n = ((tc_endpoint *)(void *)p)->waiting.first, *next; n != NULL;
       n = next) {
    tc_exchange *x = (tc_exchange *)n;
    next = n->next;
    if (x->deadline <= now) drop(x, TC_FAULT_TIMEOUT);
    else first = fmin(first, x->deadline);
  }
  return first;
}

/* ---- take-off ---- */

static void set_long (CURL *c, CURLoption option, long *was, long value) {
  if (*was == value) return;
  curl_easy_setopt(c, option, value);
  *was = value;
}

static long milliseconds (double seconds) {
  double ms = ceil(seconds * 1000);
  return ms < 1 ? 1 : ms > 2e9 ? 2000000000 : (long)ms;
}

/* false: no memory */
static bool set_handle (tc_handle *h, tc_exchange *x) {
  const tc_request *r = &x->request;
  const tc_endpoint *e = x->endpoint;
  const struct curl_slist *list = e->headers->lists[r->bare][r->content];
  bool post = strcmp(r->verb, "POST") == 0;
  curl_off_t most = x->filing ? 0 : (curl_off_t)r->max_body;
  h->exchange = x;
  h->error[0] = '\0';
  h->refused = 0;
  if (h->headers != list) curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
  h->headers = list;
  set_long(h->curl, CURLOPT_TIMEOUT_MS, &h->timeout_ms,
           milliseconds(x->deadline - e->pool.loop->now));
  set_long(h->curl, CURLOPT_LOW_SPEED_TIME, &h->idle_s,
           r->silent ? 0 : e->idle_s);
  set_long(h->curl, CURLOPT_SSL_SESSIONID_CACHE, &h->resumed, e->resumes);
  set_long(h->curl, CURLOPT_FRESH_CONNECT, &h->fresh, r->fresh);
  /* the next call of this kind wants a new one again: only the first of all
     connections is kept, for the reads that follow */
  set_long(h->curl, CURLOPT_FORBID_REUSE, &h->forbid,
           r->fresh && tc_pool_connected(&e->pool));
  set_long(h->curl, CURLOPT_BUFFERSIZE, &h->room,
           r->large ? LARGE_ROOM : USUAL_ROOM);
  /* what is announced as too large is refused before it comes */
  if (h->most != most)
    curl_easy_setopt(h->curl, CURLOPT_MAXFILESIZE_LARGE, most);
  h->most = most;
  if (strcmp(h->verb, r->verb) != 0)
    curl_easy_setopt(h->curl, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
  h->verb = r->verb;
  if (post) {
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t)r->body.len);
    if (curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS,
                         r->body.ptr != NULL ? r->body.ptr : "") != CURLE_OK)
      return false;
  }
  return e->origin > 0
           ? curl_easy_setopt(h->curl, CURLOPT_REQUEST_TARGET,
                              r->url.ptr + e->origin) == CURLE_OK
           : curl_easy_setopt(h->curl, CURLOPT_URL, r->url.ptr) == CURLE_OK;
}

/* false: no memory; nothing has happened then */
static bool take_off (tc_exchange *x) {
  tc_endpoint *e = x->endpoint;
  tc_handle *h = tc_pool_open(&e->pool) ? tc_endpoint_handle(e) : NULL;
  if (h == NULL) return false;
  x->handle = h;
  if (!set_handle(h, x) ||
      curl_multi_add_handle(e->pool.multi, h->curl) != CURLM_OK) {
    x->handle = NULL;
    tc_endpoint_put_back(e, h);
    return false;
  }
  x->state = TC_FLYING;
  tc_list_add(&e->flying, &x->node);
  e->pool.busy++;
  tc_buffer_free(&x->request.url);
  return true;
}

static void start_next (tc_endpoint *e) {
  while (e->waiting.first != NULL && e->pool.busy < e->pool.most) {
    tc_exchange *x = (tc_exchange *)e->waiting.first;
    tc_list_remove(&e->waiting, &x->node);
    if (take_off(x)) continue;
    tc_list_add(&e->waiting, &x->node);
    drop(x, TC_FAULT_MEMORY);
  }
}

void tc_exchange_init (tc_exchange *x) {
  memset(x, 0, sizeof *x);
  tc_buffer_init(&x->request.url, (size_t)-1);
  tc_buffer_init(&x->request.body, (size_t)-1);
  tc_buffer_init(&x->reply.body, (size_t)-1);
}

tc_fault tc_exchange_start (tc_exchange *x, tc_endpoint *e) {
  tc_request *r = &x->request;
  tc_loop *l = e->pool.loop;
  if (tc_endpoint_closed(e)) return TC_FAULT_CLOSED;
  x->endpoint = e;
  l->now = x->started = tc_now();
  x->deadline = x->started + r->timeout;
  x->reply.retry_after = x->reply.date = -1;
  /* the head is kept in any case: it tells whether there is a file to save */
  x->reply.body.limit = r->file != NULL && r->max_body < TC_HEAD ? TC_HEAD
                                                                 : r->max_body;
  if (r->file != NULL) {
    if (file_error(x, tc_file_open(&x->file, r->file, r->overwrite)) != 0)
      return x->reply.fault;
    x->file.durable = r->durable;
    x->filing = x->reply.to_file = true;
    r->file = NULL;
  }
  if (!r->fresh) tc_loop_look(l);
  if (e->pool.busy >= e->pool.most) {
    x->state = TC_WAITING;
    tc_list_add(&e->waiting, &x->node);
    l->queue_due = fmin(l->queue_due, x->deadline);
  }
  else if (!take_off(x)) {
    if (x->filing) tc_file_discard(&x->file);
    x->filing = false;
    return TC_FAULT_MEMORY;
  }
  e->refs++;
  l->active++;
  tc_loop_kick(l);
  return TC_FAULT_NONE;
}

/* ---- the end ---- */

tc_exchange *tc_exchange_take (tc_loop *l) {
  tc_exchange *x = (tc_exchange *)l->done.first;
  if (x != NULL) {
    tc_list_remove(&l->done, &x->node);
    x->state = TC_TAKEN;
    l->active--;
  }
  return x;
}

void tc_exchange_free (tc_exchange *x) {
  tc_reply *r = &x->reply;
  bool started = x->state != TC_NEW && x->state != TC_FREED;
  if (started && !tc_loop_forked(x->endpoint->pool.loop)) {
    tc_exchange_cancel(x);
    if (x->state == TC_DONE) {
      tc_list_remove(&x->endpoint->pool.loop->done, &x->node);
      x->endpoint->pool.loop->active--;
    }
  }
  if (x->filing) tc_file_discard(&x->file);
  tc_buffer_free(&x->request.url);
  tc_buffer_wipe(&x->request.body);
  tc_buffer_free(&r->body);
  free(r->detail);
  free(r->content_type);
  free(r->kept);
  free(r->redirect);
  r->detail = r->content_type = r->kept = r->redirect = NULL;
  if (started) tc_endpoint_release(x->endpoint);
  x->state = TC_FREED;
}
