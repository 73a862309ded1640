-- hide.lua: texts without the passwords and tokens in them, for what is written
-- down and may be read by others. Knows how secrets are named and given; no
-- server, no spec.
local M = {}

local HIDDEN = "***"

-- Words after which a text gives a secret, and words that name one. Short ones
-- only name: in a text they may be anything.
local GIVE = { "passw", "passphrase", "secret", "token", "credential", "cookie", "access.?key",
  "api.?key", "private.?key", "authoriz", "identified", "pwd" }
local NAME = { "%f[%a]pass%f[%A]", "%f[%a]pw%f[%A]", "%f[%a]auth%f[%A]", "%f[%a][as]k%f[%A]" }
for _, word in ipairs(GIVE) do NAME[#NAME + 1] = word end

local function names_secret(name)
  for _, word in ipairs(NAME) do
    if name:find(word) then return true end
  end
  return false
end

local known, count = {}, 0 -- names that were asked for: one spec has the same as the next
local MOST = 1000

--- Is what bears this name a secret?
---@param name string
---@return boolean
function M.named(name)
  local secret = known[name]
  if secret ~= nil then return secret end
  if count == MOST then known, count = {}, 0 end
  secret = names_secret(name:lower())
  known[name], count = secret, count + 1
  return secret
end

-- Where the value begins that a secret's name is given: `name = x`, `"name": "x"`,
-- `name by 'x'`, `name 'x'`, `--name x`; `at` stands behind the word in the name.
local function given(text, at, flag)
  local from = text:match("^[%w_.-]*[\"'\\]*%s*[=:<>!]+[%s\\]*()", at)
    or text:match("^[%w_.-]*%s+by%s+()", at) or text:match("^[%w_.-]*%s+()[\"']", at)
    or flag and text:match("^[%w_.-]*%s+()", at)
  if not from or text:find("^%d+[:>]", from) then return nil end -- a place in `token.lua:7:`
  return text:match("^bearer%s+()", from) or text:match("^basic%s+()", from) or from
end

-- First byte of the value at `from` and the first one behind it. A quote that is escaped is
-- closed by one that is, another by one that is not.
local function extent(text, from, word)
  local quote = text:match("^[\"']", from)
  if not quote and word == "cookie" then return text:match("^()[^\r\n\"']*()", from) end
  if not quote then return text:match("^()[^%s\"',;&]*()", from) end
  local at, escaped = from, text:sub(from - 1, from - 1) == "\\"
  repeat
    at = text:find(quote, at + 1, true)
  until not at or (text:sub(at - 1, at - 1) == "\\") == escaped
  return from + 1, at and (escaped and at - 1 or at) or #text + 1
end

local function hide_after(text, word)
  local lower, done, kept = text:lower(), 1, {}
  local start, last = lower:find(word)
  while start do
    local flag = lower:sub(math.max(1, start - 30), start - 1):find "%-%-[%w-]*$"
    local from = given(lower, last + 1, flag)
    if from then
      local first, behind = extent(lower, from, word)
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
function M.text(text, secrets)
  for _, value in ipairs(secrets or {}) do
    text = text:gsub((value:gsub("%W", "%%%0")), HIDDEN)
  end
  if not text:find "[%s=:<>!]" then return text end -- nothing is given without
  local lower = text:lower()
  for _, word in ipairs(GIVE) do
    if lower:find(word) then
      text = hide_after(text, word)
      lower = text:lower()
    end
  end
  return (text:gsub("://[^/%s]*@", "://" .. HIDDEN .. "@"))
end

return M
