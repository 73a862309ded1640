/*
** loop.c: drives libcurl's multis, one an endpoint, by their socket interface:
** so an endpoint's connections have a bound of their own and are closed with it.
** Sockets of libcurl stay watched while they idle in its pool: to end the watch
** after each exchange and to begin it again would be two system calls a call.
*/
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

#define WANTED (TC_POLL_IN | TC_POLL_OUT)
#define OURS 8 /* opened by us: we are told when it is closed */
#define EVENTS 64
#define RETRY_WATCH 0.05
#define FRESH_LOOK 0.001 /* a system call before each of many calls is dear */
#define AGES 1e9 /* seconds; what is asked for later than that never comes */

/* ---- once for the process ---- */

static pthread_mutex_t curl_lock = PTHREAD_MUTEX_INITIALIZER;
static bool curl_ready;
static unsigned curl_failures;
static unsigned fork_generation;

static void *count (void *p) {
  if (p == NULL) __atomic_fetch_add(&curl_failures, 1, __ATOMIC_RELAXED);
  return p;
}

static void *counted_malloc (size_t n) { return count(malloc(n)); }
static void *counted_calloc (size_t n, size_t m) { return count(calloc(n, m)); }
static void *counted_realloc (void *p, size_t n) { return count(realloc(p, n)); }
static char *counted_strdup (const char *s) { return count(strdup(s)); }

static void in_child (void) { fork_generation++; }

/* libcurl says "out of memory" for too long a header as well (F14), hence
   the counting; the module is never unloaded, so the functions stay */
static bool curl_set_up (void) {
  pthread_mutex_lock(&curl_lock);
  if (!curl_ready &&
      curl_global_init_mem(CURL_GLOBAL_DEFAULT, counted_malloc, free,
                           counted_realloc, counted_strdup,
                           counted_calloc) == CURLE_OK)
    curl_ready = pthread_atfork(NULL, NULL, in_child) == 0;
  pthread_mutex_unlock(&curl_lock);
  return curl_ready;
}

unsigned tc_curl_failures (void) {
  return __atomic_load_n(&curl_failures, __ATOMIC_RELAXED);
}

/* ---- lists ---- */

void tc_list_add (tc_list *list, tc_exchange *x) {
  x->next = NULL;
  x->prev = list->last;
  if (list->last != NULL) list->last->next = x;
  else list->first = x;
  list->last = x;
}

void tc_list_remove (tc_list *list, tc_exchange *x) {
  if (x->prev != NULL) x->prev->next = x->next;
  else list->first = x->next;
  if (x->next != NULL) x->next->prev = x->prev;
  else list->last = x->prev;
  x->next = x->prev = NULL;
}

/* ---- sockets, as libcurl opens, wants and closes them ---- */

static bool socket_room (tc_loop *l, size_t fd) {
  size_t room = l->socket_room == 0 ? 64 : l->socket_room;
  tc_socket *sockets;
  if (fd < l->socket_room) return true;
  while (room <= fd) room *= 2;
  sockets = realloc(l->sockets, room * sizeof *sockets);
  if (sockets == NULL) return false;
  memset(sockets + l->socket_room, 0,
         (room - l->socket_room) * sizeof *sockets);
  l->sockets = sockets;
  l->socket_room = room;
  return true;
}

static int new_socket (const struct curl_sockaddr *a) {
#ifdef SOCK_CLOEXEC
  return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
#else
  int fd = socket(a->family, a->socktype, a->protocol);
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
#endif
}

curl_socket_t tc_loop_open_socket (void *handle, curlsocktype purpose,
                                   struct curl_sockaddr *address) {
  tc_handle *h = handle;
  tc_endpoint *e = h->exchange->endpoint;
  tc_loop *l = e->loop;
  int fd = new_socket(address);
  (void)purpose;
  h->refused = fd < 0 ? errno : 0;
  if (fd < 0) return CURL_SOCKET_BAD;
  if (!socket_room(l, (size_t)fd)) {
    count(NULL);
    close(fd);
    return CURL_SOCKET_BAD;
  }
  l->sockets[fd].owner = e;
  l->sockets[fd].state = OURS;
  tc_poller_forget(&l->poller, fd); /* a new one, whoever had the number */
  return fd;
}

