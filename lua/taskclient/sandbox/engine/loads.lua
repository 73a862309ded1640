-- The bulk loads at work: starts a loader for each, keeps state, stage, sub-jobs and counts in
-- the load table.

local uv = require "luv"
local cjson = require "cjson"
local literal = require "taskclient.sandbox.literal"
local work = require "taskclient.sandbox.engine.work"

local M = {}

local FLUSH = 50 -- ms between two writes of a load's progress
local KILL_GRACE = 1 -- s: a loader that ends by itself finishes its transaction

local engine
local active = {} -- load.id -> {row, process, jobs, rows, stage, message}

---@param owner table the engine: store, settings, dir, scripts, interpreter, data_file
function M.prepare(owner) engine = owner end

local function now_ms()
  local seconds, micro = uv.gettimeofday()
  return seconds * 1000 + micro // 1000
end

local function write(load)
  load.dirty = false
  engine.store:run("UPDATE load SET stage = ?, jobs = ?, rows = ?, message = ? WHERE id = ?",
    load.stage, #load.jobs > 0 and cjson.encode(load.jobs) or "[]", load.rows, load.message,
      load.row.id)
end

local function changed(load)
  if load.dirty then return end
  load.dirty = true
  local timer = uv.new_timer()
  timer:start(FLUSH, 0, function()
    timer:close()
    if load.dirty and active[load.row.id] == load then write(load) end
  end)
end

local function sub_job(load, kind, name)
  for _, job in ipairs(load.jobs) do
    if job.kind == kind and job.name == name then return job end
  end
  local id = ("%s-%s"):format(kind == "full" and "fulldata" or kind, load.row.proc_id:match("%x+$"))
  local job = { kind = kind, name = name, id = id .. "-" .. (#load.jobs + 1), table = load.table }
  load.jobs[#load.jobs + 1] = job
  return job
end

-- What the loader reports.
local reports = {}

function reports.stage(load, name)
  load.stage = name
  write(load)
end

function reports.job(load, kind, name, state)
  sub_job(load, kind, name).state = state
  changed(load)
end

function reports.rows(load, count)
  load.rows = tonumber(count)
  changed(load)
end

function reports.failed(load, reason) load.message = reason end

local function end_jobs(load, state)
  for _, job in ipairs(load.jobs) do
    if job.state == "RUNNING" or job.state == "WAITING" then job.state = state end
    if state == "FAILED" and job.state == "FAILED" then job.message = load.message end
  end
end

local function verdict(load, code)
  if load.aborted then return "ABORTED", ("aborted after %d rows"):format(load.rows) end
  if code == 0 then return "SUCCEEDED" end
  local reason = load.message or ("the loader ended with code " .. code)
  return "FAILED", ("%s (%d rows had gone in)"):format(reason, load.rows)
end

-- A killed loader cannot tell what its last transaction was.
local function count_rows(load)
  local database = require("taskclient.sandbox.store").open(engine.data_file)
  local ok, row = pcall(database.row, database, "SELECT rows FROM taskclient_load WHERE load = ?",
    load.row.id)
  if ok and row then load.rows = row.rows end
  database:close()
end

local function ended(load, code)
  active[load.row.id] = nil
  if code ~= 0 then count_rows(load) end
  local state, message = verdict(load, code)
  load.message = load.message or message
  end_jobs(load, state)
  load.message = message
  engine.store:transaction(function()
    write(load)
    engine.store:run("UPDATE load SET state = ?, ended_ms = ? WHERE id = ?", state, now_ms(),
      load.row.id)
    for _, id in ipairs(load.commands) do
      engine.store:run("UPDATE command SET done = 1 WHERE id = ?", id)
    end
  end)
end

local function order_of(row)
  local lindorm, settings = engine.settings.lindorm, engine.settings
  return {
    id = row.id, source = row.src, folder = (lindorm.sources or {})[row.src],
    reader = row.reader, writer = row.writer, file_type = row.file_type,
    database = engine.data_file, scripts = engine.scripts, tables = lindorm.tables or {},
    create_tables = lindorm.create_tables or false, rows_per_second = settings.rows_per_second,
    stage_delay = settings.stage_delay,
  }
end

local function table_of(row)
  local ok, writer = pcall(cjson.decode, row.writer)
  if not ok or type(writer) ~= "table" then return "" end
  return ("%s.%s"):format(tostring(writer.namespace or "default"),
    tostring(writer.lindormTable or ""))
end

local function start(row)
  local load = { row = row, jobs = {}, rows = row.rows, stage = "INIT", table = table_of(row),
    commands = {} }
  active[row.id] = load
  local process, reason = work.start(engine.dir, {
    program = engine.interpreter, args = { engine.scripts .. "loader.lua" },
    env = engine.environment,
    input = literal.encode(order_of(row)),
    on_line = function(stream, line)
      local words = {}
      for word in line:gmatch("[^\t]+") do words[#words + 1] = word end
      if stream == "out" and reports[words[1]] then
        return reports[words[1]](load, table.unpack(words, 2))
      end
      load.message = load.message or line
    end,
    on_end = function(code, signal) ended(load, signal > 0 and 128 + signal or code) end,
  })
  if not process then
    load.message = reason
    return ended(load, 127)
  end
  load.process = process
end

---Starts what waits.
function M.look()
  for _, row in ipairs(engine.store:rows "SELECT * FROM load WHERE state = 'RUNNING'") do
    if not active[row.id] then start(row) end
  end
end

---Stops a load; it becomes ABORTED when its process is gone.
---@param id integer
---@param command integer the command to mark done then
---@return boolean? later
function M.abort(id, command)
  local load = active[id]
  if not load then
    engine.store:run([[UPDATE load SET state = 'ABORTED', ended_ms = ?,
      message = 'aborted after 0 rows' WHERE id = ? AND state = 'RUNNING']], now_ms(), id)
    return
  end
  load.aborted = true
  load.commands[#load.commands + 1] = command
  load.process:kill(KILL_GRACE)
  return true
end

---Stops a load and forgets how far it had come.
function M.delete(id, command)
  local database = require("taskclient.sandbox.store").open(engine.data_file)
  pcall(database.run, database, "DELETE FROM taskclient_load WHERE load = ?", id)
  database:close()
  return active[id] and M.abort(id, command)
end

return M
