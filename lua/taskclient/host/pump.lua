-- The one place that calls core.step for the hosts which step the core
-- themselves, so that whoever waits for a call learns of its end, whichever
-- coroutine or host happened to step. Knows calls; knows no host.

local core = require "taskclient.core"

local M = {}

-- call -> function, or array of functions, each to be called once
local waiting = setmetatable({}, { __mode = "k" })

--- Has `wake()` called once when the call has ended.
---@param call userdata a call in flight
---@param wake function must neither raise nor yield
function M.wait(call, wake)
  local known = waiting[call]
  if known == nil then
    waiting[call] = wake
  elseif type(known) == "function" then
    waiting[call] = { known, wake }
  else
    known[#known + 1] = wake
  end
end

local function wake_all(call)
  local known = waiting[call]
  if known == nil then return end
  waiting[call] = nil
  if type(known) == "function" then return known() end
  for i = 1, #known do known[i]() end
end

--- Drives all transfers and wakes those whose call has ended.
---@param timeout number seconds to wait at most; the core waits 0.2 at most
---@return table|nil ended list of the calls that ended in this step
function M.step(timeout)
  local ended = core.step(timeout)
  if ended then
    for i = 1, #ended do wake_all(ended[i]) end
  end
  return ended
end

local function told(ok, ...)
  if ok then return ... end
  local report = package.loaded["taskclient.workflow.interrupt"]
  if report and tostring((...)):find("interrupted!", 1, true) then report.report() end
  error((...), 0)
end

--- Runs a host's own loop; when Ctrl-C ends it, what is being watched is
--- printed with how to attach, before the error goes on its way.
---@param fn function must not yield
---@param ... any its arguments
---@return any ... what the function gives
function M.guard(fn, ...) return told(pcall(fn, ...)) end

return M
