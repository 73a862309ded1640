-- What drives the transfers of all requests of an nginx worker: one light
-- thread, in a timer so that the end of a request does not end it. With a
-- `thread_pool taskclient threads=1;` in nginx.conf it waits in a pool thread;
-- without, by a tick that adapts. Knows calls; knows no phase and no job.

local core = require "taskclient.core"
local pump = require "taskclient.host.driver"
local semaphore = require "ngx.semaphore"

local POOL = "taskclient"
local POLL = 200      -- ms a pool thread waits; bounds how late a worker exits
local TICK_MIN, TICK_MAX = 0.001, 0.016 -- seconds; nginx's own grain is 1 ms
local NAP = 0.25      -- s a request waits before it looks after the driver
local BEGIN = 0.02    -- s, the same while the driver's timer has not begun

local M = {}

local driver -- nil, or {begun=, pooled=}: it has begun, it is in the pool
local turns = 0 -- its signs of life
local tick = TICK_MIN
local pool_works -- nil: unknown until the first wait in this worker
local spare = {} -- semaphores that nobody waits on

local function by_tick(level, ...)
  pool_works = false
  ngx.log(level, "taskclient: thread pool '", POOL, "' ", ..., ": waiting by a tick of 1 to 16 ms")
end

local function pool_wait()
  local fine, ok, ready = pcall(ngx.run_worker_thread, POOL, "taskclient.host.nginx_wait",
    "wait", core.fd(), POLL)
  if fine and ok then
    pool_works = true
  elseif pool_works == nil then
    by_tick(ngx.INFO, "is not there (", tostring(fine and ready or ok), ")")
  end
  return fine and ok, ready
end

-- False when nothing has come for so long that an idle driver may end.
local function wait_for_work(me)
  if pool_works ~= false then
    me.pooled = true
    local ok, ready = pool_wait()
    me.pooled = false
    if ok then return ready end
  end
  ngx.sleep(tick)
  return tick < TICK_MAX
end

local function turn()
  turns = turns + 1
  tick = pump.step(0) and TICK_MIN or math.min(tick * 1.5, TICK_MAX)
end

-- Goes on for a little after the last call has ended: to begin anew for each
-- call of a sequence would cost a timer a call.
local function drive(me, premature)
  me.begun = true
  local busy = not premature
  while driver == me and (busy or core.active() > 0) do
    if core.timeout() ~= 0 then busy = wait_for_work(me) end
    turn()
    busy = busy and not ngx.worker.exiting()
  end
end

local function drive_apart(premature, me)
  local fine, why = pcall(drive, me, premature)
  if driver == me then driver = nil end
  if not fine then ngx.log(ngx.ERR, "taskclient: ", why) end
end

local function ensure_driver()
  if driver then return true end
  driver = {}
  local ok = ngx.timer.at(0, drive_apart, driver)
  if not ok then driver = nil end
  return ok
end

-- Where no timer is to be had (the worker is exiting, or nginx has dropped it)
-- the waiting light thread drives by itself.
local function drive_until(call, deadline)
  local me = { begun = true }
  driver = driver or me
  while not call:done() and core.now() < deadline do
    ngx.sleep(tick)
    turn()
  end
  if driver == me then driver = nil end
end

-- The driver has shown no sign of life. False: there will be none, and whoever
-- finds that out first drives by itself.
local function replace(silent)
  if driver ~= silent then return true end
  driver = nil
  if silent.pooled then by_tick(ngx.WARN, "has other work; it should be taskclient's alone") end
  if silent.begun then return true end
  ngx.log(ngx.WARN, "taskclient: nginx has dropped a timer; set lua_max_running_timers higher")
  return false
end

-- See host/nginx.lua for why this is no closure over locals of `wait`.
local function new_waiter(call)
  local waiter = { ended = table.remove(spare) or semaphore.new() }
  pump.wait(call, function()
    waiter.posted = true
    waiter.ended:post()
  end)
  return waiter
end

--- Returns when the call has ended, or the time is over.
---@param call userdata
---@param seconds number|nil
function M.wait(call, seconds)
  local waiter, silent = new_waiter(call), 0
  local deadline = seconds and core.now() + seconds or math.huge
  while not call:done() and core.now() < deadline do
    if not ensure_driver() then return drive_until(call, deadline) end
    local seen, who = turns, driver
    local nap = math.min(who.begun and NAP or BEGIN, math.max(0.001, deadline - core.now()))
    if waiter.ended:wait(nap) then waiter.posted = false end
    silent = turns == seen and silent + 1 or 0
    if silent >= 2 and not replace(who) then return drive_until(call, deadline) end
  end
  if call:done() and not waiter.posted then spare[#spare + 1] = waiter.ended end
end

return M
