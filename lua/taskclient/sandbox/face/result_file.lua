-- Reads result files in the sandbox's own format (schema.lua): the head, then any rows by number.
-- Knows bytes on the disk; no HTTP, no permissions.

local json = require "taskclient.sandbox.face.json"
local schema = require "taskclient.sandbox.schema"

local M = {}

local ENTRY = #schema.offset_format:format(0)

---@param row table a row of the file table, kind "result"
---@return table? set type, metadata (decoded), and an open file; close it with `set.file:close()`
---@return string? err
function M.open(row)
  local file, err = io.open(row.disk, "rb")
  if not file then return nil, err end
  local line = file:read "*l"
  local head = line and json.decode(line)
  if type(head) ~= "table" then
    file:close()
    return nil, "not a result set"
  end
  return { type = tostring(head.type), metadata = head.metadata, file = file, side = row.side,
    start = #line + 1 }
end

-- Byte offset of the block that holds row `number` (0-based).
local function block_offset(set, number)
  local block = math.floor(number / schema.rows_per_offset)
  if block == 0 or not set.side then return set.start, 0 end
  local side = io.open(set.side, "rb")
  if not side then return set.start, 0 end
  side:seek("set", block * ENTRY)
  local offset = tonumber(side:read(ENTRY - 1))
  side:close()
  if not offset then return nil end
  return offset, block * schema.rows_per_offset
end

---Rows as the JSON texts they are stored in.
---@param set table from `open`
---@param first integer 0-based
---@param n integer how many at most
---@return string[] lines
function M.rows(set, first, n)
  local lines = {}
  local offset, at = block_offset(set, first)
  if not offset or n <= 0 then return lines end
  set.file:seek("set", offset)
  for line in set.file:lines() do
    if at >= first then lines[#lines + 1] = line end
    at = at + 1
    if #lines >= n then break end
  end
  return lines
end

return M
