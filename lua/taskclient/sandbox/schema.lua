-- The sandbox's one SQLite file: its tables, who writes which column, and the
-- settings that both processes read while they run.
-- Pure Lua that every Lua can read: the REST face loads it in nginx (LuaJIT),
-- the engine and init.lua in Lua 5.4. It must open nothing itself.

local M = {}

-- What every connection says first. WAL: the face reads while the engine writes. The wait for a
-- lock comes before, for two that open a new file at once meet at its journal.
M.pragmas = {
  "PRAGMA busy_timeout=5000",
  "PRAGMA journal_mode=WAL",
  "PRAGMA synchronous=OFF",
}

-- Times are epoch milliseconds. "face" and "engine" name the writer.
M.ddl = { [[
CREATE TABLE IF NOT EXISTS setting (        -- sandbox:set{} and init.lua write, both read
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL                       -- JSON text
)]], [[
CREATE TABLE IF NOT EXISTS task (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,   -- the task id; face inserts every row
  -- host:port that took it (face); '' while failover is pending
  entrance      TEXT NOT NULL,
  -- creator_user_engine_index (face); its slot in the entrance
  short_id      TEXT,
  -- short id as history shows it: NULL until Scheduled (engine copies short_id)
  exec_id       TEXT,
  submit_user   TEXT NOT NULL,
  execute_user  TEXT NOT NULL,
  creator       TEXT NOT NULL,
  engine        TEXT NOT NULL,              -- name: shell, python, jdbc, spark, ...
  engine_label  TEXT NOT NULL,              -- label as sent: shell-1
  -- as sent; the engine decides by run_type, then by engine, what to run
  run_type      TEXT NOT NULL,
  queue         TEXT NOT NULL,              -- creator_user_engine: 10 of one queue run at a time
  code          TEXT NOT NULL,              -- after variable substitution (face)
  params        TEXT NOT NULL DEFAULT '{}', -- JSON as history's paramsJson (face)
  source        TEXT NOT NULL DEFAULT '{}', -- JSON as history's sourceJson (face)
  labels        TEXT NOT NULL DEFAULT '[]', -- JSON array of "key:value" (face)
  -- logical result directory, chosen by the face at submit
  result_path   TEXT,
  -- state in the entrance's memory, as /status shows it (engine; face inserts Inited)
  mem_status    TEXT NOT NULL,
  mem_progress  REAL NOT NULL DEFAULT 0,    -- 0..1, as /progress shows it (engine)
  progress_info TEXT NOT NULL DEFAULT '[]', -- JSON array of {id,totalTasks,...} (engine)
  -- state in job history (engine; face: Inited, Failed by interceptor, forced kill)
  status        TEXT NOT NULL,
  -- "0.0".."1.0", NULL while Inited (engine; face on a forced kill)
  progress      TEXT,
  err_code      INTEGER,                    -- engine; 0 on success, NULL for most failures
  err_desc      TEXT,                       -- engine; cut to 512 characters; '' on success
  log_path      TEXT,                       -- logical path (face)
  result_location TEXT,                     -- NULL until it runs (engine copies result_path)
  -- host:port (engine); the text NULL after an interceptor's refusal
  engine_instance TEXT,
  can_retry     INTEGER NOT NULL DEFAULT 0, -- engine: failed before it reached an engine
  metrics       TEXT,                       -- JSON (engine)
  created_ms    INTEGER NOT NULL,           -- cut to the second (face)
  updated_ms    INTEGER NOT NULL,
  request_start_ms INTEGER,                 -- whole seconds (engine)
  request_end_ms   INTEGER,
  submitted_ms  INTEGER NOT NULL,           -- exact, for live costs and queue order (face)
  ended_ms      INTEGER,                    -- exact end in memory (engine)
  -- final: whole seconds * 1000 (engine); NULL while it lives
  cost_ms       INTEGER,
  -- last /status, for heart-beat creators (face; the engine kills by it)
  seen_ms       INTEGER,
  pid           INTEGER                     -- process group of the running work (engine)
)]], [[
CREATE INDEX IF NOT EXISTS task_live ON task(mem_status)]], [[
CREATE INDEX IF NOT EXISTS task_created ON task(created_ms)]], [[
-- the entrances' memory; face only; emptied when the sandbox starts
CREATE TABLE IF NOT EXISTS slot (
  entrance TEXT NOT NULL,
  queue    TEXT NOT NULL,
  idx      INTEGER NOT NULL,
  task     INTEGER,                         -- NULL: an empty slot (idle consumer cleared)
  PRIMARY KEY (entrance, queue, idx)
) WITHOUT ROWID]], [[
CREATE TABLE IF NOT EXISTS log (            -- entries as the entrance's log sees them, in order
  task INTEGER NOT NULL,
  -- 1, 2, ...: face writes the first at submit, the engine goes on at max(n)+1
  n    INTEGER NOT NULL,
  -- one entry; may hold a newline; ring and file are computed by ring.lua
  line TEXT NOT NULL,
  PRIMARY KEY (task, n)
) WITHOUT ROWID]], [[
CREATE TABLE IF NOT EXISTS file (           -- the file system that /filesystem shows
  -- logical: file:///tmp/linkis/..., single slashes after the scheme, no / at the end
  path   TEXT PRIMARY KEY,
  parent TEXT NOT NULL,                     -- the directory's logical path
  -- 'dir', 'result' (our format, below), 'raw' (bytes), 'log' (of task)
  kind   TEXT NOT NULL,
  disk   TEXT,                              -- where the bytes are; NULL for dir
  side   TEXT,                              -- result: its file of offsets
  -- result: "1" text, "2" table, "3" io, "4" picture, "5" html
  type   TEXT,
  rows   INTEGER,                           -- result: rows so far
  size   INTEGER NOT NULL DEFAULT 0,
  mtime_ms INTEGER NOT NULL,
  owner  TEXT NOT NULL,
  -- engine inserts results (and their directories); face everything else
  task   INTEGER
)]], [[
CREATE INDEX IF NOT EXISTS file_parent ON file(parent)]], [[
CREATE TABLE IF NOT EXISTS command (        -- face or init.lua to engine; see "poke"
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,                       -- M.commands
  task INTEGER,
  args TEXT,                                -- JSON
  done INTEGER NOT NULL DEFAULT 0           -- engine sets 1 when it has acted
)]], [[
CREATE TABLE IF NOT EXISTS session (        -- face only
  ticket  TEXT PRIMARY KEY,
  user    TEXT NOT NULL,
  proxy   TEXT,
  gateway TEXT NOT NULL,
  seen_ms INTEGER NOT NULL
)]] }

