-- wait.lua: waiting for one job, for all, for any, or for each as it ends.
-- A wait ends by the job's real end, the deadline, or an error that no
-- further asking can mend. It leaves the job alone in every other case.
local interrupt = require "taskclient.workflow.interrupt"
local job_module = require "taskclient.job"
local new_error = require("taskclient.error").new
local options = require "taskclient.options"
local watch = require "taskclient.workflow.watch"

local M = {}

M.options = {
  timeout = "duration", poll = "duration|function", on_progress = "function|table",
  on_log = "function|table", on_state = "function|table", on_interrupt = "string|function",
}

---@class taskclient.wait_options
---@field timeout? number seconds; then `nil, err` of kind "timeout" with `handles`; the jobs go
---   on
---@field poll? number|fun(attempt: integer, elapsed: number): number seconds between two looks
---  (default: 1 growing to 10 for Linkis, to 30 for Lindorm, ±20 %)
---@field on_progress? fun(job, progress) at every look; progress: fraction, state, elapsed,
---   done, total; note where the state is not all (the job's entrance is gone); err while the
---   server gives no answer, beside the last known state
---@field on_log? fun(job, line: string, note: table) note: level, late; of a log that cannot be
---   had to its end the err stands beside "succeeded"
---@field on_state? fun(job, state: string, native: string) at every change
---@field on_interrupt? "leave"|"abort"|fun(jobs: table) what Ctrl-C does (default "leave": says
---   how to attach); where it is given, SIGTERM and SIGHUP do the same, and then end the process
---   as they would have done (exit codes 143 and 129; the function may call os.exit)

local function begin(where, jobs, opts)
  options.argument(where, "jobs", jobs, "table")
  opts = options.check(where, opts, M.options)
  for i = 1, math.max(#jobs, where == "wait" and 1 or 0) do -- and not up to a nil among them
    local job = jobs[i]
    if type(job) ~= "userdata" and type(job) ~= "table" or job.handle == nil then
      options.raise(where, ("jobs[%d]: a job expected, got %s%s"):format(i,
        job == nil and "nothing" or type(job),
        where == "wait" and " (is it called as job:wait?)" or ""))
    end
  end
  local w = watch.new(where, opts)
  w.once = where ~= "as_completed" -- an error ends it for good
  w.total = #jobs
  for i, job in ipairs(jobs) do w:add(job, i) end
  return w
end

-- What was last noted of jobs: of one it stands in its printed form.
local function notes_of(items)
  local counts, texts = {}, {}
  for _, item in ipairs(items) do
    if item.note then
      if not counts[item.note] then texts[#texts + 1] = item.note end
      counts[item.note] = (counts[item.note] or 0) + 1
    end
  end
  if #items == 1 then return "", texts[1] end
  for i, text in ipairs(texts) do texts[i] = ("; of %d: %s"):format(counts[text], text) end
  return table.concat(texts), texts[1]
end

--- The error of a watch whose deadline has come; `delayed`: what is still to be submitted.
function M.timeout(w, delayed)
  local cause
  for _, item in ipairs(w.items) do cause = cause or item.last_err end
  for _, item in ipairs(delayed or {}) do cause = cause or item.err end
  local only = #w.items == 1 and w.items[1].job
  local notes, noted = notes_of(w.items)
  local text = ("%s not ended within %g s%s%s%s%s"):format( -- an unknown one is not said to go on
    only and tostring(only) .. " has" or #w.items .. " jobs have", w.opts.timeout,
    not only and " and go on" or (noted or cause and cause.vanished) and "" or " and goes on",
    notes,
    delayed and delayed[1] and "; to be submitted: " .. #delayed or "",
    cause and "; last error: " .. tostring(cause) or "")
  return new_error("timeout", text, { job_id = only and only.id or nil, cause = cause,
    hint = noted and "where nobody takes it over it never ends: job:abort() ends it" or nil })
end

local function next_or_timeout(w)
  local item = w:next()
  if item or not w.items[1] then return item end
  local err = M.timeout(w)
  err.handles = w:leave()
  return nil, err
end

-- What stands for an item in the results.
local function told(item, err)
  if not item then return nil, err end
  return item.job, item.state, item.native, item.err
end

--- Waits for the end. It is the job's real end, the deadline, or an err that no asking mends.
---@param opts? taskclient.wait_options
---@return string|nil state "succeeded", "failed" or "cancelled"
---@return string|table native the server's own word, or the err
---@return table|nil err why the job failed
function M.wait(job, opts)
  local w = begin("wait", { job }, opts)
  local item, err = interrupt.guard(w, next_or_timeout)
  w:leave()
  if not item or not item.state then return nil, item and item.err or err end
  return item.state, item.native, item.err
end

local function all_ends(w, ends)
  while w:pending() do
    local item, err = next_or_timeout(w)
    if err then
      err.ends = ends
      return nil, err
    end
    ends[item.tag] = { job = item.job, state = item.state, native = item.native, err = item.err }
  end
  return ends
end

--- Waits for all; one request round serves all jobs of a client.
---@param jobs userdata[]
---@param opts? taskclient.wait_options
---@return table[]|nil ends {job=, state=, native=, err=}, aligned with `jobs`
---@return table|nil err kind "timeout": with `handles` of those that go on, and `ends` so far
function M.wait_all(jobs, opts)
  local w = begin("wait_all", jobs, opts)
  local ends, err = interrupt.guard(w, all_ends, {})
  w:leave()
  return ends, err
end

--- Waits for whichever ends first.
---@param jobs userdata[]
---@param opts? taskclient.wait_options
---@return userdata|nil job
---@return string|table state or err
---@return string|nil native
---@return table|nil err why the job failed
function M.wait_any(jobs, opts)
  local w = begin("wait_any", jobs, opts)
  if w.open == 0 then return nil, new_error("closed", "wait_any: no jobs to wait for") end
  local item, err = interrupt.guard(w, next_or_timeout)
  w:leave()
  return told(item, err)
end

local Cursor = {}
Cursor.__index = Cursor
M.Cursor = Cursor

--- The next end; nil after the last; `nil, err` at the deadline.
---@return userdata|nil job
---@return string|table|nil state or err
---@return string|nil native
---@return table|nil err why the job failed
function Cursor:read()
  return told(interrupt.guard(self.watch, next_or_timeout))
end

function Cursor:__call()
  local job, state, native, err = self:read()
  if job == nil and state then error(state, 0) end
  return job, state, native, err
end

--- Watches no longer; the jobs go on.
function Cursor:close() self.watch:leave() end
Cursor.__close = Cursor.close

function Cursor:__tostring()
  return ("as_completed (%d jobs ended, %d open)"):format(self.watch.done, self.watch.open)
end

--- The jobs in the order in which they end: `for job, state, native, err in as_completed(jobs)`.
---@param jobs userdata[]
---@param opts? taskclient.wait_options
---@return table cursor for a generic `for`, or by `cursor:read()`
function M.as_completed(jobs, opts)
  return setmetatable({ watch = begin("as_completed", jobs, opts) }, Cursor)
end

job_module.install { wait = M.wait }

return M
