-- interrupt.lua: Ctrl-C during a wait. The stock interpreters raise
-- "interrupted!" from a hook; what is watched is listed with how to attach
-- again, or aborted, and the error goes on. A second Ctrl-C is theirs: it kills.

local each = require "taskclient.each"
local protect = require "taskclient.protect"

local M = {}

-- Watches somebody is waiting on now.
local active = setmetatable({}, { __mode = "k" })

local function leave(job, observer)
  local id = tostring(job.id)
  io.stderr:write(tostring(job), " goes on; to take it up again: client:attach(",
    type(job.id) == "number" and id or ("%q"):format(id), ")",
    observer and ", or start the script again: " .. observer.path .. " remembers it" or "", "\n")
end

local function abort(job)
  local ok, done, err = pcall(job.abort, job)
  io.stderr:write(tostring(job), ok and done and ": abort sent"
    or ": not aborted: " .. tostring(not ok and done or err), "\n")
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

local function finish(watch, ok, ...)
  local unsettled = active[watch]
  active[watch] = nil
  if ok then return ... end
  watch:end_bar()
  if unsettled and protect.interrupted((...)) then settle(watch) end
  if watch.once then watch:leave() end
  error((...), 0)
end

--- Runs `fn(watch, arg)`, and settles the watched jobs when Ctrl-C ends it.
function M.guard(watch, fn, arg)
  active[watch] = true
  return finish(watch, protect.try(fn, watch, arg))
end

return M
