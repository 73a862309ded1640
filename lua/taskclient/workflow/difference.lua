-- difference.lua: what of a spec stands in a journal, readable and without
-- secrets, and in what two such forms differ.
local core = require "taskclient.core"
local each = require "taskclient.each"

local M = {}

local LONGEST = 120      -- longer values stand as their length and checksum
local SHOWN = 5          -- differences told of at most
local SECRET_WORDS = { "passw", "secret", "token", "credential", "cookie", "access.?key",
  "authoriz", "identified%s+by", "://[^/%s]*@", "pwd", "private.?key" }

local function secret(text)
  text = text:lower()
  for _, word in ipairs(SECRET_WORDS) do
    if text:find(word) then return true end
  end
  return false
end

local function hidden(text)
  return string.format("(%d bytes, crc %s)", #text, core.crc32(text))
end

local function shown(value, client)
  local text = tostring(value)
  local plain = #text <= LONGEST and not secret(text)
  if plain and client and client.redact then plain = client:redact(text) == text end
  return plain and text or hidden(text)
end

local function flatten(flat, path, value, client)
  local kind = type(value)
  local opaque = kind == "userdata" and value ~= core.null or kind == "function"
  if opaque or secret(path) then return end
  if kind ~= "table" then
    flat[path] = shown(value, client)
    return
  end
  for key, member in each(value) do
    local name = path == "" and tostring(key) or path .. "." .. tostring(key)
    flatten(flat, name, member, client)
  end
end

--- The form of a spec that stands in a journal: { ["runtime.x"] = "1", … }.
--- What is named like a secret is left out: a new password is no new spec. Nor is a text shown
--- that holds one of the client's secrets.
function M.form(spec, client)
  local flat = {}
  flatten(flat, "", spec, client)
  return flat
end

-- Whether a secret is known to the client is a matter of when it was asked.
local function same(old, new)
  return old == new or old and new and (hidden(old) == new or old == hidden(new))
end

--- Text that tells the differences of two forms, or nil when there are none.
function M.tell(old, new)
  local names, list = {}, {}
  for name in each(old) do names[name] = true end
  for name in each(new) do names[name] = true end
  for name in each(names) do
    if not same(old[name], new[name]) then list[#list + 1] = name end
  end
  if #list == 0 then return nil end
  table.sort(list)
  local more = #list > SHOWN and string.format("\n  and %d more", #list - SHOWN) or ""
  for i, name in ipairs(list) do
    local was, is = old[name] or "absent", new[name] or "absent"
    list[i] = string.format("  %s: was %s, is %s", name, was, is)
  end
  return table.concat(list, "\n", 1, math.min(#list, SHOWN)) .. more
end

return M
