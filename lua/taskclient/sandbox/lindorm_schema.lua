-- The Lindorm half of the state database and its switches. Pure Lua for every Lua, as schema.lua.

local M = {}

M.ddl = { [[
CREATE TABLE IF NOT EXISTS load (           -- one bulk load
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  proc_id    TEXT NOT NULL UNIQUE,          -- proc-<n>-<32 hex> (face)
  src        TEXT NOT NULL,                 -- the form fields as sent (face)
  dst        TEXT NOT NULL,
  reader     TEXT NOT NULL,                 -- JSON text
  writer     TEXT NOT NULL,                 -- JSON text
  file_type  TEXT NOT NULL,
  fields     TEXT NOT NULL,                 -- procConfig: all form fields as a JSON object (face)
  state      TEXT NOT NULL,                 -- RUNNING (face), SUCCEEDED, FAILED, ABORTED (engine)
  stage      TEXT NOT NULL,                 -- M.stages (engine)
  jobs       TEXT NOT NULL DEFAULT '[]',    -- JSON: {kind, id, state, table, message} (engine)
  rows       INTEGER NOT NULL DEFAULT 0,    -- rows that have gone in (engine)
  message    TEXT,                          -- why it failed, where it was stopped (engine)
  created_ms INTEGER NOT NULL,
  ended_ms   INTEGER
)]] }

M.stages = { "INIT", "SCHEMA", "FULL", "MERGE", "WAIT_FOR_SUCCESS" }

-- Commands to the engine, in schema.lua's table; `task` is load.id.
M.commands = {
  load_abort = "stop it where it is",
  load_retry = "run it again from where it had come",
  load_delete = "stop it and forget it",
}

M.settings = {
  -- {sources = {name = folder}, tables = {["namespace.table"] = {column, ...}}, create_tables =}
  lindorm = {},
  rows_per_second = 0, -- the pace of a load, 0: as fast as it can
  stage_delay = 0, -- s that a load stays in each stage
  -- dialects of the answers
  lindorm_success = "text", -- "text" "boolean" "upper" "absent"
  lindorm_names = "mixed", -- or sub-jobs' id member: jobName TaskName taskName procId name
  lindorm_empty = "array", -- sub-job lists without elements: "array" "null" "absent"
  lindorm_words = {}, -- state or stage -> the word shown instead
  -- answers at their worst; each acts on the operations that lindorm_match (a Lua pattern) finds
  lindorm_match = ".",
  lindorm_refuse = false, -- text: {"success":"false","message":text}; true: message null
  lindorm_status = 0, -- HTTP code of every answer, 0: 200
  -- "login" (an HTML page), "html", "empty", "sample" (the published one, no JSON), or any text
  lindorm_body = false,
  lindorm_delay = 0, -- s before the answer, after the work
  lindorm_cut = false, -- bytes after which the connection ends
  lindorm_times = -1, -- how often these five act, -1: always
  -- engine
  heartbeat_timeout = 30, -- s without /status after which jobs of heart-beat creators end
}

-- Settings that are one of a few words.
M.words = {
  lindorm_success = { "text", "boolean", "upper", "absent" },
  lindorm_names = { "mixed", "jobName", "TaskName", "taskName", "procId", "name" },
  lindorm_empty = { "array", "null", "absent" },
}

return M
