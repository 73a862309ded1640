-- One Linkis task at work: from the queue to its end, in memory and in job history, which trail
-- each other as protocols 3.3 says. Knows the task's row, its log, its results and its process.

local uv = require "luv"
local cjson = require "cjson"
local kinds = require "taskclient.sandbox.engine.kinds"
local log = require "taskclient.sandbox.engine.log"
local result_file = require "taskclient.sandbox.engine.result_file"
local work = require "taskclient.sandbox.engine.work"
local words = require "taskclient.sandbox.words"

local M = {}

local LAG = 60 -- ms that memory trails history, at the start and at the end
local KILL_GRACE = 0.2 -- s between SIGTERM and SIGKILL
local FLUSH = 50 -- ms between two batches of log entries
local LAST = "('Succeed','Failed','Cancelled','Timeout')"

local Job = {}
Job.__index = Job

local function now() -- wall clock, seconds
  local seconds, micro = uv.gettimeofday()
  return seconds + micro / 1e6
end

local function after(milliseconds, action)
  local timer = uv.new_timer()
  timer:start(milliseconds, 0, function()
    timer:close()
    action()
  end)
  return timer
end

local function whole_ms(seconds) return math.floor(seconds) * 1000 end

---@param task table row of the task table
---@param engine table main.lua's
function M.new(task, engine)
  return setmetatable({
    task = task, engine = engine, store = engine.store, settings = engine.settings,
    dir = engine.dir,
    interpreter = engine.interpreter, scripts = engine.scripts, data_file = engine.data_file,
    instance = engine.instance(task.queue), results = {}, commands = {},
    entries = log.open(engine.store, task.id),
  }, Job)
end

-- Rows --------------------------------------------------------------------------------------------

