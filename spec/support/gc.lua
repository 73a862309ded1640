-- Functions that run as finalizers, in any Lua.

local M = {}

local function finalizer(fn)
  if not newproxy then return setmetatable({}, { __gc = fn }) end -- from 5.2 on
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = fn
  return proxy
end

-- a whole turn at every look, and a look at every allocation
local function restless()
  if _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 1000, 30) end
  return collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000000)
end

local function calm(pause, step)
  if _VERSION == "Lua 5.4" then return collectgarbage("incremental", 200, 100, 13) end
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", step)
end

---Calls `fn` whenever the collector has made a turn, as often as it can, while
---`body` runs.
function M.each(fn, body)
  local on = true
  local function again()
    finalizer(function()
      if not on then return end
      fn()
      again()
    end)
  end
  again()
  local pause, step = restless()
  collectgarbage() -- the next turn begins by the new settings
  local fine, err = pcall(body)
  on = false
  calm(pause, step)
  if not fine then error(err, 0) end
end

return M
