-- A pcall for work that is not ours, or may be given up: it can be yielded across wherever Lua
-- has that, and an error keeps the traceback of its place. Knows the error of Ctrl-C; no host.
local M = {}

--- Whether an error is that of Ctrl-C, as the stock interpreters raise it.
---@param message any
---@return boolean
function M.interrupted(message)
  return type(message) == "string" and message:find "interrupted!$" ~= nil
end

-- Message handler: adds the frames between the error and this file, which are the caller's;
-- those below are still there when the error goes on.
local function traced(message)
  if type(message) ~= "string" or M.interrupted(message) or message:find "\nstack traceback:" then
    return message
  end
  local trace = debug.traceback("", 2)
  local ours = trace:find "\n[^\n]*taskclient[/\\]protect%.lua"
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

local function told(note, ok, ...)
  if ok then return ... end
  if M.interrupted((...)) then io.stderr:write(note, "\n") end
  error((...), 0)
end

--- Calls a function for what it gives; before an error of Ctrl-C goes on, a note is told.
---@param note string
---@param fn function
---@param ... any at most three
---@return any ...
function M.noted(note, fn, ...) return told(note, M.try(fn, ...)) end

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
