-- Submitting once: every task carries a key, and an end that is not known is
-- looked up by it until it is. Nothing is resent that
-- may have arrived. Knows outcomes; the body is spec.lua's.

local changes = require "taskclient.host.change"
local clock = require "taskclient.rpc.clock"
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local history = require "taskclient.linkis.history"
local host = require "taskclient.host"
local keys = require "taskclient.linkis.keys"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"
local retry = require "taskclient.rpc.retry"
local spec_module = require "taskclient.linkis.spec"

local M = {}

local DEADLINE = 1200 -- seconds; a sick server holds a submit for 16 minutes
local GRACE = 15 -- seconds to look for a task whose submit used up its own time
local LOOK_BACK = 86400 -- for a key given again, where nobody says since when
local TWINS = 20 -- seconds to look for tasks that others made with the same key
local NOT_LOGGED_IN = 11002
local NO_LIST = "the server has no list in which to look for the key; submit with "
  .. "{adopt = false} where it cannot be there"
local LARGE = 50000 -- bytes of code that the server puts into a file (protocols 3.1)
local FIRST_LOOK, LONGEST_LOOK = 0.2, 10 -- seconds between two looks
-- Seconds that a list has to answer without the key before the submit's end is said to be unknown:
-- a server whose job history was away may hold a submit for 4 to 6 minutes.
local SETTLE = 420
local TOLD_AGAIN = 30 -- seconds between two events of one search
-- The gateway's refusals before any entrance has seen the task: to send it again is safe.
local NOT_ROUTED = { [10050] = true, [11011] = true, [11012] = true }
local FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30 -- seconds between two submits that were not routed
local LABELLED = 60 -- seconds for that where the spec has a label `route`, which may be wrong

local PROBE = 30 -- seconds for a look at an address

-- shared: another process may be submitting under the key (default: where it may be adopted);
-- wait = false: what has to be waited for is left to the caller (`M.look_again`, "not_sent");
-- after: the key's tasks up to this id are of earlier attempts
local CALL_SCHEMA = { adopt = "boolean", since = "number", deadline = "number",
  shared = "boolean", wait = "boolean", after = "number" }

-- The creator to look for a plan's task by: none for a key of the caller's, which she may have
-- used with another. The server compares the whole label with
-- "<who asks>-<creator>", which finds no task that has another name in it.
local function creator_of(client, plan)
  local spec, live = plan.spec, core.fields(client).session
  local other = spec.user or spec.execute_user or live and live.proxy_user
  return not other and not plan.shared and spec.creator or nil
end

-- The user whose name stands in the label, as far as that needs no request.
local function known_user(fields, spec)
  local given, live = spec.user or spec.execute_user or fields.execute_user, fields.session
  if given then return given end
  if live and live.mode ~= "token" and not live.live then return nil end
  return live and (live.proxy_user or live.name) or fields.user
end

-- Where the server knows no users, as one built from the published page: any name
-- will do for the label, so this machine's.
local function own_name() return os.getenv "USER" or os.getenv "LOGNAME" or "nobody" end

-- The same, as the server knows her.
local function user_of(client, spec, deadline)
  local fields = core.fields(client)
  local ok, err = true, nil
  if fields.session then ok, err = fields.session:ready(client, deadline) end
  if not ok then return nil, err end
  local known = known_user(fields, spec)
  if known then return known end
  local _, name
  _, name, err = request.send(client, "userInfo", nil, { deadline = deadline })
  if not name and err.http_status ~= 404 and err.http_status ~= 405 then
    if tonumber(err.code) == NOT_LOGGED_IN then err.kind = "auth" end
    return nil, err
  end
  fields.user = name and history.text(name.userName) or not name and own_name() or nil
  if fields.user then return fields.user end
  return nil, failure.new("auth", "whose tasks these are is not known; give option 'user'",
    { operation = "submit" })
end

local function new_job(client, task_id, plan, exec, created)
  local fields = core.fields(client)
  return core.job(client, fields.job_class, {
    id = task_id, client = client, key = plan.key, spec = plan.spec, exec_id = exec,
    creator = plan.spec.creator, created = created or plan.moment.time,
    poller = fields.poller,
  })
end

-- How long ago the task of a plan may have been made.
local function ago_of(client, plan)
  return function() return clock.ago(client, plan.moment) end
end

