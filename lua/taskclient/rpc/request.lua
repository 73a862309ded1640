-- One request as the methods need it: logged in, awaited, tried again where
-- that is safe. A client that has to log in has a `session` among its fields, with `ready`,
-- `renew` and `standing` (linkis/auth). Knows the retry rules and the host; knows no job.

local changing = require "taskclient.host.change"
local core = require "taskclient.core"
local failure = require "taskclient.error"
local host = require "taskclient.host"
local options = require "taskclient.options"
local retry = require "taskclient.rpc.retry"

local M = {}

local PATIENCE = 60 -- seconds; a server that asks for more is not asked again here
local DEFAULT = 60  -- seconds an operation of an unknown table may take

local UNKNOWN = {} -- the row of an operation that there is not: client:start refuses it

local attempt

-- Seconds an attempt may take, nil for the operation's own default.
local function limit_of(state)
  local limit = state.opts and state.opts.timeout or state.fields.timeout
  if not state.deadline then return limit end
  limit = limit or state.row.timeout or DEFAULT
  return math.max(0.001, math.min(limit, state.deadline - core.now()))
end

local function start_options(state)
  local opts, limit = state.opts, limit_of(state)
  opts = opts and opts.start or opts
  if not opts then return limit and { timeout = limit } or nil end
  return {
    timeout = limit, pick = opts.pick, file = opts.file, overwrite = opts.overwrite,
    max_body = opts.max_body, method = opts.method, fresh = opts.fresh,
    durable = opts.file and host.durable(state.client, opts.durable) or nil,
  }
end

local function trace(state, level, what, err, seconds)
  if not state.fields.log then return end
  state.client:trace(level, {
    what = what, operation = state.operation, err = err, seconds = seconds,
    http_status = err and err.http_status, attempts = state.tries,
  })
end

-- What has changed something is told to whoever listens for more than trouble.
local function trace_answer(state, call)
  local told, opts = call:info(), state.opts
  local changes = state.row.changes and not (opts and opts.bare)
  state.client:trace(changes and "info" or "debug", { what = "answered",
    operation = state.operation, http_status = told.http_status, seconds = told.seconds,
    attempts = state.tries })
end

-- Whether sending the request once more can do no harm.
local function may_repeat(state, err)
  local opts = state.opts
  if opts and opts.retry == false or state.tries >= retry.ATTEMPTS then return false end
  if err.outcome == "not_sent" then return err.retryable ~= false end
  if not err.outcome then return err.retryable end
  return opts ~= nil and opts.harmless and retry.passes(err)
end

-- Waits for the next attempt's turn; false when there is none.
local function wait_turn(state, err)
  local delay = retry.delay(state.tries, err)
  if state.deadline and core.now() + delay >= state.deadline then return false end
  if delay > PATIENCE then return false end -- for the caller, who knows what else is to be done
  local price = retry.take(state.fields.budget, err)
  if not price then return false end
  state.price = (state.price or 0) + price
  trace(state, "debug", "retry", err, delay)
  host.current(state.client).sleep(delay)
  return true
end

-- A refused login is renewed once per request, and the request sent again.
local function renewed(state, err)
  local opts = state.opts
  local session = state.fields.session
  if err.kind ~= "auth" or state.renewed or not session or opts and opts.bare then return false end
  state.renewed = true
  return session:renew(state.client, state.generation, state.deadline)
end

-- Refusals of a token that the server has looked up: expired, not for this user or host, unknown.
local TOKEN_IS_BAD = { [15201] = true, [15202] = true, [15203] = true, [15204] = true,
  [15205] = true, [15207] = true }

--- Adds to a refusal what the client has seen before: `answered_before` where the server has
--- taken its secret, or shown a good certificate, so that it may pass; `standing` where it was
--- the server itself that refused, and there is no login that could be made anew.
---@param client userdata
---@param err table
---@return table err
function M.mark(client, err)
  local fields = core.fields(client)
  if err.kind == "tls" then err.answered_before = fields.answered end
  if err.kind ~= "auth" then return err end
  local fixed = not fields.session or fields.session:standing()
  err.standing = fixed and (err.shape == "linkis" or err.shape == "lindorm") or nil
  err.answered_before = fields.answered and not (err.standing and TOKEN_IS_BAD[err.code]) or nil
  return err