-- Job history takes nothing more for a task it holds for ended (a forced kill wrote that).
function Job:history(fields)
  local parts, values = {}, {}
  for name, value in pairs(fields) do
    parts[#parts + 1] = name .. " = ?"
    values[#values + 1] = value
  end
  parts[#parts + 1] = "updated_ms = ?"
  values[#values + 1] = math.floor(now() * 1000)
  values[#values + 1] = self.task.id
  local sql = "UPDATE task SET %s WHERE id = ? AND status NOT IN %s"
  self.store:run(sql:format(table.concat(parts, ", "), LAST), table.unpack(values))
end

function Job:memory(state)
  self.store:run("UPDATE task SET mem_status = ? WHERE id = ?", state, self.task.id)
end

function Job:metrics(ended)
  local function stamp(seconds) return os.date("!%Y-%m-%dT%H:%M:%S+0000", math.floor(seconds)) end
  local started = stamp(self.started)
  return cjson.encode {
    scheduleTime = started, jobToOrchestrator = started, runningTime = started,
    requestECTime = started, jobToECTIme = started, engineInstance = self.instance,
    submitTime = stamp(self.task.submitted_ms / 1000),
    completeTime = ended and stamp(ended) or nil,
    engineconnMap = {
      [self.instance] = {
        engineInstance = self.instance, isReuse = "true", requestECTime = started,
      },
    },
  }
end

-- What the kinds use ------------------------------------------------------------------------------

---Adds a line to the job's log; it is readable a moment later.
function Job:log(line)
  self.entries:add(line)
  if self.flushing then return end
  self.flushing = after(FLUSH, function()
    self.flushing = nil
    self.store:transaction(function() self.entries:flush() end)
  end)
end

---The folder on disk for this job's result files.
function Job:folder()
  local path = ("%s/result/%d"):format(self.dir, self.task.id)
  uv.fs_mkdir(self.dir .. "/result", 448)
  uv.fs_mkdir(path, 448)
  return path
end

---Puts a text into a file of the job's folder.
---@return string path
function Job:scratch(name, text)
  local path = self:folder() .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

---The job's text result set, made when first asked for.
---@param alias string what stands before `_0.dolphin`
function Job:text(alias)
  if not self.text_set then
    self.text_name = alias .. "_0"
    self.text_set = result_file.create(self:folder() .. "/" .. self.text_name .. ".dolphin")
  end
  return self.text_set
end

---Lists a result file that lies complete in the job's folder.
function Job:add_result(name, kind, rows)
  self.results[#self.results + 1] = name
  self.store:transaction(function() self:insert_result(name, kind, rows) end)
end

local function parent_of(path) return path:match("^(.*)/[^/]+$") end

function Job:insert_directories(path, ms)
  local parent = parent_of(path)
  if not parent or parent:match("^%w+:/*$") then return end
  self.store:run([[INSERT OR IGNORE INTO file(path, parent, kind, mtime_ms, owner, task)
    VALUES(?, ?, 'dir', ?, ?, ?)]], path, parent, ms, self.task.execute_user, self.task.id)
  self:insert_directories(parent, ms)
end

function Job:insert_result(name, kind, rows)
  local directory = self.task.result_path:gsub("([^:/])/+", "%1/"):gsub("/$", "")
  local disk = self:folder() .. "/" .. name .. ".dolphin"
  local ms = math.floor(now() * 1000)
  self:insert_directories(directory, ms)
  self.store:run([[INSERT OR REPLACE INTO file(path, parent, kind, disk, side, type, rows, size,
    mtime_ms, owner, task) VALUES(?, ?, 'result', ?, ?, ?, ?, ?, ?, ?, ?)]],
    directory .. "/" .. name .. ".dolphin", directory, disk, disk .. ".side", kind, rows,
    (uv.fs_stat(disk) or { size = 0 }).size, ms, self.task.execute_user, self.task.id)
end

local function progress_text(fraction)
  return (("%.2f"):format(fraction):gsub("(%.%d)0$", "%1"))
end

---Moves the progress: `counts` = {total=, succeed=}.
function Job:progress(fraction, counts)
  local info = cjson.encode { {
    id = "jobId-" .. self.task.short_id, totalTasks = counts.total, succeedTasks = counts.succeed,
    failedTasks = 0, runningTasks = counts.total - counts.succeed,
  } }
  self.store:transaction(function()
    self.store:run("UPDATE task SET mem_progress = ?, progress_info = ? WHERE id = ?", fraction,
      info, self.task.id)
    self:history { progress = progress_text(math.min(fraction, 0.99)) }
  end)
end

-- The way of a job --------------------------------------------------------------------------------

---Takes the job from the queue and starts its work.
function Job:start()
  self.started = now()
  self.entries:add_all(words.scheduled(self.started))
  self.store:transaction(function()
    self:memory "Scheduled"
    self:history {
      status = "Running", exec_id = self.task.short_id, progress = "0.0",
      result_location = self.task.result_path,
      request_start_ms = whole_ms(self.task.submitted_ms / 1000),
      request_end_ms = whole_ms(self.started),
      metrics = self:metrics(), engine_instance = self.instance,
    }
    self.entries:flush()
  end)
  self.lag = after(LAG, function()
    self.lag = nil
    if not self.finished then self:memory "Running" end
  end)
  local delay = self.engine.start_delay(self.task.queue)
  if delay > 0 then
    self.delay = after(math.floor(delay * 1000), function()
      self.delay = nil
      self:begin()
    end)
  else
    self:begin()
  end
end

function Job:begin()
  local kind = kinds.of(self.task)
  local first = kind and (self.task.code:match("^%s*([^\n]*)") or "")
  self.entries:add_all(words.running(self.task, now(), self.instance, first))
  if not kind then return self:no_engine() end
  local spec = kind(self)
  self.spec = spec
  spec.on_end = function(code, signal) self:work_ended(code, signal) end
  spec.env, spec.cwd = self.engine.environment, self.engine.work_folder
  local process, reason = work.start(self.dir, spec)
  if not process then
    return self:finish("Failed", { reason = ("cannot run %s: %s"):format(spec.program, reason) })
  end
  self.work = process
  self.store:transaction(function()
    self.store:run("UPDATE task SET pid = ? WHERE id = ?", process.pid, self.task.id)
    self.entries:flush()
  end)
end

function Job:no_engine()
  local text = "error code: %d, errorMsg: %s, errorLine: EngineConnPluginNotFoundException "
  self.entries:add(words.entry(now(), "ERROR",
    text:format(words.no_engine.code, words.no_engine.desc)))
  self:finish("Failed", {
    reason = words.no_engine_reason:format(self.task.engine_label), code = words.no_engine.code,
    desc = words.no_engine.desc, can_retry = 1, instance = cjson.null,
  })
end

function Job:work_ended(code, signal)
  if self.killed then return self:finish("Cancelled", self.killed) end
  if code == 0 and signal == 0 then return self:finish("Succeed", {}) end
  self:finish("Failed", { reason = self.spec.failure(code, signal) })
end

-- Ends the text set and lists it.
function Job:close_text(failed)
  if not self.text_set then return end
  self.text_set:finish(failed and self.spec.drops_output)
  self:insert_result(self.text_name, "1", self.text_set.rows)
  self.results[#self.results + 1] = self.text_name
end

local function error_fields(state, verdict)
  if state == "Succeed" then return 0, "" end
  return verdict.code or cjson.null, words.cut(verdict.desc or words.failure(verdict.reason))
end

function Job:last_entries(state, verdict, ended)
  if verdict.kill_entries then self.entries:add_all(words.kill_entries(ended)) end
  local reason = verdict.reason or (state == "Cancelled" and "Job be cancelled") or nil
  local submitted = self.task.submitted_ms / 1000
  for _, line in ipairs(words.ended(self.task, submitted, ended, #self.results, reason)) do
    if state == "Cancelled" then
      line = line:gsub("with a status Failed", "with a status Cancelled")
    end
    self.entries:add(line)
  end
end

function Job:set_null(names)
  for _, name in ipairs(names) do
    local sql = "UPDATE task SET %s = NULL WHERE id = ? AND status NOT IN %s"
    self.store:run(sql:format(name, LAST), self.task.id)
  end
end

---Ends the job: history at once with the whole log and all results, memory a moment later.
---@param state string Succeed, Failed or Cancelled
---@param verdict table reason, code, desc, can_retry, kill_entries, instance, exact (cost in ms)
function Job:finish(state, verdict)
  if self.finished then return end
  self.finished = true
  for _, name in ipairs { "lag", "delay", "flushing", "limit" } do
    if self[name] and not self[name]:is_closing() then self[name]:close() end
  end
  local ended = now()
  local code, desc = error_fields(state, verdict)
  local cost = whole_ms(ended) - whole_ms(self.task.submitted_ms / 1000)
  if verdict.exact then cost = math.floor(ended * 1000) - self.task.submitted_ms end
  self.store:transaction(function()
    self:close_text(state == "Failed")
    self:last_entries(state, verdict, ended)
    self.entries:flush()
    self.store:run("UPDATE task SET mem_progress = 1, ended_ms = ?, pid = NULL WHERE id = ?",
      math.floor(ended * 1000), self.task.id)
    if verdict.instance == cjson.null then self:set_null { "engine_instance" } end
    local fields = { err_desc = desc, cost_ms = cost, can_retry = verdict.can_retry or 0,
      status = state }
    if code ~= cjson.null then fields.err_code = code end
    if self.started then fields.metrics = self:metrics(ended) end
    if not verdict.keeps_progress then fields.progress = "1.0" end
    if state ~= "Succeed" and state ~= "Failed" then self:memory(state) end
    self:history(fields)
    for _, id in ipairs(self.commands) do
      self.store:run("UPDATE command SET done = 1 WHERE id = ?", id)
    end
  end)
  if state ~= "Cancelled" then after(LAG, function() self:memory(state) end) end
  self.engine.on_end(self)
end

---Ends the work; history becomes Cancelled when the processes are gone.
---@param verdict table as for `finish`
---@param command integer? to be marked done at the end
function Job:kill(verdict, command)
  if command then self.commands[#self.commands + 1] = command end
  self.killed = self.killed or verdict
  if self.work then return self.work:kill(KILL_GRACE) end
  self:finish("Cancelled", self.killed)
end

M.now, M.after = now, after

return M
