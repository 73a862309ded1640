-- hide.lua: the one place that decides what of a text is a secret: what is given as one by name
-- ("password = x"), and what a client or a spec names as one. Knows how secrets are named and
-- given; no server, no spec. Each rule goes from one mark to the next behind what it has read, so
-- that a text of any size costs no more than its length.
local core = require "taskclient.core"

local M = {}

local HIDDEN = "***"

-- Words after which a text gives a secret, and words that name one. Short ones
-- only name: in a text they may be anything.
local GIVE = { "passw", "passphrase", "passcode", "secret", "token", "credential", "cookie",
  "access.?key", "api.?key", "private.?key", "authoriz", "identified", "pwd" }
local NAME = {}
for _, word in ipairs(GIVE) do NAME[#NAME + 1] = word end
for _, word in ipairs { "pass", "pw", "auth", "[as]k", "pin", "otp", "sig", "sas" } do
  NAME[#NAME + 1] = "%f[%a]" .. word .. "%f[%A]"
end

local function names_secret(name)
  name = name:gsub("(%l)(%u)", "%1_%2"):lower() -- jdbcPin
  for _, word in ipairs(NAME) do
    if name:find(word) then return true end
  end
  return false
end

local known, count = {}, 0 -- names that were asked for: one spec has the same as the next
local MOST, LONGEST_NAME = 1000, 1000

--- Is what bears this name a secret?
---@param name string
---@return boolean
function M.named(name)
  local secret = known[name]
  if secret ~= nil then return secret end
  if #name > LONGEST_NAME then return names_secret(name) end
  if count == MOST then known, count = {}, 0 end
  secret = names_secret(name)
  known[name], count = secret, count + 1
  return secret
end

-- Whether a word looks like a secret where nothing but a blank gives it: letters and digits mixed,
-- or a character that no sentence has inside of a word; behind a name in capitals, as SQL has it,
-- also capitals inside of it.
local function looks_secret(word, least, capitals)
  if #word < least then return false end
  return word:find "%a" and word:find "%d" ~= nil or word:find "%w[!@#$%%^*+~]+%w" ~= nil
    or capitals and word:find "%l%u" ~= nil
end

local FILLERS = { "is", "was", "to", "as" }

-- `PASSWORD x9`, `the password is x9`: where a value begins that a blank alone sets off.
local function in_prose(text, lower, at, capitals)
  local from = lower:match("^%s+()", at)
  if not from then return nil end
  for _, word in ipairs(FILLERS) do
    local behind = lower:match("^" .. word .. "%s+()", from)
    if behind then
      from = behind
      break
    end
  end
  local value = text:match("^[^%s\"',;&<>()]+", from)
  return value and looks_secret(value, capitals and 4 or 6, capitals) and from
end

-- Where the value begins that a secret's name gives: `name = x`, `"name": "x"`, `name by 'x'`,
-- `name 'x'`, `"name","x"`, `--name x`; `at` stands behind the whole name.
local function given(lower, at, flag)
  local from = lower:match("^[\"'\\]*%s*[=:<>!]+[%s\\]*()", at)
    or lower:match("^%s+by%s+()", at) or lower:match("^%s+()[\"']", at)
    or lower:match("^\\*[\"']%s*,%s*\\*()[\"']", at)
    or flag and lower:match("^%s+()", at)
  if not from or lower:find("^%d+[:>]", from) then return nil end -- a place in `token.lua:7:`
  return lower:match("^bearer%s+()", from) or lower:match("^basic%s+()", from) or from
end

-- First byte of the value at `from` and the first one behind it. A quote that is escaped is
-- closed by one that is, another by one that is not.
local function extent(text, from, word)
  local quote = text:match("^[\"']", from)
  if not quote and word == "cookie" then return text:match("^()[^\r\n\"']*()", from) end
  if not quote then return text:match("^()[^%s\"',;&<]*()", from) end
  local at, escaped = from, text:sub(from - 1, from - 1) == "\\"
  repeat
    at = text:find(quote, at + 1, true)
  until not at or (text:sub(at - 1, at - 1) == "\\") == escaped
  if not at then return from + 1, text:find("\n", from, true) or #text + 1 end -- its line
  return from + 1, escaped and at - 1 or at
end

local PLAIN = { ["true"] = true, ["false"] = true, yes = true, no = true, none = true, null = true,
  ["nil"] = true }

-- Whether what is given tells nobody anything: `(using password: YES)`, `password = ?`, and what
-- a parser has met: `unexpected token ';'`.
local function is_harmless(text, lower, start, first, stop)
  if stop - first > LONGEST_NAME then return false end
  local value = lower:sub(first, stop - 1):gsub("[%)%]}.:]+$", "")
  if PLAIN[value] or #value <= 2 and not value:find "[%w\128-\255]" then return true end
  local before = lower:sub(math.max(1, start - 20), start - 1)
  return (before:find "expect%l*%s$" or before:find "unrecognized%s$")
    and not looks_secret(text:sub(first, stop - 1), 6, true)
end

local function hide_after(text, lower, word)
  local done, kept = 1, {}
  local start, last = lower:find(word)
  while start do
    local behind = lower:match("^[%w_.-]*()", last + 1) -- the whole name, read once
    local flag = lower:sub(math.max(1, start - 30), start - 1):find "%-%-[%w-]*$"
    local from = given(lower, behind, flag)
      or in_prose(text, lower, behind, text:sub(start, last):find "^[%u_]+$" ~= nil)
    if from then
      local first, stop = extent(lower, from, word)
      if not is_harmless(text, lower, start, first, stop) then
        kept[#kept + 1] = text:sub(done, first - 1) .. HIDDEN
        done = stop
      end
      behind = math.max(behind, stop)
    end
    start, last = lower:find(word, behind)
  end
  if done == 1 then return text end
  return table.concat(kept) .. text:sub(done)
end

--- A text without the keys in PEM form, each up to its end line or the text's.
---@param text string
---@return string
function M.keys(text)
  local done, kept = 1, {}
  local start = text:find("-----BEGIN ", 1, true)
  while start do
    local head, body = text:match("^(%-%-%-%-%-BEGIN [%u%d ]*)%-%-%-%-%-()", start)
    local stop = start + 11
    if head and head:find("KEY", 1, true) then
      stop = text:find("-----END ", body, true) or #text + 1
      kept[#kept + 1] = text:sub(done, body - 1) .. HIDDEN
      done = stop
    end
    start = text:find("-----BEGIN ", stop, true)
  end
  return table.concat(kept) .. text:sub(done)
end

-- ?sig=x&…: signatures that are as good as a password.
local function hide_signature(mark, name, value)
  local lower = name:lower()
  if lower == "sig" or lower:find "signature$" then return mark .. name .. "=" .. HIDDEN end
  return mark .. name .. "=" .. value
end

-- The options of commands that take a password without naming it.
local function hide_options(text)
  local lower = text:lower()
  local takes = lower:find("mysql", 1, true) or lower:find("maria", 1, true)
    or lower:find("sshpass", 1, true)
  text = text:gsub("(%f[%S]%-p)([^%s\"']+)", function(option, value)
    if takes or looks_secret(value, 6, true) then return option .. HIDDEN end
  end)
  if lower:find("curl", 1, true) then
    text = text:gsub("(%f[%S]%-u%s?[\"']?[^%s:\"']+:)([^%s\"']+)", "%1" .. HIDDEN)
  end
  if lower:find("redis", 1, true) then
    text = text:gsub("(%f[%S]%-a%s)([^%s\"']+)", "%1" .. HIDDEN)
  end
  return text
end

--- A text without what it gives as a password or the like.
---@param text string
---@return string
function M.text(text)
  if not text:find "[%s=:<>!,]" then return text end -- nothing is given without
  local lower = text:lower()
  for _, word in ipairs(GIVE) do
    if lower:find(word) then
      text = hide_after(text, lower, word)
      lower = text:lower()
    end
  end
  if text:find("-----BEGIN ", 1, true) then text = M.keys(text) end
  if text:find("=", 1, true) then
    text = text:gsub("([?&;])([%w_-]+)=([^&;%s\"'<>\\]+)", hide_signature)
  end
  if text:find("-", 1, true) then text = hide_options(text) end
  return (text:gsub("://[^/%s]*@", "://" .. HIDDEN .. "@"))
end

--- The same for a text that is printed: cut first, to some more bytes than are wanted, and
--- without a client's secrets.
---@param text string
---@param client userdata|nil
---@param most integer bytes
---@return string
function M.printed(text, client, most)
  text = text:sub(1, most + LONGEST_NAME)
  if client then text = client:redact(text) end
  return (core.clean(M.text(text), most))
end

return M
