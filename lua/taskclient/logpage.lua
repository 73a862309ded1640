-- The log member of a server's reply in each of its shapes, as a page of lines
-- for the follower (linkis-wire 3.4, 3.12.5). Knows the shapes; asks nothing.

local follow = require "taskclient.follow"

local M = {}

local ALL = 4 -- of the array: ERROR, WARN, INFO, all

local function text_of(log)
  if type(log) ~= "table" then return type(log) == "string" and log or nil end
  if #log == ALL or log[ALL] then return type(log[ALL]) == "string" and log[ALL] or "" end
  local lines = {}
  for _, line in ipairs(log) do
    if type(line) == "string" and line ~= "" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

--- A page of the live log.
---@param data any the reply's data
---@param from integer the line asked for
---@return table page {lines=, advance=, raw=}
function M.parse(data, from)
  data = type(data) == "table" and data or {}
  local text = text_of(data.log)
  local to = tonumber(data.fromLine)
  local lines = {}
  if text and (text ~= "" or type(data.log) == "string" and (to or from) > from) then
    lines = follow.split(text)
  end
  local advance = to and to - from or #lines
  if advance <= 0 then lines, advance = {}, 0 end
  local raw = type(data.log) == "string" and #lines >= advance
  return { lines = lines, advance = advance, raw = raw }
end

local HEAD = 200 -- lines in which a log names its task, behind the task's code

--- The task a log belongs to, as its head says; nil where the lines hold no head.
---@param lines string[]
---@return integer|nil
function M.task_of(lines)
  for i = 1, math.min(#lines, HEAD) do
    local id = lines[i]:match "^%d.* INFO Job with jobId : (%d+) and execID : "
    if id then return tonumber(id) end
  end
end

--- The whole text of a log file, from openLog.
---@param data any the reply's data
---@return string|nil text
function M.text(data)
  return type(data) == "table" and text_of(data.log) or nil
end

return M
