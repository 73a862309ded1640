-- difference.lua: what of a spec stands in a journal, readable and without
-- secrets, and in what two such forms differ.
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local redaction = require "taskclient.text.redact"

local M = {}

local LONGEST = 120      -- longer values stand as their length and checksum
local SHOWN = 5          -- differences told of at most

local function shown(value, clean)
  local text = clean(tostring(value))
  return #text <= LONGEST and text
    or string.format("(%d bytes, crc %s)", #text, core.crc32(text))
end

local function flatten(flat, path, value)
  local kind = type(value)
  if kind == "table" then
    for key, member in each(value) do
      flatten(flat, path == "" and tostring(key) or path .. "." .. tostring(key), member)
    end
  elseif kind ~= "function" and (kind ~= "userdata" or value == core.null) then
    flat[path] = value
  end
end

local PIECE = 30000 -- bytes that a redactor takes at most

-- A secret of several lines, as a key in PEM form, comes back line by line in a log.
local function add_secret(secrets, value)
  for from = 1, #value, PIECE do secrets[#secrets + 1] = value:sub(from, from + PIECE - 1) end
  if not value:find("\n", 1, true) then return end
  for line in value:gmatch "[^\r\n]+" do
    if #line >= 8 and not line:find("-----", 1, true) then add_secret(secrets, line) end
  end
end

--- The form of a spec that stands in a journal: { ["runtime.x"] = "1", … }, and what takes
--- its secrets, and the client's, out of a text. What is named like a secret is left out: a new
--- password is no new spec.
---@param spec table
---@param client userdata
---@return table<string, string> form
---@return fun(text: string): string clean
function M.form(spec, client)
  local flat, secrets, form = {}, {}, {}
  flatten(flat, "", spec)
  for path, value in each(flat) do
    if redaction.named(path) and (type(value) == "string" or type(value) == "number") then
      add_secret(secrets, (tostring(value):gsub("%.0$", ""))) -- a whole number goes out without
    end
  end
  local redact = core.redactor(secrets, type(client.user) == "string" and client.user or nil)
  local function clean(text) return redaction.text(redact(client:redact(text))) end
  for path, value in each(flat) do
    if not redaction.named(path) then form[path] = shown(value, clean) end
  end
  return form, clean
end

-- Whether a text can be what stands hidden: the pieces between runs of stars are looked for one
-- after the other, each from where the last one ended, so that stars of the text's own cost
-- nothing either.
local function fits(text, hidden)
  local from, to = hidden:find "%*%*%*+"
  if not from then return text == hidden end
  local at = from
  if text:sub(1, from - 1) ~= hidden:sub(1, from - 1) then return false end
  while true do
    local start = to + 1
    from, to = hidden:find("%*%*%*+", start)
    if not from then
      local rest = hidden:sub(start)
      return #text - #rest + 1 >= at and text:sub(#text - #rest + 1) == rest
    end
    local _, stop = text:find(hidden:sub(start, from - 1), at, true)
    if not stop then return false end
    at = stop + 1
  end
end

--- Text that tells the differences of two forms, or nil when there are none.
function M.tell(old, new)
  local list = {}
  for name, was in each(old) do
    -- what is hidden in one of them is not compared: a client learns some secrets late
    local is = new[name]
    local same = is == was or is and (fits(is, was) or fits(was, is))
    if not same then list[#list + 1] = name end
  end
  for name in each(new) do
    if old[name] == nil then list[#list + 1] = name end
  end
  if #list == 0 then return nil end
  table.sort(list)
  local more = #list > SHOWN and string.format("\n  and %d more", #list - SHOWN) or ""
  for i, name in ipairs(list) do
    list[i] = ("  %s: was %s, is %s"):format(name, old[name] or "absent", new[name] or "absent")
  end
  return table.concat(list, "\n", 1, math.min(#list, SHOWN)) .. more
end

return M
