/*
** loop.c: drives libcurl's multis, one an endpoint, by their socket interface:
** so an endpoint's connections have a bound of their own and are closed with it.
** Sockets of libcurl stay watched while they idle in its pool: to end the watch
** after each exchange and to begin it again would be two system calls a call.
*/
#include <errno.h>
#include <fcntl.h>
#include <math.h>
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
static unsigned fork_generation;

static void in_child (void) { fork_generation++; }

static bool curl_set_up (void) {
  pthread_mutex_lock(&curl_lock);
  if (!curl_ready && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
    curl_ready = pthread_atfork(NULL, NULL, in_child) == 0;
  pthread_mutex_unlock(&curl_lock);
  return curl_ready;
}

/* ---- lists ---- */

void tc_list_add (tc_list *list, tc_node *n) {
  n->next = NULL;
  n->prev = list->last;
  if (list->last != NULL) list->last->next = n;
  else list->first = n;
  list->last = n;
}

void tc_list_remove (tc_list *list, tc_node *n) {
  if (n->prev != NULL) n->prev->next = n->next;
  else list->first = n->next;
  if (n->next != NULL) n->next->prev = n->prev;
  else list->last = n->prev;
  n->next = n->prev = NULL;
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

curl_socket_t tc_pool_socket (tc_pool *p, const struct curl_sockaddr *a) {
  tc_loop *l = p->loop;
#ifdef SOCK_CLOEXEC
  int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
#else
  int fd = socket(a->family, a->socktype, a->protocol);
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
  if (fd < 0) return CURL_SOCKET_BAD;
  if (!socket_room(l, (size_t)fd)) {
    close(fd);
    errno = ENOMEM;
    return CURL_SOCKET_BAD;
  }
  l->sockets[fd].owner = p;
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

int tc_pool_close_socket (void *pool, curl_socket_t fd) {
  tc_loop *l = ((tc_pool *)pool)->loop;
  if ((size_t)fd < l->socket_room) disown(l, fd);
  return close(fd);
}

/* never fails, for a failure here would be the end of the whole multi */
static int on_socket (CURL *curl, curl_socket_t fd, int what, void *pool,
                      void *unused) {
  tc_pool *p = pool;
  tc_loop *l = p->loop;
  tc_socket *s;
  int want = 0;
  (void)curl, (void)unused;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) want |= TC_POLL_IN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) want |= TC_POLL_OUT;
  if (!socket_room(l, (size_t)fd)) {
    l->missing = l->missing || want != 0;
    return 0;
  }
  s = &l->sockets[fd];
  if (want == 0 && s->owner != p) return 0; /* the number is another's by now */
  s->owner = p;
  s->state = (unsigned char)((s->state & OURS) | want);
  if (want == 0 && (s->state & OURS)) return 0; /* stays watched */
  if (!tc_poller_watch(&l->poller, fd, want)) l->missing = true;
  return 0;
}

/* libcurl closes a socket that never got connected without telling: what is
   neither wanted nor known to the kernel is not ours any more */
void tc_loop_sweep (tc_loop *l) {
  for (size_t fd = 0; fd < l->socket_room; fd++)
    if ((l->sockets[fd].state & WANTED) == 0 &&
        !tc_poller_holds(&l->poller, (int)fd))
      disown(l, (int)fd);
}

/* By a clock read here: called before its time libcurl would not ask again for
   what it believes to have been told. */
static int on_timer (CURLM *multi, long ms, void *pool) {
  tc_pool *p = pool;
  (void)multi;
  p->due = ms < 0 ? HUGE_VAL : ms == 0 ? 0 : tc_now() + (double)ms * 1e-3;
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

bool tc_pool_open (tc_pool *p) {
  tc_loop *l = p->loop;
  if (p->multi != NULL) return true;
  if ((p->multi = new_multi(l)) == NULL) return false;
  p->prev = NULL;
  p->next = l->pools;
  if (p->next != NULL) p->next->prev = p;
  l->pools = p;
  curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
  curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
  curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)p->most);
  curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)p->most);
  curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  return true;
}

void tc_pool_unlink (tc_pool *p) {
  if (p->prev != NULL) p->prev->next = p->next;
  else p->loop->pools = p->next;
  if (p->next != NULL) p->next->prev = p->prev;
}

void tc_pool_close (tc_pool *p) {
  tc_loop *l = p->loop;
  if (p->multi == NULL) return;
  curl_multi_cleanup(p->multi);
  tc_pool_unlink(p);
  p->multi = NULL;
  p->due = HUGE_VAL;
  p->stale = false;
  for (size_t fd = 0; fd < l->socket_room; fd++)
    if (l->sockets[fd].owner == p) disown(l, (int)fd);
}

bool tc_pool_connected (const tc_pool *p) {
  const tc_loop *l = p->loop;
  for (size_t fd = 0; fd < l->socket_room; fd++)
    if (l->sockets[fd].owner == p && (l->sockets[fd].state & OURS) != 0)
      return true;
  return false;
}

/* ---- making and ending ---- */