end

-- What came of an attempt: passes a success on, and tries again where that is right.
local function judge(state, call, first, ...)
  local fields, opts = state.fields, state.opts
  local date = call:date()
  if date then fields.server_date, fields.server_heard = date, core.now() end
  if state.change then changing.judged(state.change, first == nil and (...).outcome or nil) end
  if first ~= nil then
    if fields.budget.left < retry.CAPACITY then retry.refund(fields.budget, state.price) end
    -- it has taken the client's secret and shown a good certificate
    if not (opts and opts.bare) then fields.answered = true end
    if fields.log then trace_answer(state, call) end
    return call, first, ...
  end
  local err = ...
  local again, login_err = renewed(state, err)
  if login_err then
    login_err.outcome = err.outcome
    return call, nil, M.mark(state.client, login_err)
  end
  if again or may_repeat(state, err) and wait_turn(state, err) then
    return attempt(state)
  end
  err.attempts = state.tries
  trace(state, "warn", "failed", err)
  return call, nil, M.mark(state.client, err)
end

-- Logs in, but not for a request that could not be sent.
local function log_in(state, session)
  local client = state.client
  if not session.live then
    local fine, why = pcall(client.check, client, state.operation, state.args,
      start_options(state))
    if not fine then options.again("call", why) end
  end
  local ok, err = session:ready(client, state.deadline)
  if ok then return true end
  err.outcome = state.row.changes and "not_sent" or nil -- whatever became of the login
  return nil, M.mark(client, err)
end

attempt = function(state)
  local client, fields, opts = state.client, state.fields, state.opts
  local waiting = host.current(client)
  if waiting.ready then waiting.ready() end
  local session = fields.session
  if session and not (opts and opts.bare) then
    if core.now() >= session.calm_until then
      local ok, err = log_in(state, session)
      if not ok then return nil, nil, err end
    end
    state.generation = session.generation
  end
  if state.deadline and core.now() >= state.deadline then
    return nil, nil, failure.new("timeout", "no time was left to send it",
      { operation = state.operation, outcome = "not_sent" })
  end
  state.tries = state.tries + 1
  local given = opts and opts.start
  if state.deadline or fields.timeout or opts and not given then given = start_options(state) end
  local ok, call, err = pcall(client.start, client, state.operation, state.args, given)
  if not ok then options.again("call", call) end -- what the core finds wrong is the user's to mend
  if not call then return nil, nil, M.mark(client, err) end
  if state.change then changing.sent(state.change, call, waiting) end
  waiting.await(call, nil, true)
  return judge(state, call, call:result())
end

--- Starts, awaits and decodes one operation, with login and safe retries.
---@param client userdata
---@param operation string
---@param args table|nil
---@param opts table|nil as for `client:call`; `bare = true`: no login for it;
---  `harmless = true`: may be repeated though it changes state; `change`: the one that it is
---  part of (host/change), where there is more to it than this request; `start`: options of
---  `client:start`, for a read without a time limit
---@return userdata|nil call the last one sent
---@return any first the result, nil on failure
---@return any ...
function M.send(client, operation, args, opts)
  local fields = core.fields(client)
  local rows = fields.operations
  if not rows then
    rows = core.operations(fields.service)
    fields.operations = rows
  end
  local row = rows[operation] or UNKNOWN
  local state = {
    client = client, fields = fields, row = row, operation = operation, args = args, opts = opts,
    deadline = opts and (opts.deadline or opts.timeout and core.now() + opts.timeout),
    tries = 0, change = opts and opts.change,
  }
  if not row.changes or state.change or opts and (opts.bare or opts.harmless
    or opts.method == "GET") then return attempt(state) end
  state.change = changing.begin(client, operation, { job_id = args and (args.taskID or args.id) })
  return changing.guard(state.change, attempt, state)
end

return M
