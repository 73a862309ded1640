-- Host for plain Lua with many coroutines: who waits gives way to the other
-- tasks of taskclient.run (scheduler.lua).

local core = require "taskclient.core"
local pump = require "taskclient.host.pump"
local scheduler = require "taskclient.host.scheduler"

local M = { name = "loop", current = scheduler.current }

--- Raises outside of a task, before anything is sent.
function M.ready() scheduler.waiting "a wait by the host 'loop'" end

--- Returns when the call has ended; other tasks run meanwhile.
---@param call userdata
function M.await(call)
  local task = scheduler.waiting "await"
  while not call:done() do
    pump.wait(call, scheduler.waker(task))
    scheduler.suspend(task, true)
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
