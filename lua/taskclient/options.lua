-- Checking of what callers give: option tables, arguments, URLs. A wrong
-- argument raises at the caller's line, naming the argument, what was expected
-- and what came. Knows types; knows no operation.

local each = require "taskclient.compat".each

local M = {}

-- Number of single-letter changes that turn one word into the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local up = row[j]
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(up + 1, row[j - 1] + 1, corner + cost)
      corner = up
    end
  end
  return row[#b]
end

-- The longest known name inside a word: "reader" in a server's own "readerConfig".
local function inside(word, known)
  local best = ""
  for _, candidate in ipairs(known) do
    if #candidate > math.max(3, #best) and word:find(candidate:lower(), 1, true) then
      best = candidate
    end
  end
  return best ~= "" and best or nil
end

local function nearest(word, known)
  local best, least
  word = word:sub(1, 40):lower()
  for _, candidate in ipairs(known) do
    local d = distance(word, candidate:lower())
    if not least or d < least then best, least = candidate, d end
  end
  if least and least <= math.max(2, #best / 3) then return best end
  return inside(word, known)
end

local function sorted_keys(t)
  local keys = {}
  for key in each(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- The complaint about a word that is none of the known ones.
---@param what string "option", "field", "host"
---@param word any
---@param known string[]
---@return string
function M.unknown(what, word, known)
  if type(word) ~= "string" then
    return ("unknown %s (a name expected, got %s)"):format(what, type(word))
  end
  local near = nearest(word, known)
  local tail = near and ("; did you mean '%s'?"):format(near)
    or (" (known: %s)"):format(table.concat(known, ", "))
  return ("unknown %s '%s'%s"):format(what, word:sub(1, 60), tail)
end

local function is_number(value) return type(value) == "number" and value == value end

local function is_whole(value)
  return is_number(value) and value == math.floor(value) and math.abs(value) < 2 ^ 63
end

-- type word -> { test, what was expected }
local TYPES = {
  any = { function() return true end, "anything" },
  string = { function(v) return type(v) == "string" end, "string" },
  text = { function(v) return type(v) == "string" and v ~= "" end, "non-empty string" },
  boolean = { function(v) return type(v) == "boolean" end, "boolean" },
  table = { function(v) return type(v) == "table" end, "table" },
  ["function"] = { function(v) return type(v) == "function" end, "function" },
  userdata = { function(v) return type(v) == "userdata" end, "userdata" },
  number = { is_number, "number" },
  duration = { function(v) return is_number(v) and v >= 0 end, "seconds, not negative" },
  size = { function(v) return is_whole(v) and v >= 0 end, "bytes, not negative" },
  count = { function(v) return is_whole(v) and v >= 1 end, "whole number from 1" },
  integer = { is_whole, "whole number" },
}

local function shown(value)
  if type(value) == "number" then return tostring(value) end
  if value == "" then return "an empty string" end
  if value == nil then return "nothing" end
  return type(value)
end

-- Of these only the type is told.
local SECRET = { password = true, token = true, key_password = true, proxy_code = true }

local parsed = {} -- type words -> { tests, what was expected }

local function parse(types)
  local tests, expected = {}, {}
  for word in types:gmatch "[%a]+" do
    tests[#tests + 1], expected[#expected + 1] = TYPES[word][1], TYPES[word][2]
  end
  parsed[types] = { tests = tests, expected = table.concat(expected, " or ") }
  return parsed[types]
end

-- nil when the value is of one of the types ("string|table"), else what was
-- expected.
local function mismatch(value, types)
  local rule = parsed[types] or parse(types)
  local tests = rule.tests
  for i = 1, #tests do
    if tests[i](value) then return nil end
  end
  return rule.expected
end

-- The level of the first function that is not ours, seen from the caller: what lies between is
-- not the same on every Lua, for a tail call leaves a level behind on one and none on another.
local function outside()
  local here = debug.getinfo(1, "S").source:gsub("options%.lua$", "")
  for level = 3, 60 do
    local frame = debug.getinfo(level, "S")
    if not frame then return 1 end
    if frame.what ~= "C" and frame.what ~= "tail" and frame.source:sub(1, #here) ~= here then
      return level - 1
    end
  end
  return 1
end

--- The user's own line, as "script.lua:12".
---@return string
function M.place()
  local info = debug.getinfo(outside(), "Sl")
  return info.short_src .. ":" .. info.currentline
end

--- Raises a complaint about an argument, at the user's own line.
---@param where string the public function's name: "submit", "wait"
---@param complaint string
function M.raise(where, complaint)
  error(("bad argument to '%s' (%s)"):format(where, complaint), outside())
end

--- Refuses a method called by a dot.
---@param where string
---@param self any
---@param what string "client", "job"
function M.method(where, self, what)
  if type(self) == "userdata" then return end
  M.raise(where, ("a %s expected, got %s (is it called as %s:%s?)"):format(what, type(self), what,
    where))
end

--- Raises what the core has raised about an argument, at the user's own line.
---@param where string
---@param complaint any
function M.again(where, complaint)
  if type(complaint) ~= "string" then error(complaint, 0) end
  error((complaint:gsub("^.-bad argument #%d+ to '[^']*'", ("bad argument to '%s'"):format(where))),
    outside())
end

--- Refuses a single argument of a wrong type.
---@param where string
---@param name string the argument's name or position
---@param value any
---@param types string type words joined by "|"
function M.argument(where, name, value, types)
  local expected = mismatch(value, types)
  if expected then
    M.raise(where, ("%s: %s expected, got %s"):format(name, expected, shown(value)))
  end
end

local required = setmetatable({}, { __mode = "k" }) -- schema -> names, in order

local function find_required(schema)
  local names = {}
  for _, name in ipairs(sorted_keys(schema)) do
    if schema[name]:sub(1, 1) == "!" then names[#names + 1] = name end
  end
  required[schema] = names
  return names
end

--- What is wrong with an option table, or nil. A schema maps each known name to
--- type words joined by "|"; a leading "!" marks what must be there.
---@param given table
---@param schema table<string, string>
---@param what string "option" or "field"
---@return string|nil complaint
function M.complaint(given, schema, what)
  for name, value in each(given) do
    local types = schema[name]
    if not types then return M.unknown(what, name, sorted_keys(schema)) end
    local expected = mismatch(value, types)
    if expected then
      local got = SECRET[name] and value ~= "" and type(value) or shown(value)
      return ("%s '%s': %s expected, got %s"):format(what, name, expected, got)
    end
  end
  for _, name in ipairs(required[schema] or find_required(schema)) do
    if given[name] == nil then return ("%s '%s' is missing"):format(what, name) end
  end
end

--- Checks an option table; nil counts as empty.
---@param where string function name for the message
---@param given table|nil
---@param schema table<string, string>
---@param what string|nil "option" (default) or "field"
---@return table given
function M.check(where, given, schema, what)
  if given == nil then given = {} end
  if type(given) ~= "table" then
    M.raise(where, ("table of %ss expected, got %s"):format(what or "option", shown(given)))
  end
  local complaint = M.complaint(given, schema, what or "option")
  if complaint then M.raise(where, complaint) end
  return given
end

--- What is wrong with a server's base URL, or nil.
---@param url any
---@return string|nil complaint
function M.url_complaint(url)
  if type(url) ~= "string" then return "url: string expected, got " .. shown(url) end
  if url:find "[%c%s]" then return "url: no blanks and no control characters" end
  local scheme, rest = url:match "^(%a[%w+.-]*)://(.*)$"
  if not scheme then return "url: must begin with http:// or https://" end
  scheme = scheme:lower()
  if scheme ~= "http" and scheme ~= "https" then
    return ("url: http or https expected, got '%s'"):format(scheme)
  end
  local host = rest:match "^[^/?#]*"
  if host:find("@", 1, true) then
    return "url: no credentials in it; give them as options"
  end
  if host == "" or host:find "^:" then return "url: the host is missing" end
  if rest:find "[?#]" then return "url: no query and no fragment" end
end

return M
