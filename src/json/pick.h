/*
** pick.h: the values of up to TC_PICKS dotted paths, found in one pass over an
** object, as places in its text. Knows bytes only.
*/
#ifndef TC_PICK_H
#define TC_PICK_H

#include "json/json.h"

#define TC_PICKS 16
#define TC_PATH_NAMES 8 /* names in one dotted path */

typedef struct tc_path {
  int names;
  tc_slice name[TC_PATH_NAMES];
} tc_path;

typedef struct tc_picker {
  int count;
  tc_path paths[TC_PICKS];
  char text[1]; /* all paths, one after the other */
} tc_picker;

/* what a picker finds in one reply */
typedef struct tc_pick {
  tc_tap tap;            /* for the pass that checks the reply */
  const tc_picker *picker;
  tc_slice value[TC_PICKS]; /* empty: absent */
  uint32_t twice; /* bit i: path i stands there twice, and counts as absent */
} tc_pick;

/* cuts a dotted path into names; false when one is empty or they are many */
bool tc_path_split (tc_path *path, const char *text, size_t len);

void tc_pick_begin (tc_pick *pick, const tc_picker *p); /* nothing is found */
void tc_pick_data (tc_pick *pick, tc_slice data); /* of a reply checked before */

#endif
