/*
** verdict.h: what a reply means for its operation: good, or which kind of
** failure, and what became of a call that changes state (reliability.md 5).
** Knows the service tables and reply shapes; knows no Lua.
*/
#ifndef TC_VERDICT_H
#define TC_VERDICT_H

#include "server/envelope.h"
#include "server/service.h"
#include "net/transport.h"

typedef struct tc_verdict {
  const char *kind;    /* NULL: good */
  const char *outcome; /* NULL for reads and for what is good */
  const char *why;     /* in words, when the reply itself says nothing */
  bool retryable;
  bool read;           /* a reply came and envelope describes it */
  tc_envelope envelope;
} tc_verdict;

/* tap: NULL, or who is to see the reply's data; see tc_envelope_read */
void tc_judge (tc_verdict *v, const tc_service *s, const tc_operation *op,
               const tc_reply *r, tc_tap *tap);

#endif
