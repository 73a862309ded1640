/*
** poller.h: one pollable descriptor over many sockets and one timer. The
** only place that knows epoll and kqueue. Knows nothing of curl or Lua.
*/
#ifndef TC_POLLER_H
#define TC_POLLER_H

#include <stdbool.h>
#include <stddef.h>

enum { TC_POLL_IN = 1, TC_POLL_OUT = 2, TC_POLL_ERROR = 4 };

typedef struct tc_event {
  int fd;
  int events;
} tc_event;

typedef struct tc_poller {
  int fd;               /* the one to wait on; -1: not open */
  int timer;            /* inside it, on systems where timers are descriptors */
  double armed;         /* when the timer goes off; HUGE_VAL: never */
  unsigned char *watch; /* by descriptor: the events asked of the kernel */
  size_t size;
} tc_poller;

double tc_now (void); /* monotonic seconds */

bool tc_poller_open (tc_poller *p);
void tc_poller_close (tc_poller *p); /* sends nothing, fit for a forked child */
/* events 0 ends the watch; false when the system has no room */
bool tc_poller_watch (tc_poller *p, int fd, int events);
/* whether the kernel still watches what it was asked to: not when the descriptor
   has been closed, whoever has its number now */
bool tc_poller_holds (tc_poller *p, int fd);
/* the descriptor has been closed: the kernel has already dropped it */
void tc_poller_forget (tc_poller *p, int fd);
/* at most seconds; number of events, -1 when a signal came */
int tc_poller_wait (tc_poller *p, tc_event *events, int most, double seconds);
/* makes the descriptor readable at that time, not later */
void tc_poller_arm (tc_poller *p, double when);

#endif