/* the watch ends explicitly: a child of ours may hold the same socket open */
static void disown (tc_loop *l, int fd) {
  l->sockets[fd].owner = NULL;
  l->sockets[fd].state = 0;
  tc_poller_watch(&l->poller, fd, 0);
}

int tc_loop_close_socket (void *endpoint, curl_socket_t fd) {
  tc_loop *l = ((tc_endpoint *)endpoint)->loop;
  if ((size_t)fd < l->socket_room) disown(l, fd);
  return close(fd);
}

static int wanted (int what) {
  switch (what) {
    case CURL_POLL_IN: return TC_POLL_IN;
    case CURL_POLL_OUT: return TC_POLL_OUT;
    case CURL_POLL_INOUT: return TC_POLL_IN | TC_POLL_OUT;
    default: return 0;
  }
}

/* never fails, for a failure here would be the end of the whole multi */
static int on_socket (CURL *curl, curl_socket_t fd, int what, void *endpoint,
                      void *unused) {
  tc_endpoint *e = endpoint;
  tc_loop *l = e->loop;
  tc_socket *s;
  int want = wanted(what);
  (void)curl, (void)unused;
  if (!socket_room(l, (size_t)fd)) {
    l->missing = l->missing || want != 0;
    return 0;
  }
  s = &l->sockets[fd];
  if (want == 0 && s->owner != e) return 0; /* the number is another's by now */
  s->owner = e;
  s->state = (unsigned char)((s->state & OURS) | want);
  if (want == 0 && (s->state & OURS)) return 0; /* stays watched */
  if (!tc_poller_watch(&l->poller, fd, want)) l->missing = true;
  return 0;
}

/* libcurl closes a socket that never got connected without telling: what is
   neither wanted nor known to the kernel is not ours any more. To be called when
   an exchange has failed */
void tc_loop_sweep (tc_loop *l) {
  for (size_t fd = 0; fd < l->socket_room; fd++)
    if ((l->sockets[fd].state & WANTED) == 0 &&
        !tc_poller_holds(&l->poller, (int)fd))
      disown(l, (int)fd);
}

static int on_timer (CURLM *multi, long ms, void *endpoint) {
  tc_endpoint *e = endpoint;
  (void)multi;
  e->due = ms < 0 ? HUGE_VAL : ms == 0 ? 0 : tc_now() + (double)ms * 1e-3;
  return 0;
}

/* ---- the connections of an endpoint ---- */

/* one end of a socketpair: a local socket without a name */
static void close_on_exec (int fd) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  if (fd >= 0 && getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
      name.ss_family == AF_UNIX)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* libcurl 7 makes a socketpair for curl_multi_wakeup that children would
   inherit, and tells nobody its numbers: they are the two lowest free ones */
static CURLM *new_multi (const tc_loop *l) {
  int a = fcntl(l->poller.fd, F_DUPFD_CLOEXEC, 0);
  int b = fcntl(l->poller.fd, F_DUPFD_CLOEXEC, 0);
  CURLM *multi;
  if (a >= 0) close(a);
  if (b >= 0) close(b);
  multi = curl_multi_init();
  close_on_exec(a);
  close_on_exec(b);
  return multi;
}

static void link_to_loop (tc_endpoint *e) {
  tc_loop *l = e->loop;
  e->prev = NULL;
  e->next = l->endpoints;
  if (e->next != NULL) e->next->prev = e;
  l->endpoints = e;
}

void tc_loop_unlink (tc_endpoint *e) {
  if (e->prev != NULL) e->prev->next = e->next;
  else e->loop->endpoints = e->next;
  if (e->next != NULL) e->next->prev = e->prev;
}

bool tc_loop_join (tc_endpoint *e) {
  if (e->broken && e->flying.first != NULL) return false;
  if (e->broken) tc_loop_leave(e);
  if (e->multi != NULL) return true;
  if ((e->multi = new_multi(e->loop)) == NULL) return false;
  link_to_loop(e);
  curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
  curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
  curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)e->flying_most);
  curl_multi_setopt(e->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                    (long)e->flying_most);
  curl_multi_setopt(e->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  return true;
}

void tc_loop_leave (tc_endpoint *e) {
  tc_loop *l = e->loop;
  if (e->multi == NULL) return;
  curl_multi_cleanup(e->multi);
  tc_loop_unlink(e);
  e->multi = NULL;
  e->due = HUGE_VAL;
  e->broken = e->stale = false;
  for (size_t fd = 0; fd < l->socket_room; fd++)
    if (l->sockets[fd].owner == e) disown(l, (int)fd);
}