-- ... one since a time that the caller tells, and may have from either clock.
local function ago_since(client, since)
  return function()
    if not since then return LOOK_BACK end
    return clock.since(client, since)
  end
end

-- The task of this plan's key: record, err, ids of others with the key.
local function find(client, plan, deadline)
  return keys.find(client, plan.key, ago_of(client, plan),
    { creator = creator_of(client, plan), deadline = deadline, sole = not plan.shared,
      after = plan.after })
end

-- Whoever holds the first of several tasks with one key is told of the others; they go on.
local function tell_others(client, job, others)
  if not others or not others[1] then return job end
  core.fields(job).duplicates = others
  client:trace("warn", { what = "duplicates", operation = "submit", job_id = job.id,
    duplicates = table.concat(others, ", ") })
  return job
end

local function adopt(client, record, plan, others)
  local id = history.task_id(record.taskID)
  client:trace("info", { what = "adopted", operation = "submit", job_id = id })
  local job = new_job(client, id, plan, history.exec_id(record.strongerExecId),
    history.made(record))
  return tell_others(client, job, others)
end

local function unknown(client, plan, cause)
  return failure.new("submit_unknown",
    "the submit's end is not known: " .. tostring(cause and cause.message),
    { operation = "submit", key = plan.key, since = clock.told(client, plan.moment),
      outcome = "unknown", cause = cause, http_status = cause and cause.http_status,
      retryable = false })
end

-- Whether an err of the list says that looking again will not help.
local function hopeless(err)
  return err.kind == "auth" or err.kind == "closed" or err.kind == "unsupported"
end

local function trace_search(client, search, now)
  search.told = now
  client:trace("warn", { what = "reconcile", operation = "submit", err = search.cause,
    key = search.plan.key, seconds = now - search.began })
  local seconds = now - search.began
  if search.plan.wait == false or seconds < TOLD_AGAIN or not core.terminal(2) then return end
  io.stderr:write(("taskclient: the end of a submit is not known; its task is looked for by key %s "
    .. "(%.0f s)\n"):format(search.plan.key, seconds))
end

-- One look for the key of a submit whose end is not known: the job; nil, err when no further look
-- is worth while; nil when one is, at `search.at`.
local function look_once(client, search)
  local plan, now = search.plan, core.now()
  if now - search.told >= TOLD_AGAIN then trace_search(client, search, now) end
  local record, err, others = find(client, plan, search.deadline)
  if record then return adopt(client, record, plan, others) end
  now = core.now()
  search.clean_since = not err and (search.clean_since or now) or nil
  local settled = search.clean_since and now - search.clean_since >= SETTLE
  if settled or err and hopeless(err) or now + search.pause >= search.deadline then
    return nil, unknown(client, plan, search.cause)
  end
  search.at = now + search.pause
  search.pause = math.min(search.pause * 1.6, LONGEST_LOOK)
end

local searches = setmetatable({}, { __mode = "k" }) -- err of a submit with wait = false -> search

-- Looks for the key until it is found, or the list has answered without it for long enough, or
-- the time is over.
local function reconcile(client, plan, cause)
  local now = core.now()
  local search = { plan = plan, cause = cause, began = now, pause = FIRST_LOOK,
    deadline = math.max(plan.deadline, now + GRACE) }
  trace_search(client, search, now)
  while true do
    local job, err = look_once(client, search)
    if job or err then return job, err end
    if plan.wait == false then
      err = unknown(client, plan, cause)
      searches[err] = search
      return nil, err
    end
    host.current(client).sleep(math.max(0, search.at - core.now()))
  end
end

--- One more look for the task of a submit with `wait = false` whose end is not known.
---@param client userdata
---@param err table what the submit gave
---@return userdata|nil job
---@return table|nil err its end stays unknown; nil without a job: look again
---@return number|nil at when (monotonic)
function M.look_again(client, err)
  local search = searches[err]
  if not search then return nil, err end
  if core.now() < search.at then return nil, nil, search.at end
  local job, final = look_once(client, search)
  if job or final then searches[err] = nil end
  return job, final, search.at
end

-- A refused submit may have left a Failed row, whose id the reply keeps back.
local function name_row(client, plan, err)
  if err.kind ~= "service" then return err end
  local deadline = math.min(plan.deadline, core.now() + 30)
  local record = find(client, plan, deadline)
  err.job_id = record and history.task_id(record.taskID)
  return err
