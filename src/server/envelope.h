/*
** envelope.h: which of the reply shapes is this, is it a yes, what error,
** where does the data begin (linkis-wire 1, lindorm-wire 2 and 9).
** Knows bytes and the HTTP code; knows neither Lua nor operations.
*/
#ifndef TC_ENVELOPE_H
#define TC_ENVELOPE_H

#include "json/json.h"

typedef enum tc_shape {
  TC_SHAPE_EMPTY,   /* no byte, or only white space */
  TC_SHAPE_LINKIS,  /* {method,status,message,data} */
  TC_SHAPE_GATEWAY, /* the same with data:[], status is the HTTP code */
  TC_SHAPE_BOOT,    /* {timestamp,status,error,path} */
  TC_SHAPE_LINDORM, /* {success,message|data} */
  TC_SHAPE_JSON,    /* some other complete JSON document: data is its data
                       member, else all of it; ok by the HTTP code alone */
  TC_SHAPE_BROKEN,  /* begins as JSON and is not: cut, wrong, too deep */
  TC_SHAPE_HTML,
  TC_SHAPE_TEXT
} tc_shape;

typedef struct tc_envelope {
  tc_shape shape;
  bool ok;           /* the server said yes */
  bool login;        /* the server says: not logged in (status -1, HTTP 401) */
  bool warning;      /* Linkis status 4 */
  int status;        /* the status member, or the HTTP code when it has none */
  int64_t code;      /* the server's error number wherever it hides; 0: none */
  tc_slice message;  /* raw JSON string, or plain text when !message_json */
  bool message_json;
  tc_slice data;     /* the data value as it stands, empty when absent */
  tc_json_fault fault;
  size_t fault_at;   /* offset, for TC_SHAPE_BROKEN */
} tc_envelope;

/* tap: NULL, or who is to see the data */
void tc_envelope_read (tc_envelope *e, const char *body, size_t len,
                       int http_status, tc_tap *tap);
const char *tc_shape_name (tc_shape shape);

#endif
