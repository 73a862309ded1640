-- Host for luv: the core's descriptor is a uv_poll handle of the default
-- loop, active only while something is in flight, so that the loop can end.
-- In a coroutine a wait yields; in the main chunk it runs the loop.

local core = require "taskclient.core"
local driver = require "taskclient.host.driver"
-- the coroutine that may yield here, or nil in the main chunk
local function running()
  local co, main = coroutine.running()
  return not main and co or nil
end

-- luv calls back, for good, in the coroutine that loads it: one that waits cannot
-- be resumed from there, and Lua may crash.
if not package.loaded.luv and running() then
  error("luv must not be loaded in a coroutine; write require \"luv\" where the script begins", 0)
end
local uv = require "luv"

local M = { name = "luv", timed = true }

local handle -- the uv_poll on core.fd(), or nil
-- coroutine, call -> true: nothing else may hold one that waits
local waiting = {} -- luacheck: ignore 241
local notified = {} -- luacheck: ignore 241

local function on_ready()
  driver.step(0)
  if core.active() == 0 and handle then
    handle:close()
    handle = nil
  end
end

local function watch()
  if handle then return end
  handle = assert(uv.new_poll(core.fd()))
  assert(handle:start("r", on_ready))
end

local function resume(co)
  if coroutine.status(co) == "dead" then return end -- it died where it could not wait
  local ok, why = coroutine.resume(co)
  if not ok then error(debug.traceback(co, why), 0) end
end

-- has start(wake) call wake later; returns when it did
local function wait_for(start)
  local co, done = running(), false
  local yielded = false
  start(function()
    done = true
    if yielded then resume(co) end
  end)
  if co and not done then
    yielded, waiting[co] = true, true
    coroutine.yield()
    yielded, waiting[co] = false, nil -- and not to be resumed, should somebody else have done it
  end
  while not done do uv.run "once" end
end

--- Calls `fn(call)` from the loop when the call has ended; nobody else need
--- hold the call meanwhile.
---@param call userdata
---@param fn function
function M.notify(call, fn)
  if call:done() then return fn(call) end
  watch()
  notified[call] = true
  driver.wait(call, function()
    notified[call] = nil
    fn(call)
  end)
end

--- Raises in a coroutine where it cannot wait, before anything is sent.
function M.ready()
  if running() then driver.may_yield(2) end
end

-- Has `wake()` called after so many seconds; to be closed by whoever has made it.
local function new_timer(seconds, wake)
  local timer = uv.new_timer()
  timer:start(math.max(0, math.ceil(seconds * 1000)), 0, wake)
  return timer
end

local function await_once(call, seconds)
  local timer
  wait_for(function(wake)
    if core.active() > 0 then watch() end
    driver.wait(call, wake)
    if seconds then timer = new_timer(seconds, wake) end
  end)
  if timer then timer:close() end
end

--- Returns when the call has ended, or the time is over; the loop goes on meanwhile.
---@param call any
---@param seconds number|nil
function M.await(call, seconds)
  local deadline = seconds and core.now() + seconds
  while not call:done() and not (deadline and core.now() >= deadline) do
    await_once(call, deadline and deadline - core.now())
  end
end

--- Returns after that many seconds; the loop goes on meanwhile.
---@param seconds number
function M.sleep(seconds)
  wait_for(function(wake)
    local timer
    timer = new_timer(seconds, function()
      timer:close()
      wake()
    end)
  end)
end

return M
