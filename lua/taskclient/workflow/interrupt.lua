-- interrupt.lua: Ctrl-C during a wait. The stock interpreters raise
-- "interrupted!" from a hook; what is watched is listed with how to attach
-- again, or aborted, and the error goes on. A second Ctrl-C is theirs: it kills.

local each = require "taskclient.each"

local M = {}

-- Watches somebody is waiting on now.
local active = setmetatable({}, { __mode = "k" })

local function say(...)
  io.stderr:write(string.format(...), "\n")
end

local function leave(job, observer)
  say("%s goes on; to take it up again: client:attach(%s)%s", tostring(job),
    type(job.id) == "number" and tostring(job.id) or string.format("%q", tostring(job.id)),
    observer and ", or start the script again: " .. observer.path .. " remembers it" or "")
end

local function abort(job)
  local ok, done, err = pcall(job.abort, job)
  say(ok and done and "%s: abort sent" or "%s: not aborted: %s", tostring(job),
    tostring(not ok and done or err))
end

local function settle(watch)
  local jobs, choice = {}, watch.opts.on_interrupt or "leave"
  watch:end_bar()
  for i, item in ipairs(watch.items) do jobs[i] = item.job end
  if type(choice) == "function" then return choice(jobs) end
  for _, item in ipairs(watch.items) do
    if choice == "abort" then abort(item.job) else leave(item.job, item.observer) end
  end
end

--- Prints what is being watched and how to attach; for a host's main loop that ends by Ctrl-C.
function M.report()
  local watches = active
  active = setmetatable({}, { __mode = "k" })
  for watch in each(watches) do settle(watch) end
end

local function interrupted(message)
  return type(message) == "string" and message:find "interrupted!$" ~= nil
end

-- Message handler: adds the frames between the error and this layer, which are the caller's;
-- those below are still there when the error goes on.
local function traced(message)
  if type(message) ~= "string" or interrupted(message) or message:find "\nstack traceback:" then
    return message
  end
  local trace = debug.traceback("", 2)
  local ours = trace:find "\n[^\n]*taskclient[/\\]workflow[/\\]"
  return message .. trace:sub(1, ours and ours - 1)
end

-- A pcall that can be yielded across; where there is none, tasks go without.
local resumable = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

--- As pcall; an error of the caller's function keeps its traceback.
function M.try(fn, ...)
  local co, main = coroutine.running()
  if not resumable and co and not main then return true, fn(...) end
  local a, b, c = ... -- nothing called this way has more
  return xpcall(function() return fn(a, b, c) end, traced)
end

local function finish(watch, ok, ...)
  local unsettled = active[watch]
  active[watch] = nil
  if ok then return ... end
  watch:end_bar()
  if unsettled and interrupted((...)) then settle(watch) end
  if watch.once then watch:leave() end
  error((...), 0)
end

--- Runs `fn(watch, arg)`, and settles the watched jobs when Ctrl-C ends it.
function M.guard(watch, fn, arg)
  active[watch] = true
  return finish(watch, M.try(fn, watch, arg))
end

return M
