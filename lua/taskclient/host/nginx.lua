-- Host for nginx with its Lua module (and so OpenResty): whoever waits is
-- woken by a semaphore, one light thread per worker drives all transfers
-- (nginx_drive.lua). Uses nothing but the public API of lua-nginx-module and
-- lua-resty-core. Trap: when a light thread is ended (its browser went away),
-- closures over locals of its running functions see nil. What others call must
-- be made by a function that has returned.

if not rawget(_G, "ngx") then error("it is for Lua code that nginx runs", 0) end

local changes = require "taskclient.host.change"
local core = require "taskclient.core"
local driver = require "taskclient.host.driver"
local drive = require "taskclient.host.nginx_drive"
local semaphore = require "ngx.semaphore"
local failure = require "taskclient.error"

local BLINK = 0.001 -- s; less would be a turn of nginx's loop and no sleep
local BEGIN = 0.02  -- s after which a timer that has not begun never will
local LONG = 3600   -- s a request waits at once for what has no time limit
local SLICE = 1     -- s a timer sleeps before it looks whether the worker exits

local MAY_WAIT = {
  rewrite = true, server_rewrite = true, access = true, content = true,
  timer = true, ssl_cert = true, ssl_session_fetch = true,
  ssl_client_hello = true, preread = true,
}

local M = { name = "nginx", timed = true }

local apart = setmetatable({}, { __mode = "k" }) -- coroutines that run what requests wait for

local function check_phase()
  local phase = ngx.get_phase()
  if MAY_WAIT[phase] then
    driver.may_yield(3)
    return phase
  end
  error(("taskclient cannot wait in nginx phase '%s': do it in a timer, %sngx.timer.at(0, "
    .. "function() … end)"):format(phase, phase == "init" and "in init_worker_by_lua: " or ""), 3)
end

--- Raises where nginx cannot wait, before anything is sent.
function M.ready() check_phase() end

local function new_waiter(event)
  local ended = semaphore.new()
  driver.wait(event, function() ended:post() end)
  return ended
end

--- Returns when the call has ended, or the time is over; the worker serves others meanwhile.
---@param call any a call, or a table of ours with `done()`, which needs nobody to drive it
---@param seconds number|nil
function M.await(call, seconds)
  if call:done() then return end
  if type(call) == "table" then
    new_waiter(call):wait(seconds or LONG)
    return
  end
  driver.step(0)
  if not call:done() then drive.wait(call, seconds) end
end

local function new_work(fn)
  local work = { begins = semaphore.new() }
  function work.run()
    if work.begun then return end
    work.begun = true
    work.begins:post()
    local co = coroutine.running()
    apart[co] = true
    fn()
    apart[co] = nil -- nginx may use it again
  end
  return work
end

--- Runs what other requests wait for as well so that the end of this request
--- does not end it: in a timer. Returns when it has begun; where no timer is to be had, when
--- it has ended.
---@param fn function must not raise
function M.apart(fn)
  local work = new_work(fn)
  if ngx.timer.at(0, work.run) then work.begins:wait(BEGIN) end
  work.run() -- unless it has begun
end

local function in_timer(premature, fn, ...)
  if not premature then fn(...) end
end

--- Has `fn(...)` called after so many seconds, whatever becomes of this request.
---@param seconds number
---@param fn function no closure
function M.later(seconds, fn, ...) ngx.timer.at(seconds, in_timer, fn, ...) end

-- A worker that is asked to end waits for its timers: a sleep in one ends
-- with an err, that the worker need not wait for somebody's job.
local function sleep_in_timer(seconds)
  local deadline = core.now() + seconds
  while seconds > 0 do
    if ngx.worker.exiting() then
      local why = failure.new("interrupted", "the nginx worker is shutting down")
      error(changes.fill(why), 0)
    end
    ngx.sleep(math.max(BLINK, math.min(seconds, SLICE)))
    seconds = deadline - core.now()
  end
end

--- Returns after that many seconds; the worker serves others meanwhile.
---@param seconds number
function M.sleep(seconds)
  local timer = check_phase() == "timer" and not apart[coroutine.running()]
  if timer then return sleep_in_timer(seconds) end
  ngx.sleep(math.max(BLINK, seconds))
end

return M
