/*
** linkis.c: the operations of the Apache Linkis gateway, with the server's
** own names and defaults (protocols 2 and 3), and its envelope. What is not
** asked is not sent: the server's default stands, but where it is known to be a
** trap.
*/
#include "server/service.h"

#define END { NULL, TC_TEXT, TC_QUERY, false, NULL }
#define TEXT(name) { name, TC_TEXT, TC_QUERY, false, NULL }
#define INTEGER(name) { name, TC_INTEGER, TC_QUERY, false, NULL }
#define BOOLEAN(name) { name, TC_BOOLEAN, TC_QUERY, false, NULL }
#define ID { "id", TC_ID, TC_PATH, true, NULL }
#define WANTED(name) { name, TC_TEXT, TC_QUERY, true, NULL }

static const tc_param only_id[] = { ID, END };
static const tc_param id_task[] = { ID, INTEGER("taskID"), END };
static const tc_param maybe_id[] = {
  { "id", TC_ID, TC_PATH, false, NULL }, END
};
static const tc_param log_lines[] = {
  ID, INTEGER("fromLine"), INTEGER("size"), BOOLEAN("distinctLevel"), END
};

static const tc_param taskinfo[] = {
  TEXT("user"), TEXT("creator"), TEXT("ecType"), TEXT("instance"), END
};
static const tc_param instance[] = { TEXT("instance"), END };

static const tc_param history_get[] = { ID, TEXT("brief"), END };
static const tc_param history_list[] = {
  INTEGER("startDate"), INTEGER("endDate"), TEXT("status"),
  INTEGER("pageNow"), INTEGER("pageSize"), INTEGER("taskID"),
  TEXT("executeApplicationName"), TEXT("creator"), TEXT("proxyUser"),
  BOOLEAN("isAdminView"), BOOLEAN("isDeptView"), TEXT("instance"),
  TEXT("engineInstance"), TEXT("runType"), END
};
static const tc_param task_ids[] = { WANTED("taskID"), END };
static const tc_param undone[] = {
  INTEGER("startDate"), INTEGER("endDate"), TEXT("status"),
  INTEGER("pageNow"), INTEGER("pageSize"), INTEGER("startTaskID"),
  TEXT("engineType"), TEXT("creator"), END
};
static const tc_param undone_count[] = {
  INTEGER("startDate"), INTEGER("endDate"), INTEGER("pageNow"),
  INTEGER("pageSize"), INTEGER("startTaskID"), TEXT("engineType"),
  TEXT("creator"), END
};
static const tc_param extra_info[] = {
  { "jobId", TC_INTEGER, TC_QUERY, true, NULL }, END
};
static const tc_param counts[] = {
  INTEGER("startDate"), INTEGER("endDate"), TEXT("executeApplicationName"),
  TEXT("creator"), TEXT("proxyUser"), END
};

static const tc_param path[] = { WANTED("path"), END };
static const tc_param open_file[] = {
  WANTED("path"), INTEGER("page"), INTEGER("pageSize"), TEXT("charset"),
  { "nullValue", TC_TEXT, TC_QUERY, false, "LINKIS_NULL" },
  INTEGER("limitBytes"), INTEGER("limitColumnLength"), BOOLEAN("enableLimit"),
  INTEGER("columnPage"), INTEGER("columnPageSize"), TEXT("maskedFieldNames"),
  TEXT("truncateColumn"), END
};
static const tc_param file_info[] = {
  WANTED("path"), INTEGER("pageSize"), END
};
static const tc_param open_log[] = {
  WANTED("path"), TEXT("proxyUser"), TEXT("logLevel"), END
};
static const tc_param one_excel[] = {
  WANTED("path"), TEXT("outputFileType"), TEXT("charset"),
  /* three spellings: of servers from 1.3.2, of older ones, of the page */
  TEXT("csvSeparator"), TEXT("csvSeperator"), TEXT("csvSeerator"),
  BOOLEAN("quoteRetouchEnable"),
  BOOLEAN("keepNewline"), TEXT("nullValue"), INTEGER("limit"),
  TEXT("outputFileName"), TEXT("sheetName"), BOOLEAN("autoFormat"),
  TEXT("maskedFieldNames"), END
};
static const tc_param all_excel[] = {
  WANTED("path"), TEXT("outputFileName"), TEXT("nullValue"),
  INTEGER("limit"), BOOLEAN("autoFormat"), TEXT("maskedFieldNames"), END
};
static const tc_param root_path[] = { TEXT("pathType"), END };
static const tc_param proxy[] = {
  WANTED("proxyUser"), TEXT("validationCode"), END
};

