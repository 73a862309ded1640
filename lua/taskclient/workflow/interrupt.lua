-- interrupt.lua: Ctrl-C during a wait, and SIGTERM and SIGHUP where `on_interrupt` was chosen.
-- The stock interpreters raise "interrupted!" from a hook, the signals are raised by whoever
-- waits; what is watched is listed with how to attach again, or aborted, and the error goes on.
-- A second Ctrl-C or signal is not ours: it kills.

local core = require "taskclient.core"
local each = require "taskclient.compat".each
local driver = require "taskclient.host.driver"
local hosts = require "taskclient.host"
local pcalls = require "taskclient.host.pcall"

local M = {}

-- Watches somebody is waiting on now: what holds the signals back for it, or false.
local active = setmetatable({}, { __mode = "k" })

local function leave(job, observer)
  local id = tostring(job.id)
  io.stderr:write(tostring(job), " goes on; to take it up again: client:attach(",
    type(job.id) == "number" and id or ("%q"):format(id), ")",
    observer and ", or start the script again: " .. observer.path .. " remembers it" or "", "\n")
end

-- Jobs of one client in as few requests as it can, for who is asked to end has little time.
local function abort(client, jobs)
  local fine, results, err = pcall(client.abort, client, jobs)
  for i, job in ipairs(jobs) do
    local trouble = not fine and results or err or results[i].err
    io.stderr:write(tostring(job), trouble and ": not aborted: " .. tostring(trouble)
      or ": abort sent", "\n")
  end
end

local function abort_all(items)
  local clients, lists = {}, {}
  for _, item in ipairs(items) do
    local list = lists[item.client]
    if not list then
      list = {}
      clients[#clients + 1], lists[item.client] = item.client, list
    end
    list[#list + 1] = item.job
  end
  for _, client in ipairs(clients) do abort(client, lists[client]) end
end

-- What a watch has, for it may be left before it is settled.
local function look(watch)
  local items = {}
  for i, item in ipairs(watch.items) do items[i] = item end
  return { watch = watch, items = items }
end

local function settle(seen)
  local choice = seen.watch.opts.on_interrupt or "leave"
  seen.watch:end_bar()
  if choice == "abort" then return abort_all(seen.items) end
  if type(choice) == "function" then
    local jobs = {}
    for i, item in ipairs(seen.items) do jobs[i] = item.job end
    local fine, why = pcall(choice, jobs)
    if not fine then io.stderr:write("on_interrupt: ", tostring(why), "\n") end
    return
  end
  for _, item in ipairs(seen.items) do leave(item.job, item.observer) end
end

-- Takes over all that is being watched; gives the function that settles it.
local function take_all()
  local seen = {}
  for watch in each(active) do seen[#seen + 1] = look(watch) end
  active = setmetatable({}, { __mode = "k" })
  return function()
    for _, one in ipairs(seen) do settle(one) end
  end
end

driver.at_end(function(interrupted) return interrupted and take_all() or nil end)

-- In nginx the signals are the server's own. A signal that came is paid when the last wait lets
-- go: it ends the process as if nobody had held it back.
local function hold(watch)
  if watch.opts.on_interrupt == nil or hosts.current().name == "nginx" then return false end
  return core.signals()
end

local function finish(watch, heard, held, ok, ...)
  local unsettled = active[watch] ~= nil
  -- one that came together with a job's end: the others are still to be settled
  if ok and held and core.caught() then take_all()() end
  active[watch] = nil
  if not ok then
    watch:end_bar()
    if unsettled and pcalls.interrupted((...), heard) then settle(look(watch)) end
    if watch.once then watch:leave() end
  end
  if held then held:close() end
  if ok then return ... end
  error((...), 0)
end

--- Runs `fn(watch, arg)`, and settles the watched jobs when Ctrl-C or a signal ends it.
function M.guard(watch, fn, arg)
  local held = hold(watch)
  watch.held, active[watch] = held ~= false, held
  return finish(watch, core.sigint(), held, pcalls.try(fn, watch, arg))
end

return M
