-- What is known of a change (a submit, a kill, …) while it is on its way, so that
-- however its caller is stopped, by a cancelled task, by Ctrl-C or by a coroutine
-- that nobody resumes, the outcome and the key are told. Knows calls; knows no host.

local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local pcalls = require "taskclient.host.pcall"
local driver = require "taskclient.host.driver"

local M = {}

local TAKEN_WITHIN = 1 -- seconds a waiter has to take the result of a call that has ended

-- The facts of each change that has not ended. They are held by the change alone.
local open = setmetatable({}, { __mode = "k" })
-- coroutine, or M for the main chunk -> its latest change
local latest = setmetatable({}, { __mode = "k" })

local function here()
  local co, main = coroutine.running()
  return not main and co or M
end

-- An object with a finalizer, in each Lua.
local function finalized(fn)
  if not newproxy then return setmetatable({}, { __gc = fn }) end -- luacheck: ignore 113
  local proxy = newproxy(true) -- luacheck: ignore 113
  getmetatable(proxy).__gc = fn
  return proxy
end

local function judge(call)
  call:cancel()
  return call:result()
end

-- Ends the exchange that is on its way, and keeps what is known of it.
local function stop(facts)
  local call = facts.call
  if not call then return end
  facts.call, facts.outcome = nil, "unknown"
  local fine, data, err = pcall(judge, call) -- raises for a call that was collected
  if fine and data == nil then facts.outcome = err.outcome or "unknown" end
  if fine and data then facts.job_id = type(data) == "table" and data.taskID or data end
end

local function advice(facts)
  if facts.outcome ~= "unknown" or facts.operation ~= "submit" then return "" end
  if facts.key then return ("; to look for its task: client:reconcile(%q)"):format(facts.key) end
  return "; look on the server whether its load exists"
end

local function sentence(facts)
  local article = facts.operation:find "^[aeiou]" and "an " or "a "
  local list = { "outcome " .. facts.outcome }
  if facts.key then list[#list + 1] = "key " .. facts.key end
  if facts.job_id then list[#list + 1] = "job " .. tostring(facts.job_id) end
  return article .. facts.operation .. " was cut off (" .. table.concat(list, ", ") .. ")"
    .. advice(facts)
end

local function write(text)
  local ngx = rawget(_G, "ngx")
  if ngx and ngx.log then return ngx.log(ngx.WARN, "taskclient: ", text) end
  io.stderr:write(text, "\n")
end

-- False where the change has ended, or this was done before.
local function close(facts)
  if facts.over then return false end
  stop(facts)
  facts.over, open[facts] = true, nil
  return true
end

local function put(err, facts)
  err.outcome, err.key = facts.outcome, facts.key
  err.job_id = err.job_id or facts.job_id
  if facts.outcome == "unknown" and facts.key then err.since = facts.since end
end

local function announce(facts)
  write(sentence(facts))
  facts.client:trace("warn", { what = "cut_off", operation = facts.operation, key = facts.key,
    job_id = facts.job_id, outcome = facts.outcome })
end

local function tell(facts)
  if close(facts) then announce(facts) end
end

--- Begins a change: nothing of it has been sent yet.
---@param client userdata
---@param operation string in a user's words
---@param known table|nil key, since, job_id
---@return table change to be held by whoever waits, and by nothing else
function M.begin(client, operation, known)
  local facts = { client = client, operation = operation, outcome = "not_sent",
    key = known and known.key, since = known and known.since, job_id = known and known.job_id }
  local change = { facts = facts, bond = finalized(function() pcall(tell, facts) end) }
  open[facts], latest[here()] = true, change
  return change
end

--- The change has ended; passes on what else it is given.
---@param change table
---@param ... any
---@return any ...
function M.finish(change, ...)
  local facts = change.facts
  facts.over, facts.call, open[facts] = true, nil, nil
  if latest[here()] == change then latest[here()] = nil end
  return ...
end

-- The caller of a call that has ended takes its result at once; where nobody has, the caller
-- is gone.
local function check_taken(facts, call)
  if facts.call == call then tell(facts) end
end

--- Its call is on its way.
---@param change table
---@param call userdata
---@param host table
function M.sent(change, call, host)
  local facts = change.facts
  facts.call = call
  if host.later then
    driver.wait(call, function() host.later(TAKEN_WITHIN, check_taken, facts, call) end)
  end
end

--- Its call has ended, with this outcome.
---@param change table
---@param outcome string|nil
function M.judged(change, outcome)
  local facts = change.facts
  facts.call, facts.outcome = nil, outcome or "unknown"
end

--- The server has taken it, and given it an id; something is still to be done about it.
---@param change table
---@param id any
function M.accepted(change, id) change.facts.job_id = id end

--- Completes the err that ends a coroutine's wait from outside: what was on its way is
--- stopped, and the err has its outcome, its key and its job's id.
---@param err table
---@param co thread|nil nil: the one that runs
---@return table err
function M.fill(err, co)
  local change = latest[co or here()]
  local facts = change and change.facts
  if facts and close(facts) then put(err, facts) end
  return err
end

local function ended(change, heard, ok, ...)
  if ok then return M.finish(change, ...) end
  local facts, why = change.facts, (...)
  if close(facts) then
    if failure.is(why) then put(why, facts) end
    local silent = failure.is(why) or facts.outcome == "not_sent" -- as with a wrong argument
    if not silent or pcalls.interrupted(why, heard) then announce(facts) end
  end
  error(why, 0)
end

--- Does the work of a change. What stops it goes on: an err has the outcome and the key, before
--- anything else (Ctrl-C, a bug) they are told.
---@param change table
---@param fn function
---@param ... any at most three
---@return any ... what the function gives
function M.guard(change, fn, ...) return ended(change, core.sigint(), pcalls.try(fn, ...)) end

-- Tells of all changes on their way: an error has ended the loop that they wait in.
driver.at_end(function()
  local list = {}
  for facts in each(open) do list[#list + 1] = facts end
  for _, facts in ipairs(list) do tell(facts) end
end)

return M
