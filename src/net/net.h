/*
** net.h: HTTP exchanges over libcurl. A loop drives all of them and is one
** pollable descriptor; an endpoint is one server with its settings, session and
** connections; an exchange is one request and what came of it.
** Knows bytes and libcurl; knows neither Lua nor what a server means.
*/
#ifndef TC_NET_H
#define TC_NET_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/poller.h"

#define TC_HEAD 4096     /* first bytes of a stream, by which it is judged */
#define TC_STEP_MOST 0.2 /* seconds; Ctrl-C waits no longer */

typedef struct tc_loop tc_loop;
typedef struct tc_endpoint tc_endpoint;
typedef struct tc_exchange tc_exchange;

/* ---- loop.c: the multis of libcurl, one an endpoint, and their sockets ---- */

typedef struct tc_node {
  struct tc_node *next, *prev;
} tc_node;

typedef struct tc_list {
  tc_node *first, *last;
} tc_list;

/* the connections of one endpoint */
typedef struct tc_pool {
  tc_loop *loop;
  CURLM *multi;  /* NULL while there are none */
  size_t most;   /* connections */
  size_t busy;   /* transfers in it */
  double due;    /* when libcurl wants a call; HUGE_VAL: never */
  bool stale;    /* an idle connection has ended: close them when none is busy */
  struct tc_pool *next, *prev; /* in the loop, while it has a multi */
} tc_pool;

typedef struct tc_socket {
  tc_pool *owner;      /* NULL: not a socket of ours */
  unsigned char state; /* wanted events, and whether it was opened by us */
} tc_socket;

/* A transfer has ended. curl NULL: libcurl has no memory, so all of the pool's
   have to end, and the multi must not be used again. */
typedef void tc_ended (tc_pool *p, CURL *curl, CURLcode rc);
/* ends those that have waited too long; gives the next deadline or HUGE_VAL */
typedef double tc_expire (tc_pool *p, double now);

struct tc_loop {
  tc_poller poller;
  int refs;
  unsigned generation; /* of forks, when it was made */
  tc_socket *sockets;  /* by descriptor */
  size_t socket_room;
  bool missing;        /* a socket could not be watched: try again */
  bool watched;        /* somebody else waits on the descriptor */
  double now;          /* when this turn, or what the caller asks for, began */
  double looked;       /* when events were last asked for */
  double queue_due;    /* first deadline among those that wait for a connection */
  double alarm;        /* asked for by a host; HUGE_VAL: none */
  tc_pool *pools;      /* those that have a multi */
  tc_list done;        /* what has ended and was not taken; while there is any, */
  size_t active;       /* nothing waits. In flight, or ended and not taken */
  tc_ended *ended;
  tc_expire *expire;
};

/* NULL: no memory or no descriptors */
tc_loop *tc_loop_new (tc_ended *ended, tc_expire *expire);
void tc_loop_release (tc_loop *l);
int tc_loop_fd (tc_loop *l);
double tc_loop_timeout (const tc_loop *l); /* seconds, -1: nothing is due */
/* drives all exchanges, waits at most that long (and at most 0.2 s) */
void tc_loop_step (tc_loop *l, double timeout);
/* the descriptor becomes readable once after that time; < 0: no alarm */
void tc_loop_alarm (tc_loop *l, double seconds);
bool tc_loop_forked (const tc_loop *l); /* made by the parent process */
/* at what has come meanwhile, idle connections too, before one is used */
void tc_loop_look (tc_loop *l);
void tc_loop_kick (tc_loop *l); /* let libcurl begin; tell what has ended */
void tc_loop_sweep (tc_loop *l); /* a transfer has failed */

void tc_list_add (tc_list *list, tc_node *n);
void tc_list_remove (tc_list *list, tc_node *n);

/* sees that there is a multi to add a transfer to; false: no memory */
bool tc_pool_open (tc_pool *p);
void tc_pool_close (tc_pool *p); /* all connections, none of which is busy */
void tc_pool_unlink (tc_pool *p); /* from the loop; the multi is left alone */
bool tc_pool_connected (const tc_pool *p); /* a connection is open */
/* for CURLOPT_OPENSOCKETFUNCTION; -1 with errno */
curl_socket_t tc_pool_socket (tc_pool *p, const struct curl_sockaddr *a);
/* CURLOPT_CLOSESOCKETFUNCTION; its data is the pool */
int tc_pool_close_socket (void *pool, curl_socket_t fd);

/* ---- endpoint.c: settings, headers, handles; cookies.c: the session ---- */

