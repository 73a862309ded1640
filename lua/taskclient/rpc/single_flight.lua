-- Work that several want done at the same time (a login, a round of looks) is done once. It
-- belongs to none of them: it runs in a coroutine of its own, and whoever waits for it does the
-- next step, so that one who goes away, in whatever way, holds nobody up. Where a coroutine can
-- be ended from outside (nginx), it runs apart. Knows hosts; knows nothing of the work.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local host = require "taskclient.host"
local pcalls = require "taskclient.host.pcall"
local driver = require "taskclient.host.driver"
local relay = require "taskclient.host.relay"

local M = {}

local unpack = table.unpack or unpack -- luacheck: ignore
local CALLBACK = 10 -- seconds a function of the user's may take before another waiter calls it too
local BEGIN = 1     -- seconds within which a flight that runs apart begins
local LOST = 120    -- seconds after which one that runs apart counts as lost

-- What ends with the flight, to be waited for as a call is.
local Event = {}
Event.__index = Event

function Event:done() return self.over end

local function end_flight(flight)
  flight.over, flight.event.over = true, true
  flight.want, flight.co = nil, nil
  driver.wake(flight.event)
end

local function keep(flight, ok, ...)
  if ok then flight.results = { ... } else flight.raised = { (...) } end
end

local function run_apart(flight, work, a, b, c)
  return function()
    flight.begun = true
    keep(flight, pcalls.try(work, a, b, c))
    end_flight(flight)
  end
end

--- Begins a flight; nothing is done before somebody joins it.
---@param client userdata
---@param work function gets three arguments
---@return table flight `over` when it has ended
function M.new(client, work, a, b, c)
  local flight = { client = client, since = core.now(), event = setmetatable({}, Event) }
  local apart = host.current(client).apart
  if apart then
    flight.apart, flight.does = apart, run_apart(flight, work, a, b, c)
  else
    flight.want = { at = 0, args = { a, b, c } }
    flight.co = relay.coroutine(flight, work)
  end
  return flight
end

-- The work goes on until it wants something else, or has ended.
local function step(flight, ok, ...)
  if ok and flight.co and coroutine.status(flight.co) == "suspended" then
    flight.want = relay.order(...)
    return
  end
  keep(flight, ok, ...)
  end_flight(flight)
end

local function resume(flight, ...) step(flight, coroutine.resume(flight.co, ...)) end

-- Whether whoever has taken over a function of the user's cannot be in it any more.
local function lost(claim)
  return core.now() - claim.since > CALLBACK or coroutine.status(claim.by) == "dead"
end

local function answered(flight, want, claim, ok, ...)
  if want.claim == claim then want.claim = nil end
  if not ok then error((...), 0) end
  if flight.want == want then resume(flight, ...) end
end

-- Calls a function of the user's that the work asks for, unless somebody is about it.
local function call_back(flight, want, deadline)
  local by = coroutine.running() or M -- of Lua 5.1 the main chunk has none
  local claim = want.claim
  if claim and claim.by == by then return false end
  if claim and claim.by ~= M and not lost(claim) then
    host.await(host.current(flight.client), flight.event,
      math.min(deadline, core.now() + CALLBACK / 10))
    return true
  end
  claim = { by = by, since = core.now() }
  want.claim = claim
  answered(flight, want, claim, pcalls.try(relay.outside, want.fn))
  return true
end

-- Waits for what the work waits for, and does its next step. False where it cannot be waited for.
local function turn(flight, deadline)
  local want, current = flight.want, host.current(flight.client)
  if coroutine.status(flight.co) ~= "suspended" then return false end
  if want.fn then return call_back(flight, want, deadline) end
  local at = math.min(deadline, want.at)
  if want.call then
    host.await(current, want.call, at)
  elseif core.now() < at then
    current.sleep(at - core.now())
  end
  local come = want.call and want.call:done() or core.now() >= want.at
  if flight.want == want and come then
    resume(flight, unpack(want.args or {}, 1, 3))
  end
  return true
end

-- The one who begins a flight that runs apart; it may be begun again where nothing came of it.
local function launch(flight)
  if flight.launched and (flight.begun or core.now() - flight.launched < BEGIN) then return end
  flight.launched = core.now()
  flight.apart(flight.does)
end

-- Nobody waits for it any more whose time is not over: its exchange ends too.
local function give_up(flight)
  if flight.over or flight.last > core.now() or flight.apart then return end
  local call, inner = flight.want and flight.want.call, flight.inner
  end_flight(flight)
  if inner then return give_up(inner) end -- what is waited for is the inner one's
  if call and call.close then call:close() end
end

-- Waits for a flight that runs apart; one that nothing is heard of was ended with its request.
local function await_apart(flight, deadline)
  if core.now() - flight.since > LOST then return end_flight(flight) end
  launch(flight)
  host.await(host.current(flight.client), flight.event, math.min(deadline, core.now() + BEGIN))
end

local function join(flight, deadline, leave)
  while not flight.over do
    local now = core.now()
    if now >= deadline then give_up(flight) end
    if now >= leave then return false end
    if flight.apart then
      await_apart(flight, leave)
    elseif not turn(flight, leave) then
      return nil
    end
  end
  local raised = flight.raised
  flight.raised = nil
  if raised then error(raised[1], 0) end
  return true
end

--- Waits for the end of a flight, and does its next step where that is due. What the work raises is
--- raised in one of those who wait; the others find the flight over, without results.
---@param flight table
---@param deadline number|nil monotonic; the last one of all who wait ends the flight too
---@param leave number|nil monotonic; comes back then, and the flight goes on
---@return boolean|nil over false: it goes on, or was given up; nil: it waits for the caller itself
function M.join(flight, deadline, leave)
  deadline = deadline or math.huge
  flight.last = math.max(flight.last or 0, deadline)
  local outer = relay.flight()
  if outer then outer.inner = flight end
  local over = join(flight, deadline, math.min(deadline, leave or math.huge))
  if outer then outer.inner = nil end
  return over
end

--- Whether a flight goes on.
---@param flight table|nil
---@return boolean
function M.busy(flight) return flight ~= nil and not flight.over end

--- The err of a caller that its own callback has asked for.
---@param operation string
---@return table err
function M.own_callback(operation)
  return failure.new("interrupted", "a function given to the client asked for what waits for it",
    { operation = operation, retryable = false })
end

return M
