-- The SQL runner's inside: splits a script into statements, runs each, writes one result set for
-- each that has columns. Ends the process with 1 and the database's words on standard error.

local result_file = require "taskclient.sandbox.engine.result_file"

local M = {}

local concat, find, math_type = table.concat, string.find, math.type

-- Splitting ---------------------------------------------------------------------------------------

local closers = { ["'"] = "'", ['"'] = '"', ["`"] = "`", ["["] = "]" }

-- Position after the token that starts at `at`, and the token if it is a word or a semicolon.
local function next_token(text, at)
  local c = text:sub(at, at)
  if closers[c] then return (text:find(closers[c], at + 1, true) or #text) + 1 end
  if text:sub(at, at + 1) == "--" then return (text:find("\n", at, true) or #text) + 1 end
  if text:sub(at, at + 1) == "/*" then
    return (select(2, text:find("*/", at + 2, true)) or #text) + 1
  end
  local word = text:match("^[%a_\128-\255][%w_\128-\255]*", at)
  if word then return at + #word, word:lower() end
  return at + 1, c == ";" and c or (not c:find("%s") and "other" or nil)
end

local function opens_trigger(words)
  return words[1] == "create" and (words[2] == "trigger"
    or (words[2] == "temp" or words[2] == "temporary") and words[3] == "trigger")
end

---The statements of a script; a trigger's body stays in one piece.
---@param text string
---@return string[]
function M.split(text)
  local list, from, at, words, depth, last = {}, 1, 1, {}, 0, nil
  while at <= #text do
    local after, token = next_token(text, at)
    local inside = opens_trigger(words)
    if token == ";" and (not inside or (last == "end" and depth <= 0)) then
      if #words > 0 then list[#list + 1] = text:sub(from, at - 1) end
      from, words, depth = after, {}, 0
    elseif token and token ~= ";" then
      if inside and (token == "begin" or token == "case") then depth = depth + 1 end
      if inside and token == "end" then depth = depth - 1 end
      if #words < 3 then words[#words + 1] = token end
    end
    if token then last = token end
    at = after
  end
  if #words > 0 then list[#list + 1] = text:sub(from) end
  return list
end

-- Cells -------------------------------------------------------------------------------------------

-- Scientific notation written out, as the server prints doubles (protocols 3.12.2).
local function expand(sign, digits, fraction, exponent)
  local all, point = digits .. fraction, #digits + exponent
  if point <= 0 then return sign .. "0." .. ("0"):rep(-point) .. all end
  if point >= #all then return sign .. all .. ("0"):rep(point - #all) end
  return sign .. all:sub(1, point) .. "." .. all:sub(point + 1)
end

---A double in plain notation, as short as it reads back.
---@param x number
---@return string
function M.plain(x)
  if x ~= x then return "NaN" end
  if x == math.huge then return "Infinity" elseif x == -math.huge then return "-Infinity" end
  if x % 1 == 0 and x > -1e15 and x < 1e15 then return ("%d"):format(x) end
  local text = ("%.15g"):format(x)
  if tonumber(text) ~= x then text = ("%.16g"):format(x) end
  if tonumber(text) ~= x then text = ("%.17g"):format(x) end
  if not text:find("e", 1, true) then return text end
  local sign, digits, fraction, exponent = text:match("^(-?)(%d)%.?(%d*)e([-+]%d+)$")
  if not sign then return text end
  return expand(sign, digits, fraction, tonumber(exponent))
end

local function cell(value, boolean)
  if value == nil then return "null" end
  local kind = math.type(value)
  if kind == "integer" then
    if boolean and (value == 0 or value == 1) then return value == 1 and '"true"' or '"false"' end
    return '"' .. value .. '"'
  end
  if kind == "float" then return '"' .. M.plain(value) .. '"' end
  return result_file.quote(value)
end

-- A row of plain cells as one join; nil when some cell needs more than that.
local function plain_row(row, n, boolean)
  for i = 1, n do
    local value = row[i]
    if type(value) == "string" then
      if find(value, '[%c"\\\128-\255]') then return nil end
    elseif math_type(value) == "float" then
      row[i] = M.plain(value)
    elseif value == nil or boolean[i] then
      return nil
    end
  end
  return '["' .. concat(row, '","', 1, n) .. '"]'
end

local function careful_row(row, n, boolean, parts)
  for i = 1, n do parts[i] = cell(row[i], boolean[i]) end
  return "[" .. concat(parts, ",", 1, n) .. "]"
end

-- Columns -----------------------------------------------------------------------------------------

local declared = {
  integer = "bigint", int = "int", tinyint = "tinyint", smallint = "smallint", mediumint = "int",
  bigint = "bigint", long = "bigint",
  text = "string", clob = "string", varchar = "string", char = "string", character = "string",
  nvarchar = "string", nchar = "string", string = "string", real = "double", double = "double",
  float = "float", decimal = "decimal",
  numeric = "decimal", boolean = "boolean", bool = "boolean", date = "date", datetime = "timestamp",
  timestamp = "timestamp", blob = "binary", binary = "binary", varbinary = "binary",
}

local function infer(value)
  local kind = math.type(value)
  if kind == "integer" then return math.abs(value) < 2 ^ 31 and "int" or "bigint" end
  return kind == "float" and "double" or "string"
end

-- SQLite declares types of table columns only; an expression shows its type in the first row.
local function column_types(types, names, first)
  local list = {}
  for i, name in ipairs(names) do
    local word = (types[i] or ""):lower():match("%a+")
    list[i] = { name = name, type = word and (declared[word] or word) or infer(first[i]) }
  end
  return list
end

-- Running -----------------------------------------------------------------------------------------

local function report(...)
  io.write(table.concat({ ... }, "\t"), "\n")
  io.flush()
end

local function fail(reason)
  io.stderr:write((tostring(reason):gsub("^LuaSQL: ", "")), "\n")
  os.exit(1)
end

local function write_rows(cursor, writer, row, columns, limit)
  local n, boolean, parts = #columns, {}, {}
  for i, column in ipairs(columns) do boolean[i] = column.type == "boolean" end
  while row do
    writer:row(plain_row(row, n, boolean) or careful_row(row, n, boolean, parts))
    if writer.rows == limit then return end
    for i = 1, n do row[i] = nil end
    row = cursor:fetch(row, "n")
  end
end

local function write_set(cursor, folder, index, limit)
  local names, types = cursor:getcolnames(), cursor:getcoltypes()
  local row, reason = cursor:fetch({}, "n")
  if not row and reason then fail(reason) end
  local columns = column_types(types, names, row or {})
  local writer = result_file.create(("%s/_%d.dolphin"):format(folder, index), columns)
  local ok, why = pcall(write_rows, cursor, writer, row, columns, limit)
  writer:finish(not ok)
  cursor:close()
  report("result", index, writer.rows)
  if not ok then fail(why) end
end

---Runs a script.
---@param database string path
---@param folder string where the result files go
---@param limit integer rows of a result set, 0: all
---@param code string
function M.main(database, folder, limit, code)
  local connection = require("taskclient.sandbox.store").open(database).connection
  local statements, index = M.split(code), 0
  report("total", #statements)
  for i, statement in ipairs(statements) do
    local answer, reason = connection:execute(statement)
    if not answer then fail(reason) end
    if type(answer) == "userdata" then
      write_set(answer, folder, index, limit > 0 and limit or -1)
      index = index + 1
    end
    report("done", i)
  end
  os.exit(0)
end

return M