-- command.kind. A submit needs none: the engine looks for rows that are Inited
-- and not taken whenever it is poked.
M.commands = {
  kill = "end this task's process group; memory and history become Cancelled, errCode 31001",
  cancel_all = "args.entrance restarted: each of its live tasks is ended, history Cancelled with"
    .. " words.restarted, errCode NULL",
  reload = "settings changed: read them again",
  stop = "end all work and leave",
}

-- A poke is an empty UDP datagram to 127.0.0.1:setting.engine_port; whoever
-- writes a command or a task row sends one after its commit.

-- A result file on disk: line 1 is {"type":"2","metadata":[{columnName,comment,
-- dataType},...]} (text: metadata "NULL"), then one JSON array of cells (text or
-- null) per line; a line of a text set is one row of one cell. The side file
-- holds the byte offset of rows 0, 1000, 2000, ... as "%015d\n" each, so that
-- page N is found by one seek.
M.rows_per_offset = 1000
M.offset_format = "%015d\n"

-- Settings and their defaults. init.lua writes those of start{} and of set{};
-- an absent key means the default. Names of switches are also set{}'s names.
M.settings = {
  -- init.lua: working folder; the engine's UDP port (the engine writes it)
  dir = "", engine_port = 0,
  port = 0, lindorm_port = 0,
  users = {}, -- user -> password; supervise.lua makes one where none is given
  admin = "hadoop", -- user or list: administrators see and kill everybody's jobs
  -- code -> "*", a user, or {users=, hosts=, expired=}; made where none is given
  tokens = {},
  proxy_user = false, -- /user/proxy enabled
  version = "1.8", -- versions.lua
  root = "/tmp/linkis", -- logical storage root; never a path of this machine
  entrances = { "127.0.0.1:9104" },
  -- sessions
  session_timeout = 3600, rsa = false, web_login_ban = false,
  unauthorized = false, -- true: every request with a cookie is 401; a number: the next n are

  -- memory and queue of the entrance
  max_running = 10, max_waiting = 1000, slots = 1000, execution_delay = 0,
  engine_start = 0, -- s that a first job is Running before its work begins (engine)
  -- raised: idle consumers are cleared (slots empty, indexes restart)
  idle_clear = 0, clears_seen = 0,
  -- raised: the entrances forget everything (face); their jobs are ended by the command
  -- cancel_all: sandbox:restart_entrance() does both
  entrance_restart = 0, restarts_seen = 0,
  entrance_crash = false, -- true: the first entrance is gone; history goes on saying Running
  failover = false, -- true: unfinished tasks have no entrance (empty instance, Inited by id)
  queue_full = false,
  -- answers
  -- s; a real server hangs 360 for a source value that is no string
  submit_delay = 0, source_hang = 2,
  submit_lost = 0, -- the next n submits are done but the connection is cut
  kill_early = 0, -- the next n kills change history alone; the job goes on till it is killed again
  -- s that /status of an unknown job blocks while it is down (195)
  history_down = false, public_service_block = 2,
  delay = 0, -- s before every answer
  cut = false, -- {path = "lua pattern", after = bytes, times = n}: the reply ends there
  -- these four: a code, true, or {code =, times = n}
  boot_error = false, -- HTTP code: back ends answer a Boot error body
  gateway_error = false, -- HTTP code: the gateway answers data:[]
  gateway_status1 = false, -- 10050 or 11011: HTTP 200, status 1
  empty_500 = false,
  wrong_dates = false, -- history dates off by a day
  fail_match = ".", -- Lua pattern on the path that the answer switches above apply to
  -- logs
  ring_size = 500, null_slots = false, log_file_delay = 0,
  -- filesystem
  owner_check = false, -- real servers: true, and ordinary users get 80010 on their own results
  export_limit = 5000, jdbc_limit = 5000, -- 0: no limit
}

-- Settings that are one of a few words.
M.words = { version = { "0.11", "1.1", "1.4", "1.6", "1.8", "1.9", "published" } }

return M