bool tc_loop_connected (const tc_endpoint *e) {
  const tc_loop *l = e->loop;
  for (size_t fd = 0; fd < l->socket_room; fd++)
    if (l->sockets[fd].owner == e && (l->sockets[fd].state & OURS) != 0)
      return true;
  return false;
}

/* what is not used again is closed: the server has ended an idle connection */
static void tidy (tc_loop *l) {
  for (tc_endpoint *e = l->endpoints, *next; e != NULL; e = next) {
    next = e->next;
    if (e->stale && e->flying.first == NULL) tc_loop_leave(e);
  }
}

/* ---- making and ending ---- */

tc_loop *tc_loop_new (void) {
  tc_loop *l;
  if (!curl_set_up() || (l = calloc(1, sizeof *l)) == NULL) return NULL;
  l->refs = 1;
  l->queue_due = l->alarm = HUGE_VAL;
  l->generation = fork_generation;
  if (!tc_poller_open(&l->poller)) {
    free(l);
    return NULL;
  }
  return l;
}

bool tc_loop_forked (const tc_loop *l) {
  return l->generation != fork_generation;
}

void tc_loop_release (tc_loop *l) {
  if (--l->refs > 0) return;
  tc_poller_close(&l->poller);
  free(l->sockets);
  free(l);
}

/* ---- turning ---- */

void tc_loop_deliver (tc_loop *l, tc_exchange *x) {
  x->state = TC_DONE;
  tc_list_add(&l->done, x);
}

size_t tc_loop_ended (const tc_loop *l) {
  size_t n = 0;
  for (const tc_exchange *x = l->done.first; x != NULL; x = x->next) n++;
  return n;
}

tc_exchange *tc_loop_take (tc_loop *l) {
  tc_exchange *x = l->done.first;
  if (x != NULL) {
    tc_list_remove(&l->done, x);
    x->state = TC_TAKEN;
    l->active--;
  }
  return x;
}

static void collect_from (tc_endpoint *e) {
  CURLMsg *m;
  int left;
  while (e->multi != NULL &&
         (m = curl_multi_info_read(e->multi, &left)) != NULL) {
    CURLcode rc = m->data.result; /* m dies with the removal of its handle */
    char *handle = NULL;
    if (m->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &handle);
    tc_exchange_ended(((tc_handle *)(void *)handle)->exchange, rc);
  }
}

static void collect (tc_loop *l) {
  for (tc_endpoint *e = l->endpoints; e != NULL; e = e->next)
    if (e->flying.first != NULL) collect_from(e);
}

/* ends all that is in flight: see act */
static void give_up (tc_endpoint *e) {
  e->broken = true;
  while (e->flying.first != NULL)
    tc_exchange_end(e->flying.first, TC_FAULT_MEMORY);
  if (e->broken) tc_loop_leave(e);
}

/* Without memory libcurl forgets a socket or a timer, and divides by zero
   when it comes upon that socket again (7.88, singlesocket): the transfers in
   flight cannot go on, it does not tell which of them is meant, and the multi
   must not be used any more. */
static void act (tc_endpoint *e, curl_socket_t fd, int mask) {
  int running;
  if (e->multi != NULL &&
      curl_multi_socket_action(e->multi, fd, mask, &running) ==
        CURLM_OUT_OF_MEMORY)
    give_up(e);
}

static void run_timers (tc_loop *l) {
  for (tc_endpoint *e = l->endpoints, *next; e != NULL; e = next) {
    next = e->next; /* without memory it leaves the loop */
    if (e->due > 0 && (e->due == HUGE_VAL || e->due > tc_now())) continue;
    e->due = HUGE_VAL;
    act(e, CURL_SOCKET_TIMEOUT, 0);
  }
}

static void expire (tc_loop *l) {
  double now;
  if (l->queue_due == HUGE_VAL || l->queue_due > (now = tc_now())) return;
  l->queue_due = HUGE_VAL;
  for (tc_endpoint *e = l->endpoints; e != NULL; e = e->next)
    tc_exchange_expire(e, now, &l->queue_due);
}

