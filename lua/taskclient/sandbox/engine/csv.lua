-- Reads CSV as RFC 4180 has it, from a file handle, in large pieces: quotes, doubled quotes,
-- newlines inside quotes, CRLF and LF. An empty field without quotes is nil, with quotes the
-- empty text.

local M = {}

local PIECE = 1 << 18

local Reader = {}
Reader.__index = Reader

---@param read fun(bytes: integer): string?
---@param delimiter string one character or more
---@return table reader
function M.open(read, delimiter)
  local stop = "[^" .. delimiter:sub(1, 1):gsub("[%^%]%-%%]", "%%%0") .. "\"\r\n]*"
  return setmetatable({
    read = read, delimiter = delimiter, text = "", at = 1, line = 0, next_line = 1, ended = false,
    byte = delimiter:byte(), single = #delimiter == 1,
    plain = "^(" .. stop .. ")()", skip = "^" .. stop .. "()",
  }, Reader)
end

function Reader:more()
  if self.ended then return false end
  local piece = self.read(PIECE)
  if not piece then
    self.ended = true
    return false
  end
  self.text, self.at = self.text:sub(self.at) .. piece, 1
  return true
end

local function newlines(text)
  if not text:find("\n", 1, true) then return 0 end
  return select(2, text:gsub("\n", ""))
end

-- A quoted field that starts at `at`: its text and the position after the closing quote; nil:
-- more text is needed.
local function quoted(text, at)
  local from, doubled = at + 1, false
  while true do
    local stop = text:find('"', from, true)
    if not stop or stop == #text then return nil, nil, stop end
    if text:sub(stop + 1, stop + 1) ~= '"' then
      local field = text:sub(at + 1, stop - 1)
      return doubled and field:gsub('""', '"') or field, stop + 1
    end
    doubled, from = true, stop + 2
  end
end

-- An unquoted field that starts at `at`: its text (nil when empty) and the position after it.
-- Quotes and lone CRs inside it are text.
local function unquoted(self, text, at)
  local value, after = text:match(self.plain, at)
  local c = text:byte(after)
  if not c or c == 10 or (c == self.byte and self.single) then
    return value ~= "" and value or nil, after
  end
  while c and c ~= 10 and not (c == 13 and (text:byte(after + 1) or 10) == 10)
    and text:sub(after, after + #self.delimiter - 1) ~= self.delimiter do
    after = text:match(self.skip, after + 1)
    c = text:byte(after)
  end
  return after > at and text:sub(at, after - 1) or nil, after
end

-- The last field of a text whose end is the end of all: a quote there closes it.
local function last_quoted(text, at, closing)
  if closing ~= #text then error("a quoted field is not closed", 0) end
  local value = text:sub(at + 1, closing - 1):gsub('""', '"')
  return value, closing + 1
end

-- One record out of the text at hand: the number of its fields and the position after it; nil:
-- not all there.
local function record(self, fields)
  local text, at, n = self.text, self.at, 0
  self.inside = 0
  while true do
    local value, after
    if text:byte(at) == 34 then
      local closing
      value, after, closing = quoted(text, at)
      if not value then
        if not self.ended then return nil end
        value, after = last_quoted(text, at, closing)
      end
      self.inside = self.inside + newlines(value)
    else
      value, after = unquoted(self, text, at)
    end
    n = n + 1
    fields[n] = value
    local c = text:byte(after)
    if c == self.byte
      and (self.single or text:sub(after, after + #self.delimiter - 1) == self.delimiter) then
      at = after + #self.delimiter
    elseif c == 10 then
      return n, after + 1
    elseif not self.ended and #text - after <= #self.delimiter then
      return nil
    elseif not c then
      return n, after
    elseif c == 13 then
      return n, text:byte(after + 1) == 10 and after + 2 or after + 1
    else
      error("text after the closing quote of a field", 0)
    end
  end
end

---The next record, into `fields`; blank lines are passed over.
---@param fields table filled from 1
---@return integer? n number of fields; nil at the end
function Reader:next(fields)
  while true do
    if self.at > #self.text and not self:more() then return nil end
    local n, after = record(self, fields)
    while not n do
      if not self:more() then self.ended = true end
      n, after = record(self, fields)
    end
    self.line = self.next_line
    self.next_line = self.line + 1 + self.inside
    self.at = after
    if n > 1 or fields[1] ~= nil then return n end
  end
end

return M
