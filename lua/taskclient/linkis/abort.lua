-- Stopping tasks and saying what really happened. A kill goes by an execID, and
-- an execID may be somebody else's newer job: each kill is preceded by the
-- history of the task id, and followed by it (protocols 3.7, 3.8, 5). History
-- alone does not tell: a kill right after the submit may be believed too early, and
-- the entrance, asked by /status, goes on with the task. Then it is killed again.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local history = require "taskclient.linkis.history"
local host = require "taskclient.host"
local job_module = require "taskclient.job"
local request = require "taskclient.rpc.request"
local retry = require "taskclient.rpc.retry"
local spec_module = require "taskclient.linkis.spec"
local ENDED = require "taskclient.state".ENDED

local M = {}

local SCHEDULED_WITHIN = 10 -- seconds a queued task has to show its execID
local KNOWN_WITHIN = 3 -- seconds the entrance has to know a queued task that history shows
local SETTLED_WITHIN = 15 -- seconds history and the entrance have to show the end
local ABSENT_AFTER = 2 -- seconds without an address /status, which a proxy may lack for a moment
local KILL_AGAIN = 1 -- seconds after which a task that goes on is killed once more
local KILLED = 31001 -- the error number of a task that was killed
local HOMELESS_FOR = 2 -- seconds a task must have been without an entrance
local HEAD = 200 -- lines in which a log names its task

local function now_in(seconds) return core.now() + seconds end

-- The execID to kill by, as history shows it for this task now.
local function target(job, record)
  if history.is_homeless(record.strongerExecId, record.instance) then return nil end
  return history.current(job, record.strongerExecId, record.execId)
end

local function ended(job, entry)
  job_module.remember(job, entry)
  return { ended = true, state = entry.state, native = entry.native }
end

-- A handle may have been made at another server, where the id was another task's.
local function strange(job, record)
  local ours, theirs = core.fields(job).key, spec_module.key_of(record)
  if not ours or not theirs or ours == theirs then return nil end
  return failure.new("service", "the server's task of this id is another one: it was submitted as '"
    .. theirs .. "', ours as '" .. ours .. "'; nothing was stopped", { operation = "kill",
      job_id = core.fields(job).id, retryable = false, outcome = "not_sent" })
end

-- Whose job an execID leads to, as the head of its log says: "ours", "foreign", "unsaid" where
-- the log has no head, "none" where it could not be had. Where an entrance has crashed history
-- goes on saying Running, and the gateway takes another entrance, which may have a namesake
-- (protocols 3.0). The second value: the entrance knows no such job.
local function whose(job, exec)
  local fields, logpage = core.fields(job), require "taskclient.linkis.logs.page"
  local _, data, err = request.send(fields.client, "log",
    { id = exec, fromLine = 0, size = HEAD, distinctLevel = false },
    { retry = false, timeout = 10 })
  if not data then return "none", err.kind == "service" end
  local lines = logpage.parse(data, 0, HEAD).lines
  local id = logpage.task_of(lines)
  if id then return id == fields.id and "ours" or "foreign" end
  return lines[1] and "unsaid" or "none"
end

local function is_foreign(job, exec)
  local owner, unknown = whose(job, exec)
  return owner == "foreign", unknown
end

-- Whether the job behind the execID of a task that has ended in history is still the task's:
-- execIDs are given out again, so that must be certain, or we have just killed it there.
local function may_go_on(job, exec)
  local owner = whose(job, exec)
  return owner == "ours" or owner == "unsaid" and core.fields(job).killed_at == exec
end

-- The record of the task; trouble that may pass is waited out.
local function record_of(job, deadline)
  while true do
    local record, err = history.get(job.client, job.id)
    if record or err.vanished or retry.permanent(err) or core.now() >= deadline then
      return record, err
    end
    host.current(job.client).sleep(0.5)
  end
end

local kill_record -- of a task without an entrance; below

-- Whether the task has been without an entrance for so long that it is no moment on its way.
local function is_homeless(job, record)
  local fields = core.fields(job)
  local homeless = history.is_homeless(record.strongerExecId, record.instance)
  fields.homeless = homeless and (fields.homeless or core.now()) or nil
  return homeless and core.now() - fields.homeless >= HOMELESS_FOR
