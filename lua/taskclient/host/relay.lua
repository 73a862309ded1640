-- Host of the work of a flight (flight.lua), which runs in a coroutine of its own: what it waits
-- for is handed to whoever waits for the flight, and waits by her own host. Knows no call.

local core = require "taskclient.core"
local driver = require "taskclient.host.driver"

local M = { name = "relay", timed = true }

local unpack = table.unpack or unpack -- luacheck: ignore

local Order = {} -- metatable of what our waits yield
local flights = setmetatable({}, { __mode = "k" }) -- coroutine -> flight

--- Makes the coroutine of a flight's work.
---@param flight table
---@param work function
---@return thread
function M.coroutine(flight, work)
  local co = coroutine.create(work)
  flights[co], driver.owners[co] = flight, M
  return co
end

--- The flight whose work runs here, or nil.
---@return table|nil flight
function M.flight()
  local co = coroutine.running()
  return co and flights[co]
end

--- Waits for the call's end, at most so many seconds.
---@param call any
---@param seconds number|nil
function M.await(call, seconds)
  if call:done() then return end
  coroutine.yield(setmetatable(
    { call = call, at = seconds and core.now() + seconds or math.huge }, Order))
end

--- Waits that long.
---@param seconds number
function M.sleep(seconds)
  coroutine.yield(setmetatable({ at = core.now() + seconds }, Order))
end

--- Calls a function of the user's, which may wait in its own way: outside of the flight's
--- coroutine, in that of somebody who waits for the flight.
---@param fn function
---@param ... any at most three
---@return any ... what it gives; it must not raise but what ends the waiter
function M.outside(fn, ...)
  if not M.flight() then return fn(...) end
  local a, b, c = ...
  return coroutine.yield(setmetatable({ fn = function() return fn(a, b, c) end }, Order))
end

--- What a flight's coroutine has yielded, as {call=, at=} or {fn=}. What is no wait of ours is
--- yielded once more, by whoever waits for the flight.
---@return table order
function M.order(...)
  local wanted = ...
  if getmetatable(wanted) == Order then return wanted end
  local values, n = { ... }, select("#", ...)
  return { fn = function() return coroutine.yield(unpack(values, 1, n)) end }
end

return M
