/*
** exchange.c: one request and its reply. What libcurl calls while it works
** only fills buffers and sets flags; all judgement waits for the end.
*/
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "base/secret.h"

#define GZIP_RATIO 200          /* more is a bomb (F13) */
#define GZIP_FREE (1024 * 1024) /* below this nobody asks */
#define LARGE_ROOM 65536L
#define USUAL_ROOM 16384L

/* libcurl's turns without a byte of a header or a body. A reply that comes in
   single bytes needs fewer: no server sends a header line of more than 16 KiB */
#define MUTE_MOST (20 * 1024)
#define EMPTY_MOST (4 * 1024 * 1024) /* bytes that unpack to nothing */

/* ---- callbacks: no judgement, no Lua ---- */

static tc_fault fault_of_file (int error) {
  return error == ENOMEM ? TC_FAULT_MEMORY : TC_FAULT_IO;
}

/* the return value that makes libcurl stop */
static size_t stop (tc_exchange *x, tc_fault fault, int code) {
  x->reply.fault = fault;
  x->reply.code = code;
  return 0;
}

/* The connection stands, through a proxy's tunnel and with TLS, and the request
   is about to leave: what has been sent until now was for the proxy. */
int tc_exchange_ready (void *handle, char *to, char *from, int to_port,
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
int tc_exchange_progress (void *handle, curl_off_t dl_total, curl_off_t dl,
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

size_t tc_exchange_header (char *bytes, size_t size, size_t n, void *handle) {
  tc_exchange *x = ((tc_handle *)handle)->exchange;
  (void)bytes;
  x->mute = 0;
  x->header_bytes += size * n;
  if (x->header_bytes > TC_HEADERS_MOST)
    return stop(x, TC_FAULT_PROTOCOL, CURLE_RECV_ERROR);
  return size * n;
}

static bool is_bomb (const tc_exchange *x) {
  curl_off_t raw = 0;
  if (x->reply.bytes < GZIP_FREE) return false;
  curl_easy_getinfo(x->handle->curl, CURLINFO_SIZE_DOWNLOAD_T, &raw);
  return x->reply.bytes / GZIP_RATIO > (unsigned long long)raw + USUAL_ROOM;
}

/* a file that is named is one; without a name a page, an envelope, the
   server's error text and nothing at all are none (see judge_stream) */
static bool is_stream (tc_exchange *x) {
  const tc_buffer *body = &x->reply.body;
  size_t len = x->request.refuse != NULL ? strlen(x->request.refuse) : 0;
  long status = 0;
  curl_easy_getinfo(x->handle->curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return false;
  if (tc_curl_header(x->handle->curl, "Content-Disposition") != NULL)
    return true;
  return body->len > 0 && body->ptr[0] != '{' && body->ptr[0] != '<' &&
         (len == 0 || body->len < len ||
          memcmp(body->ptr, x->request.refuse, len) != 0);
}

/* the first bytes are here: into the file with them, or is it no stream? */
static int decide (tc_exchange *x) {
  x->decided = true;
  if (is_stream(x))
    return tc_file_write(&x->file, x->reply.body.ptr, x->reply.body.len);
  tc_file_discard(&x->file);
  x->filing = false;
  return 0;
}

static bool keep (tc_exchange *x, const char *bytes, size_t n) {
  switch (tc_buffer_add(&x->reply.body, bytes, n)) {
    case TC_OK: return true;
    case TC_NO_MEMORY: return stop(x, TC_FAULT_MEMORY, 0);
    default: return stop(x, TC_FAULT_TOO_LARGE, 0);
  }
}

static bool file_is_fine (tc_exchange *x, int error) {
  return error == 0 || stop(x, fault_of_file(error), error);
}

/* what belongs to the head that is looked at before a file is begun: always
   as many bytes, however the network has cut them */
static bool keep_head (tc_exchange *x, const char *bytes, size_t n) {
  return keep(x, bytes, n) &&
         (x->reply.body.len < TC_HEAD || file_is_fine(x, decide(x)));
}

size_t tc_exchange_body (char *bytes, size_t size, size_t n, void *handle) {
  tc_exchange *x = ((tc_handle *)handle)->exchange;
  size_t all = n * size, head = 0;
  x->mute = 0;
  x->reply.bytes += all;
  if (is_bomb(x)) return stop(x, TC_FAULT_TOO_LARGE, 0);
  if (x->filing && !x->decided) {
    head = TC_HEAD - x->reply.body.len;
    if (head > all) head = all;
    if (!keep_head(x, bytes, head)) return 0;
  }
  bytes += head;
  n = all - head;
  if (n == 0) return all;
  return (x->filing ? file_is_fine(x, tc_file_write(&x->file, bytes, n))
                    : keep(x, bytes, n)) ? all : 0;
}

/* ---- sinks at the end ---- */

static void fail (tc_exchange *x, tc_fault fault, int code) {
  if (x->reply.fault != TC_FAULT_NONE) return;
  x->reply.fault = fault;
  x->reply.code = code;
}

static void save (tc_exchange *x) {
  int error = x->decided ? 0 : decide(x);
  if (error == 0 && x->filing) {
    error = tc_file_commit(&x->file);
    x->reply.saved = error == 0;
  }
  if (error != 0) fail(x, fault_of_file(error), error);
}

static void end_file (tc_exchange *x) {
  if (!x->filing) return;
  if (x->reply.fault == TC_FAULT_NONE) save(x);
  tc_file_discard(&x->file);
  x->filing = false;
}

/* ---- from flying to done ---- */

static void start_next (tc_endpoint *e); /* of those that wait */

static void land (tc_exchange *x) {
  tc_endpoint *e = x->endpoint;
  tc_exchange_read(x);
  end_file(x);
  x->reply.seconds = tc_now() - x->started;
  curl_multi_remove_handle(e->multi, x->handle->curl);
  if (x->reply.fault != TC_FAULT_NONE) tc_loop_sweep(e->loop);
  tc_endpoint_put_back(e, x->handle);
  x->handle = NULL;
  tc_list_remove(&e->flying, x);
  e->flying_count--;
  tc_endpoint_landed(e);
  tc_buffer_wipe(&x->request.body);
}

void tc_exchange_ended (tc_exchange *x, CURLcode rc) {
  tc_endpoint *e = x->endpoint;
  fail(x, tc_exchange_fault(x, rc), (int)rc);
  land(x);
  tc_loop_deliver(e->loop, x);
  if (e->waiting.first != NULL) start_next(e);
}

static void leave_queue (tc_exchange *x) {
  tc_list_remove(&x->endpoint->waiting, x);
  x->reply.phase = TC_PHASE_QUEUE;
  if (x->filing) tc_file_discard(&x->file);
  x->filing = false;
  x->reply.seconds = tc_now() - x->started;
  tc_buffer_wipe(&x->request.body);
}

static void drop (tc_exchange *x, tc_fault fault) {
  fail(x, fault, 0);
  leave_queue(x);
  tc_loop_deliver(x->endpoint->loop, x);
}

void tc_exchange_end (tc_exchange *x, tc_fault fault) {
  tc_endpoint *e = x->endpoint;
  if (x->state == TC_WAITING)
    drop(x, fault);
  else {
    fail(x, fault, 0);
    land(x);
    tc_loop_deliver(e->loop, x);
    if (!e->closed) start_next(e);
  }
}

/* the descriptor tells of it, and whoever was next in line is on its way */
void tc_exchange_cancel (tc_exchange *x, tc_fault fault) {
  tc_loop *l = x->endpoint->loop;
  if (tc_exchange_done(x) || tc_loop_forked(l)) return;
  tc_exchange_end(x, fault);
  tc_loop_kick(l);
}

/* ---- take-off ---- */

static void set_long (CURL *c, CURLoption option, long *was, long value) {
  if (*was == value) return;
  curl_easy_setopt(c, option, value);
  *was = value;
}

/* what is announced as too large is refused before it comes */
static void set_most (tc_handle *h, curl_off_t most) {
  if (h->most == most) return;
  curl_easy_setopt(h->curl, CURLOPT_MAXFILESIZE_LARGE, most);
  h->most = most;
}

static bool set_verb (tc_handle *h, const tc_request *r) {
  bool post = strcmp(r->verb, "POST") == 0;
  if (strcmp(h->verb, r->verb) != 0)
    curl_easy_setopt(h->curl, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
  h->verb = r->verb;
  if (!post) return true;
  curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                   (curl_off_t)r->body.len);
  return curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS,
                          r->body.ptr != NULL ? r->body.ptr : "") == CURLE_OK;
}

static void set_headers (tc_handle *h, const tc_endpoint *e,
                         const tc_request *r) {
  const struct curl_slist *list = e->headers->lists[r->bare][r->content];
  if (h->headers == list) return;
  curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
  h->headers = list;
}

static bool set_target (tc_handle *h, const tc_endpoint *e,
                        const tc_request *r) {
  return e->origin > 0
           ? curl_easy_setopt(h->curl, CURLOPT_REQUEST_TARGET,
                              r->url.ptr + e->origin) == CURLE_OK
           : curl_easy_setopt(h->curl, CURLOPT_URL, r->url.ptr) == CURLE_OK;
}

static long milliseconds (double seconds) {
  double ms = ceil(seconds * 1000);
  return ms < 1 ? 1 : ms > 2e9 ? 2000000000 : (long)ms;
}

static bool set_handle (tc_handle *h, tc_exchange *x) {
  const tc_request *r = &x->request;
  h->exchange = x;
  h->error[0] = '\0';
  h->refused = 0;
  set_headers(h, x->endpoint, r);
  set_long(h->curl, CURLOPT_TIMEOUT_MS, &h->timeout_ms,
           milliseconds(x->deadline - tc_now()));
  set_long(h->curl, CURLOPT_LOW_SPEED_TIME, &h->idle_s,
           r->silent ? 0 : x->endpoint->idle_s);
  set_long(h->curl, CURLOPT_FRESH_CONNECT, &h->fresh, r->fresh);
  /* the next call of this kind wants a new one again: only the first of all
     connections is kept, for the reads that follow */
  set_long(h->curl, CURLOPT_FORBID_REUSE, &h->forbid,
           r->fresh && tc_loop_connected(x->endpoint));
  set_long(h->curl, CURLOPT_BUFFERSIZE, &h->room,
           r->large ? LARGE_ROOM : USUAL_ROOM);
  set_most(h, x->filing ? 0 : (curl_off_t)r->max_body);
  return set_verb(h, r) && set_target(h, x->endpoint, r);
}

/* false: no memory; nothing has happened then */
static bool take_off (tc_exchange *x) {
  tc_endpoint *e = x->endpoint;
  tc_handle *h = tc_loop_join(e) ? tc_endpoint_handle(e) : NULL;
  if (h == NULL) return false;
  x->failures = tc_curl_failures();
  x->handle = h;
  if (!set_handle(h, x) ||
      curl_multi_add_handle(e->multi, h->curl) != CURLM_OK) {
    x->handle = NULL;
    tc_endpoint_put_back(e, h);
    return false;
  }
  x->state = TC_FLYING;
  tc_list_add(&e->flying, x);
  e->flying_count++;
  tc_buffer_free(&x->request.url);
  return true;
}

static void start_next (tc_endpoint *e) {
  while (e->waiting.first != NULL && e->flying_count < e->flying_most) {
    tc_exchange *x = e->waiting.first;
    tc_list_remove(&e->waiting, x);
    if (take_off(x)) continue;
    tc_list_add(&e->waiting, x);
    drop(x, TC_FAULT_MEMORY);
  }
}

void tc_exchange_expire (tc_endpoint *e, double now, double *due) {
  tc_exchange *x = e->waiting.first, *next;
  for (; x != NULL; x = next) {
    next = x->next;
    if (x->deadline <= now)
      drop(x, TC_FAULT_TIMEOUT);
    else if (x->deadline < *due)
      *due = x->deadline;
  }
}

static void wait_in_line (tc_exchange *x) {
  tc_loop *l = x->endpoint->loop;
  x->state = TC_WAITING;
  tc_list_add(&x->endpoint->waiting, x);
  if (x->deadline < l->queue_due) l->queue_due = x->deadline;
}

static int open_file (tc_exchange *x) {
  int error;
  if (x->request.file == NULL) return 0;
  error = tc_file_open(&x->file, x->request.file, x->request.overwrite);
  x->file.durable = x->request.durable;
  x->filing = x->reply.to_file = error == 0;
  x->request.file = NULL;
  return error;
}

static tc_exchange *make (tc_endpoint *e, tc_request *r) {
  tc_exchange *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->endpoint = e;
  x->request = *r;
  x->started = tc_now();
  x->deadline = x->started + r->timeout;
  x->reply.retry_after = x->reply.date = -1;
  /* the head is kept in any case: it tells whether there is a file to save */
  tc_buffer_init(&x->reply.body, r->file != NULL && r->max_body < TC_HEAD
                                   ? TC_HEAD : r->max_body);
  e->refs++;
  return x;
}

static tc_exchange *refuse (tc_exchange *x, tc_request *r, tc_fault fault,
                            int code, tc_fault *to, int *to_code) {
  *to = fault;
  *to_code = code;
  if (x == NULL) return NULL;
  *r = x->request; /* the caller has its buffers back */
  tc_buffer_init(&x->request.url, 0);
  tc_buffer_init(&x->request.body, 0);
  x->state = TC_TAKEN;
  tc_exchange_free(x);
  return NULL;
}

tc_exchange *tc_exchange_start (tc_endpoint *e, tc_request *r,
                                tc_fault *fault, int *code) {
  tc_exchange *x;
  int error;
  if (tc_endpoint_closed(e))
    return refuse(NULL, r, TC_FAULT_CLOSED, 0, fault, code);
  if ((x = make(e, r)) == NULL)
    return refuse(x, r, TC_FAULT_MEMORY, 0, fault, code);
  if ((error = open_file(x)) != 0)
    return refuse(x, r, fault_of_file(error), error, fault, code);
  if (!r->fresh) tc_loop_look(e->loop, x->started);
  if (e->flying_count >= e->flying_most) wait_in_line(x);
  else if (!take_off(x))
    return refuse(x, r, TC_FAULT_MEMORY, 0, fault, code);
  tc_buffer_init(&r->url, 0);
  tc_buffer_init(&r->body, 0);
  e->loop->active++;
  tc_loop_kick(e->loop);
  return x;
}

/* ---- looks and the end ---- */

bool tc_exchange_done (const tc_exchange *x) { return x->state >= TC_DONE; }

int *tc_exchange_tag (tc_exchange *x) { return &x->tag; }

bool tc_exchange_forked (const tc_exchange *x) {
  return tc_loop_forked(x->endpoint->loop);
}

const tc_reply *tc_exchange_reply (const tc_exchange *x) { return &x->reply; }

void tc_exchange_replace (tc_exchange *x, tc_buffer *body) {
  tc_buffer_free(&x->reply.body);
  x->reply.body = *body;
  tc_buffer_init(body, 0);
}

static void withdraw (tc_exchange *x) {
  tc_endpoint *e = x->endpoint;
  if (tc_loop_forked(e->loop)) return;
  if (!tc_exchange_done(x)) tc_exchange_cancel(x, TC_FAULT_INTERRUPTED);
  if (x->state == TC_DONE) {
    tc_list_remove(&e->loop->done, x);
    e->loop->active--;
  }
}

void tc_exchange_free (tc_exchange *x) {
  tc_reply *r = &x->reply;
  withdraw(x);
  if (x->filing) tc_file_discard(&x->file);
  tc_buffer_free(&x->request.url);
  tc_buffer_wipe(&x->request.body);
  tc_buffer_free(&r->body);
  free(r->detail);
  free(r->content_type);
  free(r->disposition);
  free(r->redirect);
  tc_endpoint_release(x->endpoint);
  free(x);
}