end

-- Asks history until it shows where the task is, or its end. One that it calls cancelled may
-- go on at its entrance all the same: that is looked at, and not history alone.
local function locate(job)
  local fields = core.fields(job)
  local deadline = now_in(SCHEDULED_WITHIN)
  while true do
    local record, err = record_of(job, deadline)
    if not record then return nil, nil, err end
    local entry = history.entry(record)
    err = strange(job, record)
    if err then return nil, nil, err end
    local exec = target(job, record)
    local over = ENDED[entry.state]
    if over and not (entry.state == "cancelled" and exec and may_go_on(job, exec)) then
      return nil, ended(job, entry)
    end
    if exec then return exec, nil, nil, record end
    if is_homeless(job, record) then return nil, kill_record(job, record) end
    if core.now() >= deadline then break end
    host.current(fields.client).sleep(0.5)
  end
  return nil, nil, failure.new("service", "the task waits, and the server does not show where; "
    .. "try again when it runs", { operation = "kill", job_id = fields.id, retryable = true,
      outcome = "not_sent" })
end

local function foreign(job)
  return failure.new("service", "the entrance of the task is gone, and its execID leads to another "
    .. "task now; nothing was stopped", { operation = "kill", job_id = core.fields(job).id,
      retryable = true, outcome = "not_sent" })
end

-- As `locate`, where the entrance knows the task too: history shows an execID a moment before,
-- and a kill then would change the record alone while the task goes on.
local function locate_known(job)
  local deadline = now_in(KNOWN_WITHIN)
  while true do
    local exec, done, err, record = locate(job)
    if not exec then return nil, done, err end
    local other, unknown = is_foreign(job, exec)
    if other then return nil, nil, foreign(job) end
    local young = unknown and history.entry(record).state == "queued"
    if not young or core.now() >= deadline then return exec, nil, nil, record end
    host.current(job.client).sleep(0.2)
  end
end

local function same_name(a, b) return a ~= nil and a:lower() == b:lower() end

-- Another user's row must never be the target of a forced kill, which the
-- server does only when it is given the task id.
local function is_ours(client, record)
  local fields = core.fields(client)
  local owner, live = history.text(record.umUser), fields.session
  local me = live and live.name or fields.user
  if not owner or not me then return true end
  return same_name(me, owner) or live ~= nil and same_name(live.proxy_user, owner)
end

-- Others than a real server, which says 405, know no such address, or have only
-- words for it. A gateway's own 404 is about the client's URL.
local function method_refused(err)
  local status, words = err.http_status, tostring(err.message):lower()
  return status == 405 or status == 501 or status == 404 and err.shape ~= "gateway"
    or err.kind == "service"
      and (words:find "method.* not allowed" or words:find "method.* not supported") ~= nil
end

local function send_kill(client, exec, task_id)
  local fields = core.fields(client)
  local args = { id = exec, taskID = task_id }
  local call, data, err = request.send(client, "kill", args, { method = fields.kill_method })
  if data or fields.kill_method or not method_refused(err) then return call, data, err end
  call, data, err = request.send(client, "kill", args, { method = "POST" })
  if data then fields.kill_method = "POST" end
  return call, data, err
end

-- What the entrance says of the job: whether it goes on there; nil where it does not say, and
-- then, as the second value, whether there seems to be no such question at this server. One that
-- knows the job no more contradicts nobody.
local function goes_on(job, exec)
  local fields = core.fields(job)
  local _, data, err = request.send(fields.client, "status",
    { id = exec, taskID = history.id_text(fields.id) }, { retry = false, timeout = 10 })
  if data then
    local state = history.state(data.status)
    return not ENDED[state] and state ~= "unknown"
  end
  if (err.kind == "service" or err.shape == "linkis") and not err.retryable then return false end
  return nil, err.http_status == 404 or err.http_status == 405
end

