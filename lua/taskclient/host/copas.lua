-- Host for copas. One thread waits for the core's descriptor by copas.receive
-- on an object that shows copas that descriptor in place of a socket's; the
-- others are parked. As with any wait in copas 1, a server's handler that
-- waited here closes its socket itself.

local core = require "taskclient.core"
local driver = require "taskclient.host.driver"
local timers = require "taskclient.host.timers"
local copas = require "copas"

local M = { name = "copas", timed = true }

local pause = copas.pauseforever or function() copas.sleep(-1) end
local parked = 0 -- threads that wait
local sleepers = {} -- a heap of functions that wake

-- A thread of copas 1 yields a value and the queue that takes the thread over:
-- this one hands it to whoever waits, and copas.addthread goes on with it.
local function park_by_queue(start)
  local thread, woken
  local queue = {
    insert = function() end,
    push = function(_, _, co) thread = co end,
  }
  start(function()
    woken = true
    if thread then copas.addthread(thread) end
  end)
  if not woken then coroutine.yield(true, queue) end
end

-- Since copas 2 a thread can be woken by name, and may yield in no other way.
local function park_by_sleep(start, seconds)
  local thread, woken = coroutine.running(), false
  start(function()
    woken = true
    copas.wakeup(thread)
  end)
  if woken then return end
  if seconds then copas.sleep(seconds) else pause() end
end

-- Returns when `start(wake)` has had wake() called, or the time is over.
local function park(start, seconds)
  local by = copas.wakeup and park_by_sleep or park_by_queue
  local over = false
  by(function(wake)
    parked = parked + 1
    local function wake_once()
      if over then return end
      over = true
      parked = parked - 1
      wake()
    end
    start(wake_once)
    if seconds and not copas.wakeup then timers.push(sleepers, core.now() + seconds, wake_once) end
  end, seconds)
  if not over then -- the time is over
    over = true
    parked = parked - 1
  end
end

local function step()
  driver.step(0)
  local now = core.now()
  while sleepers[1] and sleepers[1].at <= now do timers.pop(sleepers)() end
  core.alarm(sleepers[1] and sleepers[1].at - now or nil)
end

local function nothing() end

local descriptor = {
  getfd = function() return core.fd() end,
  dirty = function() return false end,
  settimeout = nothing,
  close = nothing,
  receive = function()
    step()
    if parked > 0 then return nil, "timeout" end
    return true
  end,
}

local driving = false

local function drive()
  repeat copas.receive(descriptor, 1) until parked == 0
  driving = false
end

local function ensure_driver()
  if driving then return end
  driving = true
  copas.addthread(drive)
end

--- Raises outside of a thread, before anything is sent.
function M.ready()
  local co, main = coroutine.running()
  if co and not main then return driver.may_yield(2) end
  error("taskclient: a wait by the host 'copas' needs a thread of copas: "
    .. "copas.addthread(function() … end)", 3)
end

--- Returns when the call has ended, or the time is over; other copas threads run meanwhile.
---@param call any
---@param seconds number|nil
function M.await(call, seconds)
  local deadline = seconds and core.now() + seconds
  while not call:done() and not (deadline and core.now() >= deadline) do
    park(function(wake)
      driver.wait(call, wake)
      ensure_driver()
    end, deadline and math.max(0, deadline - core.now()))
  end
end

--- Returns after that many seconds; other copas threads run meanwhile.
---@param seconds number
function M.sleep(seconds)
  if copas.sleep then return copas.sleep(seconds) end
  park(function(wake)
    timers.push(sleepers, core.now() + seconds, wake)
    ensure_driver()
  end)
end

return M
