-- Levels of log lines, worked out from the lines themselves: the server's log
-- file marks the first line of an entry, and those below it belong to it
-- (protocols 3.4, 3.12.5). Knows texts only.

local core = require "taskclient.core"

local M = {}

--- The level a line names itself, or nil.
---@type fun(line: string): "error"|"warn"|"info"|nil
M.of = core.level

--- A set of wanted levels from what a caller gives, or nil and the complaint.
---@param wanted string|string[]|nil one level or a list of them; "all" and nil: no choice
---@return table|nil set level -> true; nil: every line
---@return string|nil complaint
function M.filter(wanted)
  if wanted == nil or wanted == "all" then return nil end
  local set = {}
  for _, word in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    if word ~= "error" and word ~= "warn" and word ~= "info" then
      return nil, ("'error', 'warn', 'info' or 'all' expected, got '%s'"):format(tostring(word))
    end
    set[word] = true
  end
  if next(set) == nil then return nil, "a list without a level" end
  return set
end

return M
