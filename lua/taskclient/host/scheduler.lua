-- The scheduler of the host loop: many coroutines, one thread. Each step costs
-- what became ready, never the number of tasks. Knows the clock; knows no call
-- and no client.

local changes = require "taskclient.host.change"
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local driver = require "taskclient.host.driver"
local heap = require "taskclient.host.timers"
local failure = require "taskclient.error"
local pcalls = require "taskclient.host.pcall"

local SLICE = 0.2 -- seconds; bounds how late an interrupt is noticed
local TOLD_MOST = 2000 -- bytes of a failure that are told while the run goes on
local WAITING = {} -- what our own waits yield; anything else is a task giving way

local M = {}

---@class taskclient.Task
local Task = {}
Task.__index = Task

local tasks = setmetatable({}, { __mode = "k" }) -- coroutine -> task

--- The task that is running, or nil outside of `taskclient.run`.
---@return taskclient.Task|nil
function M.current()
  local co = coroutine.running()
  return co and tasks[co]
end

local function make_ready(task)
  local scheduler = task.scheduler
  local tail = scheduler.tail + 1
  scheduler.tail = tail
  scheduler.ready[tail] = task
end

local function cancellation(task)
  task.told = true
  local err = changes.fill(failure.new("interrupted", "the task was cancelled"), task.co)
  if task.call then task.call:close() end
  task.call = nil
  return err
end

local function check_cancelled(task)
  if task.cancelled and not task.told then error(cancellation(task), 0) end
end

-- Gives up the processor until the waker is called; a late wake of an earlier
-- wait is told apart by the task's count of waits.
local function pause(task)
  task.paused = true
  coroutine.yield(WAITING)
  task.paused = false
  task.waits = task.waits + 1
end

-- The same; one that was cancelled meanwhile hears of it. on_call: transfers go on; own: the
-- call that is the task's alone, and ends with its wait.
local function suspend(task, on_call, own)
  if on_call then
    task.on_call = true
    task.scheduler.calls = task.scheduler.calls + 1
  end
  task.call = own or nil
  pause(task)
  check_cancelled(task)
  task.call = nil
end

-- A function that ends the wait, and gives true if it was it that did.
local function waker(task)
  local wait = task.waits
  return function()
    if task.waits ~= wait or task.woken then return false end
    task.woken = true
    make_ready(task)
    return true
  end
end

local function here(what, level)
  return M.current()
    or error(what .. ": only inside of taskclient.run", level or 3)
end

-- The task that is about to wait; one that was cancelled while it ran, by
-- itself, does not.
local function waiting(what)
  local task = here(what, 4)
  driver.may_yield(3)
  check_cancelled(task)
  return task
end

-- For the host: what its waits are made of.
M.waiting, M.waker, M.suspend = waiting, waker, suspend

--- Has the task's wait end at a time.
---@param task taskclient.Task
---@param at number of core.now
function M.wake_at(task, at) heap.push(task.scheduler.timers, at, waker(task)) end

local function new_task(scheduler, fn, ...)
  local args, n = { ... }, select("#", ...)
  local unpack = table.unpack or unpack -- luacheck: ignore
  local co = coroutine.create(function() return fn(unpack(args, 1, n)) end)
  local task = setmetatable({ co = co, scheduler = scheduler, waits = 0 }, Task)
  tasks[co], driver.owners[co] = task, true
  scheduler.tasks[task] = true -- what a task waits for may hold it weakly only
  scheduler.alive = scheduler.alive + 1
  make_ready(task)
  return task
end

--- Starts a function as a task of its own; it runs when the caller waits.
---@param fn function
---@param ... any its arguments
---@return taskclient.Task task with `:cancel()`, `:done()`; see `join`
function M.spawn(fn, ...)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'spawn' (function expected, got %s)"):format(type(fn)), 2)
  end
  return new_task(here("spawn").scheduler, fn, ...)
end

-- What a failed task raised: an err of ours as it is, anything else as text
-- with the traceback of the task's own coroutine.
local function raised(co, what)
  local trace = debug.traceback(co)
  if failure.is(what) then
    what.traceback = what.traceback or trace
    return what
  end
  return tostring(what) .. "\n" .. trace
