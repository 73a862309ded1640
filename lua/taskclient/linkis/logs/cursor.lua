-- job:logs(): a cursor over a job's log lines. Asks /log while the job runs and
-- the log file once it has ended, and checks in job history, before and after
-- each page, that the execID still is this task's (protocols 3.4, 5). Which
-- lines are new is merge.lua's; what the end needs is final.lua's.

local clock = require "taskclient.rpc.clock"
local core = require "taskclient.core"
local failure = require "taskclient.error"
local merge = require "taskclient.linkis.logs.merge"
local heartbeat = require "taskclient.linkis.heartbeat"
local history = require "taskclient.linkis.history"
local host = require "taskclient.host"
local levels = require "taskclient.linkis.logs.levels"
local final = require "taskclient.linkis.logs.final"
local log_page = require "taskclient.linkis.logs.page"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"
local retry = require "taskclient.rpc.retry"
local ENDED = require "taskclient.state".ENDED

local M = {}

local SCHEMA = {
  follow = "boolean", exact = "boolean", level = "string|table", from = "table|count",
  timeout = "duration", poll = "duration",
}

local AGAIN, BUSY, LONGEST = 0.2, 0.5, 2 -- seconds between two looks
local FILE_PAUSE = 5  -- seconds between two looks at the whole file
local SILENT = 120    -- seconds without an answer before that is told by an event
local PATIENCE = 300  -- seconds between two such, and before a reader is told what is no outage
local REFUSALS = 3    -- refused pages before the file is read instead
local NOT_READY = "cache not ready" -- passes by itself
local HEAD = 100      -- lines in which a log names its task
local BURST = 5000    -- lines of one `poll`
local LATELY = 600    -- seconds since a record's last change; clocks may differ by some
local DISTRUST = 30 * 86400 -- seconds by which this machine's clock may be wrong
local VERSION = 1     -- of a saved cursor
local HASTE = 10      -- rounds in a row that call for more at once and bring nothing

---@class taskclient.LogCursor
local Cursor = {}

-- Asking -----------------------------------------------------------------------

local PICK

-- nil where the record tells no time, or in words. By the server's clock; where that is not
-- known, this machine's is trusted to the month: one that is an hour wrong would have the end of
-- a log taken for whole.
local function is_recent(client, changed)
  if type(changed) ~= "number" then return nil end
  local now = clock.server(client)
  if now then return now - changed / 1000 < LATELY end
  return math.abs(core.time() - changed / 1000) < DISTRUST
end

-- What job history says now: whether the job has ended, and lately, by which execID its
-- entrance knows it, and where its file is.
local function look(self)
  PICK = PICK or core.picker { "task.status", "task.strongerExecId", "task.logPath", "task.execId",
    "task.updatedTime", "task.requestApplicationName", "task.taskID" }
  local _, ok, status, exec, path, other, changed, creator, said = request.send(self.client, "get",
    { id = history.id_text(self.job.id) }, { pick = PICK, deadline = self.deadline })
  if not ok then return nil, history.with_id(status, self.job.id) end
  if status == nil then return nil, history.without_task(self.job.id) end
  local strange = history.strange(said, self.job.id)
  if strange then return nil, strange end
  local state = history.state(status)
  local ended = ENDED[state] or false
  heartbeat.note(self.job, { state = state, stronger = exec, creator = history.text(creator) })
  self.was_running = self.was_running or not ended
  self.looked, self.ended = true, ended
  self.ended_lately = ended and is_recent(self.client, changed)
  self.exec = history.shown(self.job, exec, other)
  self.path = history.path(path) or self.path
  return true
end

local function ask(self, from, size, limits)
  local _, data, err = request.send(self.client, "log",
    { id = self.exec, fromLine = from, size = size, distinctLevel = false },
    limits or { deadline = self.deadline })
  if data then return log_page.parse(data, from, size) end
  err.job_id = self.job.id
  return nil, err
end

--- Finds out how a server counts that may not do it as real ones do.
---@private
---@param page table that made it doubtful
function Cursor:learn_way(page)
  local beyond = not self.probed and ask(self, log_page.BEYOND, 1)
  if beyond then self.probed, self.way = true, log_page.way(page, beyond) end
end

--- A page of the live log, as it stands now.
---@private
---@param from integer
---@param size integer
---@param limits table|nil of the request, other than the cursor's deadline
---@return table|nil page
---@return table|nil err
function Cursor:page(from, size, limits)
  local page, err = ask(self, from, size, limits)
  if not page then return nil, err end
  if page.odd then self:learn_way(page) end
  return log_page.settled(page, from, self.way)
end

--- Whether a page is of another job: an execID is given out again, and with its
--- entrance gone it finds a namesake at the next one (protocols 3.0).
---@private
---@param page table
---@return boolean
function Cursor:foreign(page)
  local id = log_page.task_of(page.lines)
  return id ~= nil and id ~= tonumber(self.job.id)
end

-- After a failure the execID may lead to another entrance: the log's head tells.
local function still_ours(self, page)
  if not self.suspect then return not self:foreign(page) end
  local head, err = self:page(0, HEAD)
  if not head then return nil, err end
  self.suspect = nil
  return not self:foreign(head)
