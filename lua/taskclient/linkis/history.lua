-- The job history, which is the truth about a task: its record, its words, its
-- numbers, in the spellings of real servers and of the published page
-- (protocols 3.11, 4). Knows records; changes nothing.

local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local redaction = require "taskclient.text.redact"
local request = require "taskclient.rpc.request"

local M = {}

-- the server's word, lower case -> ours (protocols 4.1)
local STATES = {
  inited = "queued", scheduled = "queued", waitforretry = "queued", running = "running",
  succeed = "succeeded", succeeded = "succeeded", success = "succeeded",
  failed = "failed", timeout = "failed", cancelled = "cancelled", canceled = "cancelled",
}
for word, state in each { Inited = "queued", Scheduled = "queued", Running = "running",
  Succeed = "succeeded", Failed = "failed", Timeout = "failed", Cancelled = "cancelled" } do
  STATES[word] = state -- as a real server writes them
end

--- Our word for a state; a word nobody has seen is "unknown", never an end.
---@param native any
---@return string
function M.state(native)
  return type(native) == "string" and STATES[native:lower()] or "unknown"
end

--- The server's words for one of ours, for a filter.
---@param state string
---@return string[]
function M.natives(state)
  local words = {
    queued = { "Inited", "Scheduled", "WaitForRetry" }, running = { "Running" },
    succeeded = { "Succeed" }, failed = { "Failed", "Timeout" }, cancelled = { "Cancelled" },
  }
  return words[state] or { state }
end

--- A fraction from 0 to 1 out of 0.4, "0.4", "5.0E-4", "40%" or "1.0f"; else nil.
---@param value any
---@return number|nil
function M.fraction(value)
  if type(value) == "string" then
    if #value > 40 then return nil end -- no number, and too long a text for the pattern
    local digits, unit = value:match "^%s*([%d.]+[eE]?-?%d*)%s*([%%fF]?)%s*$"
    value = tonumber(digits)
    if value and unit == "%" then value = value / 100 end
  end
  if type(value) ~= "number" or value ~= value then return nil end
  return math.max(0, math.min(1, value))
end

--- Text of a record's member, or nil (absent, null or empty).
---@param value any
---@return string|nil
function M.text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

local PATH_MOST = 65536 -- bytes

--- A path as a record or a list of files shows it, or nil where none could be asked for again.
---@param value any
---@return string|nil
function M.path(value)
  local path = M.text(value)
  return path and #path <= PATH_MOST and not path:find("\0", 1, true) and path or nil
end

local IDS_END = math.tointeger and 2 ^ 63 or 2 ^ 53 -- from there on numbers would be rounded

--- A task id as the whole number it is, given as number or text; else nil, also where this Lua
--- would round it.
---@param id any
---@return integer|nil
function M.task_id(id)
  if type(id) == "string" and id:match "^%d+$" and #id <= 18 then id = tonumber(id) end
  if type(id) ~= "number" or id ~= math.floor(id) or id < 1 or id >= IDS_END then return nil end
  return math.tointeger and math.tointeger(id) or id
end

--- When a record was made, by the clock of the server's machine that made it.
---@param task any a task object of the server
---@return number|nil Unix seconds; nil where it is not told as a real server does
function M.made(task)
  local milliseconds = type(task) == "table" and tonumber(task.createdTime)
  return milliseconds and milliseconds > 1e11 and milliseconds / 1000 or nil
end

--- The id as a path segment.
---@param id integer
---@return string
function M.id_text(id) return ("%d"):format(id) end

--- The entrance part of an execID ("…127.0.0.1:9104"), which also stands in an
--- execID that is not complete yet; nil where the form is another.
---@param exec any
---@return string|nil
function M.entrance(exec)
  local app, instance = (M.text(exec) or ""):match "^exec_id(%d%d%d)(%d%d%d)"
  if not app or instance == "000" then return nil end
  return exec:sub(1, 13 + tonumber(app) + tonumber(instance))
end

