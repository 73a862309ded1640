-- Writes a result set as schema.lua describes it: one JSON line of metadata, one JSON array of
-- cells a row, and a side file of offsets. Used by the engine (text) and by the SQL runner
-- (tables).

local schema = require "taskclient.sandbox.schema"

local M = {}

local Writer = {}
Writer.__index = Writer

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end

---Replaces what is not UTF-8, as a server does that takes bytes for text.
---@param s string
---@return string
function M.clean(s)
  if utf8.len(s) then return s end
  local out, at = {}, 1
  while at <= #s do
    local _, bad = utf8.len(s, at)
    if not bad then break end
    out[#out + 1] = s:sub(at, bad - 1)
    out[#out + 1] = "\u{FFFD}"
    at = bad + 1
  end
  out[#out + 1] = s:sub(at)
  return table.concat(out)
end

---A JSON string.
---@param s string
function M.quote(s)
  if not utf8.len(s) then s = M.clean(s) end
  if s:find('[%c"\\]') then s = s:gsub('[%c"\\]', escape) end
  return '"' .. s .. '"'
end

local function metadata_text(columns)
  if not columns then return '"NULL"' end
  local list = {}
  for i, column in ipairs(columns) do
    list[i] = ('{"columnName":%s,"comment":"","dataType":%s}'):format(M.quote(column.name),
      M.quote(column.type))
  end
  return "[" .. table.concat(list, ",") .. "]"
end

---Starts a result set on disk.
---@param path string the data file; its side file is `<path>.side`
---@param columns {name: string, type: string}[]? nil for a text set
---@return table writer
function M.create(path, columns)
  local writer = setmetatable({
    path = path, side_path = path .. ".side", rows = 0, at = 0, size = 0, buffer = {}, waiting = 0,
    type = columns and "2" or "1",
    file = assert(io.open(path, "wb")), side = assert(io.open(path .. ".side", "wb")),
  }, Writer)
  writer:put(('{"type":"%s","metadata":%s}'):format(writer.type, metadata_text(columns)))
  writer.head = writer.at
  return writer
end

local BUFFER = 1000 -- lines

function Writer:put(line)
  local n = self.waiting + 1
  self.buffer[n], self.waiting = line, n
  self.at = self.at + #line + 1
  if n == BUFFER then self:flush() end
end

function Writer:flush()
  if self.waiting == 0 then return end
  self.file:write(table.concat(self.buffer, "\n", 1, self.waiting), "\n")
  self.waiting = 0
end

---Adds one row, already a JSON array, without its newline.
---@param json string
function Writer:row(json)
  if self.rows % schema.rows_per_offset == 0 then
    self.side:write(schema.offset_format:format(self.at))
  end
  self.rows = self.rows + 1
  self:put(json)
end

---Adds a line of a text set.
function Writer:line(text) self:row("[" .. M.quote(text) .. "]") end

---Ends the set. `empty`: keep the metadata only, as the engine of a failed job leaves it.
---@param empty? boolean
function Writer:finish(empty)
  self:flush()
  self.file:close()
  self.side:close()
  if not empty or self.rows == 0 then return end
  local file = assert(io.open(self.path, "rb"))
  local head = file:read(self.head)
  file:close()
  file = assert(io.open(self.path, "wb"))
  file:write(head)
  file:close()
  assert(io.open(self.side_path, "wb")):close()
  self.rows, self.at = 0, self.head
end

return M
