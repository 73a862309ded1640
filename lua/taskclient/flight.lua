-- One coroutine does what several want done at the same time (a login, a round
-- of looks); the others wait. Tells whether whoever does it is still there.
-- Knows hosts; knows nothing of the work.

local core = require "taskclient.core"
local host = require "taskclient.host"
local protect = require "taskclient.protect"

local M = {}

local BEGIN = 1 -- seconds a flight may take to begin

--- Begins a flight: the caller is the one who does the work.
---@param client userdata
---@return table flight with `since`, seconds of core.now
function M.new(client)
  local apart = host.current(client).apart
  local owner = not apart and coroutine.running() or nil
  return { since = core.now(), apart = apart, owner = owner }
end

-- Bound here, not by a closure of the caller's: see host/nginx.lua.
local function bound(flight, work, a, b, c)
  return function()
    flight.begun = true
    local fine, why = protect.try(work, a, b, c)
    flight.over, flight.owner = true, nil
    if not fine then error(why, 0) end
  end
end

--- Does the work, where the host can so that the caller's end does not end it; an error ends
--- the flight.
---@param flight table
---@param work function no closure; it gets three arguments
function M.run(flight, work, a, b, c)
  local does = bound(flight, work, a, b, c)
  if flight.apart then return flight.apart(does) end
  does()
end

--- Whether nobody does the work any more. One of our own that we come upon was left
--- by an error or by Ctrl-C. nginx ends the light threads of a
--- client that went away in silence, and tells nothing of other requests'
--- threads: there the work runs apart, and has no owner to look at.
---@param flight table
---@param longest number seconds
---@return boolean
function M.lost(flight, longest)
  local age = core.now() - flight.since
  return flight.over or age > longest or not flight.begun and age > BEGIN
    or not flight.apart and flight.owner == coroutine.running()
    or flight.owner ~= nil and coroutine.status(flight.owner) == "dead"
end

return M