#define ENTRANCE "/entrance"
#define HISTORY "/jobhistory"
#define FILES "/filesystem"
#define USER "/user"

#define READ(name, path, flags, timeout, params) \
  { name, "GET", path, TC_BODY_NONE, TC_DECODE_DATA, flags, timeout, params }
#define POST(name, path, flags, timeout, params) \
  { name, "POST", path, TC_BODY_JSON, TC_DECODE_DATA, flags, timeout, params }
#define STREAM(name, path, params) \
  { name, "GET", path, TC_BODY_NONE, TC_DECODE_STREAM, \
    TC_SILENT | TC_LARGE, 3600, params }

/* a sick server holds a submit for up to 16 minutes, a
   status or kill of an unknown job for 195 s */
#define SUBMIT_TIME 1200
#define BLOCKED_TIME 240

static const tc_operation operations[] = {
  POST("submit", ENTRANCE "/submit", TC_CHANGES | TC_SILENT, SUBMIT_TIME, NULL),
  POST("execute", ENTRANCE "/execute", TC_CHANGES | TC_SILENT, SUBMIT_TIME,
       NULL),
  READ("status", ENTRANCE "/{id}/status", TC_SILENT, BLOCKED_TIME, id_task),
  READ("log", ENTRANCE "/{id}/log", TC_LARGE, 60, log_lines),
  READ("progress", ENTRANCE "/{id}/progress", 0, 60, only_id),
  READ("progressWithResource", ENTRANCE "/{id}/progressWithResource", 0, 60,
       only_id),
  READ("kill", ENTRANCE "/{id}/kill", TC_CHANGES | TC_SILENT, BLOCKED_TIME,
       id_task),
  POST("killJobs", ENTRANCE "/{id}/killJobs",
       TC_CHANGES | TC_SILENT | TC_OPTIONAL_ID, BLOCKED_TIME, maybe_id),
  READ("pause", ENTRANCE "/{id}/pause", TC_CHANGES | TC_SILENT, BLOCKED_TIME,
       only_id),
  READ("taskinfo", ENTRANCE "/operation/metrics/taskinfo", 0, 60, taskinfo),
  READ("runningtask", ENTRANCE "/operation/metrics/runningtask", 0, 60,
       instance),

  READ("get", HISTORY "/{id}/get", 0, 60, history_get),
  READ("list", HISTORY "/list", TC_LARGE, 60, history_list),
  READ("list-taskids", HISTORY "/list-taskids", TC_LARGE, 60, task_ids),
  READ("listundonetasks", HISTORY "/listundonetasks", TC_LARGE, 60, undone),
  READ("listundone", HISTORY "/listundone", 0, 60, undone_count),
  READ("job-extra-info", HISTORY "/job-extra-info", 0, 60, extra_info),
  STREAM("download-job-list", HISTORY "/download-job-list", history_list),
  READ("governanceStationAdmin", HISTORY "/governanceStationAdmin", 0, 60,
       NULL),
  READ("taskCount", HISTORY "/jobstatistics/taskCount", 0, 60, counts),
  READ("engineCount", HISTORY "/jobstatistics/engineCount", 0, 60, counts),

  READ("getDirFileTrees", FILES "/getDirFileTrees", 0, 60, path),
  READ("openFile", FILES "/openFile", TC_SILENT | TC_LARGE, 300, open_file),
  READ("fileInfo", FILES "/fileInfo", TC_SILENT, 600, file_info),
  READ("openLog", FILES "/openLog", TC_SILENT | TC_LARGE, 300, open_log),
  STREAM("resultsetToExcel", FILES "/resultsetToExcel", one_excel),
  STREAM("resultsetsToExcel", FILES "/resultsetsToExcel", all_excel),
  READ("isExist", FILES "/isExist", 0, 60, path),
  POST("createNewDir", FILES "/createNewDir", TC_CHANGES, 60, NULL),
  POST("createNewFile", FILES "/createNewFile", TC_CHANGES, 60, NULL),
  { "download", "POST", FILES "/download", TC_BODY_JSON, TC_DECODE_STREAM,
    TC_SILENT | TC_LARGE, 3600, NULL },
  POST("deleteDirOrFile", FILES "/deleteDirOrFile", TC_CHANGES, 60, NULL),
  POST("rename", FILES "/rename", TC_CHANGES, 60, NULL),
  POST("move", FILES "/move", TC_CHANGES, 60, NULL),
  READ("getUserRootPath", FILES "/getUserRootPath", 0, 60, root_path),
  POST("saveScript", FILES "/saveScript", TC_CHANGES, 60, NULL),

  POST("login", USER "/login", TC_CHANGES | TC_BARE, 60, NULL),
  POST("logout", USER "/logout", TC_CHANGES | TC_BARE | TC_BLANK, 60, NULL),
  READ("heartbeat", USER "/heartbeat", TC_BARE, 60, NULL),
  READ("userInfo", USER "/userInfo", TC_BARE, 60, NULL),
  READ("publicKey", USER "/publicKey", TC_BARE, 60, NULL),
  POST("token-login", USER "/token-login", TC_CHANGES | TC_BLANK, 60, NULL),
  READ("proxy", USER "/proxy", TC_CHANGES | TC_BARE, 60, proxy),
  READ("baseinfo", USER "/baseinfo", TC_BARE, 60, NULL),
  { NULL, NULL, NULL, TC_BODY_NONE, TC_DECODE_DATA, 0, 0, NULL }
};

