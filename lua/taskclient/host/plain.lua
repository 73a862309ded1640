-- Host for a script or the REPL: one thing at a time. The wait is a Lua loop
-- over short steps, so that Ctrl-C works in the stock interpreters.

local core = require "taskclient.core"
local protect = require "taskclient.host.pcall"
local pump = require "taskclient.host.driver"

local SLICE = 0.2 -- seconds; bounds how late an interrupt is noticed

local M = { name = "plain", timed = true }

local function until_done(wait)
  repeat
    local left = wait.deadline - core.now()
    pump.step(left < 0 and 0 or left < SLICE and left or SLICE)
    protect.check()
  until wait.call:done() or wait.deadline <= core.now()
end

local function until_time(deadline)
  repeat
    local left = deadline - core.now()
    pump.step(left < 0 and 0 or left < SLICE and left or SLICE)
    protect.check()
  until deadline <= core.now()
end

--- Returns when the call has ended, or the time is over.
---@param call any
---@param seconds number|nil
function M.await(call, seconds)
  if call:done() then return end
  pump.guard(until_done,
    { call = call, deadline = seconds and core.now() + seconds or math.huge })
end

--- Returns after that many seconds; transfers in flight go on meanwhile.
---@param seconds number
function M.sleep(seconds) pump.guard(until_time, core.now() + seconds) end

return M
