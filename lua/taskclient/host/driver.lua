-- The one place that calls core.step for the hosts which step the core
-- themselves, so that whoever waits for a call learns of its end, whichever
-- coroutine or host happened to step. Knows calls; knows no host.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local pcalls = require "taskclient.host.pcall"

local M = {}

--- Raises where whoever waits cannot give way: inside of a function of C, as `require` is while
--- a module's own lines run.
---@param level? integer of the caller's caller, as for `error`
function M.may_yield(level)
  if core.yieldable() then return end
  error("taskclient cannot wait here, inside of a function of C that cannot be left meanwhile: in "
    .. "the lines of a module that require runs, in table.sort or string.gsub. Ask the server in a "
    .. "function that is called later; a module that failed so is forgotten by "
    .. "package.loaded[name] = nil", (level or 1) + 1)
end

-- call -> function, or array of functions, each to be called once
local waiting = setmetatable({}, { __mode = "k" })

--- Has `wake()` called once when the call has ended.
---@param call any a call in flight, or what `wake` will be called with
---@param wake function must not yield; what it raises comes out of `step`
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

-- One that raises must not keep the others asleep: what it raised comes back.
local function wake_one(wake, raised)
  local ok, why = pcall(wake)
  return raised or not ok and { why } or nil
end

local function wake_all(call, raised)
  local known = waiting[call]
  if known == nil then return raised end
  waiting[call] = nil
  if type(known) == "function" then return wake_one(known, raised) end
  for i = 1, #known do raised = wake_one(known[i], raised) end
  return raised
end

--- coroutine that one of ours runs -> its host `relay`, or true for `loop`
M.owners = setmetatable({}, { __mode = "k" })

local late -- what a waker has raised that was called outside of a step

--- Wakes whoever waits for something of ours that has ended, and is no call.
---@param event table with `done()`
function M.wake(event) late = wake_all(event, late) end

local besides = {}

--- Has `fn()` called before each step, for what must go on beside any wait.
---@param fn function must neither yield nor raise, and returns at once
function M.beside(fn) besides[#besides + 1] = fn end

--- Drives all transfers and wakes those whose call has ended.
---@param timeout number seconds to wait at most; the core waits 0.2 at most
---@return table|nil ended list of the calls that ended in this step
function M.step(timeout)
  for i = 1, #besides do besides[i]() end
  local ended = core.step(timeout)
  if not ended and not late then return nil end
  local raised = late
  late = nil
  for i = 1, ended and #ended or 0 do
    if waiting[ended[i]] ~= nil then raised = wake_all(ended[i], raised) end
  end
  if raised then error(raised[1], 0) end
  return ended
end

local enders = {}

--- Has `fn(interrupted)` called when a host's own loop is ended by an error; `interrupted`: by
--- Ctrl-C or a signal. What it returns is called once the loop holds nothing any more.
---@param fn fun(interrupted: boolean): function|nil
function M.at_end(fn) enders[#enders + 1] = fn end

-- Tells what must be told of an error that has ended a host's loop, and raises it again.
local function broken_off(why, heard, work, abandon)
  local interrupted, later = pcalls.interrupted(why, heard), {}
  for _, fn in ipairs(enders) do later[#later + 1] = fn(interrupted) end
  local held = later[1] and failure.is(why) and core.signals() -- it ends us when all is settled
  if abandon then abandon(work) end
  for _, fn in ipairs(later) do fn() end
  if held then held:close() end
  error(why, 0)
end

--- Runs a host's own loop; when Ctrl-C or a signal ends it, what is being watched is
--- printed with how to attach, or aborted, before the error goes on its way.
---@param fn function must not yield
---@param work any its argument
---@param abandon? function called with `work` where `fn` has raised, when the changes on their way
---  have been told: ends what the loop ran, that it holds nothing any more
function M.guard(fn, work, abandon)
  local heard = core.sigint()
  local ok, why = pcall(fn, work)
  if not ok then broken_off(why, heard, work, abandon) end
end

return M
