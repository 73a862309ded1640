-- What the Luas do differently, and what Lua has no function for: `each` and `copy`.

local M = {}

--- `pairs` by another name. LuaJIT makes a loop of its own kind of `for … in pairs(t)`, known to it
--- by that name, and until September 2022 (so in Debian 12, and in the OpenResty of that time) a
--- compiled trace that runs into such a loop skips it now and then: nothing raises, the table
--- just looks empty. Under another name it is an ordinary loop.
M.each = pairs

local DEEPEST = 16 -- tables inside of each other; what lies deeper stays the same

local function copy_of(value, depth)
  if type(value) ~= "table" or depth == 0 then return value end
  local copy = {}
  for name, member in M.each(value) do copy[name] = copy_of(member, depth - 1) end
  return setmetatable(copy, getmetatable(value))
end

--- A copy of plain data, for what is handed out and kept as well: whoever gets it may write into
--- it. The tables' metatables are the same.
---@param value any
---@return any copy
function M.copy(value) return copy_of(value, DEEPEST) end

return M
