-- The collector at its most eager while a function runs, on every Lua.

local M = {}

-- 5.5 has the same two knobs under other names
local function tune(pause, multiplier)
  if _VERSION == "Lua 5.5" then
    return collectgarbage("param", "pause", pause), collectgarbage("param", "stepmul", multiplier)
  end
  return collectgarbage("setpause", pause), collectgarbage("setstepmul", multiplier)
end

---What fn gives; the collector never pauses meanwhile.
---@param fn fun(): any
function M.eager(fn)
  local pause, multiplier = tune(0, 10000)
  local result = fn()
  tune(pause, multiplier)
  return result
end

return M
