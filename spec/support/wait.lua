-- Waiting for a condition, with a bound. No spec sleeps for a fixed time.

local has_system, system = pcall(require, "system")
if not has_system then -- Lua 5.5 comes without one
  local nap = function(seconds) os.execute(("sleep %.3f"):format(seconds)) end
  system = { monotime = require("taskclient.core").now, sleep = nap }
end

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

---Calls fn, which takes longer than that only where the machine stood still: up to five times,
---until one call was in time.
---@param seconds number
---@param fn fun(): number? seconds, if it measures only a part of what it does
---@return number took what the quickest took
function M.within(seconds, fn)
  local quickest = math.huge
  for _ = 1, 5 do
    local began = system.monotime()
    quickest = math.min(quickest, fn() or system.monotime() - began)
    if quickest < seconds then return quickest end
  end
  error(("took %.3f s at best, not under %.3f"):format(quickest, seconds), 2)
end

return M
