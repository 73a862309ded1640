-- The type maps of the published pages (protocols L5): what a column of a
-- file may become in a LindormTable. Knows words; sends nothing.

local each = require "taskclient.compat".each

local M = {}

-- type in the file -> HBase-compatible type, false where the page has none.
-- A blank, an underscore or the case makes no other word.
local PARQUET = {
  ["boolean"] = "Boolean", ["int32(int8)"] = "Byte", ["int32(int16)"] = "Short",
  ["int32"] = "Int", ["int64"] = "Long", ["int32(date)"] = false, ["float"] = "Float",
  ["double"] = "Double", ["binary"] = "Varbinary", ["binary(utf-8)"] = "String",
  ["binary(utf8)"] = "String", ["binary(enum)"] = "String", ["binary(json)"] = "String",
  ["fixedlenbytearray(decimal)"] = "Decimal", ["int96"] = false,
}

local ORC = {
  boolean = "Boolean", byte = "Byte", short = "Short", int = "Int", long = "Long",
  float = "Float", double = "Double", decimal = "Decimal", char = "String",
  varchar = "String", string = "String", binary = "Varbinary", date = false, timestamp = false,
}

-- The map of CSV files was cut off in the copies at hand: the words of Lindorm
-- SQL and of HBase-compatible tables are what a column can end as.
local SQL = {
  boolean = "Boolean", tinyint = "Byte", smallint = "Short", integer = "Int", bigint = "Long",
  float = "Float", double = "Double", decimal = "Decimal", varchar = "String", char = "String",
  json = "String", binary = "Varbinary", varbinary = "Varbinary", date = false,
  timestamp = false, byte = "Byte", short = "Short", int = "Int", long = "Long",
  string = "String",
}

local MAPS = { Parquet = PARQUET, ORC = ORC, CSV = SQL }

-- the types an HBase-compatible table has
local HBASE = {}
for _, word in each(SQL) do
  if word then HBASE[word:lower()] = word end
end

-- "DECIMAL(10, 2)" and "VARCHAR(20)" are looked up without their sizes.
local function folded(word)
  return (word:lower():gsub("[%s_]", ""):gsub("%([%d,]*%)", ""))
end

--- The HBase-compatible type's usual spelling, nil for a word that is none.
---@param word any
---@return string|nil
function M.hbase(word) return type(word) == "string" and HBASE[word:lower()] or nil end

--- What a file's column type becomes in an HBase-compatible table.
---@param kind string "Parquet", "ORC", "CSV"
---@param word any
---@return string|false|nil type false: no such type there; nil: no map has the word
function M.becomes(kind, word)
  if type(word) ~= "string" then return nil end
  return MAPS[kind][folded(word)]
end

local function sorted(map)
  local words = {}
  for word in each(map) do words[#words + 1] = word end
  table.sort(words)
  return table.concat(words, ", ")
end

--- The words a map has, for a message.
---@param kind string "Parquet", "ORC", "CSV" or "HBase"
---@return string
function M.known(kind)
  if kind == "HBase" then
    return "Boolean, Byte, Short, Int, Long, Float, Double, Decimal, String, Varbinary"
  end
  return sorted(MAPS[kind])
end

return M
