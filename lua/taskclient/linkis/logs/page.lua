-- The log member of a server's reply in each of its shapes, as a page of lines
-- for the follower (protocols 3.4, 3.12.5). Knows the shapes; asks nothing.

local core = require "taskclient.core"

local M = {}

local ALL = 4 -- of the array: ERROR, WARN, INFO, all
local NEWLINE = 10

local function text_of(log)
  if type(log) ~= "table" then return type(log) == "string" and log or nil end
  if #log == ALL then return type(log[ALL]) == "string" and log[ALL] or "" end
  local lines = {}
  for _, line in ipairs(log) do
    if type(line) == "string" and line ~= "" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

-- A newline behind the last line begins no further one.
local function lines_of(text, advance)
  local lines = core.lines(text)
  local last = text == "" or text:byte(-1) == NEWLINE and #lines + 1 == advance
  if last then lines[#lines + 1] = "" end
  return lines
end

--- A page of the live log. `odd`: lines and number do not fit each other as they
--- do on real servers, so that it must be found out how this one counts.
---@param data any the reply's data
---@param from integer the line asked for
---@param size integer how many lines were asked for
---@return table page {lines=, advance=, raw=, odd=}
function M.parse(data, from, size)
  data = type(data) == "table" and data or {}
  if data.execID == "" then data = {} end -- a notice of failover, and no line of the log
  local text, to = text_of(data.log), tonumber(data.fromLine)
  local whole = type(data.log) == "string"
  local said = to and math.min(to - from, size)
  local lines = {}
  if text and (text ~= "" or whole and (said or 0) > 0) then lines = lines_of(text, said) end
  local n = #lines
  local raw = whole and n >= (said or n)
  local odd = n > 0 and (said or n) <= 0
    or not raw and said ~= nil and (n > said or n < said and said >= size)
  return { lines = lines, advance = said or n, raw = raw, odd = odd }
end

-- Where no line can be: a server that counts as real ones do has none there, and
-- says no other number than the one asked for.
M.BEYOND = 1000000000

--- How an odd server counts, from what it gives at BEYOND.
---@param page table the odd page
---@param beyond table
---@return string|nil "whole": the log from its first line, whatever was asked for; "lines": its
---  lines alone count, not the number it says; nil: as real servers do
function M.way(page, beyond)
  if #beyond.lines > 0 then return "whole" end
  if beyond.advance > 0 or #page.lines > 0 and page.advance <= 0 then return "lines" end
end

--- The page as a server would give it that counts as real ones do.
---@param page table
---@param from integer
---@param way string|nil
---@return table page
function M.settled(page, from, way)
  if way == "whole" then
    local lines = {}
    for i = from + 1, #page.lines do lines[#lines + 1] = page.lines[i] end
    page.lines = lines
  end
  if way then page.advance = #page.lines end
  if page.advance <= 0 then page.lines, page.advance = {}, 0 end
  return page
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

--- The whole text of a log file, from openLog, which gives each empty line of the file twice:
--- it reads one as a newline and adds its own (protocols 3.4).
---@param data any the reply's data
---@return string|nil text
function M.text(data)
  local text = type(data) == "table" and text_of(data.log)
  return text and core.halve(text) or nil
end

return M
