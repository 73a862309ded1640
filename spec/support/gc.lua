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

---Runs `body`; at the n-th allocation in it that the collector looks at, `fn` is
---called, as a finalizer. A turn of the collector each takes its time: small n.
function M.nth(n, fn, body)
  local left, pause, step = n, nil, nil
  local function again()
    finalizer(function()
      left = left - 1
      if left > 0 then return again() end
      if left < 0 then return end
      calm(pause, step)
      fn()
    end)
  end
  pause, step = restless()
  collectgarbage() -- the next turn begins by the new settings
  again()
  local fine, err = pcall(body)
  left = 0
  calm(pause, step)
  if not fine then error(err, 0) end
end

return M
