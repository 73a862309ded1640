-- What jobs of both servers share. A job is an id and a client: everything
-- else is asked for. Knows the entry of a poll; knows neither server's words.

local copy = require "taskclient.compat".copy
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local ENDED = require "taskclient.state".ENDED

local M = {}

---@class taskclient.Job
---@field id integer|string the durable id: Linkis task id, Lindorm procId
---@field client taskclient.Client
---@field key string|nil the key the task carries at the server (Linkis)
local Job = {}

--- Keeps what a poll has found: for the printed form, and an end for good.
---@param job userdata
---@param entry table
---@return table entry the same
function M.remember(job, entry)
  if entry.err then return entry end
  local fields = core.fields(job)
  fields.last = { state = entry.state, native = entry.native, progress = entry.progress,
    note = entry.note }
  if ENDED[entry.state] then fields.ended = copy(entry) end
  return entry
end

--- The entry of a job whose end is known already, for a caller who may write into it; else nil.
---@param job userdata
---@return table|nil entry
function M.known_end(job)
  local known = core.fields(job).ended
  return known and copy(known)
end

--- One look at the job: `{state=, native=, progress=, info=, err=}`, and `note=`, a few words,
--- where the state is not all there is to say. An end that
--- was seen once is not asked for again.
---@param opts table|nil deadline (monotonic seconds)
---@return table entry
function Job:poll(opts)
  local fields = core.fields(self)
  if fields.ended then return copy(fields.ended) end
  return M.remember(self, fields.poller(self, opts))
end

--- The job's state and the server's own word for it.
---@return string|nil state "queued" "running" "succeeded" "failed" "cancelled" "unknown"
---@return string|table native or err
function Job:status()
  local fields = core.fields(self)
  local entry = fields.ended or M.remember(self, fields.poller(self))
  if entry.err then return nil, entry.err end
  return entry.state, entry.native
end

--- A plain table, fit for JSON, from which `client:attach` makes the job again.
---@return table
function Job:handle()
  local fields = core.fields(self)
  return {
    service = fields.client.service, url = fields.client.url, id = fields.id,
    key = fields.key, creator = fields.creator, exec_id = fields.exec_id,
    created = fields.created,
  }
end

local function percent(progress)
  return progress and ("%d%%"):format(math.floor(progress * 100 + 0.5))
end

function Job:__tostring()
  local fields = core.fields(self)
  local last, id = fields.last, fields.id
  id = core.clean(type(id) == "number" and ("%d"):format(id) or id, 200, "line")
  if not last then return ("%s job %s"):format(fields.client.service, id) end
  local state = last.state
  if state == "running" and percent(last.progress) then
    state = state .. ", " .. percent(last.progress)
  elseif state == "unknown" then
    state = "unknown: " .. core.clean(fields.client:redact(tostring(last.native)), 80, "line")
  end
  if last.note then state = state .. ", " .. last.note end
  return ("%s job %s (%s)"):format(fields.client.service, id, state)
end

--- An err for what a service does not offer.
---@param job userdata
---@param what string
---@param message string
---@return nil
---@return table err
function M.unsupported(job, what, message)
  return nil, failure.new("unsupported", message,
    { operation = what, job_id = job.id, retryable = false })
end

local classes = { Job } -- all that were made

--- A class table with the shared methods and those given.
---@param methods table
---@return table class
function M.class(methods)
  local class = {}
  for name, method in each(Job) do class[name] = method end
  for name, method in each(methods) do class[name] = method end
  classes[#classes + 1] = class
  return class
end

--- Gives the jobs of every server further methods, as the modules of workflow/ do.
---@param methods table
function M.install(methods)
  for _, class in ipairs(classes) do
    for name, method in each(methods) do class[name] = method end
  end
end

return M