/* an option that libcurl takes as it is */
typedef struct tc_setting {
  CURLoption option;
  const char *name;  /* the user's, for messages; NULL at the end of a list */
  const char *value;
} tc_setting;

typedef struct tc_header {
  const char *line; /* "Name: value"; NULL at the end of a list */
  bool credential;  /* bare requests go without it */
} tc_header;

/* The texts belong to the caller and stay until the endpoint is closed, but for
   the headers. */
typedef struct tc_settings {
  const char *url;   /* with the base path, without a '/' at the end */
  const tc_setting *texts;
  const tc_header *headers; /* or NULL */
  const char *proxy; /* NULL: none; "env": from the environment */
  bool session, insecure;
  double connect_timeout, idle_timeout; /* seconds */
  size_t max_connections;
} tc_settings;

typedef enum tc_content { TC_BODY_NONE, TC_BODY_JSON, TC_BODY_FORM } tc_content;

typedef struct tc_headers {
  struct tc_headers *older; /* replaced, but perhaps still in use */
  struct curl_slist *lists[2][TC_BODY_FORM + 1]; /* [bare][content] */
} tc_headers;

/* A curl handle with its options set, used again and again. Next to it what
   was set last, so that only what differs is set anew. */
typedef struct tc_handle {
  CURL *curl;
  tc_exchange *exchange;
  struct tc_handle *next;
  const struct curl_slist *headers;
  const char *verb;
  long timeout_ms, idle_s, fresh, forbid, room, resumed;
  int refused; /* errno of its last socket, 0: it was opened */
  curl_off_t most;
  char error[CURL_ERROR_SIZE];
} tc_handle;

struct tc_endpoint {
  tc_pool pool;         /* first: the loop knows no more of it */
  int refs;
  bool closed;
  tc_settings settings;
  char *url;            /* of its handles: the origin, with a session all of it */
  size_t origin;        /* bytes of a URL before its path; 0: targets unused */
  CURLSH *share;        /* cookies and TLS sessions, when there are any; or NULL */
  bool resumes;         /* TLS sessions */
  CURL *jar;            /* when there is a session: to look into the cookies */
  char *lost;           /* name of a cookie that could not be kept; or NULL */
  tc_headers *headers;
  tc_handle *idle;
  size_t idle_count;
  long idle_s;
  tc_list waiting, flying; /* exchanges; those that fly are busy in the pool */
};

/* NULL: no memory, or libcurl refused the option that *why then names */
tc_endpoint *tc_endpoint_new (tc_loop *l, const tc_settings *s,
                              const char **why);
void tc_endpoint_close (tc_endpoint *e); /* ends what is in flight */
void tc_endpoint_release (tc_endpoint *e);
bool tc_endpoint_closed (const tc_endpoint *e); /* or the parent process's */
/* the headers replaced, for exchanges that start from now on; false: no memory,
   and the old ones stay */
bool tc_endpoint_set_headers (tc_endpoint *e, const tc_header *headers);
tc_handle *tc_endpoint_handle (tc_endpoint *e); /* NULL: no memory */
void tc_endpoint_put_back (tc_endpoint *e, tc_handle *h);
void tc_endpoint_landed (tc_endpoint *e); /* an exchange flies no more */

void tc_endpoint_forget_session (tc_endpoint *e);
/* calls see for each cookie of the session with its name and value */
typedef void tc_cookie_seen (void *to, tc_slice name, tc_slice value);
void tc_endpoint_cookies (tc_endpoint *e, tc_cookie_seen *see, void *to);
/* keeps the reply's cookies that libcurl would not send back (see there) */
void tc_endpoint_keep_cookies (tc_endpoint *e, CURL *c);

/* ---- exchange.c: one request and its reply ---- */

typedef enum tc_fault {
  TC_FAULT_NONE,
  TC_FAULT_NETWORK,
  TC_FAULT_TIMEOUT,
  TC_FAULT_TLS,
  TC_FAULT_PROTOCOL,
  TC_FAULT_TOO_LARGE,
  TC_FAULT_IO,
  TC_FAULT_MEMORY,
  TC_FAULT_INTERRUPTED,
  TC_FAULT_CLOSED
} tc_fault;

typedef enum tc_phase {
  TC_PHASE_QUEUE,
  TC_PHASE_LOOKUP,
  TC_PHASE_CONNECT,
  TC_PHASE_PROXY,
  TC_PHASE_HANDSHAKE,
  TC_PHASE_SEND,
  TC_PHASE_WAIT,
  TC_PHASE_READ
} tc_phase;