--- The execID of a record if it names a job at an entrance, else nil: before
--- scheduling it ends in "null", for some milliseconds after in the task's own id (a kill
--- by that would change the record alone); while failover is pending it has no instance.
---@param exec any
---@return string|nil
function M.exec_id(exec)
  if not M.text(exec) or #exec > 512 or exec:find "[^%w._:-]" then return nil end
  if exec:match "null$" or exec:match "^exec_id%d%d%d000" then return nil end
  local entrance = M.entrance(exec)
  if entrance and exec:find("^%d+$", #entrance + 1) then return nil end
  return exec
end

-- Whether it has the form of a real server's, of 1.x or 0.x.
local function is_real(exec)
  return M.text(exec) ~= nil and (exec:match "^exec_id%d" or exec:match "^%d%d%d%d") ~= nil
end

--- The execID that history shows for a task now. A server built from the published
--- page may keep none there, or the page's "execId-xxx" for all: then it is the one
--- from our own submit, or the record's other one if that is a whole one.
---@param job userdata
---@param exec any the record's strongerExecId
---@param other any its execId, of which a real server shows the short form
---@return string|nil
function M.shown(job, exec, other)
  if is_real(exec) then return M.exec_id(exec) end
  return core.fields(job).exec_id or M.exec_id(exec) or is_real(other) and M.exec_id(other) or nil
end

--- The execID by which a task can be named now. A task that still waits has none
--- in history; the one from our own submit counts as long as history names the
--- same entrance for the task.
---@param job userdata
---@param exec any the record's strongerExecId
---@param other any its execId
---@return string|nil
function M.current(job, exec, other)
  local shown = M.shown(job, exec, other)
  if shown then return shown end
  local own = core.fields(job).exec_id
  local entrance = M.entrance(own)
  return entrance and entrance == M.entrance(exec) and own or nil
end

--- The error number of a record, wherever it is, or nil.
---@param task table
---@return integer|nil
function M.code(task)
  local code = tonumber(task.errCode) or tonumber(task.errorCode)
  if code and code ~= 0 then return code end
  return failure.code_in(task.errDesc)
end

local HIDDEN = { paramsJson = true, paramJson = true }
local PRINTED = 4000 -- bytes of a value that are printed
local record_mt = {}

-- The client a record came by: what it keeps secret is not printed.
local owners = setmetatable({}, { __mode = "k" })

local function shown(name, value)
  if HIDDEN[name] and M.text(value) then return "(hidden)" end
  if value == core.null then return "null" end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, part in ipairs(value) do parts[i] = tostring(part) end
  return "[" .. table.concat(parts, ", ") .. "]"
end

local function clean(task, text)
  return (core.clean(redaction.printed(text, owners[task], PRINTED), nil, "line"))
end

-- paramsJson holds passwords in clear (protocols 3.11.1): it is there for
-- those who ask for it, and never printed.
record_mt.__tostring = function(task)
  local names, parts = {}, {}
  for name in each(task) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for i, name in ipairs(names) do
    parts[i] = clean(task, name) .. " = " .. clean(task, shown(name, task[name]))
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- Marks a task object of the server as a record.
---@param task table
---@param client userdata|nil the one it came by, where the record is new
---@return table task
function M.record(task, client)
  owners[task] = client or owners[task]
  return setmetatable(task, record_mt)
end

--- Whether an err says that something is not there: a task that is unknown or not
--- ours ("not found"), or, of a server built from the published page, an address.
---@param err table
---@return boolean
function M.is_absent(err)
  if err.http_status == 404 then return true end
  local words = tostring(err.message):lower()
  return err.kind == "service" and not err.retryable
    and (words:find("not found", 1, true) or words:find("not exist", 1, true)
      or words:find("no such", 1, true)) ~= nil
end

-- Whether it is the server's own word that there is no such task: no page, and no address that
-- a proxy does not know, is that; nor is what job history tells of its own trouble.
local function is_gone(err)
  if err.kind ~= "service" or err.shape ~= "linkis" or not M.is_absent(err) then return false end
  return not tostring(err.message):lower():find "exception"
end

--- Adds the id to an err of a look at job history, and whether it says that there is no such task.
---@param err table
---@param id integer
---@return table err
function M.with_id(err, id)
  err.job_id = err.job_id or id
  err.vanished = is_gone(err) or nil
  return err
end

--- The err of a reply that says yes and holds no task: so one kind of server says that it does
--- not know it.
---@param id integer
---@return table err
function M.without_task(id)
  return failure.new("protocol", "the reply holds no task",
    { operation = "get", job_id = id, vanished = true })
end

--- The err of a record that is another task's than the one asked for; nil where it is not, or
--- does not tell.
---@param said any the record's taskID
---@param id integer
---@return table|nil err
function M.strange(said, id)
  local other = M.task_id(said)
  if not other or other == M.task_id(id) then return nil end
  return failure.new("protocol", ("asked for task %s, the reply is of task %s"):format(
    M.id_text(id), M.id_text(other)), { operation = "get", job_id = id, retryable = true })
end

--- The whole record of a task.
---@param client userdata
---@param id integer
---@param opts table|nil deadline
---@return table|nil record
---@return table|nil err `vanished`: the server does not know the task
function M.get(client, id, opts)
  local _, data, err = request.send(client, "get", { id = M.id_text(id) }, opts)
  if not data then return nil, M.with_id(err, id) end
  local task = type(data) == "table" and data.task
  if type(task) ~= "table" then return nil, M.without_task(id) end
  local strange = M.strange(task.taskID, id)
  if strange then return nil, strange end
  return M.record(task, client)
end

local NOWHERE = "^exec_id%d%d%d000" -- an execID without an instance

--- Whether no entrance has a task. What an entrance had still queued when it was stopped in good
--- order stands so for ever; a task that another entrance is to take over, for a while.
---@param exec any the record's strongerExecId
---@param instance any its instance
---@return boolean
function M.is_homeless(exec, instance)
  return instance == "" or type(exec) == "string" and exec:find(NOWHERE) ~= nil
end

local HOMELESS = "its entrance is gone"

local OPEN = { queued = true, running = true } -- states of a task that somebody should work at

--- What a record says, as the entry of a poll.
---@param task table
---@param client userdata|nil as for `record`
---@return table entry
function M.entry(task, client)
  local state = M.state(task.status)
  return {
    state = state, native = M.text(task.status),
    progress = M.fraction(task.progress), info = M.record(task, client),
    note = OPEN[state] and M.is_homeless(task.strongerExecId, task.instance) and HOMELESS or nil,
  }
end

local LOOK = { start = { pick = core.picker { "task.status", "task.progress", "task.strongerExecId",
  "task.requestApplicationName", "task.taskID", "task.instance" } } }

--- State and progress alone, without building the record.
---@param client userdata
---@param id integer
---@param opts table|nil deadline
---@return table entry `stronger` (the execID as sent) and `creator` beside the usual members
function M.glance(client, id, opts)
  local _, ok, status, progress, exec, creator, said, instance = request.send(client, "get",
    { id = ("%d"):format(id) },
    opts and opts.deadline and { pick = LOOK.start.pick, deadline = opts.deadline } or LOOK)
  if not ok then return { err = M.with_id(status, id) } end
  if status == nil then return { err = M.without_task(id) } end
  local strange = said ~= id and M.strange(said, id)
  if strange then return { err = strange } end
  local fraction = tonumber(progress)
  if not (fraction and fraction >= 0 and fraction <= 1) then fraction = M.fraction(progress) end
  local state = STATES[status] or M.state(status)
  return {
    state = state, native = type(status) == "string" and status ~= "" and status or nil,
    progress = fraction, stronger = exec,
    creator = type(creator) == "string" and creator ~= "" and creator or nil,
    note = OPEN[state] and (instance == "" or type(exec) == "string" and exec:find(NOWHERE))
      and HOMELESS or nil,
  }
end

--- creator -> true: nobody needs to ask /status of its jobs (linkis/heartbeat fills it)
M.spared = {}

--- Attends to a job whose creator is not spared: `attend(job, entry, deadline)`, by heartbeat.
M.attend = nil

--- One look at a job: its poller.
---@param job userdata
---@param opts table|nil deadline
---@return table entry
function M.look(job, opts)
  local fields = core.fields(job)
  local entry = M.glance(fields.client, fields.id, opts)
  if not M.spared[entry.creator] then M.attend(job, entry, opts and opts.deadline) end
  return entry
end

--- The record of a job that has ended, with the folder of its results.
---@param job userdata
---@return table|nil record
---@return string|table|nil path_or_err nil where no folder was made
function M.place(job)
  local record, err = M.get(job.client, job.id)
  if not record then return nil, err end
  if OPEN[M.state(record.status)] then
    return nil, failure.new("unsupported", ("the job has not ended (%s), and its results are not "
      .. "whole before: wait first, job:wait()"):format(tostring(record.status)),
      { operation = "results", job_id = job.id, retryable = true })
  end
  return record, M.path(record.resultLocation)
end

return M
