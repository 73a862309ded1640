-- The column types a bulk load knows: how a text becomes a SQL literal, and what the column is
-- declared as. Names are those of protocols L5, in any case.

local M = {}

local function whole(low, high)
  return function(text)
    local digits = text:match("^%s*%+?(-?%d+)%s*$")
    local value = digits and math.tointeger(tonumber(digits))
    if value and value >= low and value <= high then return digits end
  end
end

-- SQLite has no such numbers: their names are kept as text.
local not_numbers = { nan = "'NaN'", inf = "'Infinity'", infinity = "'Infinity'",
  ["-inf"] = "'-Infinity'", ["-infinity"] = "'-Infinity'" }

local function real(text)
  local value = text:find("^%s*[-+]?[%d.]+[eE]?[-+]?%d*%s*$") and tonumber(text)
  if value and value == value and math.abs(value) ~= math.huge then return text end
  return not_numbers[text:lower()]
end

local function quote(text)
  if not text:find("['\0]") then return "'" .. text .. "'" end
  if not text:find("\0", 1, true) then return "'" .. text:gsub("'", "''") .. "'" end
  return "CAST(x'" .. text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    .. "' AS TEXT)"
end

local function matching(pattern)
  return function(text) return text:find(pattern) and quote(text) end
end

local booleans = { ["true"] = "1", ["1"] = "1", ["false"] = "0", ["0"] = "0" }

local function blob(text)
  return "x'" .. text:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'"
end

local byte = { declared = "TINYINT", literal = whole(-128, 127) }
local short = { declared = "SMALLINT", literal = whole(-32768, 32767) }
local int = { declared = "INT", literal = whole(-2147483648, 2147483647) }
local long = { declared = "BIGINT", literal = whole(math.mininteger, math.maxinteger) }
local float = { declared = "FLOAT", literal = real }
local double = { declared = "DOUBLE", literal = real }
local text = { declared = "VARCHAR", literal = quote }
-- A NUMERIC column would round them: the declaration must hold TEXT.
local decimal = { declared = "DECIMAL_TEXT",
  literal = matching "^%s*[-+]?%d*%.?%d+[eE]?[-+]?%d*%s*$" }
local boolean = { declared = "BOOLEAN",
  literal = function(value) return booleans[value:lower()] end }
local binary = { declared = "VARBINARY_BLOB", literal = blob }
local date = { declared = "DATE_TEXT", literal = matching "^%d%d%d%d%-%d%d?%-%d%d?$" }
local time = { declared = "TIMESTAMP_TEXT",
  literal = matching "^%d%d%d%d%-%d%d?%-%d%d?[ T]%d%d?:%d%d[:%d.]*[Z%d:+-]*$" }

local known = {
  byte = byte, tinyint = byte, short = short, smallint = short, int = int, integer = int,
  long = long, bigint = long,
  float = float, double = double, real = double, decimal = decimal, numeric = decimal,
  boolean = boolean, bool = boolean,
  string = text, varchar = text, char = text, text = text, json = text, varbinary = binary,
  binary = binary,
  date = date, timestamp = time, datetime = time,
}

M.text = text

---@param name string as in a configuration: `Int`, `DECIMAL(10,2)`, …
---@return table? type {declared, literal(text) -> SQL text or nil}
function M.find(name)
  return known[name:lower():match("^%s*(%a+)")]
end

return M