end

-- A 0.x server knows no /submit, and says so in the words of its days (Jersey's page, or
-- none at all); a gateway's own 404 is about the client's URL.
local function is_page(err)
  return err.http_status == 404 and err.outcome == "rejected"
    and err.shape ~= "gateway" and err.shape ~= "linkis"
end

-- The HTTP status of a look at an address that takes POST alone: nothing is done by it.
local function status_of(client, operation, deadline)
  local call, _, err = request.send(client, operation, nil, { method = "GET", retry = false,
    deadline = math.min(deadline, core.now() + PROBE) })
  return call and call:info().http_status or err and err.http_status
end

-- Whether a 404 comes from a server that has /execute and no /submit. Somebody else's page, a
-- proxy's or an ingress's, may stand in place of any answer, that to a submit that was taken too.
local function is_old(client, plan, err)
  if not is_page(err) then return false end
  changes.judged(plan.change, "unknown") -- until it is known whose page that is
  local submit = status_of(client, "submit", plan.deadline)
  if submit == 404 then return status_of(client, "execute", plan.deadline) == 405 end
  err.outcome = "unknown" -- it is there, or it is not known
  return false
end

-- One POST, and by the older name one more where it is certain that the first did nothing.
local function post_once(client, plan)
  local fields = core.fields(client)
  local operation, body = "submit", plan.body
  if fields.old then
    operation, body = "execute", spec_module.old_body(plan.spec, plan.key, plan.user)
  end
  -- its own time, not the client's: a sick server holds it for 16 minutes
  local _, data, err = request.send(client, operation, { body = body },
    { deadline = plan.deadline, timeout = math.max(0, plan.deadline - core.now()),
      change = plan.change })
  if data or fields.old or not is_old(client, plan, err) then return data, err end
  fields.old = true
  return post_once(client, plan)
end

-- What a gateway without an entrance refuses is sent again, ever more slowly.
local function post(client, plan)
  local labels, pause = plan.spec.labels, FIRST_PAUSE
  local deadline = type(labels) == "table" and labels.route and core.now() + LABELLED or math.huge
  deadline = math.min(deadline, plan.deadline)
  while true do
    local data, err = post_once(client, plan)
    if data or err.outcome ~= "rejected" or not NOT_ROUTED[err.code] then return data, err end
    err.outcome, err.retryable = "not_sent", true
    changes.judged(plan.change, err.outcome)
    local wait = pause * (0.8 + 0.4 * retry.random())
    if plan.wait == false or core.now() + wait >= deadline then return nil, err end
    client:trace("warn", { what = "retry", operation = "submit", err = err, key = plan.key,
      seconds = wait })
    host.current(client).sleep(wait)
    pause = math.min(pause * 1.6, LONGEST_PAUSE)
  end
end

