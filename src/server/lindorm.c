/*
** lindorm.c: Alibaba Lindorm LTS bulk load, all of its published operations
** (protocols L2 and L3). Nothing else is known of it, so nothing else is here.
*/
#include "server/service.h"

#define END { NULL, TC_TEXT, TC_QUERY, false, NULL }
#define FIELD(name, required, preset) { name, TC_TEXT, TC_FORM, required, preset }

static const tc_param create[] = {
  FIELD("src", true, NULL),
  FIELD("dst", true, NULL),
  FIELD("readerConfig", true, NULL),
  FIELD("writerConfig", true, NULL),
  FIELD("driverSpec", false, "large"),
  { "instances", TC_INTEGER, TC_FORM, true, NULL },
  FIELD("fileType", false, NULL),
  FIELD("sparkAdditionalParams", false, NULL),
  { "extra", TC_FIELDS, TC_FORM, false, NULL },
  END
};

static const tc_param one[] = {
  { "id", TC_OPAQUE_ID, TC_PATH, true, NULL },
  END
};

static const tc_operation operations[] = {
  { "create", "POST", "/pro/proc/bulkload/create", TC_BODY_FORM,
    TC_DECODE_MESSAGE, TC_CHANGES | TC_SILENT | TC_NAMED, 120, create },
  { "info", "GET", "/pro/proc/{id}/info", TC_BODY_NONE,
    TC_DECODE_DATA, 0, 60, one },
  { "abort", "GET", "/pro/proc/{id}/abort", TC_BODY_NONE,
    TC_DECODE_MESSAGE, TC_CHANGES | TC_SILENT, 120, one },
  { "retry", "GET", "/pro/proc/{id}/retry", TC_BODY_NONE,
    TC_DECODE_MESSAGE, TC_CHANGES | TC_SILENT, 120, one },
  { "delete", "GET", "/pro/proc/{id}/delete", TC_BODY_NONE,
    TC_DECODE_MESSAGE, TC_CHANGES | TC_SILENT, 120, one },
  { NULL, NULL, NULL, TC_BODY_NONE, TC_DECODE_DATA, 0, 0, NULL }
};

/* {success,message|data} */
static bool read (tc_envelope *e, const tc_member *m, bool numbered) {
  (void)numbered;
  e->name = "lindorm";
  e->ok = tc_is_yes(&m[TC_SUCCESS]);
  return e->ok || tc_is_no(&m[TC_SUCCESS]);
}

static const char *const hidden[] = { NULL };

const tc_service tc_lindorm = {
  "lindorm", "Lindorm LTS", "the answer is one of Lindorm", "", read, false, NULL,
  NULL, NULL, NULL, hidden,
  "is this machine on the IP allow list of the Lindorm instance?", operations
};
