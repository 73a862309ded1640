/*
** net.h: what loop.c, endpoint.c and exchange.c share, and nobody else sees.
** An exchange is in exactly one list: waiting or flying at its endpoint, done
** at its loop, or in none once it was taken.
*/
#ifndef TC_NET_H
#define TC_NET_H

#include <curl/curl.h>

#include "base/file.h"
#include "base/poller.h"
#include "net/transport.h"

#define TC_HEADERS_MOST (256 * 1024) /* bytes of reply headers */
#define TC_HEAD 4096                 /* first bytes kept of a saved stream */
#define TC_STEP_MOST 0.2             /* seconds; Ctrl-C waits no longer */

typedef struct tc_list {
  tc_exchange *first, *last;
} tc_list;

typedef enum tc_state {
  TC_WAITING,
  TC_FLYING,
  TC_DONE,
  TC_TAKEN
} tc_state;

/* A curl handle with its options set, used again and again. Next to it what
   was set last, so that only what differs is set anew. */
typedef struct tc_handle {
  CURL *curl;
  tc_exchange *exchange;
  struct tc_handle *next;
  const struct curl_slist *headers;
  const char *verb;
  long timeout_ms, idle_s, fresh, forbid, room;
  int refused;           /* errno of its last socket, 0: it was opened */
  curl_off_t most;
  char error[CURL_ERROR_SIZE];
} tc_handle;

struct tc_exchange {
  tc_endpoint *endpoint;
  tc_exchange *next, *prev;
  tc_handle *handle; /* while flying */
  tc_state state;
  tc_request request; /* file is NULL from here on: see sink */
  double started, deadline;
  size_t header_bytes;
  int tag;
  unsigned failures;  /* count of failed allocations when it started */
  bool ready;         /* the connection stands: the request itself may leave */
  long preamble;      /* bytes sent before that, to a proxy */
  unsigned mute;      /* turns since the last byte of a header or a body */
  curl_off_t heard;   /* bytes of the packed body until then */
  curl_off_t uploaded;
  bool filing;        /* the file is open */
  bool decided;       /* where the body goes: reply.body until then */
  tc_file file;
  tc_reply reply;
};

typedef struct tc_headers {
  struct tc_headers *older; /* replaced, but perhaps still in use */
  struct curl_slist *lists[2][TC_BODY_FORM + 1]; /* [bare][content] */
} tc_headers;

struct tc_endpoint {
  tc_loop *loop;
  CURLM *multi;         /* its connections; NULL while it has none */
  double due;           /* when libcurl wants a call; HUGE_VAL: never */
  bool broken;          /* the multi is to be replaced: see act in loop.c */
  bool stale;           /* an idle connection has ended: see tidy in loop.c */
  tc_endpoint *next, *prev; /* in the loop, while it has a multi */
  int refs;
  bool closed;
  tc_settings settings; /* texts of our own, no headers */
  CURLSH *share;        /* the cookies, when there is a session */
  CURL *jar;            /* then: to look into them */
  char *lost;           /* name of a cookie that could not be kept; or NULL */
  tc_headers *headers;
  tc_handle *idle;
  size_t idle_count;
  long idle_s;
  tc_list waiting, flying;
  size_t flying_count, flying_most;
  size_t origin;        /* bytes of a URL before its path; 0: targets unused */
  char *host;
};

typedef struct tc_socket {
  tc_endpoint *owner;   /* NULL: not a socket of ours */
  unsigned char state;  /* wanted events, and OURS */
} tc_socket;

struct tc_loop {
  tc_poller poller;
  int refs;
  unsigned generation;     /* of forks, when it was made */
  tc_socket *sockets;      /* by descriptor */
  size_t socket_room;
  bool missing;            /* a socket could not be watched: try again */
  bool watched;            /* somebody else waits on the descriptor */
  double queue_due;        /* first deadline among those that wait */
  double alarm;            /* asked for by a host; HUGE_VAL: none */
  double looked;           /* when events were last asked for */
  size_t active;
  tc_list done;
  tc_endpoint *endpoints;  /* those that have a multi */
};

unsigned tc_curl_failures (void); /* failed allocations so far */

void tc_list_add (tc_list *list, tc_exchange *x);
void tc_list_remove (tc_list *list, tc_exchange *x);

/* at what has come meanwhile, idle connections too, before one is used */
void tc_loop_look (tc_loop *l, double now);
void tc_loop_kick (tc_loop *l); /* let libcurl begin; tell what has ended */
void tc_loop_sweep (tc_loop *l); /* an exchange has failed */
/* Sees that the endpoint has a multi to add a transfer to; false: no memory. */
bool tc_loop_join (tc_endpoint *e);
/* Closes all connections of the endpoint, none of which may be in use. */
void tc_loop_leave (tc_endpoint *e);
void tc_loop_unlink (tc_endpoint *e); /* which has a multi that is left alone */
bool tc_loop_connected (const tc_endpoint *e); /* a connection is open */
void tc_loop_deliver (tc_loop *l, tc_exchange *x); /* it has ended */
curl_socket_t tc_loop_open_socket (void *handle, curlsocktype purpose,
                                   struct curl_sockaddr *address);
int tc_loop_close_socket (void *endpoint, curl_socket_t fd);

tc_handle *tc_endpoint_handle (tc_endpoint *e); /* NULL: no memory */
void tc_endpoint_put_back (tc_endpoint *e, tc_handle *h);
void tc_endpoint_landed (tc_endpoint *e); /* an exchange flies no more */
/* Keeps the reply's cookies that libcurl would not send back (see there). */
void tc_endpoint_keep_cookies (tc_endpoint *e, CURL *c);

int tc_exchange_ready (void *handle, char *to, char *from, int to_port,
                       int from_port);
int tc_exchange_progress (void *handle, curl_off_t dl_total, curl_off_t dl,
                          curl_off_t ul_total, curl_off_t ul);
size_t tc_exchange_header (char *bytes, size_t size, size_t n, void *handle);
size_t tc_exchange_body (char *bytes, size_t size, size_t n, void *handle);
const char *tc_curl_header (CURL *c, const char *name);
void tc_exchange_read (tc_exchange *x); /* fills the reply, but for fault */
tc_fault tc_exchange_fault (const tc_exchange *x, CURLcode rc);
void tc_exchange_ended (tc_exchange *x, CURLcode rc);
void tc_exchange_end (tc_exchange *x, tc_fault fault); /* not done; no kick */
void tc_exchange_expire (tc_endpoint *e, double now, double *due);

/* ---- date.c ---- */

/* Unix seconds: the earliest moment that a Date header can mean; -1: none */
double tc_date (const char *text);

#endif