-- A look at who else has used the key: two processes that submit at one moment do not see each
-- other before. The first task counts for all of them; what came later goes on, and is named.
local function settle_twins(client, plan, job)
  local record, err, others = find(client, plan, math.min(plan.deadline, core.now() + TWINS))
  if err and err.kind ~= "unsupported" then
    client:trace("warn", { what = "duplicates not looked for", operation = "submit", err = err,
      job_id = job.id })
  end
  local found = record and history.task_id(record.taskID)
  if not found or found == job.id then return tell_others(client, job, others) end
  local later = { found > job.id and found or job.id }
  for _, id in ipairs(others) do
    if id ~= later[1] then later[#later + 1] = id end
  end
  table.sort(later)
  if found < job.id then return adopt(client, record, plan, later) end
  return tell_others(client, job, later)
end

local function settle(client, plan, data, err)
  if data then
    local id = type(data) == "table" and history.task_id(data.taskID)
    local job = id and new_job(client, id, plan, history.exec_id(data.execID))
    if job then changes.accepted(plan.change, id) end
    if job then return plan.shared and settle_twins(client, plan, job) or job end
    err = failure.new("protocol", "the reply names no task", { operation = "submit" })
    return reconcile(client, plan, err)
  end
  err.key = plan.key
  changes.judged(plan.change, err.outcome)
  if err.outcome == "rejected" then return nil, name_row(client, plan, err) end
  if err.outcome == "unknown" then return reconcile(client, plan, err) end
  return nil, err
end

-- Everything that is settled before the first byte goes out.
local function plan_of(client, given, opts)
  local fields = core.fields(client)
  local spec = {}
  for name, value in each(given) do spec[name] = value end
  spec.creator = spec.creator or fields.creator or spec_module.CREATOR
  spec.execute_user = spec.execute_user or fields.execute_user
  local key = spec.key or spec_module.fresh_key()
  local user = known_user(fields, spec)
  local body, why = spec_module.body(spec, key, user or "")
  if not body then options.raise("submit", why) end
  local limit = spec.timeout or fields.submit_timeout or DEADLINE
  local deadline = core.now() + limit
  if opts and opts.deadline then deadline = math.min(deadline, opts.deadline) end
  local shared = given.key ~= nil and not (opts and opts.adopt == false)
  return { given = given, spec = spec, key = key, deadline = deadline,
    moment = clock.moment(client), shared = shared or opts ~= nil and opts.shared,
    user = user, body = user and body, wait = opts and opts.wait, after = opts and opts.after }
end

-- The body waits for the user's name where that has to be asked for.
local function name_user(client, plan)
  if plan.body then return true end
  local user, err = user_of(client, plan.spec, plan.deadline)
  if not user then return nil, err end
  plan.user, plan.body = user, spec_module.body(plan.spec, plan.key, user)
  return true
end

local function look_first(client, plan, given, opts)
  if not given.key or opts and opts.adopt == false then return nil end
  return keys.find(client, plan.key, ago_since(client, opts and opts.since or given.since),
    { creator = creator_of(client, plan), deadline = plan.deadline })
end

--- Raises for a spec that cannot be submitted; sends nothing.
---@param client userdata
---@param spec table
function M.check(client, spec)
  spec_module.check(spec)
  plan_of(client, spec)
end

-- The submit of a plan, from the look for its key to the job.
local function carry_out(client, plan, opts)
  local given = plan.given
  local ok, err = name_user(client, plan)
  if not ok then
    err.outcome, err.key = "not_sent", plan.key
    return nil, err
  end
  if #plan.spec.code >= LARGE then
    client:trace("warn", { what = "large_code", operation = "submit", bytes = #plan.spec.code })
  end
  local record, others
  record, err, others = look_first(client, plan, given, opts)
  if record then return adopt(client, record, plan, others) end
  if err then
    err.outcome, err.key = "not_sent", plan.key
    if err.kind == "unsupported" then err.hint = NO_LIST end
    return nil, err
  end
  return settle(client, plan, post(client, plan))
end

--- Submits a task, once; see client:submit.
---@param client userdata
---@param given table
---@param opts table|nil adopt, since, deadline
---@return userdata|nil job
---@return table|nil err
function M.submit(client, given, opts)
  spec_module.check(given)
  options.check("submit", opts, CALL_SCHEMA)
  local plan = plan_of(client, given, opts)
  local change = changes.begin(client, "submit", { key = plan.key,
    since = clock.told(client, plan.moment) })
  plan.change = change
  return changes.guard(change, carry_out, client, plan, opts)
end

--- Finds the task that carries a key; see client:reconcile.
---@param client userdata
---@param key string
---@param since number|nil Unix seconds
---@param opts table deadline
---@return userdata|nil job nil without err: there is no such task
---@return table|nil err
function M.reconcile(client, key, since, opts)
  local record, err, others = keys.find(client, key, ago_since(client, since), opts)
  if not record then return nil, err end
  local fields = core.fields(client)
  local job = core.job(client, fields.job_class, {
    id = history.task_id(record.taskID), client = client, key = key,
    creator = history.text(record.requestApplicationName), poller = fields.poller,
    created = history.made(record), exec_id = history.exec_id(record.strongerExecId),
  })
  return tell_others(client, job, others)
end

--- The tasks whose keys begin alike; see client:submitted.
---@param client userdata
---@param prefix string
---@param since number|nil Unix seconds
---@param opts table deadline
---@return table<string, integer>|nil ids by key
---@return table|nil err
function M.submitted(client, prefix, since, opts)
  local ids = {}
  local _, err = keys.each(client, ago_since(client, since), opts, function(key, record)
    local id = history.task_id(record.taskID)
    if key:sub(1, #prefix) == prefix then ids[key] = math.min(id, ids[key] or id) end
  end)
  return not err and ids or nil, err
end

return M
