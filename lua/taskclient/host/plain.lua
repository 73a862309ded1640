-- Host for a script or the REPL: one thing at a time. The wait is a Lua loop
-- over short steps, so that Ctrl-C works in the stock interpreters.

local core = require "taskclient.core"
local protect = require "taskclient.protect"
local pump = require "taskclient.host.pump"

local SLICE = 0.2 -- seconds; bounds how late an interrupt is noticed

local M = { name = "plain" }

local function until_done(call)
  while not call:done() do
    pump.step(SLICE)
    protect.check()
  end
end

local function until_time(deadline)
  repeat
    local left = deadline - core.now()
    pump.step(left < 0 and 0 or left < SLICE and left or SLICE)
    protect.check()
  until deadline <= core.now()
end

--- Returns when the call has ended.
---@param call userdata
function M.await(call)
  if not call:done() then pump.guard(until_done, call) end
end

--- Returns after that many seconds; transfers in flight go on meanwhile.
---@param seconds number
function M.sleep(seconds) pump.guard(until_time, core.now() + seconds) end

return M