end

-- A page that cannot be had: too long, refused for now, or for good.
local function refused(self, err)
  if err.kind == "too_large" and self.follower:shrink() then return "more" end
  local absent = err.http_status == 404 or err.http_status == 405
  if err.kind ~= "service" and not absent then return nil, err end
  if tostring(err.message):find(NOT_READY, 1, true) then return "again" end
  self.refusals = self.refusals + 1
  if self.opts.follow and self.refusals < REFUSALS then return "wait" end
  self.by_file = true
  return "more"
end

local function live_round(self)
  local exec = self.exec
  local from, size = self.follower:want()
  local page, err = self:page(from, size)
  local ok, look_err = look(self)
  if not ok then return nil, look_err end
  if self.exec ~= exec then -- the page may be another job's
    self.by_file = true
    return "more"
  end
  local ours = page
  if page then ours, err = still_ours(self, page) end
  if ours == nil then
    self.suspect = err.kind ~= "too_large"
    return refused(self, err)
  end
  if not ours then
    self.by_file = true
    return "more"
  end
  self.refusals = 0
  local word = self.follower:take(page)
  if word ~= "stuck" then return word end
  self.by_file = true
  return "more"
end

-- The part of the file that is written, while the job still runs.
local function file_round(self)
  self.looked = false
  if self.path and core.now() >= (self.file_due or 0) then
    self.file_due = core.now() + FILE_PAUSE
    local text, err = final.fetch(self)
    if text and self.follower:file(text, false) then return "some" end
    if not text and not self.opts.follow then return nil, err end
  end
  return "wait"
end

local function one_step(self)
  heartbeat.tend(self.client, self.deadline)
  if not self.looked then
    local ok, err = look(self)
    if not ok then return nil, err end
  end
  if self.ended then return final.step(self) end
  if self.by_file then return file_round(self) end
  if self.exec then return live_round(self) end
  self.looked = false
  return "wait"
end

-- One step nearer to new lines. Gives the follower's word for what is next: not "more" for ever
-- where a server calls for it and its pages bring nothing.
local function round(self)
  local word, err = one_step(self)
  local follower = self.follower
  local mark = follower.settled + follower.count
  self.hasty = word == "more" and mark == self.mark and (self.hasty or 0) + 1 or 0
  self.mark = mark
  if self.hasty > HASTE then return "wait" end
  return word, err
end

-- Reading ----------------------------------------------------------------------

local function take(self)
  local follower = self.follower
  repeat
    local line, note = follower:next()
    while line and self.skip > 0 do
      self.skip = self.skip - 1
      line, note = follower:next()
    end
    if line then
      self.given = self.given + 1
      return line, note
    end
  until not follower:advance()
end

local ENDING = { interrupted = true, io = true }
local PASSING = { network = true, timeout = true, http = true, tls = true, auth = true }

local function warn(self, err)
  local now = core.now()
  local seconds = now - self.failing
  if seconds < SILENT or now < (self.told_again or 0) then return end
  self.told_again = now + PATIENCE
  if core.fields(self.client).log then
    self.client:trace("warn", { what = "no news", operation = "logs", job_id = self.job.id,
      seconds = seconds, err = failure.copy(err) })
  end
end

-- Whether a failure is worth waiting out: on its way to the server as long as it takes, as a
-- wait does; one that the server has told, for some time. The first one in a row starts the
-- clock. The second value is the err to tell.
local function bearable(self, err)
  if not self.opts.follow or retry.permanent(err) or ENDING[err.kind] then return false, err end
  self.failing = self.failing or core.now()
  if err.kind ~= "timeout" then self.trouble = err else self.trouble = self.trouble or err end
  local told
  self.said, told = retry.count_doubt(self.said, err, self.known or core.fields(self.job).created)
  if self.said then return not told, told end
  if PASSING[err.kind] and not err.lines_missing then
    warn(self, err)
    return true
  end
  return err.retryable ~= false and core.now() - self.failing < PATIENCE, err
end

-- A cursor that does not follow ends with what there is now.
local function satisfied(self, word)
  if self.opts.follow or self.ended then return false end
  self.looks = (self.looks or 0) + 1
  return word == "wait" or word == "some" or self.looks > 2 and word == "again"
end

-- Seconds until the next look. Quiet logs are asked more and more rarely.
local function delay_of(self, word)
  if word == "more" then return 0 end
  local seconds = word == "again" and AGAIN or BUSY
  if word == "wait" then
    self.quiet = math.min((self.quiet or BUSY) * 1.5, LONGEST)
    seconds = self.quiet
  elseif word == "some" then
    self.quiet = nil
  end
  if self.opts.poll then seconds = math.min(seconds, self.opts.poll) end
  if self.due then seconds = math.max(0, math.min(seconds, self.due - core.now())) end
  return seconds
end

local function schedule(self, word)
  self.looked_at = core.now()
  self.next_look = self.looked_at + delay_of(self, word)
end

