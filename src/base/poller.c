/*
** poller.c: epoll with a timerfd inside, or kqueue. What both share comes
** first, then a half for each system with the same four functions.
*/
#include "base/poller.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MOST 64

double tc_now (void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool make_room (tc_poller *p, size_t fd) {
  size_t size = p->size == 0 ? 64 : p->size;
  unsigned char *watch;
  if (fd < p->size) return true;
  while (size <= fd) size *= 2;
  watch = realloc(p->watch, size);
  if (watch == NULL) return false;
  memset(watch + p->size, 0, size - p->size);
  p->watch = watch;
  p->size = size;
  return true;
}

static bool system_open (tc_poller *p);
static bool system_watch (tc_poller *p, int fd, int old, int events);
static bool system_holds (tc_poller *p, int fd, int events);
static int system_wait (tc_poller *p, tc_event *out, int most, double seconds);
static void system_arm (tc_poller *p, double when);

bool tc_poller_open (tc_poller *p) {
  p->fd = p->timer = -1;
  p->armed = HUGE_VAL;
  p->watch = NULL;
  p->size = 0;
  if (system_open(p)) return true;
  tc_poller_close(p);
  return false;
}

void tc_poller_close (tc_poller *p) {
  if (p->timer >= 0) close(p->timer);
  if (p->fd >= 0) close(p->fd);
  p->fd = p->timer = -1;
  free(p->watch);
  p->watch = NULL;
  p->size = 0;
}

bool tc_poller_watch (tc_poller *p, int fd, int events) {
  int old;
  if (fd < 0 || !make_room(p, (size_t)fd)) return false;
  old = p->watch[fd];
  if (old == events) return true;
  if (!system_watch(p, fd, old, events)) return false;
  p->watch[fd] = (unsigned char)events;
  return true;
}

bool tc_poller_holds (tc_poller *p, int fd) {
  return (size_t)fd < p->size && p->watch[fd] != 0 &&
         system_holds(p, fd, p->watch[fd]);
}

void tc_poller_forget (tc_poller *p, int fd) {
  if (fd >= 0 && (size_t)fd < p->size) p->watch[fd] = 0;
}

int tc_poller_wait (tc_poller *p, tc_event *events, int most, double seconds) {
  if (most > EVENTS_MOST) most = EVENTS_MOST;
  return system_wait(p, events, most, seconds > 0 ? seconds : 0);
}

/* a timer that goes off too early costs one idle turn, and saves the system
   call that would put it off at every exchange */
void tc_poller_arm (tc_poller *p, double when) {
  if (when < p->armed) {
    p->armed = when;
    system_arm(p, when);
  }
}

#ifdef __linux__

#include <sys/epoll.h>
#include <sys/timerfd.h>

static bool system_open (tc_poller *p) {
  struct epoll_event e = { .events = EPOLLIN };
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (p->fd < 0 || p->timer < 0) return false;
  e.data.fd = p->timer;
  return epoll_ctl(p->fd, EPOLL_CTL_ADD, p->timer, &e) == 0;
}

static struct epoll_event event_of (int fd, int events) {
  struct epoll_event e;
  memset(&e, 0, sizeof e);
  e.data.fd = fd;
  if (events & TC_POLL_IN) e.events |= EPOLLIN;
  if (events & TC_POLL_OUT) e.events |= EPOLLOUT;
  return e;
}

static bool system_watch (tc_poller *p, int fd, int old, int events) {
  struct epoll_event e = event_of(fd, events);
  int rc;
  if (events == 0) {
    epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &e); /* may be closed by now */
    return true;
  }
  rc = epoll_ctl(p->fd, old != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e);
  if (rc != 0 && old != 0 && errno == ENOENT)
    rc = epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &e);
  else if (rc != 0 && old == 0 && errno == EEXIST)
    rc = epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &e);
  return rc == 0;
}

static bool system_holds (tc_poller *p, int fd, int events) {
  struct epoll_event e = event_of(fd, events);
  return epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &e) == 0;
}

static int events_of (uint32_t system) {
  int events = 0;
  if (system & EPOLLIN) events |= TC_POLL_IN;
  if (system & EPOLLOUT) events |= TC_POLL_OUT;
  if (system & (EPOLLERR | EPOLLHUP)) events |= TC_POLL_ERROR;
  return events;
}

static void timer_fired (tc_poller *p) {
  unsigned char count[8];
  while (read(p->timer, count, sizeof count) < 0 && errno == EINTR) continue;
  p->armed = HUGE_VAL;
}

static int system_wait (tc_poller *p, tc_event *out, int most, double seconds) {
  struct epoll_event got[EVENTS_MOST];
  int n = epoll_wait(p->fd, got, most, (int)ceil(seconds * 1000));
  int kept = 0;
  for (int i = 0; i < n; i++) {
    if (got[i].data.fd == p->timer) {
      timer_fired(p);
      continue;
    }
    out[kept].fd = got[i].data.fd;
    out[kept++].events = events_of(got[i].events);
  }
  return n < 0 ? -1 : kept;
}

static void system_arm (tc_poller *p, double when) {
  struct itimerspec t;
  double whole;
  if (when < 1e-9) when = 1e-9; /* all zero would switch the timer off */
  memset(&t, 0, sizeof t);
  t.it_value.tv_nsec = (long)(modf(when, &whole) * 1e9);
  t.it_value.tv_sec = (time_t)whole;
  if (t.it_value.tv_sec == 0 && t.it_value.tv_nsec == 0) t.it_value.tv_nsec = 1;
  timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

#else

#include <fcntl.h>
#include <sys/event.h>

static bool system_open (tc_poller *p) {
  p->fd = kqueue();
  return p->fd >= 0 && fcntl(p->fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void change (tc_poller *p, int fd, short filter, bool on) {
  struct kevent k;
  EV_SET(&k, fd, filter, on ? EV_ADD : EV_DELETE, 0, 0, NULL);
  kevent(p->fd, &k, 1, NULL, 0, NULL); /* a delete may find nothing */
}

static bool system_watch (tc_poller *p, int fd, int old, int events) {
  int different = old ^ events;
  if (different & TC_POLL_IN)
    change(p, fd, EVFILT_READ, (events & TC_POLL_IN) != 0);
  if (different & TC_POLL_OUT)
    change(p, fd, EVFILT_WRITE, (events & TC_POLL_OUT) != 0);
  return true;
}

/* a kqueue cannot be asked: taken for dropped, and watched anew when wanted */
static bool system_holds (tc_poller *p, int fd, int events) {
  (void)p, (void)fd, (void)events;
  return false;
}

static int system_wait (tc_poller *p, tc_event *out, int most, double seconds) {
  struct kevent got[EVENTS_MOST];
  struct timespec t;
  int n, kept = 0;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  n = kevent(p->fd, NULL, 0, got, most, &t);
  for (int i = 0; i < n; i++) {
    if (got[i].filter == EVFILT_TIMER) {
      p->armed = HUGE_VAL;
      continue;
    }
    out[kept].fd = (int)got[i].ident;
    out[kept++].events =
      got[i].filter == EVFILT_READ ? TC_POLL_IN : TC_POLL_OUT;
  }
  return n < 0 ? -1 : kept;
}

static void system_arm (tc_poller *p, double when) {
  struct kevent k;
  double rest = when - tc_now();
  long ms = rest > 0 ? (long)ceil(rest * 1000) : 0;
  EV_SET(&k, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, ms, NULL);
  kevent(p->fd, &k, 1, NULL, 0, NULL);
}

#endif
