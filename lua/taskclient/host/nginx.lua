-- Host for nginx with its Lua module (and so OpenResty): one light thread per
-- worker drives the transfers of all requests, in a timer so that the end of
-- a request does not end it. With a `thread_pool taskclient threads=1;` in
-- nginx.conf it waits in a pool thread; without, by a tick that adapts.
-- Uses nothing but the public API of lua-nginx-module and lua-resty-core.

local core = require "taskclient.core"
local pump = require "taskclient.host.pump"
local semaphore = require "ngx.semaphore"
local failure = require "taskclient.error"

local TICK_MIN, TICK_MAX = 0.001, 0.016 -- seconds; nginx's own grain is 1 ms
local POLL = 200      -- ms a pool thread waits; bounds how late a worker exits
local NAP = 60        -- s a request waits before it looks again by itself
local SLICE = 1       -- s a timer sleeps before it looks whether the worker exits

local MAY_WAIT = {
  rewrite = true, server_rewrite = true, access = true, content = true,
  timer = true, ssl_cert = true, ssl_session_fetch = true,
  ssl_client_hello = true, preread = true,
}

local M = { name = "nginx", pool = "taskclient" }

local driving = false
local tick = TICK_MIN
local pool_works = nil -- unknown until the first wait in this worker
local spare = {} -- semaphores that nobody waits on

local function check_phase()
  local phase = ngx.get_phase()
  if MAY_WAIT[phase] then return phase end
  error(("taskclient cannot wait in nginx phase '%s': do it in a timer, "
    .. "ngx.timer.at(0, function() … end)"):format(phase), 3)
end

local function pool_wait()
  local ok, ready = ngx.run_worker_thread(M.pool, "taskclient.host.nginx_wait",
    "wait", core.fd(), POLL)
  if not ok and pool_works == nil then
    ngx.log(ngx.INFO, "taskclient: no thread pool '", M.pool, "' (",
      tostring(ready), "): waiting by a tick of 1 to 16 ms")
  end
  pool_works = ok
  return ok and ready
end

-- False when nothing has come for so long that an idle driver may end.
local function wait_for_work()
  if pool_works == nil and not ngx.run_worker_thread then pool_works = false end
  if pool_works ~= false then
    local ready = pool_wait()
    if pool_works then return ready end
  end
  ngx.sleep(tick)
  return tick < TICK_MAX
end

local function step()
  tick = pump.step(0) and TICK_MIN or math.min(tick * 1.5, TICK_MAX)
end

-- Goes on for a little after the last call has ended: to begin anew for each
-- call of a sequence would cost a timer a call.
local function drive(premature)
  local busy = not premature
  while busy or core.active() > 0 do
    if core.timeout() ~= 0 then busy = wait_for_work() end
    step()
    busy = busy and not ngx.worker.exiting()
  end
end

-- Where no timer is to be had (a worker that is exiting) the waiting light
-- thread drives by itself.
local function ensure_driver()
  if driving then return true end
  driving = true
  driving = ngx.timer.at(0, function(premature)
    local ok, why = pcall(drive, premature)
    driving = false
    if not ok then ngx.log(ngx.ERR, "taskclient: ", why) end
  end) and true or false
  return driving
end

local function drive_until(call)
  while not call:done() do
    ngx.sleep(tick)
    step()
  end
end

local function wait_for(call)
  local ended = table.remove(spare) or semaphore.new()
  local posted = false
  pump.wait(call, function()
    posted = true
    ended:post()
  end)
  while not call:done() do
    if not ensure_driver() then return drive_until(call) end
    if ended:wait(NAP) then posted = false end
  end
  if not posted then spare[#spare + 1] = ended end
end

--- Raises where nginx cannot wait, before anything is sent.
function M.ready() check_phase() end

--- Returns when the call has ended; the worker serves others meanwhile.
---@param call userdata
function M.await(call)
  if call:done() then return end
  step()
  if not call:done() then wait_for(call) end
end

-- A worker that is asked to end waits for its timers: a sleep in one ends
-- with an err, that the worker need not wait for somebody's job.
local function sleep_in_timer(seconds)
  local deadline = core.now() + seconds
  while seconds > 0 do
    if ngx.worker.exiting() then
      error(failure.new("interrupted", "the nginx worker is shutting down"), 0)
    end
    ngx.sleep(math.max(TICK_MIN, math.min(seconds, SLICE)))
    seconds = deadline - core.now()
  end
end

--- Returns after that many seconds; the worker serves others meanwhile.
---@param seconds number
function M.sleep(seconds)
  if check_phase() == "timer" then return sleep_in_timer(seconds) end
  ngx.sleep(math.max(TICK_MIN, seconds)) -- less would be a turn of the loop and no sleep
end

return M
