-- A pcall for work that is not ours, or may be given up: it can be yielded across wherever Lua
-- has that, and an error keeps the traceback of its place. Knows the errors of Ctrl-C and of
-- signals; no host.
local core = require "taskclient.core"
local failure = require "taskclient.error"

local M = {}

-- Whether a text is what the stock interpreters raise at Ctrl-C, with or without a place.
local function looks_interrupted(message)
  return type(message) == "string"
    and (message == "interrupted!" or message:find ":%d+: interrupted!$" ~= nil)
end

--- Whether an error is that of Ctrl-C or of a signal that `check` has raised. A text alone may be
--- the user's own: the stock interpreters give their handler of SIGINT up when the signal comes,
--- so that it must have been there when the work began, and be gone now.
---@param message any
---@param heard boolean what `core.sigint()` was when the work began
---@return boolean
function M.interrupted(message, heard)
  if failure.is(message) then return rawget(message, "signal") ~= nil end
  return heard and looks_interrupted(message) and not core.sigint()
end

--- Raises for a signal that was held back (`core.signals`) and has come (`core.caught`).
---@param name string
function M.end_by(name)
  error(failure.new("interrupted", "the process was asked to end by " .. name,
    { signal = name }), 0)
end

-- Message handler: adds the frames between the error and this file, which are the caller's;
-- those below are still there when the error goes on.
local function traced(message)
  local plain = type(message) == "string" and not looks_interrupted(message)
  if not plain or message:find "\nstack traceback:" then
    return message
  end
  local trace = debug.traceback("", 2)
  local ours = trace:find "\n[^\n]*taskclient[/\\]host[/\\]pcall%.lua"
  return message .. trace:sub(1, ours and ours - 1)
end

-- A pcall that can be yielded across; where there is none, tasks go without.
local resumable = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

--- As pcall.
---@param fn function
---@param ... any at most three
---@return boolean ok
---@return any ... what the function gives, or the error with its traceback
function M.try(fn, ...)
  local co, main = coroutine.running()
  if not resumable and co and not main then return true, fn(...) end
  local a, b, c = ...
  return xpcall(function() return fn(a, b, c) end, traced)
end

--- As `try`, for work that does not wait: caught in the tasks of every Lua.
---@param fn function
---@param ... any at most three
---@return boolean ok
---@return any ... what the function gives, or the error
function M.brief(fn, ...)
  if resumable then return M.try(fn, ...) end
  return pcall(fn, ...)
end

--- Calls a function for one value; its error goes on, with its traceback.
---@param fn function
---@param ... any at most three
---@return any value
function M.call(fn, ...)
  local ok, value = M.try(fn, ...)
  if not ok then error(value, 0) end
  return value
end

return M
