-- Rows as an aligned table, for people. Knows how wide letters are on a terminal;
-- knows no result set.

local core = require "taskclient.core"

local M = {}

local WIDEST = 60 -- letters of a cell that are shown

-- Ranges of code points that take two places on a terminal, and none.
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0xA4CF }, { 0xAC00, 0xD7A3 },
  { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 },
  { 0x1F300, 0x1F64F }, { 0x1F680, 0x1F6FF }, { 0x1F900, 0x1F9FF }, { 0x20000, 0x3FFFD },
}
local NONE = { { 0x0300, 0x036F }, { 0x200B, 0x200F }, { 0xFE00, 0xFE0F } }

local function within(ranges, code)
  for _, range in ipairs(ranges) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

local FIRST = { { 0xF0, 0x07 }, { 0xE0, 0x0F }, { 0xC0, 0x1F } }

local function code_of(letter)
  local first = letter:byte()
  for _, lead in ipairs(FIRST) do
    if first >= lead[1] then
      local code = (first - lead[1]) % (lead[2] + 1)
      for i = 2, #letter do code = code * 64 + letter:byte(i) % 64 end
      return code
    end
  end
  return first
end

local function letter_width(letter)
  if #letter == 1 then return 1 end
  local code = code_of(letter)
  if within(NONE, code) then return 0 end
  return within(WIDE, code) and 2 or 1
end

local LETTER = "[%z\1-\127\192-\255][\128-\191]*"

--- The places a text takes on a terminal.
---@param text string UTF-8
---@return integer
function M.width(text)
  if not text:find "[\128-\255]" then return #text end
  local width = 0
  for letter in text:gmatch(LETTER) do width = width + letter_width(letter) end
  return width
end

local LETTER_MOST = 16 -- bytes for each place of a cell, accents and all

--- A value as one line without anything a terminal acts on, cut to some places more than are
--- wanted before it is looked at: a cell may have millions.
local function shown(cell, widest)
  if cell == nil then return "" end
  if cell == core.null then return "NULL" end
  local text, whole = core.clean(tostring(cell), widest * LETTER_MOST, "line")
  return whole and text or text .. "…"
end

-- How many of the letters, from the `first` on by `step`, fit into that many places.
local function fitting(letters, first, step, most)
  local n, width = 0, 0
  while letters[first + n * step] do
    width = width + letter_width(letters[first + n * step])
    if width > most then break end
    n = n + 1
  end
  return n
end

--- The text cut to that many places, with a mark where something is missing.
---@param text string UTF-8
---@param most integer
---@param tail integer|nil places of these for the text's end (0)
---@param mark string|nil one place wide (default "…")
---@return string
function M.clip(text, most, tail, mark)
  if M.width(text) <= most then return text end
  if most < 1 then return "" end
  local letters = {}
  for letter in text:gmatch(LETTER) do letters[#letters + 1] = letter end
  local head = fitting(letters, 1, 1, most - 1 - (tail or 0))
  local rest = fitting(letters, #letters, -1, tail or 0)
  return table.concat(letters, "", 1, head) .. (mark or "…")
    .. table.concat(letters, "", #letters - rest + 1)
end

local function padded(text, width, right)
  local blanks = (" "):rep(width - M.width(text))
  return right and blanks .. text or text .. blanks
end

local function is_number(cell)
  return type(cell) == "number"
    or type(cell) == "string" and #cell < 100 -- longer is no number, and costs the pattern much
      and cell:find "^[+-]?%d[%d.,]*[eE]?[+-]?%d*$" ~= nil
end

local function column_names(columns, rows, widest)
  local names = {}
  for i, column in ipairs(columns or {}) do
    local name = column
    if type(column) == "table" then name = column.name end
    names[i] = M.clip(shown(name, widest), widest)
  end
  if #names == 0 and rows[1] then
    for i = 1, #rows[1] do names[i] = i == 1 and "text" or "" end
  end
  return names
end

-- The widths of the columns, and which hold numbers alone.
local function measure(names, rows, widest)
  local widths, numbers, texts = {}, {}, {}
  for k, name in ipairs(names) do widths[k], numbers[k] = M.width(name), #rows > 0 end
  for i, row in ipairs(rows) do
    texts[i] = {}
    for k = 1, #names do
      local text = M.clip(shown(row[k], widest), widest)
      texts[i][k] = text
      widths[k] = math.max(widths[k], M.width(text))
      numbers[k] = numbers[k] and (row[k] == core.null or is_number(row[k]))
    end
  end
  return widths, numbers, texts
end

--- Rows as lines of text with a head and a rule.
---@param rows table[] arrays of cells
---@param columns table[]|string[]|nil `{name=}` or names
---@param opts table|nil widest: places of a cell that are shown (60)
---@return string
function M.table(rows, columns, opts)
  local widest = opts and opts.widest or WIDEST
  local names = column_names(columns, rows, widest)
  local widths, numbers, texts = measure(names, rows, widest)
  local function line(cells)
    local parts = {}
    for k = 1, #names do parts[k] = padded(cells[k], widths[k], numbers[k]) end
    return table.concat(parts, "  "):match "^.*%S" or ""
  end
  local rule = {}
  for k, width in ipairs(widths) do rule[k] = ("─"):rep(width) end
  local lines = { line(names), table.concat(rule, "  ") }
  for _, cells in ipairs(texts) do lines[#lines + 1] = line(cells) end
  return table.concat(lines, "\n")
end

return M
