/*
** service.h: the servers as tables. An operation is a row: verb, path,
** parameters, what the reply is, what it may do to the server's state. A new
** server is one more file like linkis.c and one line in tc_services.
*/
#ifndef TC_SERVICE_H
#define TC_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/transport.h"

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

typedef struct tc_service {
  const char *name;
  const char *title; /* for messages */
  const char *base;  /* joined to the path of the client's URL */
  bool envelope;     /* Linkis envelope; false: {"success":…} */
  const char *stream_error; /* how a failed stream begins; NULL: none known */
  const char *connect_hint; /* the usual reason when nobody answers; or NULL */
  const tc_operation *operations; /* ends with a NULL name */
} tc_service;

extern const tc_service tc_linkis, tc_lindorm;

const tc_service *tc_service_find (const char *name);
const tc_operation *tc_service_operation (const tc_service *s,
                                          const char *name);
const tc_param *tc_operation_param (const tc_operation *op, const char *name);

#endif
