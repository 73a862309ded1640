-- A copy of plain data, for what is handed out and kept as well: whoever gets it may write into it.

local each = require "taskclient.each"

local DEEPEST = 16 -- tables inside of each other; what lies deeper stays the same

local function copy_of(value, depth)
  if type(value) ~= "table" or depth == 0 then return value end
  local copy = {}
  for name, member in each(value) do copy[name] = copy_of(member, depth - 1) end
  return setmetatable(copy, getmetatable(value))
end

--- The copy, its tables' metatables included.
---@param value any
---@return any copy
return function(value) return copy_of(value, DEEPEST) end