-- What history says after a kill, asked until the task has ended there and, where `kill` is
-- given, at its entrance: as long as it goes on there it is killed again. The second value:
-- both have said so.
local function settled(job, within, exec, kill)
  local fields, began = core.fields(job), core.now()
  local pause, next_kill = 0.1, began + KILL_AGAIN / 2
  while true do
    local entry = history.glance(fields.client, fields.id)
    if not entry.err then job_module.remember(job, entry) end
    local over, going, absent = ENDED[entry.state], nil, nil
    if over and (not exec or entry.state == "succeeded") then return entry, true end
    if exec and (over or core.now() >= next_kill) then going, absent = goes_on(job, exec) end
    if absent and core.now() - began >= ABSENT_AFTER then going = false end
    if over and going == false then return entry, true end
    local lost = entry.err and (entry.err.vanished or retry.permanent(entry.err))
    if lost or core.now() - began >= within then return entry, false end
    if going and kill and core.now() >= next_kill and may_go_on(job, exec) then
      kill()
      next_kill = core.now() + KILL_AGAIN
    end
    host.current(fields.client).sleep(pause)
    pause = math.min(pause * 1.5, 1)
  end
end

local function forced(message)
  return type(message) == "string" and message:lower():find("forced kill", 1, true) ~= nil
end

-- A kill that meets the task on its way to the engine may end it as Failed: seen on a
-- real 1.8.0, where one in twenty right after its submit did.
local function failed_by_kill(job, entry)
  if entry.state ~= "failed" then return false end
  local record = history.get(job.client, job.id)
  return record ~= nil and history.code(record) == KILLED
end

local function result_of(job, message, entry, agreed)
  local how = forced(message) and "forced" or "killed"
  local stopped = entry.state == "cancelled" or failed_by_kill(job, entry)
  if ENDED[entry.state] and not stopped then return ended(job, entry) end
  return { [how] = true, state = entry.state, native = entry.native,
    confirmed = stopped and agreed }
end

-- A kill that failed may have come too late, or have done its work after all.
local function after_failure(job, err, exec)
  local unknown = err.outcome == "unknown"
  local entry, agreed = settled(job, unknown and SETTLED_WITHIN or 1, unknown and exec)
  if entry.state == "cancelled" and unknown then
    return { killed = true, state = entry.state, native = entry.native, confirmed = agreed }
  end
  if ENDED[entry.state] then return ended(job, entry) end
  err.job_id = core.fields(job).id
  return nil, err
end

-- An execID that leads to no job, so that a kill by it and a task id changes that task's record
-- alone: the record's own one, which has no entrance, without what may be the name of a job.
local function exec_of_none(exec)
  local app = (history.text(exec) or ""):match "^exec_id(%d%d%d)000"
  return app and exec:sub(1, 13 + tonumber(app)) .. "null" or nil
end

-- Ends a task that no entrance has: its record is all that is left of it. Gateways of 1.5 to 1.8
-- take a task id in place of an execID.
kill_record = function(job, record)
  local client = job.client
  if not is_ours(client, record) then
    return nil, failure.new("service", "the task's entrance is gone, and it is another user's; "
      .. "nothing was stopped", { operation = "kill", job_id = job.id, retryable = false,
        outcome = "not_sent" })
  end
  local id, none = history.id_text(job.id), exec_of_none(record.strongerExecId)
  local call, data, err = send_kill(client, id, job.id)
  if not data and none and err.outcome == "rejected" then
    call, data, err = send_kill(client, none, job.id)
  end
  if not data then return after_failure(job, err) end
  local what = result_of(job, call:info().message, settled(job, SETTLED_WITHIN))
  what.entrance_gone = true
  return what
end

--- Stops one task.
---@param job userdata
---@return table|nil what `killed`, `forced` (only the record was changed, the engine may go on)
---  or `ended` (it had ended before), with `state` and `confirmed`
---@return table|nil err
function M.one(job)
  local fields = core.fields(job)
  local client = fields.client
  local exec, done, err, record = locate_known(job)
  if not exec then
    if err then err.outcome = err.outcome or "not_sent" end
    return done, err
  end
  local function kill()
    fields.killed_at = exec
    return send_kill(client, exec, is_ours(client, record) and fields.id or nil)
  end
  -- called cancelled by both: only its process may live, and nobody sees that; so it is sent,
  -- and said to have ended before
  local before = history.entry(record)
  local over = before.state == "cancelled" and goes_on(job, exec) == false
  local call, data
  call, data, err = kill()
  if over then return ended(job, before) end
  if not data then return after_failure(job, err, exec) end
  local message = call:info().message
  return result_of(job, message, settled(job, SETTLED_WITHIN, not forced(message) and exec, kill))
