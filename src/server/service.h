/*
** service.h: the servers as tables, and what their replies mean. An operation is
** a row: verb, path, parameters, what the reply is, what it may do to the
** server's state. A new server is one more file like linkis.c and one line in
** tc_services. Knows bytes and exchanges; knows no Lua.
*/
#ifndef TC_SERVICE_H
#define TC_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "json/json.h"
#include "net/net.h"

/* ---- operations ---- */

typedef enum tc_type {
  TC_TEXT,
  TC_INTEGER,
  TC_BOOLEAN,
  TC_ID,      /* path segment sent as it is: only [A-Za-z0-9._:-] */
  TC_OPAQUE_ID, /* path segment, percent-encoded: any text */
  TC_FIELDS   /* table of further form fields, passed through */
} tc_type;

typedef enum tc_where { TC_QUERY, TC_PATH, TC_FORM } tc_where;

typedef struct tc_param {
  const char *name;
  tc_type type;
  tc_where where;
  bool required;
  const char *preset; /* sent when the caller gives nothing; NULL: nothing */
} tc_param;

typedef enum tc_decoder {
  TC_DECODE_DATA,    /* the envelope's data */
  TC_DECODE_MESSAGE, /* the envelope's message */
  TC_DECODE_STREAM   /* bytes; an envelope, page or error text is a failure */
} tc_decoder;

enum {
  TC_CHANGES = 1,   /* changes state: fresh connection, never resent */
  TC_SILENT = 2,    /* may rightly send nothing for minutes: no idle limit */
  TC_BARE = 4,      /* token headers mean nothing here and stay away */
  TC_LARGE = 8,     /* big replies: a larger receive buffer */
  TC_OPTIONAL_ID = 16, /* without id the "/{id}" of the path falls away */
  TC_NAMED = 32,    /* the answer must name a job: an empty id is no answer */
  TC_BLANK = 64     /* may be called without a body: "{}" is sent then */
};

typedef struct tc_operation {
  const char *name;
  const char *verb;
  const char *path; /* behind the service's base */
  tc_content content;
  tc_decoder decoder;
  int flags;
  double timeout;   /* seconds */
  const tc_param *params; /* ends with a NULL name; NULL: none */
} tc_operation;

/* ---- replies: envelope.c ---- */

typedef struct tc_service tc_service;

typedef enum tc_shape {
  TC_SHAPE_EMPTY,    /* no byte, or only white space */
  TC_SHAPE_ENVELOPE, /* a server's own: see service */
  TC_SHAPE_BOOT,     /* {timestamp,status,error,path}, an error page of Spring's */
  TC_SHAPE_JSON,     /* some other complete JSON document: data is its data
                        member, else all of it; ok by the HTTP code alone */
  TC_SHAPE_BROKEN,   /* begins as JSON and is not: cut, wrong, too deep */
  TC_SHAPE_HTML,
  TC_SHAPE_TEXT
} tc_shape;

typedef struct tc_envelope {
  tc_shape shape;
  const char *name;  /* of the shape, for users */
  const tc_service *service; /* whose envelope it is; NULL: nobody's */
  bool ok;           /* the server said yes */
  bool gateway;      /* made up by what stands before the service */
  bool login;        /* the server says: not logged in */
  bool warning;      /* it was done, with a remark */
  int status;        /* the status member, or the HTTP code when it has none */
  int64_t code;      /* the server's error number wherever it hides; 0: none */
  tc_slice message;  /* raw JSON string, or plain text when !message_json */
  bool message_json;
  tc_slice data;     /* the data value as it stands, empty when absent */
  tc_json_fault fault;
  size_t fault_at;   /* offset, for TC_SHAPE_BROKEN */
} tc_envelope;

/* the members of a reply's top level that tell what it is */
enum { TC_STATUS, TC_MESSAGE, TC_DATA, TC_SUCCESS, TC_TIMESTAMP, TC_ERROR,
       TC_PATH_MEMBER, TC_MEMBERS };

typedef struct tc_member {
  tc_token token; /* TC_JSON_END: not there */
  bool integral;
  tc_slice text;  /* of a scalar, as the reader gives it */
  tc_slice value; /* the whole value as it stands */
} tc_member;

static inline bool tc_has (const tc_member *m) { return m->token != TC_JSON_END; }
bool tc_is_yes (const tc_member *m); /* true, or the text of it in any case */
bool tc_is_no (const tc_member *m);
bool tc_is_empty_array (const tc_member *m);

/* tap: NULL, or who is to see the data */
void tc_envelope_read (tc_envelope *e, const char *body, size_t len,
                       int http_status, tc_tap *tap);

/* ---- servers ---- */

/* an error number that passes: the same call may succeed later */
typedef struct tc_passing {
  int64_t code;  /* 0 at the end of a list */
  bool at_login; /* where the server says: not logged in */
} tc_passing;

struct tc_service {
  const char *name;
  const char *title; /* for messages */
  const char *other; /* what to say of its envelope when another server's is due */
  const char *base;  /* joined to the path of the client's URL */
  /* Whether the members are an envelope of this server: then shape's name, ok,
     login, warning and gateway are filled in. numbered: status is a number, and
     stands in e->status */
  bool (*read) (tc_envelope *e, const tc_member *members, bool numbered);
  bool object_data;  /* data is an object, or null for an empty one */
  const tc_passing *passing;   /* or NULL */
  const char *credentials;     /* how names of headers begin that log in; or NULL */
  /* A stream without a name is the file, but for what begins so: the text of
     an error, and the first letter of a page or an envelope; or NULL */
  const char *stream_error, *no_file;
  /* members of a reply, as they stand in it, that may hold what must not be
     shown; ends with NULL */
  const char *const *hidden;
  const char *connect_hint;    /* the usual reason when nobody answers; or NULL */
  const tc_operation *operations; /* ends with a NULL name */
};

extern const tc_service tc_linkis, tc_lindorm;
extern const tc_service *const tc_services[]; /* ends with NULL */

const tc_service *tc_service_find (const char *name);
const tc_operation *tc_service_operation (const tc_service *s,
                                          const char *name);
const tc_param *tc_operation_param (const tc_operation *op, const char *name);

/* ---- what a reply means for its operation: verdict.c ---- */

typedef struct tc_verdict {
  const char *kind;    /* NULL: good */
  const char *outcome; /* what became of a change; NULL for reads and what is good */
  const char *why;     /* in words, when the reply itself says nothing */
  bool retryable;
  bool read;           /* a reply came and envelope describes it */
  tc_envelope envelope;
} tc_verdict;

/* tap: NULL, or who is to see the reply's data; see tc_envelope_read */
void tc_judge (tc_verdict *v, const tc_service *s, const tc_operation *op,
               const tc_reply *r, tc_tap *tap);
/* a request's is_file: its rule is the service */
bool tc_is_file (const tc_exchange *x);

#endif
