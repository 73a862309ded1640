-- A bulk load as the caller holds it: what info tells of it, and the three
-- calls that change it. Each goes out once; where its end is not known, info
-- decides. Knows the server's words; knows nothing of specs.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local redaction = require "taskclient.text.redact"
local host = require "taskclient.host"
local job_module = require "taskclient.job"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"
local retry = require "taskclient.rpc.retry"
local stages = require "taskclient.lindorm.stages"
local ENDED = require "taskclient.state".ENDED

local M = {}

-- seconds info has to show what a change has done
local ABORTED_WITHIN, CHANGED_WITHIN = 15, 5
local LOOK_MOST = 60 -- seconds of one look

-- the server's word, lower case -> ours; never by substring (protocols L8)
local STATES = {
  running = "running", retrying = "running",
  pending = "queued", waiting = "queued", init = "queued", preparing = "queued",
  submitting = "queued", submitted = "queued", queued = "queued",
  succeeded = "succeeded", success = "succeeded", finished = "succeeded",
  completed = "succeeded", done = "succeeded",
  failed = "failed", fail = "failed", failure = "failed", error = "failed",
  aborted = "cancelled", abort = "cancelled", killed = "cancelled", canceled = "cancelled",
  cancelled = "cancelled", stopped = "cancelled",
}

---@class taskclient.LindormJob: taskclient.Job
local Job = {}

-- ---- looking ---------------------------------------------------------------

-- A word of the server in ours, the caller's table first.
local function reader_of_states(client)
  local words = core.fields(client).words
  return function(native)
    if not native then return "unknown" end
    local word = native:lower()
    return words[word] or STATES[word] or "unknown"
  end
end

-- The older API leaves `success` out of what is only read: a record with its
-- state in it is one.
local function unmarked(call)
  local reply = call and core.decode(call:body())
  if type(reply) ~= "table" or reply.success ~= nil then return nil end
  local data = reply.data
  return type(data) == "table" and type(data.state) == "string" and data or nil
end

-- How a server may say of a task that there is none; its words are not published.
local NONE = { "not found", "not exist", "n't exist", "no such", "unknown", "not known", "invalid",
  "deleted", "不存在" }

local function says_none(message)
  local words = tostring(message):lower()
  if words:find("exception", 1, true) then return false end -- of trouble of its own
  for _, none in ipairs(NONE) do
    if words:find(none, 1, true) then return true end
  end
  return false
end

-- What is said of one task by a server that is well: it does not know the task. Some servers may
-- say so by a no, others by a yes without a record; an address that a proxy does not know, or a
-- page, says nothing of the task.
local function is_gone(err)
  if err.kind ~= "service" then return err.kind == "protocol" and err.shape == "lindorm" end
  if err.http_status >= 500 or err.retryable then return false end
  return err.http_status == 404 or err.http_status == 410 or says_none(err.message)
end

local function no_record(call)
  local said = call and call:info() or {}
  return failure.new("protocol", "info: the reply holds no record", { operation = "info",
    http_status = said.http_status, shape = said.shape, retryable = false })
end

-- Printed it is the JSON it came as; what is named like a password is not shown.
local record_mt = {}
local owners = setmetatable({}, { __mode = "k" }) -- record -> the client it came by
local PRINTED = 65536 -- bytes
record_mt.__tostring = function(info)
  local text = core.encode(info) or "a record that is nested too deeply to be printed"
  return redaction.printed(text, owners[info], PRINTED)
end

local function printable(data, client)
  if getmetatable(data) then return data end
  owners[data] = client
  return setmetatable(data, record_mt)
end

-- The record in a reply, or the err of its absence.
local function record_of(job, call, data, err)
  if type(data) == "table" and next(data) ~= nil then return printable(data, job.client) end
  err = err or no_record(call)
  data = err.kind == "protocol" and unmarked(call)
  if data then return printable(data, job.client) end
  err.job_id, err.vanished = job.id, is_gone(err) or nil
  return nil, err
end

local function get_info(job, opts)
  return record_of(job, request.send(job.client, "info", { id = job.id }, opts))
end

local function entry_of(client, info)
  local state_of = reader_of_states(client)
  local list = stages.list(info, state_of)
  local native = stages.word(info.state)
  local state = state_of(native)
  return {
    state = state, native = native, stage = stages.word(info.stage), info = info,
    stages = list, progress = state == "succeeded" and 1 or stages.fraction(list),
  }
end