local function wait_turn(self)
  local rest = (self.next_look or 0) - core.now()
  if self.deadline then rest = math.min(rest, self.deadline - core.now()) end
  if rest > 0 then host.current(self.client).sleep(rest) end
end

local function timed_out(self)
  local cause = self.trouble
  return failure.new("timeout", "the log did not end in time; the cursor can go on"
    .. (cause and "; " .. tostring(cause) or ""),
    { operation = "logs", job_id = self.job.id, cause = cause })
end

-- One round: true, or nil, err when the reader must be told.
local function advance(self)
  local word, err = round(self)
  if not word then
    local bear, told = bearable(self, err)
    if not bear then return nil, told end
  else
    self.failing, self.trouble, self.said, self.known = nil, nil, nil, true
  end
  if word and satisfied(self, word) then self.done = true end
  schedule(self, word or "wait")
  return true
end

--- The next line and its note: `{level=, late=, filled=}`. `late`: the live log
--- never had it; `filled`: it came after lines that follow it. nil at the end;
--- `nil, err` on failure, after which reading may go on; after a timeout for as long again.
---@return string|nil line
---@return table|nil note_or_err
function Cursor:read()
  if self.late then self.late, self.deadline = nil, core.now() + self.opts.timeout end
  while true do
    local line, note = take(self)
    if line then return line, note end
    if self.done then return nil end
    if self.deadline and core.now() >= self.deadline then
      self.late = true
      return nil, timed_out(self)
    end
    wait_turn(self)
    local ok, err = advance(self)
    if not ok then return nil, err end
  end
end

local function collect(self, lines, notes)
  while #lines < BURST do
    local line, note = take(self)
    if not line then return end
    lines[#lines + 1], notes[#notes + 1] = line, note
  end
end

-- Whether it is too early for another look by `poll`.
local function early(self)
  return self.looked_at and core.now() < math.min(self.next_look, self.looked_at + AGAIN)
end

--- The lines that can be had now, after at most one page from the server and
--- without waiting.
---@return string[]|nil lines nil at the end
---@return table|nil err
---@return table[]|nil notes aligned with `lines`
function Cursor:poll()
  local lines, notes = {}, {}
  collect(self, lines, notes)
  if #lines > 0 then return lines, nil, notes end
  if self.done then return nil end
  if early(self) then return lines, nil, notes end
  local word, err = round(self)
  if not word then return nil, err end
  if satisfied(self, word) then self.done = true end
  schedule(self, word)
  collect(self, lines, notes)
  if #lines == 0 and self.done then return nil end
  return lines, nil, notes
end

--- A plain table, fit for JSON, from which `job:logs{from = saved}` goes on
--- behind the last line read, in this process or another.
---@return table
function Cursor:save()
  return {
    version = VERSION, job_id = self.job.id, lines = self.given, skip = self.skip,
    by_file = self.by_file, state = self.follower:save(),
    done = self.done and not self.follower:unread(), -- else the file is fetched again
  }
end

--- Ends the cursor: nothing more is read.
function Cursor:close()
  self.done = true
  self.follower = merge.new {}
end

Cursor.__index = Cursor
Cursor.__close = Cursor.close

function Cursor:__call()
  local line, note = self:read()
  if line == nil and note then error(note, 0) end
  return line, note
end

function Cursor:__tostring()
  return ("log of %s (%d lines read%s)"):format(tostring(self.job), self.given,
    self.done and ", ended" or "")
end

-- Opening ----------------------------------------------------------------------

local function restore(self, saved)
  if type(saved.state) ~= "table" or saved.version ~= VERSION then
    options.raise("logs", "option 'from': not what a log cursor's save() gave")
  end
  if tonumber(saved.job_id) ~= tonumber(self.job.id) then
    options.raise("logs", "option 'from': saved from the log of another job")
  end
  self.given, self.skip = saved.lines or 0, saved.skip or 0
  self.by_file, self.done = saved.by_file, saved.done
  self.was_running = saved.state.live
end

--- A cursor over a job's log lines, for a generic `for` or by `cursor:read()`.
---@param job userdata
---@param opts table|nil follow: go on until the job has ended, and give over the whole exactly
---  the file's lines, each as often as the file has it; exact: only lines that are in the file,
---  in its order; level: "error", "warn", "info" or a list of them; from: a saved cursor, or the
---  number of the first line wanted; timeout: seconds; poll: longest pause between two looks
---@return taskclient.LogCursor
function M.open(job, opts)
  opts = options.check("logs", opts, SCHEMA)
  local filter, complaint = levels.filter(opts.level)
  if complaint then options.raise("logs", "option 'level': " .. complaint) end
  local saved = type(opts.from) == "table" and opts.from or nil
  local self = setmetatable({
    job = job, client = job.client, opts = opts, refusals = 0, given = 0,
    skip = type(opts.from) == "number" and opts.from - 1 or 0, done = false, by_file = false,
    deadline = opts.timeout and core.now() + opts.timeout,
  }, Cursor)
  if saved then restore(self, saved) end
  self.follower = merge.new({ filter = filter, exact = opts.exact }, saved and saved.state)
  return self
end

return M
