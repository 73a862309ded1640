-- Waiting for a condition, with a bound. No spec sleeps for a fixed time.

local system = require "system"

local M = {}

M.now = system.monotime
M.nap = system.sleep

---Calls fn until it gives something true, and returns that.
---@param fn fun(): any
---@param timeout number? seconds, default 10
---@param what string? for the error
function M.eventually(fn, timeout, what)
  local deadline = system.monotime() + (timeout or 10)
  local pause = 0.001
  repeat
    local value = fn()
    if value then return value end
    system.sleep(pause)
    pause = math.min(pause * 1.5, 0.05)
  until system.monotime() > deadline
  error((what or "the condition") .. " did not come true in " .. (timeout or 10) .. " s", 2)
end

return M
