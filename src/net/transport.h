/*
** transport.h: HTTP exchanges over curl. A loop drives all of them
** and is one pollable descriptor; an endpoint is one server with its settings
** and session; an exchange is one request and what came of it.
** Knows bytes and libcurl; knows neither Lua nor operations.
*/
#ifndef TC_TRANSPORT_H
#define TC_TRANSPORT_H

#include <stdbool.h>

#include "base/buffer.h"

typedef struct tc_loop tc_loop;
typedef struct tc_endpoint tc_endpoint;
typedef struct tc_exchange tc_exchange;

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

typedef enum tc_content { TC_BODY_NONE, TC_BODY_JSON, TC_BODY_FORM } tc_content;

typedef struct tc_settings {
  const char *host; /* host:port, for messages */
  const char *url;  /* with the base path, without a '/' at the end */
  const char *const *headers; /* "Name: value", NULL at the end */
  const char *cookie, *user, *password, *user_agent;
  const char *proxy;          /* NULL: none; "env": from the environment */
  const char *ca_file, *ca_path, *cert, *key, *key_password;
  bool session, insecure;
  double connect_timeout, idle_timeout; /* seconds */
  size_t max_connections;
} tc_settings;

typedef struct tc_request {
  const char *verb;     /* a constant: "GET" or "POST" */
  tc_buffer url;        /* all of it, path and query with it; both are moved */
  tc_buffer body;       /* into the exchange when it starts, the body wiped */
  tc_content content;
  double timeout;       /* seconds, all of it */
  bool fresh;           /* on a connection of its own */
  bool silent;          /* no idle limit */
  bool bare;            /* without token headers */
  bool large;
  bool stream;          /* bytes are expected, with Content-Disposition */
  const char *refuse;   /* a stream that begins so is an error; or NULL */
  size_t max_body;
  const char *file;     /* save a stream here; NULL: keep it in memory */
  bool overwrite;
  bool durable;         /* the file is synced before it gets its name */
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
  bool to_file;      /* a file was asked for */
  bool saved;        /* the body is in it */
  unsigned long long bytes; /* of the body, decoded */
  double seconds;
  double retry_after;  /* -1: none */
  double date;         /* server's time, Unix seconds, or earlier; -1: unknown */
  char *content_type, *disposition;
  char *redirect;      /* scheme and host of Location, no path, no query */
  tc_buffer body;      /* in memory, or the first bytes of a saved one */
} tc_reply;

/* ---- loop ---- */

tc_loop *tc_loop_new (void); /* NULL: no memory or no descriptors */
void tc_loop_release (tc_loop *l);
int tc_loop_fd (tc_loop *l);
double tc_loop_timeout (const tc_loop *l); /* seconds, -1: nothing is due */
/* drives all exchanges, waits at most that long (and at most 0.2 s) */
void tc_loop_step (tc_loop *l, double timeout);
size_t tc_loop_ended (const tc_loop *l); /* and were not taken yet */
tc_exchange *tc_loop_take (tc_loop *l);  /* the next of them, or NULL */
size_t tc_loop_active (const tc_loop *l); /* in flight, or ended and not taken */
/* the descriptor becomes readable once after that time; < 0: no alarm */
void tc_loop_alarm (tc_loop *l, double seconds);
bool tc_loop_forked (const tc_loop *l); /* made by the parent process */

/* ---- endpoint ---- */

/* NULL: no memory, or libcurl refused the option that *why then names */
tc_endpoint *tc_endpoint_new (tc_loop *l, const tc_settings *s,
                              const char **why);
void tc_endpoint_close (tc_endpoint *e); /* ends what is in flight */
void tc_endpoint_release (tc_endpoint *e);
bool tc_endpoint_forked (const tc_endpoint *e); /* the parent process has it */
bool tc_endpoint_closed (const tc_endpoint *e); /* or forked */
const char *tc_endpoint_host (const tc_endpoint *e); /* host:port */
/* the constructor's headers replaced, for exchanges that start from now on;
   false: no memory, and the old ones stay */
bool tc_endpoint_set_headers (tc_endpoint *e, const char *const *headers);
void tc_endpoint_forget_session (tc_endpoint *e);
/* The name of a cookie of this session that libcurl refuses in any form, as one
   called __Secure- over plain HTTP; or NULL. */
const char *tc_endpoint_lost_cookie (const tc_endpoint *e);
/* calls see for each cookie of the session with its name and value */
typedef void tc_cookie_seen (void *to, tc_slice name, tc_slice value);
void tc_endpoint_cookies (tc_endpoint *e, tc_cookie_seen *see, void *to);

/* ---- exchange ---- */

/* NULL and *fault when it cannot even start; *code as in the reply */
tc_exchange *tc_exchange_start (tc_endpoint *e, tc_request *r,
                                tc_fault *fault, int *code);
bool tc_exchange_done (const tc_exchange *x);
int *tc_exchange_tag (tc_exchange *x); /* 0 at first; the caller's own */
bool tc_exchange_forked (const tc_exchange *x); /* the parent process's */
/* ends it now; it goes the way of all that have ended */
void tc_exchange_cancel (tc_exchange *x, tc_fault fault);
const tc_reply *tc_exchange_reply (const tc_exchange *x);
/* takes the bytes of body in place of the reply's own; body is empty after it */
void tc_exchange_replace (tc_exchange *x, tc_buffer *body);
void tc_exchange_free (tc_exchange *x); /* at any time */

const char *tc_phase_name (tc_phase phase);
const char *tc_fault_kind (tc_fault fault);

#endif