end

local function finish(task, ok, ...)
  local scheduler = task.scheduler
  scheduler.alive = scheduler.alive - 1
  scheduler.tasks[task] = nil
  task.ended, task.ok = true, ok
  if ok then
    task.results, task.n = { ... }, select("#", ...)
  else
    task.failure = raised(task.co, (...))
    if not task.cancelled then scheduler.failed[#scheduler.failed + 1] = task end
  end
  local waiters = task.waiters
  for i = 1, waiters and #waiters or 0 do waiters[i]() end
  task.waiters = nil
end

local function settle(task, ok, ...)
  if coroutine.status(task.co) ~= "dead" then
    if (...) ~= WAITING then make_ready(task) end
    return
  end
  finish(task, ok, ...)
  -- Ctrl-C, which LuaJIT raises in whatever runs, is meant for all tasks
  if not ok and pcalls.interrupted((...), task.scheduler.heard) then error((...), 0) end
end

local function resume(task)
  if task.ended then return end
  local scheduler = task.scheduler
  task.woken = false
  if task.on_call then
    task.on_call = false
    scheduler.calls = scheduler.calls - 1
  end
  if task.cancelled and not task.begun then return finish(task, false, cancellation(task)) end
  task.begun = true
  settle(task, coroutine.resume(task.co))
end

--- True once the task has ended.
---@return boolean
function Task:done() return self.ended == true end

--- Ends the task: what it waits for, now or next, raises an err of kind
--- `interrupted` in it; one that has not begun never does. A job it watches goes
--- on. A task that has ended stays as it is.
function Task:cancel()
  if self.ended or self.cancelled then return end
  self.cancelled = true
  if coroutine.status(self.co) == "suspended" and not self.woken then
    self.woken = true
    make_ready(self)
  end
end

function Task:__tostring()
  local word = not self.ended and "running" or self.ok and "done"
    or self.cancelled and "cancelled" or "failed"
  return "task (" .. word .. ")"
end

local function outcome(task)
  if task.ok then
    local unpack = table.unpack or unpack -- luacheck: ignore
    return unpack(task.results, 1, task.n)
  end
  task.joined = true
  if failure.is(task.failure) then return nil, task.failure end
  error(task.failure, 0)
end

--- Waits for a task and gives what its function returned. An err it raised
--- (or its cancellation) comes as `nil, err`; any other error is raised again,
--- with the traceback of the task's own coroutine.
---@param task taskclient.Task
---@return any ...
function M.join(task)
  if getmetatable(task) ~= Task then
    error(("bad argument #1 to 'join' (task expected, got %s)"):format(type(task)), 2)
  end
  if not task.ended then
    local me = waiting "join"
    if me == task then error("join: a task cannot wait for itself", 2) end
    task.waiters = task.waiters or {}
    while not task.ended do
      task.waiters[#task.waiters + 1] = waker(me)
      suspend(me)
    end
  end
  return outcome(task)
end

local function new_scheduler()
  return {
    ready = {}, head = 1, tail = 0, timers = {}, tasks = {}, alive = 0, calls = 0, failed = {},
    heard = core.sigint(),
  }
end

-- Runs what is ready now; what becomes ready meanwhile has its turn after the
-- next step, so that no task can keep the transfers from going on.
local function run_ready(scheduler)
  local ready, last = scheduler.ready, scheduler.tail
  for i = scheduler.head, last do
    local task = ready[i]
    ready[i] = nil
    scheduler.head = i + 1
    resume(task)
  end
end

local function fire_timers(timers)
  local now = core.now()
  while timers[1] and timers[1].at <= now do heap.pop(timers)() end
end

local function idle_time(scheduler)
  if scheduler.head <= scheduler.tail then return 0 end
  local first = scheduler.timers[1]
  if not first then
    if scheduler.calls == 0 then return nil end
    return SLICE
  end
  local left = first.at - core.now()
  return left < 0 and 0 or left < SLICE and left or SLICE
end

-- A task that nobody waits for may fail long before the run ends, where its failure is raised.
local function tell_failures(scheduler)
  for i = (scheduler.told or 0) + 1, #scheduler.failed do
    local task = scheduler.failed[i]
    if not task.joined then
      io.stderr:write("taskclient.run: a task has failed, which is raised where it is joined, or "
        .. "when the others have ended: ", tostring(task.failure):sub(1, TOLD_MOST), "\n")
    end
  end
  scheduler.told = #scheduler.failed
end

local function drive(scheduler)
  while scheduler.alive > 0 do
    run_ready(scheduler)
    if scheduler.alive == 0 then break end
    local idle = idle_time(scheduler)
    if not idle then error("run: every task waits for another", 0) end
    if idle > 0 then tell_failures(scheduler) end
    driver.step(idle)
    local signal = core.caught()
    if signal then pcalls.end_by(signal) end
    fire_timers(scheduler.timers)
  end
end

-- Ends the tasks of a run that an error has ended: each that waits hears of it as of its
-- cancellation, once, so that what it holds for others (a login, a round of looks) is let go.
local function abandon(scheduler)
  local left = {}
  for task in each(scheduler.tasks) do left[#left + 1] = task end -- what they do may change it
  for _, task in ipairs(left) do
    task.failure, task.cancelled, task.told = cancellation(task), true, false
    if task.paused then coroutine.resume(task.co) end
    task.ended = true
  end
end

-- A failure nobody joined must not pass in silence.
local function check_failures(scheduler, main)
  for _, task in ipairs(scheduler.failed) do
    if task ~= main and not task.joined then error(task.failure, 0) end
  end
end

--- Runs a function as the first task and returns when it and every task it
--- spawned have ended, with what the function returned. An error in a task
--- that nobody joined is told on stderr when it comes, while the others go on, and raised here.
--- Ctrl-C ends all tasks. Inside of a running task it is `join(spawn(fn))`.
---@param fn function
---@param ... any its arguments
---@return any ...
function M.run(fn, ...)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'run' (function expected, got %s)"):format(type(fn)), 2)
  end
  if M.current() then return M.join(M.spawn(fn, ...)) end
  local scheduler = new_scheduler()
  local main = new_task(scheduler, fn, ...)
  driver.guard(drive, scheduler, abandon)
  check_failures(scheduler, main)
  if main.ok then return outcome(main) end
  error(main.failure, 0)
end

---@class taskclient.Limit
local Limit = {}
Limit.__index = Limit

--- A gate that lets at most n tasks through at a time.
---@param n integer
---@return taskclient.Limit limit with `:spawn(fn, …)` and `:run(fn, …)`
function M.limit(n)
  if type(n) ~= "number" or n < 1 or n ~= math.floor(n) then
    error(("bad argument #1 to 'limit' (whole number from 1 expected, got %s)")
      :format(tostring(n)), 2)
  end
  return setmetatable({ free = n, waiters = {} }, Limit)
end

-- Wakes the first that still waits, if there is a place for it.
local function hand_on(limit)
  local woken = limit.free == 0
  while not woken and limit.waiters[1] do woken = table.remove(limit.waiters, 1)() end
end

local function release(limit)
  limit.free = limit.free + 1
  hand_on(limit)
end

function Limit:__tostring()
  return ("limit (%d free, %d waiting)"):format(self.free, #self.waiters)
end

--- Waits for a free place, then starts the function as a task; the place is
--- free again when the task has ended.
---@param fn function
---@param ... any its arguments
---@return taskclient.Task task
function Limit:spawn(fn, ...)
  local me = waiting "spawn"
  while self.free == 0 do
    self.waiters[#self.waiters + 1] = waker(me)
    pause(me)
    if me.cancelled then hand_on(self) end -- the place it was woken for
    check_cancelled(me)
  end
  local task = M.spawn(fn, ...)
  self.free = self.free - 1
  task.waiters = { function() release(self) end }
  return task
end

--- As `spawn`, and waits for the task's end.
---@param fn function
---@param ... any its arguments
---@return any ... what `join` gives
function Limit:run(fn, ...) return M.join(self:spawn(fn, ...)) end

return M
