-- difference.lua: what of a spec stands in a journal, readable and without
-- secrets, and in what two such forms differ.
local core = require "taskclient.core"

local M = {}

local LONGEST = 120      -- longer values stand as their length and checksum
local SHOWN = 5          -- differences told of at most
local HIDDEN = "***"

-- Words after which a text gives a secret, and words that name one. Short ones
-- only name: in a text they may be anything.
local GIVE = { "passw", "passphrase", "secret", "token", "credential", "cookie", "access.?key",
  "api.?key", "private.?key", "authoriz", "identified", "pwd" }
local NAME = { "%f[%a]pass%f[%A]", "%f[%a]pw%f[%A]", "%f[%a]auth%f[%A]", "%f[%a][as]k%f[%A]" }
for _, word in ipairs(GIVE) do NAME[#NAME + 1] = word end

local function is_secret(name)
  name = name:lower()
  for _, word in ipairs(NAME) do
    if name:find(word) then return true end
  end
  return false
end

-- Where the value begins that a secret's name is given: `name = x`, `"name": "x"`,
-- `name by 'x'`, `name 'x'`, `--name x`; `at` stands behind the word in the name.
local function given(text, at, flag)
  local from = text:match("^[%w_.-]*[\"'\\]*%s*[=:]+[%s\\]*()", at)
    or text:match("^[%w_.-]*%s+by%s+()", at) or text:match("^[%w_.-]*%s+()[\"']", at)
    or flag and text:match("^[%w_.-]*%s+()", at)
  if not from or text:find("^%d+[:>]", from) then return nil end -- a place in `token.lua:7:`
  return text:match("^bearer%s+()", from) or text:match("^basic%s+()", from) or from
end

-- First byte of the value at `from` and the first one behind it.
local function extent(text, from)
  local quote = text:match("^[\"']", from)
  if not quote then return text:match("^()[^%s\"',;&]*()", from) end
  return from + 1, text:find(quote, from + 1, true) or #text + 1
end

local function hide_after(text, word)
  local lower, done, kept = text:lower(), 1, {}
  local start, last = lower:find(word)
  while start do
    local from = given(lower, last + 1, lower:sub(1, start - 1):find "%-%-[%w-]*$")
    if from then
      local first, behind = extent(lower, from)
      kept[#kept + 1] = text:sub(done, first - 1) .. HIDDEN
      done, last = behind, behind - 1
    end
    start, last = lower:find(word, last + 1)
  end
  return table.concat(kept) .. text:sub(done)
end

--- A text without what it gives as a password or the like, and without `secrets`.
---@param text string
---@param secrets? string[]
---@return string
function M.hide(text, secrets)
  for _, value in ipairs(secrets or {}) do
    text = text:gsub((value:gsub("%W", "%%%0")), HIDDEN)
  end
  for _, word in ipairs(GIVE) do
    if text:lower():find(word) then text = hide_after(text, word) end
  end
  return (text:gsub("://[^/%s]*@", "://" .. HIDDEN .. "@"))
end

local function shown(value, secrets)
  local text = M.hide(tostring(value), secrets)
  return #text <= LONGEST and text
    or string.format("(%d bytes, crc %s)", #text, core.crc32(text))
end

local function flatten(flat, path, value)
  local kind = type(value)
  if kind == "table" then
    for key, member in pairs(value) do
      flatten(flat, path == "" and tostring(key) or path .. "." .. tostring(key), member)
    end
  elseif kind ~= "function" and (kind ~= "userdata" or value == core.null) then
    flat[path] = value
  end
end

--- The form of a spec that stands in a journal: { ["runtime.x"] = "1", … }, and the
--- secrets in it. What is named like a secret is left out: a new password is no new spec.
---@param spec table
---@return table<string, string> form
---@return string[] secrets
function M.form(spec)
  local flat, secrets, form = {}, {}, {}
  flatten(flat, "", spec)
  for path, value in pairs(flat) do
    if is_secret(path) and type(value) == "string" and #value > 3 then
      secrets[#secrets + 1] = value
    end
  end
  for path, value in pairs(flat) do
    if not is_secret(path) then form[path] = shown(value, secrets) end
  end
  return form, secrets
end

--- Text that tells the differences of two forms, or nil when there are none.
function M.tell(old, new)
  local names, list = {}, {}
  for name in pairs(old) do names[name] = true end
  for name in pairs(new) do names[name] = true end
  for name in pairs(names) do
    if old[name] ~= new[name] then list[#list + 1] = name end
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