typedef struct tc_request {
  const char *verb;    /* a constant: "GET" or "POST" */
  tc_buffer url;       /* all of it, path and query with it */
  tc_buffer body;      /* wiped when the exchange has ended */
  tc_content content;
  double timeout;      /* seconds, all of it */
  bool fresh;          /* on a connection of its own */
  bool silent;         /* no idle limit */
  bool bare;           /* without the headers that are credentials */
  bool large;          /* a larger receive buffer */
  size_t max_body;     /* bytes kept in memory */
  /* A stream: whether what comes is the file that was asked for. Asked once,
     when the head or all of it is there: the exchange's reply has the status
     and the head's bytes. NULL: no stream */
  bool (*is_file) (const tc_exchange *x);
  const void *rule;    /* is_file's own */
  const char *keep;    /* name of a header that the reply keeps; or NULL */
  const char *file;    /* save a stream here; NULL: keep it in memory */
  bool overwrite;
  bool durable;        /* the file is synced before it gets its name */
} tc_request;

/* filled when the exchange has ended */
typedef struct tc_reply {
  tc_fault fault;
  tc_phase phase;
  int code;          /* libcurl's, or errno for TC_FAULT_IO */
  char *detail;      /* what libcurl or the system said; may be NULL */
  int http_status;
  int proxy_status;  /* of the reply to CONNECT; 0: there was none */
  bool sent;         /* a byte of the request left, or may have left */
  bool framed;       /* the body's end was announced, not only a closed line */
  bool is_file;      /* the stream is what was asked for */
  bool to_file;      /* it was to be saved */
  bool saved;        /* the body is in the file */
  unsigned long long bytes; /* of the body, decoded */
  double seconds;
  double retry_after;  /* -1: none */
  double date;         /* server's time, Unix seconds, or earlier; -1: unknown */
  char *content_type, *kept;
  char *redirect;      /* scheme and host of Location, no path, no query */
  tc_buffer body;      /* in memory, or the first bytes of a saved one */
} tc_reply;

/* An exchange is in one list at most: waiting or flying at its endpoint, done at
   its loop. */
typedef enum tc_state {
  TC_NEW,
  TC_WAITING,
  TC_FLYING,
  TC_DONE,
  TC_TAKEN,
  TC_FREED
} tc_state;

struct tc_exchange {
  tc_node node; /* first */
  tc_state state;
  tc_endpoint *endpoint;
  tc_handle *handle; /* while flying */
  tc_request request;
  tc_reply reply;
  double started, deadline;
  size_t header_bytes;
  bool ready;        /* the connection stands: the request itself may leave */
  long preamble;     /* bytes sent before that, to a proxy */
  unsigned mute;     /* turns since the last byte of a header or a body */
  curl_off_t heard;  /* bytes of the packed body until then */
  curl_off_t uploaded;
  bool filing;       /* the file is open */
  bool judged;       /* is_file has been asked: no byte goes anywhere before */
  tc_file file;
};

/* The exchange lies in memory of the caller's, who fills in the request between
   the two; she frees it at any time, and it may not move between start and free.
   Anything but TC_FAULT_NONE: it has not started; reply.code is as described. */
void tc_exchange_init (tc_exchange *x);
tc_fault tc_exchange_start (tc_exchange *x, tc_endpoint *e);
void tc_exchange_free (tc_exchange *x);
/* ends it now; it goes the way of all that have ended */
void tc_exchange_cancel (tc_exchange *x);
tc_exchange *tc_exchange_take (tc_loop *l); /* the next that has ended, or NULL */
void tc_exchange_end_all (tc_endpoint *e, tc_fault fault);
/* fits tc_loop */
void tc_exchange_ended (tc_pool *p, CURL *curl, CURLcode rc);
double tc_exchange_expire (tc_pool *p, double now);

static inline bool tc_exchange_done (const tc_exchange *x) {
  return x->state >= TC_DONE;
}

/* what libcurl calls; the data is the tc_handle */
void tc_exchange_set_callbacks (tc_handle *h);

/* ---- ending.c: what libcurl knows of an exchange when it ends ---- */

const char *tc_phase_name (tc_phase phase);
const char *tc_fault_kind (tc_fault fault);
const char *tc_curl_header (CURL *c, const char *name);
void tc_exchange_read (tc_exchange *x); /* fills the reply, but for fault */
tc_fault tc_exchange_fault (const tc_exchange *x, CURLcode rc);

/* ---- date.c ---- */

/* Unix seconds: the earliest moment that a Date header can mean; -1: none */
double tc_date (const char *text);

#endif
