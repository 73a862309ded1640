-- Lua values to JSON text, the one place where JSON is made: arrays by their
-- mark, exact integers, members in the order of their names. Not lua-cjson, for
-- Debian's knows no array mark, prints numbers with 14 digits, and ends the
-- process when memory is short.

local core = require "taskclient.core"

local M = {}

local MAX_DEPTH = 128
local following = next -- `next` by another name, for the reason in taskclient.each

-- Every encoder gives text, or nil, what is wrong, and where inside of its value.
local encode_value

--- Marks a table as an array, so that an empty one stays an array.
---@param t table|nil
---@return table t
function M.array(t)
  t = t or {}
  if type(t) ~= "table" then
    error(("bad argument #1 to 'array' (table expected, got %s)"):format(type(t)), 2)
  end
  return setmetatable(t, core.array_mt)
end

-- Whole floats count too: a computed 8 / 2 is to arrive as 4, not as 4.0.
local function is_integer(n)
  return math.type and math.type(n) == "integer"
    or n == math.floor(n) and math.abs(n) <= 2 ^ 53
end

-- The shortest text that reads back as the same double, whatever the locale.
local function float_text(n)
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(n):gsub(",", ".")
    if digits == 17 or tonumber(text) == n then return text end
  end
end

local function number_text(n)
  if is_integer(n) then return ("%d"):format(n) end
  if n ~= n or n == math.huge or n == -math.huge then
    return nil, tostring(n) .. " has no JSON form"
  end
  return float_text(n)
end

-- Position of the first byte that is not part of a well-formed UTF-8 sequence.
local function bad_utf8(s)
  local i = 1
  while true do
    i = s:find("[\128-\255]", i)
    if not i then return nil end
    local a, b = s:byte(i, i + 1)
    b = b or 0
    local n = s:match("^[\194-\223][\128-\191]()", i)
      or s:match("^[\224-\239][\128-\191][\128-\191]()", i)
      or s:match("^[\240-\244][\128-\191][\128-\191][\128-\191]()", i)
    if not n or a == 0xE0 and b < 0xA0 or a == 0xED and b > 0x9F
      or a == 0xF0 and b < 0x90 or a == 0xF4 and b > 0x8F then
      return i
    end
    i = n
  end
end

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(char) return SHORT[char] or ("\\u%04x"):format(char:byte()) end

local function string_text(s)
  -- not %c, which follows the locale
  if not s:find '[^ !#-[%]^-~]' then return '"' .. s .. '"' end
  local at = bad_utf8(s)
  if at then return nil, "not UTF-8 at byte " .. at end
  return '"' .. s:gsub('[^ !#-[%]^-~\128-\255]', escape) .. '"'
end

-- The number of elements when the table is an array, false for an object, or
-- nil and what is wrong.
local function array_length(t)
  local marked = getmetatable(t) == core.array_mt
  local n, highest, name = 0, 0, nil
  for key in following, t do
    if type(key) ~= "number" then
      name = key
      if n == 0 and not marked then break end
    elseif key < 1 or key ~= math.floor(key) then
      return nil, ("the key %s fits no array"):format(tostring(key))
    else
      n, highest = n + 1, math.max(highest, key)
    end
  end
  if name ~= nil and (marked or n > 0 or #t > 0) then
    return nil, ("an array with the key '%s'"):format(tostring(name))
  end
  if n == 0 then return marked and 0 end
  if n ~= highest then return nil, "an array with holes" end
  return n
end

local function encode_array(t, n, seen)
  local parts = {}
  for i = 1, n do
    local text, why, where = encode_value(t[i], seen)
    if not text then return nil, why, ("[%d]%s"):format(i, where or "") end
    parts[i] = text
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(t, seen)
  local names, n = {}, 0
  for name in following, t do
    if type(name) ~= "string" then
      return nil, "a member's name must be text, not " .. type(name)
    end
    n = n + 1
    names[n] = name
  end
  if n > 1 then table.sort(names) end
  for i = 1, n do
    local name = names[i]
    local text, why, where = encode_value(t[name], seen)
    local key = text and string_text(name)
    if not key then
      if text then why = select(2, string_text(name)) end
      return nil, why, "." .. name .. (where or "")
    end
    names[i] = key .. ":" .. text
  end
  return "{" .. table.concat(names, ",") .. "}"
end

local function encode_table(t, seen)
  if next(t) == nil then return getmetatable(t) == core.array_mt and "[]" or "{}" end
  if seen[t] then return nil, "the table contains itself" end
  if seen.depth == MAX_DEPTH then return nil, "too deep" end
  local n, why = array_length(t)
  if why then return nil, why end
  seen[t], seen.depth = true, seen.depth + 1
  local text, where
  if n then
    text, why, where = encode_array(t, n, seen)
  else
    text, why, where = encode_object(t, seen)
  end
  seen[t], seen.depth = nil, seen.depth - 1
  return text, why, where
end

local ENCODERS = {
  string = string_text,
  number = number_text,
  table = encode_table,
  boolean = tostring,
  -- 64-bit integers of LuaJIT
  cdata = function(value)
    local digits = tostring(value):match "^(%-?%d+)U?LL$"
    return digits, not digits and "this cdata has no JSON form" or nil
  end,
}

encode_value = function(value, seen)
  if value == core.null then return "null" end
  local encoder = ENCODERS[type(value)]
  if not encoder then return nil, ("a %s has no JSON form"):format(type(value)) end
  return encoder(value, seen)
end

--- Lua value to JSON text, or nil and what is wrong with which member.
--- Members stand in the order of their names, so that equal values give equal text.
---@param value any tables, strings (UTF-8), numbers, booleans, `taskclient.null`
---@param name string|nil what the value is called in a complaint
---@return string|nil text
---@return string|nil why
function M.try(value, name)
  local nested = type(value) == "table" and next(value) ~= nil
  local text, why, where = encode_value(value, nested and { depth = 0 })
  if text then return text end
  return nil, ("%s%s: %s"):format(name or "value", where or "", why)
end

--- As `try`, but a value without JSON form raises at the caller's line.
---@param value any
---@return string text
function M.encode(value)
  local text, why = M.try(value)
  if not text then error("json.encode: " .. why, 2) end
  return text
end

return M