static void watch_missing (tc_loop *l) {
  l->missing = false;
  for (size_t fd = 0; fd < l->socket_room; fd++) {
    int want = l->sockets[fd].state & WANTED;
    if (want != 0 && !tc_poller_watch(&l->poller, (int)fd, want))
      l->missing = true;
  }
}

/* An idle connection that was closed, or on which something came that nobody
   asked for: libcurl (7.88) would take it for the answer to the next request. */
static void retire (tc_loop *l, const tc_event *event) {
  size_t fd = (size_t)event->fd;
  bool heard = (event->events & (TC_POLL_IN | TC_POLL_ERROR)) != 0;
  if (fd < l->socket_room && (l->sockets[fd].state & OURS) != 0) {
    if (heard) shutdown(event->fd, SHUT_RDWR);
    l->sockets[fd].owner->stale = l->sockets[fd].owner->stale || heard;
  }
  else
    heard = true; /* not ours any more */
  tc_poller_watch(&l->poller, event->fd, heard ? 0 : TC_POLL_IN);
}

static void serve (tc_loop *l, const tc_event *event) {
  size_t fd = (size_t)event->fd;
  int mask = 0;
  if (fd >= l->socket_room || (l->sockets[fd].state & WANTED) == 0) {
    retire(l, event);
    return;
  }
  if (event->events & TC_POLL_IN) mask |= CURL_CSELECT_IN;
  if (event->events & TC_POLL_OUT) mask |= CURL_CSELECT_OUT;
  if (event->events & TC_POLL_ERROR) mask |= CURL_CSELECT_ERR;
  act(l->sockets[fd].owner, event->fd, mask);
}

/* false: a signal came, which somebody above may want to hear of */
static bool look (tc_loop *l, double seconds) {
  tc_event events[EVENTS];
  int n = tc_poller_wait(&l->poller, events, EVENTS, seconds);
  l->looked = tc_now();
  for (int i = 0; i < n; i++) serve(l, &events[i]);
  return n >= 0;
}

static bool turn (tc_loop *l, double seconds) {
  bool quiet = look(l, seconds);
  run_timers(l);
  if (l->missing) watch_missing(l);
  collect(l);
  tidy(l);
  expire(l);
  if (l->alarm < HUGE_VAL && l->alarm <= tc_now()) l->alarm = HUGE_VAL;
  return quiet;
}

double tc_loop_timeout (const tc_loop *l) {
  double due = l->queue_due, rest;
  if (l->done.first != NULL) return 0;
  for (const tc_endpoint *e = l->endpoints; e != NULL; e = e->next)
    if (e->due < due) due = e->due;
  if (l->missing && tc_now() + RETRY_WATCH < due) return RETRY_WATCH;
  if (due == HUGE_VAL) return -1;
  rest = due - tc_now();
  return rest > 0 ? rest : 0;
}

static void arm (tc_loop *l) {
  double rest = tc_loop_timeout(l);
  if (!l->watched) return;
  if (rest >= 0) tc_poller_arm(&l->poller, tc_now() + rest);
  tc_poller_arm(&l->poller, l->alarm);
}

void tc_loop_kick (tc_loop *l) {
  run_timers(l);
  collect(l);
  tidy(l);
  arm(l);
}

void tc_loop_look (tc_loop *l, double now) {
  if (now - l->looked <= FRESH_LOOK) return;
  look(l, 0);
  tc_loop_kick(l); /* what has ended now makes no descriptor readable later */
}

void tc_loop_alarm (tc_loop *l, double seconds) {
  l->alarm = seconds < 0 || seconds > AGES ? HUGE_VAL : tc_now() + seconds;
  arm(l);
}

size_t tc_loop_active (const tc_loop *l) { return l->active; }

int tc_loop_fd (tc_loop *l) {
  l->watched = true;
  arm(l);
  return l->poller.fd;
}

void tc_loop_step (tc_loop *l, double timeout) {
  double end = tc_now(), rest, due;
  if (timeout > 0) end += timeout < TC_STEP_MOST ? timeout : TC_STEP_MOST;
  rest = end - tc_now();
  for (;;) {
    due = tc_loop_timeout(l);
    if (!turn(l, due >= 0 && due < rest ? due : rest)) break;
    rest = end - tc_now();
    if (l->done.first != NULL || rest <= 0) break;
  }
  arm(l);
}
