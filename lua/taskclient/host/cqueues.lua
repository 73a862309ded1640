-- Host for cqueues: one coroutine per controller polls the core's descriptor
-- while something is in flight; whoever waits for a call sleeps on a
-- condition of its own. Works beside any other coroutines of the controller.

local core = require "taskclient.core"
local driver = require "taskclient.host.driver"
local cqueues = require "cqueues"
local condition = require "cqueues.condition"

local M = { name = "cqueues", timed = true }

local driving = setmetatable({}, { __mode = "k" }) -- controller -> true

local function controller(what)
  return cqueues.running() or error("taskclient: " .. what
    .. " by the host 'cqueues' needs a running controller: "
    .. "cqueues.new():wrap(function() … end):loop()", 3)
end

local function drive(queue)
  local descriptor = { pollfd = core.fd(), events = "r" }
  while core.active() > 0 do
    cqueues.poll(descriptor)
    driver.step(0)
  end
  driving[queue] = nil
end

--- Raises outside of a controller, before anything is sent.
function M.ready()
  controller "a wait"
  driver.may_yield(2)
end

--- Returns when the call has ended, or the time is over; other coroutines run meanwhile.
---@param call any
---@param seconds number|nil
function M.await(call, seconds)
  if call:done() then return end
  local queue = controller "a wait"
  local ended, deadline = condition.new(), seconds and core.now() + seconds
  driver.wait(call, function() ended:signal() end)
  while not call:done() and not (deadline and core.now() >= deadline) do
    if not driving[queue] then
      driving[queue] = true
      queue:wrap(drive, queue)
    end
    ended:wait(deadline and math.max(0, deadline - core.now()))
  end
end

--- Returns after that many seconds; other coroutines run meanwhile.
---@param seconds number
function M.sleep(seconds)
  controller "a sleep"
  cqueues.sleep(seconds)
end

return M