local function poller(job, opts)
  local info, err = get_info(job, opts and { deadline = opts.deadline })
  if not info then return { err = err } end
  return entry_of(job.client, info)
end

local TOGETHER = 50 -- looks that are on their way at a time

local function begin(job, deadline)
  local limit = core.fields(job.client).timeout or LOOK_MOST
  if deadline then limit = math.max(0.001, math.min(limit, deadline - core.now())) end
  return job.client:start("info", { id = job.id }, { timeout = limit })
end

-- No second try here: whoever watches many jobs looks again anyway.
local function finish(job, call, err)
  local data
  if call then
    host.current(job.client).await(call)
    data, err = call:result()
  end
  data, err = record_of(job, call, data, err)
  if data then
    core.fields(job.client).answered = true
    return job_module.remember(job, entry_of(job.client, data))
  end
  request.mark(job.client, err)
  job.client:trace("warn", { what = "failed", operation = "info", job_id = job.id, err = err })
  return { err = err }
end

--- Looks at many jobs side by side; at one as `job:poll` does.
---@param jobs userdata[]
---@param opts table|nil deadline (monotonic)
---@return table[] entries aligned
function M.poll_all(jobs, opts)
  if #jobs == 1 then return { jobs[1]:poll(opts) } end
  local entries = {}
  for first = 1, #jobs, TOGETHER do
    local last, calls, errs = math.min(first + TOGETHER - 1, #jobs), {}, {}
    for i = first, last do
      entries[i] = job_module.known_end(jobs[i])
      if not entries[i] then calls[i], errs[i] = begin(jobs[i], opts and opts.deadline) end
    end
    for i = first, last do entries[i] = entries[i] or finish(jobs[i], calls[i], errs[i]) end
  end
  return entries
end

-- What info tells now, kept for the printed form.
local function look(job, opts)
  local entry = poller(job, opts)
  if entry.err then return nil, entry.err end
  return job_module.remember(job, entry)
end

--- Everything the server tells of the task, as it tells it, sub-jobs included.
---@return table|nil info
---@return table|nil err
function Job:info()
  local entry, err = look(self)
  if not entry then return nil, err end
  return entry.info
end

--- A summary of the sub-jobs, of whatever names the server gives their members.
---@return table[]|nil list {kind=, name=, state=, native=, table=, raw=}; kind is "schema",
---  "full", "incr", "check", "merge" or "bulkload"
---@return table|nil err
function Job:stages()
  local entry, err = look(self)
  if not entry then return nil, err end
  return entry.stages
end

--- How far the load is, as far as its sub-jobs tell; `fraction` is nil where they don't.
---@return table|nil progress {fraction=, state=, native=, stage=, stages=}; nil without err when
---  nothing can be said
---@return table|nil err
function Job:progress()
  local entry, err = look(self)
  if not entry then return nil, err end
  if not entry.progress and #entry.stages == 0 then return nil end
  return { fraction = entry.progress, state = entry.state, native = entry.native,
    stage = entry.stage, stages = entry.stages }
end

local REASONS = { "message", "errorMessage", "errorMsg", "error", "reason", "failReason" }

-- Where failure text sits is not published: the usual names are tried.
local function reason(record)
  for _, name in ipairs(REASONS) do
    if type(record[name]) == "string" and record[name] ~= "" then return record[name] end
  end
end

local function failure_text(entry)
  local found = reason(entry.info)
  for _, stage in ipairs(entry.stages) do
    found = found or stage.state == "failed" and reason(stage.raw)
  end
  return found or ("the load ended as %s%s; its log is in the LTS web page"):format(
    entry.native or entry.state, entry.stage and " at the stage " .. entry.stage or "")
end

--- Why the load failed or was stopped.
---@param info table|nil the record, where the caller has it
---@param opts table|nil deadline (monotonic)
---@return table|nil err nil: it has not failed
---@return table|nil cause why that is not known
function Job:error(info, opts)
  if info ~= nil then options.argument("error", "info", info, "table") end
  options.check("error", opts, { deadline = "number" })
  local entry, cause
  if info then
    entry = entry_of(self.client, info)
  else
    entry, cause = look(self, opts)
    if not entry then return nil, cause end
  end
  if entry.state ~= "failed" and entry.state ~= "cancelled" then return nil end
  return failure.new("service", self.client:redact(failure_text(entry)),
    { job_id = self.id, native = entry.native, stage = entry.stage, retryable = false })
end

-- ---- changing --------------------------------------------------------------

local LOOK = 5 -- seconds a single look may take, whatever is left

local function change(job, operation)
  local _, ok, err = request.send(job.client, operation, { id = job.id })
  if err then err.job_id = job.id end
  return ok ~= nil, err
end

-- Looks until the test accepts an entry, or the time is over: the entry, or nil
-- and the last one.
local function settled(job, test, within)
  local deadline, pause = core.now() + within, 0.1
  while true do
    local entry = poller(job, { deadline = math.max(deadline, core.now() + LOOK) })
    if test(entry) then return job_module.remember(job, entry) end
    local lost = entry.err and (entry.err.vanished or retry.permanent(entry.err))
    if lost or core.now() + pause >= deadline then return nil, entry end
    host.current(job.client).sleep(pause)
    pause = math.min(pause * 1.6, 2)
  end
end

local function is_ended(entry) return ENDED[entry.state] or false end

local function abort_result(entry, last)
  if entry and entry.state == "cancelled" then
    return { killed = true, state = entry.state, native = entry.native, confirmed = true }
  end
  if entry then return { ended = true, state = entry.state, native = entry.native } end
  return { killed = true, state = last.state, native = last.native, confirmed = false }
end

-- The end of a change that was not begun, for nothing is known of the task.
local function not_begun(err)
  err.outcome = "not_sent"
  return nil, err
end

--- Stops the load and says what really happened; asked first, so that a load which has ended
--- is left alone.
---@return table|nil what `killed` or `ended` is true; `state`, `native`; `confirmed`: info shows it
---@return table|nil err with `outcome`
function Job:abort()
  local before = poller(self, { deadline = core.now() + LOOK })
  if is_ended(before) then
    job_module.remember(self, before)
    return { ended = true, state = before.state, native = before.native }
  end
  -- a look that fails, or a record that cannot be read, is no reason to let the load go on
  if before.err and before.err.vanished and before.err.kind ~= "protocol" then
    return not_begun(before.err)
  end
  local ok, err = change(self, "abort")
  if not ok and err.outcome == "not_sent" then return nil, err end
  local refused = not ok and err.outcome == "rejected"
  local entry, last = settled(self, is_ended, refused and 0 or ABORTED_WITHIN)
  if ok or entry then return abort_result(entry, last) end
  return nil, err
end

--- Has the server run the task again, under the same id. Comes back when info shows it, or
--- after 5 s.
---@return boolean|nil ok
---@return table|nil err with `outcome`
function Job:retry()
  local before = poller(self)
  if before.err and before.err.kind ~= "protocol" then return not_begun(before.err) end
  local ok, err = change(self, "retry")
  if not ok and err.outcome ~= "unknown" then return nil, err end
  local shown = is_ended(before) and settled(self, function(entry)
    return not entry.err and (not is_ended(entry) or entry.state ~= before.state)
  end, CHANGED_WITHIN)
  if not ok and not shown then return nil, err end
  local fields = core.fields(self)
  fields.last = shown or nil
  fields.ended = shown and is_ended(shown) and shown or nil
  return true
end

--- Has the server forget the task.
---@return boolean|nil ok
---@return table|nil err with `outcome`
function Job:delete()
  local ok, err = change(self, "delete")
  if not ok and err.outcome == "unknown" then
    ok = settled(self, function(entry) return entry.err and entry.err.vanished end,
      CHANGED_WITHIN) ~= nil
  end
  if ok then return true end
  return nil, err
end

-- ---- what there is not -----------------------------------------------------

--- The API offers no logs: err of kind `unsupported`.
---@return nil
---@return table err
function Job:logs()
  return job_module.unsupported(self, "logs", "the bulk load API has no logs; see the LTS web page")
end

--- The API has no pause: err of kind `unsupported`.
---@return nil
---@return table err
function Job:pause()
  return job_module.unsupported(self, "pause", "the bulk load API has no pause")
end

--- A load has no results: err of kind `unsupported`.
---@return nil
---@return table err
function Job:results()
  return job_module.unsupported(self, "results", "a bulk load has no results; look in its table")
end
Job.export = Job.results

local class = job_module.class(Job)

--- Makes a job; asks for nothing.
---@param client userdata
---@param id string
---@param created number|nil Unix seconds
---@return userdata job
function M.new(client, id, created)
  return core.job(client, class, { id = id, client = client, created = created, poller = poller })
end

return M
