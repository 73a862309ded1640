-- Host for plain Lua with many coroutines: who waits gives way to the other
-- tasks of taskclient.run (scheduler.lua).

local core = require "taskclient.core"
local driver = require "taskclient.host.driver"
local scheduler = require "taskclient.host.scheduler"

local M = { name = "loop", timed = true, current = scheduler.current }

--- Raises outside of a task, before anything is sent.
function M.ready() scheduler.waiting "a wait by the host 'loop'" end

--- Returns when the call has ended, or the time is over; other tasks run meanwhile.
---@param call any
---@param seconds number|nil
---@param own boolean|nil nobody else waits for the call: it ends when the task is cancelled
function M.await(call, seconds, own)
  local task = scheduler.waiting "await"
  local deadline = seconds and core.now() + seconds
  while not call:done() and not (deadline and core.now() >= deadline) do
    driver.wait(call, scheduler.waker(task))
    if deadline then scheduler.wake_at(task, deadline) end
    scheduler.suspend(task, true, own and call)
  end
end

--- Returns after that many seconds; other tasks run meanwhile.
---@param seconds number
function M.sleep(seconds)
  local task = scheduler.waiting "sleep"
  scheduler.wake_at(task, core.now() + seconds)
  scheduler.suspend(task)
end

return M
