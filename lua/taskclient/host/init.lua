-- Which host waits: the client's own choice, else nginx where `ngx` is there,
-- else the scheduler whose task is running, else plain. Knows the hosts by
-- name only; each is a table {name=, await=function(call), sleep=function(s)},
-- with ready=function() where it cannot wait everywhere, apart=function(fn) and
-- later=function(seconds, fn, …) where a coroutine can be ended from outside while it
-- waits; `timed` where await(call, seconds) waits no longer than that.

local core = require "taskclient.core"
local options = require "taskclient.options"
local driver = require "taskclient.host.driver"
local loop = require "taskclient.host.loop"
local pcalls = require "taskclient.host.pcall"
local relay = require "taskclient.host.relay"

local M = {}

local NAMES = { "plain", "loop", "nginx", "luv", "cqueues", "copas" }

-- The host of a script or the REPL: one thing at a time. Its wait is a Lua loop over short steps,
-- so that Ctrl-C works in the stock interpreters.
local plain = { name = "plain", timed = true }

local SLICE = 0.2 -- seconds; bounds how late an interrupt is noticed

-- call = nil: until the time has come
local function turn(wait)
  local call, deadline = wait.call, wait.deadline
  repeat
    local left = deadline - core.now()
    driver.step(left < 0 and 0 or left < SLICE and left or SLICE)
    local signal = core.caught()
    if signal then pcalls.end_by(signal) end
  until call and call:done() or deadline <= core.now()
end

--- Returns when the call has ended, or the time is over.
---@param call any
---@param seconds number|nil
function plain.await(call, seconds)
  if call:done() then return end
  driver.guard(turn, { call = call, deadline = seconds and core.now() + seconds or math.huge })
end

--- Returns after that many seconds; transfers in flight go on meanwhile.
---@param seconds number
function plain.sleep(seconds) driver.guard(turn, { deadline = core.now() + seconds }) end

--- The host of that name, or the given host table itself, checked.
---@param host string|table
---@return table|nil host
---@return string|nil why what is wrong with it
function M.find(host)
  if type(host) == "table" then
    if type(host.await) == "function" and type(host.sleep) == "function" then
      return host
    end
    return nil, "a host needs the functions await and sleep"
  end
  for _, name in ipairs(NAMES) do
    if name == host then
      if name == "plain" then return plain end
      local ok, found = pcall(require, "taskclient.host." .. name)
      if ok then return found end
      local why = tostring(found):gsub("\n\tno f[^\n]*", "") -- where it was looked for
      return nil, ("the host '%s' cannot run here: %s"):format(name, why)
    end
  end
  return nil, options.unknown("host", host, NAMES)
end

local nginx -- the nginx host, false where there is none, nil before the first look

local function find_nginx()
  local ngx = rawget(_G, "ngx")
  if type(ngx) ~= "table" or type(ngx.sleep) ~= "function" then
    nginx = false
    return false
  end
  nginx = require "taskclient.host.nginx"
  return nginx
end

local LONGEST_NAP = 0.25 -- seconds; of a host that cannot wait for a call and a time at once

-- For a host whose await takes no time limit.
local function await_in_naps(chosen, call, deadline)
  local nap = 0.01
  repeat
    chosen.sleep(math.max(0, math.min(nap, deadline - core.now())))
    nap = math.min(nap * 1.5, LONGEST_NAP)
  until call:done() or core.now() >= deadline
end

--- Waits for a call, or anything with `done()` that `pump.wait` knows, until it has ended or
--- the deadline has come.
---@param chosen table host
---@param call any
---@param deadline number|nil monotonic; nil or infinite: none
---@return boolean done
function M.await(chosen, call, deadline)
  if call:done() then return true end
  if not deadline or deadline == math.huge then
    chosen.await(call)
  elseif chosen.timed then
    chosen.await(call, math.max(0, deadline - core.now()))
  else
    await_in_naps(chosen, call, deadline)
  end
  return call:done()
end

--- The host in use for this client, here and now.
---@param client userdata|nil
---@return table host
function M.current(client)
  local co = coroutine.running()
  local owner = co and driver.owners[co]
  if owner == relay then return relay end
  local chosen = client and core.fields(client).host
  if chosen then return chosen end
  if nginx or nginx == nil and find_nginx() then return nginx end
  return owner and loop or plain
end

--- Whether a file is synced where the caller has not said: in a plain script. A sync may take
--- long, and keeps a thread that serves an event loop from everything else.
---@param client userdata|nil
---@param said boolean|nil the option `durable`
---@return boolean
function M.durable(client, said)
  if said ~= nil then return said end
  return M.current(client) == plain
end

return M