tc_loop *tc_loop_new (tc_ended *ended, tc_expire *expire) {
  tc_loop *l;
  if (!curl_set_up() || (l = calloc(1, sizeof *l)) == NULL) return NULL;
  l->refs = 1;
  l->queue_due = l->alarm = HUGE_VAL;
  l->generation = fork_generation;
  l->ended = ended;
  l->expire = expire;
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

/* Without memory libcurl forgets a socket or a timer, and divides by zero when
   it comes upon that socket again (7.88, singlesocket): the transfers in flight
   cannot go on, and it does not tell which of them is meant. */
static void act (tc_pool *p, curl_socket_t fd, int mask) {
  int running;
  if (p->multi != NULL &&
      curl_multi_socket_action(p->multi, fd, mask, &running) ==
        CURLM_OUT_OF_MEMORY)
    p->loop->ended(p, NULL, CURLE_OUT_OF_MEMORY);
}

static void run_timers (tc_loop *l) {
  for (tc_pool *p = l->pools, *next; p != NULL; p = next) {
    next = p->next; /* without memory it leaves the loop */
    if (p->due > l->now) continue;
    p->due = HUGE_VAL;
    act(p, CURL_SOCKET_TIMEOUT, 0);
  }
}

static void collect (tc_loop *l) {
  for (tc_pool *p = l->pools; p != NULL; p = p->next) {
    CURLMsg *m;
    int left;
    while (p->busy > 0 && (m = curl_multi_info_read(p->multi, &left)) != NULL)
      if (m->msg == CURLMSG_DONE)
        l->ended(p, m->easy_handle, m->data.result);
  }
}

/* what is not used again is closed: the server has ended an idle connection */
static void tidy (tc_loop *l) {
  for (tc_pool *p = l->pools, *next; p != NULL; p = next) {
    next = p->next;
    if (p->stale && p->busy == 0) tc_pool_close(p);
  }
}

static void expire (tc_loop *l) {
  if (l->queue_due > l->now) return;
  l->queue_due = HUGE_VAL;
  for (tc_pool *p = l->pools; p != NULL; p = p->next)
    l->queue_due = fmin(l->queue_due, l->expire(p, l->now));
}

static void watch_missing (tc_loop *l) {
  l->missing = false;
  for (size_t fd = 0; fd < l->socket_room; fd++) {
    int want = l->sockets[fd].state & WANTED;
    if (want != 0 && !tc_poller_watch(&l->poller, (int)fd, want))
      l->missing = true;
  }
}

static void serve (tc_loop *l, const tc_event *event) {
  size_t fd = (size_t)event->fd;
  tc_socket *s = fd < l->socket_room ? &l->sockets[fd] : NULL;
  bool heard = (event->events & (TC_POLL_IN | TC_POLL_ERROR)) != 0;
  if (s != NULL && (s->state & WANTED) != 0) {
    int mask = 0;
    if (event->events & TC_POLL_IN) mask |= CURL_CSELECT_IN;
    if (event->events & TC_POLL_OUT) mask |= CURL_CSELECT_OUT;
    if (event->events & TC_POLL_ERROR) mask |= CURL_CSELECT_ERR;
    act(s->owner, event->fd, mask);
  }
  else if (s != NULL && (s->state & OURS) != 0) {
    /* An idle connection that was closed, or on which something came that
       nobody asked for: libcurl (7.88) would take it for the answer to the
       next request. */
    if (heard) shutdown(event->fd, SHUT_RDWR);
    s->owner->stale = s->owner->stale || heard;
    tc_poller_watch(&l->poller, event->fd, heard ? 0 : TC_POLL_IN);
  }
  else
    tc_poller_watch(&l->poller, event->fd, 0); /* not ours any more */
}

/* false: a signal came, which somebody above may want to hear of */
static bool look (tc_loop *l, double seconds) {
  tc_event events[EVENTS];
  int n = tc_poller_wait(&l->poller, events, EVENTS, seconds);
  l->now = l->looked = tc_now();
  for (int i = 0; i < n; i++) serve(l, &events[i]);
  return n >= 0;
}

static double due (const tc_loop *l) {
  double first = l->queue_due;
  if (l->done.first != NULL) return 0;
  for (const tc_pool *p = l->pools; p != NULL; p = p->next)
    if (p->due < first) first = p->due;
  return l->missing ? fmin(first, tc_now() + RETRY_WATCH) : first;
}

double tc_loop_timeout (const tc_loop *l) {
  double when = due(l), rest;
  if (when == HUGE_VAL) return -1;
  if (when == 0) return 0;
  rest = when - tc_now();
  return rest > 0 ? rest : 0;
}

static void arm (tc_loop *l) {
  if (!l->watched) return;
  tc_poller_arm(&l->poller, due(l));
  tc_poller_arm(&l->poller, l->alarm);
}

void tc_loop_kick (tc_loop *l) {
  run_timers(l);
  collect(l);
  tidy(l);
  arm(l);
}

void tc_loop_look (tc_loop *l) {
  if (l->now - l->looked <= FRESH_LOOK) return;
  look(l, 0);
  tc_loop_kick(l); /* what has ended now makes no descriptor readable later */
}

void tc_loop_alarm (tc_loop *l, double seconds) {
  l->alarm = seconds < 0 || seconds > AGES ? HUGE_VAL : tc_now() + seconds;
  arm(l);
}

int tc_loop_fd (tc_loop *l) {
  l->watched = true;
  arm(l);
  return l->poller.fd;
}

void tc_loop_step (tc_loop *l, double timeout) {
  double end = l->now = tc_now();
  bool quiet;
  if (timeout > 0) end += fmin(timeout, TC_STEP_MOST);
  do {
    quiet = look(l, fmin(due(l), end) - l->now);
    run_timers(l);
    if (l->missing) watch_missing(l);
    collect(l);
    tidy(l);
    expire(l);
    if (l->alarm <= l->now) l->alarm = HUGE_VAL;
  } while (quiet && l->done.first == NULL && l->now < end);
  arm(l);
}