end

-- jobs -> entrance -> list of {job, exec}; what has ended or cannot be placed
-- gets its result at once, and jobs of unknown or foreign places go one by one.
local function group(jobs, entries, results)
  local groups, order = {}, {}
  for i, job in ipairs(jobs) do
    local entry = entries[i]
    local record = entry.info
    local err = record and strange(job, record)
    if record then is_homeless(job, record) end -- notes the moment, for all of them at once
    local exec = record and not ENDED[entry.state] and target(job, record)
    local entrance = exec and is_ours(job.client, record) and history.entrance(exec)
    if err then
      results[i] = { err = err }
    elseif ENDED[entry.state] then
      -- one that is called cancelled is looked at by itself
      if entry.state ~= "cancelled" then results[i] = ended(job, entry) end
    elseif entrance then
      if not groups[entrance] then
        groups[entrance] = {}
        order[#order + 1] = groups[entrance]
      end
      table.insert(groups[entrance], { job = job, exec = exec, at = i })
    end
  end
  return order
end

local function kill_body(members)
  local execs, ids = core.array(), core.array()
  for i, member in ipairs(members) do
    execs[i], ids[i] = member.exec, member.job.id
  end
  return assert(core.encode { idList = execs, taskIDList = ids })
end

-- Servers up to 1.1.0 have the operation without an id in its path.
local function send_kills(client, members)
  local fields = core.fields(client)
  local body = kill_body(members)
  local id = not fields.kill_jobs_plain and members[1].exec or nil
  local _, data, err = request.send(client, "killJobs", { id = id, body = body })
  if data or not id or not method_refused(err) then return data end
  _, data = request.send(client, "killJobs", { body = body })
  fields.kill_jobs_plain = data ~= nil
  return data
end

-- One entrance, one request; the nested messages stand in the order of the ids.
local function kill_group(client, members, results)
  if is_foreign(members[1].job, members[1].exec) then return end
  local data = send_kills(client, members)
  local messages = type(data) == "table" and data.messages
  if type(messages) ~= "table" or #messages ~= #members then return end
  for i, member in ipairs(members) do
    local nested = messages[i]
    if type(nested) == "table" and nested.status == 0 then
      results[member.at] = { sent = nested.message, exec = member.exec }
    end
  end
end

-- Each success is checked in history and at the entrance; what is left over is stopped one by
-- one, where the server's own loop may have been ended by a foreign job.
local function finish(job, result)
  if result and (result.ended or result.err) then return result end
  if result then
    core.fields(job).killed_at = result.exec
    return result_of(job, result.sent, settled(job, SETTLED_WITHIN,
      not forced(result.sent) and result.exec, function()
        return send_kill(job.client, result.exec, core.fields(job).id)
      end))
  end
  local what, err = M.one(job)
  return what or { err = err }
end

local function needs_records(jobs, entries)
  for i, job in ipairs(jobs) do
    local entry = entries[i]
    if not ENDED[entry.state] and not entry.info and not entry.err then
      local record = history.get(job.client, job.id)
      entries[i] = record and history.entry(record) or entry
    end
  end
end

--- Stops many tasks, one request for each entrance.
---@param client userdata
---@param jobs userdata[]
---@return table|nil results aligned with `jobs`, as of `M.one`, or `{err=}`
---@return table|nil err
function M.many(client, jobs)
  local states, err = client:states(jobs)
  if not states then return nil, err end
  local results, entries = {}, {}
  for i in ipairs(jobs) do entries[i] = states[i] end
  needs_records(jobs, entries)
  for _, members in ipairs(group(jobs, entries, results)) do
    if #members > 1 then kill_group(client, members, results) end
  end
  local aligned = {}
  for i, job in ipairs(jobs) do aligned[i] = finish(job, results[i]) end
  return aligned
end

return M