/* {method,status,message,data}; an empty list for data and an HTTP code for
   status: the gateway itself answers */
static bool read (tc_envelope *e, const tc_member *m, bool numbered) {
  bool page = tc_has(&m[TC_ERROR]) || tc_has(&m[TC_TIMESTAMP]);
  if (!numbered || !(tc_has(&m[TC_DATA]) || (tc_has(&m[TC_MESSAGE]) && !page)))
    return false;
  e->gateway = e->status >= 100 && tc_is_empty_array(&m[TC_DATA]);
  e->name = e->gateway ? "gateway" : "linkis";
  e->ok = e->status == 0 &&
          (!tc_has(&m[TC_SUCCESS]) || tc_is_yes(&m[TC_SUCCESS]));
  e->warning = e->status == 4;
  e->login = !e->ok && (e->status == -1 || e->status == 401);
  return true;
}

/* A gateway that does not know the service or instance yet, or that could not
   look a token up, for its database is away. A token that is wrong is a 15206
   too, with 15204 as its cause, which counts. */
static const tc_passing passing[] = {
  { 10050, false }, { 11011, false }, { 11012, false },
  { 15200, true }, { 15206, true }, { 0, false }
};

/* a task's parameters hold passwords in clear, and so does a request body that
   the gateway echoes */
static const char *const hidden[] = {
  "\"paramsJson\"", "\"paramJson\"", "\"data\":{\"data\":", NULL
};

const tc_service tc_linkis = {
  "linkis", "Linkis", "the answer is one of Linkis", "/api/rest_j/v1", read,
  true, passing, "Token-", "error(", "{<", hidden, NULL, operations
};
